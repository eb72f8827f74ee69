"""
Three talkers, two microphones
==============================

Matrices can take two talkers apart with two microphones. For a third, something must tell which of them is
heard in which bin: masks by direction (`CACGMM`), or spectra beside directions (`FastMNMF2`). What do they
see?
"""

from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np

from dspsep import CACGMM, STFT, FastMNMF2
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

# %%
# A small room with short echoes, and three who talk at once, 5 cm between the microphones.
scene = scenes.reverberant(n_channels=2, n_sources=3, rt60=0.12, duration=6.0)
rate = scene.sample_rate

# %%
# What there is to see: in one frequency, level and phase between the microphones. Each bin is a point, and
# its colour says who is loudest there, which only we know.
stft = STFT(1024, 256)
X = stft.forward(scene.mixture, rate).values
truth = np.stack([np.abs(stft.forward(image, rate).values[0]) for image in scene.sources.values()])
colours = np.array(["#3b6ea5", "#c8553d", "#5a9367"])
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", sharey=True)
for ax, hertz in zip(axes, (500, 1500, 2500), strict=True):
    f = round(hertz * stft.n_fft / rate)
    loud = np.abs(X[0, f]) > np.median(np.abs(X[0, f]))
    ratio = X[1, f, loud] / X[0, f, loud]
    ax.scatter(
        np.angle(ratio), 20 * np.log10(np.abs(ratio)), s=9, c=colours[truth[:, f, loud].argmax(axis=0)]
    )
    ax.set(title=f"{hertz} Hz", xlabel="phase (rad)", xlim=(-np.pi, np.pi), ylim=(-15, 15))
axes[0].set_ylabel("level (dB)")

# %%
# CACGMM finds these clouds, frequency by frequency, and then which cloud of one frequency belongs to which of
# the next. The posterior of a talker is the mask.
masks = CACGMM(n_sources=3, stft=stft)
masked = masks.separate(scene.mixture, rate)
posterior = masked.model.masks(masks.stft.forward(scene.mixture, rate))
figure, axes = plt.subplots(3, 1, figsize=(9, 6), layout="constrained", sharex=True)
for ax, (name, mask) in zip(axes, posterior.items(), strict=True):
    ax.imshow(mask[0, :260], origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1)
    ax.set(title=f"posterior of {name}", ylabel="bin")
axes[-1].set_xlabel("frame")

# %%
# FastMNMF2 begins with these, and learns spectra and the directions of filters. The directivity says how much
# of a talker is in each of the two directions that a filter can tell apart: two have one of their own. The
# third shares what there is, and is told apart by its spectra.
filters = FastMNMF2(n_sources=3, n_components=8, n_iter=60, stft=STFT(2048, 512))
filtered = filters.separate(scene.mixture, rate)
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
axes[0].imshow(filtered.model.directivity, cmap="magma", vmin=0, vmax=1)
axes[0].set(xlabel="direction m", ylabel="source n", title="directivity g", xticks=[0, 1], yticks=[0, 1, 2])
axes[1].plot(filtered.model.losses, color="#3b6ea5")
axes[1].set(xlabel="iteration", ylabel="objective", title="negative log-likelihood")
axes[1].grid(alpha=0.3)

# %%
# How well it went: the gain in SI-SDR over the mixture, in the best order of the sources. Which number a
# talker has depends on the start, and is another one here and there.
references = list(scene.sources.values())


def gains(estimates):
    """Return the mean gain of each source over its channels."""
    return [
        np.mean([si_sdr(r, e) - si_sdr(r, x) for r, e, x in zip(ref, est, scene.mixture, strict=True)])
        for ref, est in zip(references, estimates, strict=True)
    ]


found = {}
for title, sources in {"CACGMM": masked, "FastMNMF2": filtered}.items():
    found[title] = max(permutations(sources.values()), key=lambda order: sum(gains(order)))
    print(f"{title:10}", "  ".join(f"{gain:5.1f} dB" for gain in gains(found[title])))

# %%
# The mixture, and one talker: as recorded alone, by masks and by filters.
figure, axes = plt.subplots(4, 1, figsize=(9, 9), layout="constrained")
shown = {"mixture": scene.mixture, "alone": references[0]}
shown.update((title, order[0]) for title, order in found.items())
for ax, (title, audio) in zip(axes, shown.items(), strict=True):
    plot_spectrogram(audio, rate, ax=ax, reference=scene.mixture)
    ax.set_title(title)
    ax.label_outer()
plt.show()

# %%
# To listen: three talkers from two microphones.
filtered.play(duration=10)
