"""
What does a loop look like to a Fourier transform?
==================================================

A spectrogram is a picture. Its two-dimensional transform shows at what pace it comes again: along time, which
are beats, and along frequency, which are partials. `FT2D` keeps the peaks, and calls what they transform back
to the background.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import FT2D, ft2d
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

# %%
# A stroke every ten frames, and a line that glides. Peaks are every twentieth rate of 200; the line is a
# cloud.
n_freqs, n_frames = 60, 200
V = np.zeros((n_freqs, n_frames))
V[10:50, ::10] = 1
time = np.arange(n_frames)
V[np.round(30 + 12 * np.sin(time / 9) + 8 * np.sin(time / 23)).astype(int), time] += 1
B, M = ft2d(V)
plane = np.fft.fftshift(np.abs(np.fft.fft2(V)))
extent = (-n_frames / 2, n_frames / 2, -n_freqs / 2, n_freqs / 2)
figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
drawing = {"origin": "lower", "aspect": "auto", "cmap": "magma"}
axes[0, 0].imshow(V, vmin=0, vmax=1, **drawing)
axes[0, 0].set(title="V", xlabel="frame", ylabel="bin")
axes[0, 1].imshow(np.log10(plane + 1), extent=extent, **drawing)
axes[0, 1].set(title="its transform", xlabel="rate", ylabel="scale")
axes[1, 1].imshow(np.fft.fftshift(M), vmin=0, vmax=1, extent=extent, **drawing)
axes[1, 1].set(title="M: what is a peak, and how much", xlabel="rate", ylabel="scale")
axes[1, 0].imshow(B, vmin=0, vmax=1, **drawing)
axes[1, 0].set(title="B: what the peaks transform back to", xlabel="frame", ylabel="bin")

# %%
# What is real has a symmetric transform, and so has what it is multiplied by: each peak has a mirror image.
mirrored = np.roll(M[::-1, ::-1], 1, axis=(0, 1))
print("symmetric:", np.array_equal(M, mirrored))

# %%
# A song of 120 beats a minute: snares once a second, beats twice, hi-hats four times. So there are rows of
# peaks at whole hertz. The neighbours of a bin are those within half a hertz here (25 rates of 24 s), so the
# bars, of two seconds, have no peaks of their own.
scene = scenes.song(duration=24.0)
separator = FT2D()
spectrogram = separator.stft.forward(scene.mixture, scene.sample_rate)
V = spectrogram.magnitude()[0]
B, M = ft2d(V)
plane = np.fft.fftshift(np.abs(np.fft.fft2(V)))
weights = np.fft.fftshift(M)
frames_per_second = scene.sample_rate / separator.stft.hop_length
rates = np.fft.fftshift(np.fft.fftfreq(V.shape[1])) * frames_per_second
scales = np.fft.fftshift(np.fft.fftfreq(V.shape[0])) / (scene.sample_rate / separator.stft.n_fft) * 1000
near = (np.abs(rates) <= 6).nonzero()[0][[0, -1]]
low = (np.abs(scales) <= 3).nonzero()[0][[0, -1]]
window = slice(low[0], low[1] + 1), slice(near[0], near[1] + 1)
extent = (rates[near[0]], rates[near[1]], scales[low[0]], scales[low[1]])
figure, axes = plt.subplots(2, 1, figsize=(9, 7), layout="constrained", sharex=True)
level = 20 * np.log10(plane[window] / plane.max())
axes[0].imshow(level, vmin=-80, vmax=-20, extent=extent, **drawing)
axes[0].set(title="the transform of a song", ylabel="scale (ripples in 1 kHz)")
axes[1].imshow(weights[window], vmin=0, vmax=1, extent=extent, **drawing)
axes[1].set(title="its peaks", xlabel="rate (Hz)", ylabel="scale (ripples in 1 kHz)")

# %%
# What the peaks hold, and what they leave.
sources = separator.separate(scene.mixture, scene.sample_rate)
start, stop = (round(second * scene.sample_rate) for second in (4, 8))
figure, axes = plt.subplots(3, 1, figsize=(9, 8), layout="constrained")
for ax, (name, audio) in zip(axes, {"mixture": scene.mixture, **sources}.items(), strict=True):
    plot_spectrogram(audio[:, start:stop], scene.sample_rate, ax=ax, reference=scene.mixture)
    ax.set_title(name)
    ax.label_outer()

# %%
# Whether peaks count by how far they stand out, or fully: SI-SDR in decibels, the mixture first.
vocals = scene.sources["vocals"]
truth = {"foreground": vocals, "background": scene.mixture - vocals}
print(
    "mixture    ", *(f"{name} {si_sdr(reference, scene.mixture):5.1f}" for name, reference in truth.items())
)
for peaks in ("local_std", "threshold"):
    found = separator.replace(peaks=peaks).separate(scene.mixture, scene.sample_rate)
    print(
        f"{peaks:11}", *(f"{name} {si_sdr(reference, found[name]):5.1f}" for name, reference in truth.items())
    )
plt.show()

# %%
# To listen: what the peaks left on either side.
sources.play(duration=10)
