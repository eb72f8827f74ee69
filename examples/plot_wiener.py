"""
When does it help to refine?
============================

A Wiener filter takes estimates of sources and shares the mixture among them again: by how loud they are in
every bin or, after a step of expectation maximisation, also by where they are. Two mixtures, one of which it
helps.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import HPSS, STFT, Regroup, Wiener, wiener_em
from dspsep.data import scenes
from dspsep.metrics import sdr
from dspsep.oracle import IRM

# %%
# Sources that were panned to different places. The best mask there is, the ideal ratio mask, cannot tell two
# sources in one bin apart. A step learns the places from what the mask made, and then can.
scene = scenes.panned(duration=4.0)
rate, mixture = scene.sample_rate, scene.mixture
masked = IRM(references=scene.sources).separate(mixture, rate)


def score(sources, references):
    """Return the mean SDR over the sources."""
    return np.mean(
        [float(sdr(np.asarray(reference), sources[name])) for name, reference in references.items()]
    )


steps = (0, 1, 2, 4, 8)
curves = {
    "steps": [score(Wiener(n_iter=n).refine(mixture, masked), scene.sources) for n in steps],
    "with the posterior": [
        score(Wiener(n_iter=n, posterior=True).refine(mixture, masked), scene.sources) for n in steps
    ],
}

# %%
# The same for a song, with estimates by median filtering.
song = scenes.song(duration=6.0)
drums = sum(song.sources[name] for name in ("kick", "snare", "hihat"))
parts = {"drums": drums, "band": song.mixture - drums}
blind = (HPSS() >> Regroup(drums=["percussive"], band=["harmonic"])).separate(song.mixture, song.sample_rate)
hardened = [score(Wiener(n_iter=n).refine(song.mixture, blind), parts) for n in steps]

figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for label, curve in curves.items():
    axes[0].plot(steps, curve, "o-", label=label)
axes[0].axhline(score(masked, scene.sources), color="grey", linestyle=":", label="the mask")
axes[0].set(title="panned sources, ideal ratio mask", xlabel="n_iter", ylabel="SDR in dB")
axes[0].legend()
axes[1].plot(steps, hardened, "o-")
axes[1].axhline(score(blind, parts), color="grey", linestyle=":")
axes[1].set(title="a song, HPSS", xlabel="n_iter")
gained = max(curves["steps"]) - score(masked, scene.sources)
lost = hardened[-1] - score(blind, parts)
print(f"panned sources: {gained:+.1f} dB at best; a song: {lost:+.1f} dB after {steps[-1]} steps")

# %%
# Where is a source? With `wiener_em` on spectra of one's own, the magnitudes of a source in both channels
# draw near to a line as steps go on: a point in the panorama.
stft = STFT()
x = stft.forward(mixture, rate).values
y = np.stack([stft.forward(masked[key], rate).values for key in scene.sources])
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", sharex=True, sharey=True)
band = slice(stft.n_bins_in(300, rate), stft.n_bins_in(2000, rate))
for ax, n in zip(axes, (0, 1, 5), strict=True):
    found = wiener_em(y, x, n_iter=n) if n else y
    for source in found:
        left, right = np.abs(source[:, band]).reshape(2, -1)
        ax.plot(left[::7], right[::7], ".", markersize=2)
    ax.set(title=f"{n} steps", xlabel="left")
axes[0].set_ylabel("right")

# %%
# To listen: the panned sources after three steps.
Wiener(n_iter=3).refine(mixture, masked)
