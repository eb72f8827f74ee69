"""
What are phases worth, and when?
================================

Masks change magnitudes and keep the phases of the mixture. `misi` finds phases that fit the magnitudes, and
`consistent_wiener` a filter whose output fits itself. Both are given the true magnitudes here, and then ever
worse ones: how well must magnitudes be known before phases are worth the trouble?
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import STFT, consistent_wiener, griffin_lim, misi
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

scene = scenes.song(duration=4.0)
voice = scene.sources["vocals"][0]
truth = np.stack([voice, scene.mixture[0] - voice])
stft = STFT()
X = stft.forward(truth.sum(axis=0), scene.sample_rate)
A = np.stack([stft.forward(source, scene.sample_rate).magnitude() for source in truth])


def quality(estimates):
    """Return the mean SI-SDR in decibels."""
    return np.mean([si_sdr(true, found[0]) for true, found in zip(truth, estimates, strict=True)])


# %%
# Every magnitude is off by some decibels, at random. Where they are true, MISI nearly finds the sources
# themselves: the magnitudes of overlapping frames tell the phases. Errors of 2 dB are enough to lose that,
# and beyond them the sources are driven to phases of magnitudes that are wrong. Consistent Wiener filtering
# gains a decibel at most, and goes on gaining.
error = np.random.default_rng(0).standard_normal(A.shape)
decibels = [0, 1, 2, 3, 4, 6, 8]
methods = {
    "phases of the mixture": lambda A: misi(X, A, n_iter=0),
    "MISI": lambda A: misi(X, A),
    "Wiener filter": lambda A: consistent_wiener(X, A**2, weight=0.0),
    "consistent Wiener filter": lambda A: consistent_wiener(X, A**2),
}
figure, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
for name, method in methods.items():
    scores = [quality(method(A * 10 ** (spread * error / 20))[0]) for spread in decibels]
    ax.plot(decibels, scores, marker="o", label=name)
ax.set(xlabel="error of the magnitudes in dB", ylabel="SI-SDR in dB")
ax.legend(frameon=False)
ax.grid(alpha=0.3)

# %%
# Without a mixture there is no phase to begin with. Griffin and Lim's method begins with random ones, and
# momentum gets it further in as many steps. What it finds sounds like the voice, and is not its waveform.
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
for momentum in (0.0, 0.99):
    again, loss = griffin_lim(A[0, 0], stft, n_samples=len(voice), momentum=momentum)
    ax.semilogy(loss, label=f"momentum {momentum}")
ax.set(xlabel="iteration", ylabel="spectral convergence")
ax.legend(frameon=False)
ax.grid(alpha=0.3)
print(f"SI-SDR {si_sdr(voice, again):.1f} dB, although the magnitudes are off by {100 * loss[-1]:.0f} % only")

# %%
# The voice, and what was made of its magnitudes.
figure, axes = plt.subplots(2, 1, figsize=(9, 5), layout="constrained")
for ax, (title, audio) in zip(axes, {"voice": voice, "from its magnitudes": again}.items(), strict=True):
    plot_spectrogram(audio, scene.sample_rate, ax=ax)
    ax.set_title(title)
    ax.label_outer()
plt.show()
