"""
What has low rank, and what is sparse?
======================================

`RPCA` writes a spectrogram as a sum of two matrices: one whose frames are mixed from few spectra, and one
that is zero nearly everywhere. We give it a drawing of which we know both parts, and then a song.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from dspsep import RPCA, rpca
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

# %%
# Three spectra that come and go make a matrix of rank three. Lines are drawn over it that are in no frame
# where they were in the one before.
rng = np.random.default_rng(0)
n_freqs, n_frames = 80, 160
time = np.arange(n_frames)
spectra = rng.random((n_freqs, 3)) ** 4
background = spectra @ np.stack([np.sin(time / period) ** 2 for period in (9, 14, 23)])
voice = np.zeros((n_freqs, n_frames))
voice[10 + 3 * time % 61, time] = 1.0
L, S, residuals = rpca(background + voice)
figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained", sharey=True)
for ax, (name, part) in zip(axes, {"V": background + voice, "L": L, "S": S}.items(), strict=True):
    ax.imshow(part, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1)
    ax.set(title=name, xlabel="frame")
axes[0].set_ylabel("bin")
print(f"rank {np.linalg.matrix_rank(L, tol=1e-3)}, {np.mean(np.abs(S) > 1e-3):.1%} of the bins are not zero")
print(f"largest error of L {np.abs(L - background).max():.0e}, of S {np.abs(S - voice).max():.0e}")

# %%
# How it got there: the residual is the part of V that L and S do not add up to.
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.semilogy(np.arange(1, 1 + len(residuals)), residuals, color="#3b6ea5", marker=".")
ax.set(xlabel="iteration", ylabel="residual", title="|V - L - S| / |V|")
ax.grid(alpha=0.3)

# %%
# A song has no such parts, but nearly: a band that plays a few chords again and again, and a voice. The
# mixture has as many singular values as there are bins; the background has 256 of them at most, each less by
# what went to S.
scene = scenes.song(duration=12.0)
separator = RPCA()
sources = separator.separate(scene.mixture, scene.sample_rate)
model = sources.model
spectrogram = separator.stft.forward(scene.mixture, scene.sample_rate)
V = np.sqrt(np.mean(spectrogram.magnitude() ** 2, axis=0))
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.semilogy(np.linalg.svd(V, compute_uv=False), color="#999999", label="V")
ax.semilogy(np.linalg.norm(model.activations, axis=1), color="#3b6ea5", label="L")
ax.set(xlabel="number", ylabel="singular value", xlim=(0, model.rank + 50))
ax.legend(frameon=False)
ax.grid(alpha=0.3)

# %%
# L, what it leaves, and the mask that is made of the two; below 100 Hz all is background. (From two seconds
# to six, up to 4 kHz.)
frames = slice(*(round(second * scene.sample_rate / separator.stft.hop_length) for second in (2, 6)))
bins = slice(0, spectrogram.n_bins_in(4000))
parts = {"V": V, "L": model.low_rank, "S = V - L": V - model.low_rank}
figure, axes = plt.subplots(4, 1, figsize=(9, 9), layout="constrained", sharex=True)
extent = (2, 6, 0, 4000)
for ax, (name, part) in zip(axes[:3], parts.items(), strict=True):
    level = 20 * np.log10(np.maximum(np.abs(part[bins, frames]), 1e-4 * V.max()) / V.max())
    ax.imshow(level, origin="lower", aspect="auto", cmap="magma", vmin=-70, vmax=0, extent=extent)
    ax.set(title=name, ylabel="Hz")
mask = model.masks(spectrogram)["foreground"][0]
axes[3].imshow(mask[bins, frames], origin="lower", aspect="auto", cmap="gray", vmin=0, vmax=1, extent=extent)
axes[3].set(title="mask of the foreground", xlabel="seconds", ylabel="Hz")

# %%
# What comes of it. Strokes of drums are as sparse as the voice, and go with it.
start, stop = (round(second * scene.sample_rate) for second in (2, 6))
figure, axes = plt.subplots(2, 1, figsize=(9, 5.5), layout="constrained")
for ax, (name, audio) in zip(axes, sources.items(), strict=True):
    plot_spectrogram(audio[:, start:stop], scene.sample_rate, ax=ax, reference=scene.mixture)
    ax.set_title(name)
    ax.label_outer()

# %%
# Shares or decisions, and what do weights for voices and the rule of low frequencies do? They do much the
# same: without weights, kick drums are foreground unless the rule takes them away. SI-SDR in decibels, the
# mixture first.
vocals = scene.sources["vocals"]
truth = {"background": scene.mixture - vocals, "foreground": vocals}
print("mixture" + " " * 25, *(f"{name} {si_sdr(ref, scene.mixture):5.1f}" for name, ref in truth.items()))
for weights, fitted in {"voice": model, "none": RPCA(weights=None).fit(spectrogram)}.items():
    for mask in ("soft", "binary"):
        for cutoff in (100.0, None):
            changed = replace(fitted, mask=mask, cutoff_hertz=cutoff)
            background = separator.stft.inverse(spectrogram, mask=next(changed.iter_masks(spectrogram)))
            parts = {"background": background, "foreground": scene.mixture - background}
            scores = (f"{name} {si_sdr(ref, parts[name]):5.1f}" for name, ref in truth.items())
            print(f"weights {weights:5} {mask:6} cutoff {cutoff or 'none':>5}", *scores)
plt.show()

# %%
# To listen: the low rank, and what is sparse.
sources.play(duration=10)
