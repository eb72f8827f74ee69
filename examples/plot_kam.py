"""
What is near a bin?
===================

Kernel additive modelling asks of a source only where it is alike: before and after, above and below, a period
away. Here are the kernels, what a median over each makes of a song, and what rounds of backfitting add.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import KAM, Horizontal, Pattern, Vertical, kam
from dspsep.data import scenes
from dspsep.metrics import si_sdr

# %%
# A song: drums and chords that go round, and a voice.
scene = scenes.song(duration=12.0)
rate = scene.sample_rate
voice = scene.sources["vocals"]
band = scene.mixture - voice
separator = KAM()
sources = separator.separate(scene.mixture, rate)
model = sources.model
for name, kernels in model.sources:
    print(f"{name:14}", *kernels)

# %%
# The bins that are near the one in the middle, for each kind of kernel, as dots. A period is too long for the
# picture: it is shown as if it were eight frames.
frames, bins = np.meshgrid(np.arange(-18, 19), np.arange(-6, 7))
horizontal, vertical = bins == 0, frames == 0
near = {
    "Horizontal": horizontal & (abs(frames) <= 8),
    "Vertical": vertical & (abs(bins) <= 4),
    "Periodic": horizontal & (frames % 8 == 0),
    "Cross": (horizontal & (abs(frames) <= 3)) | (vertical & (abs(bins) <= 2)),
    "Pattern": (bins == frames) & (abs(frames) <= 3),
}
figure, axes = plt.subplots(1, 5, figsize=(9, 2.2), layout="constrained", sharey=True)
for ax, (name, dots) in zip(axes, near.items(), strict=True):
    ax.plot(frames[dots], bins[dots], ".", color="#3b6ea5")
    ax.plot(0, 0, "o", color="#d08030")
    ax.set(title=name, xlim=(-19, 19), xlabel="frames")
axes[0].set_ylabel("bins")

# %%
# The median of the mixture over each kernel of the default settings: this is what the first round believes of
# each part.
spectrogram = separator.stft.forward(scene.mixture, rate)
V = spectrogram.magnitude()
hop = separator.stft.hop_length / rate
extent = (0, V.shape[2] * hop, 0, rate / 2000)
parts = [kernel for _, kernels in model.sources for kernel in kernels]
figure, axes = plt.subplots(len(parts) + 1, 1, figsize=(9, 9), layout="constrained", sharex=True, sharey=True)
frame_major = np.ascontiguousarray(V[:1].transpose(0, 2, 1))
pictures = [("mixture", frame_major)] + [(repr(kernel), kernel.medians(frame_major)) for kernel in parts]
loudest = 20 * np.log10(V[0].max())
for ax, (name, values) in zip(axes, pictures, strict=True):
    decibels = 20 * np.log10(np.maximum(values[0].T, 1e-3 * V[0].max())) - loudest
    ax.imshow(decibels, origin="lower", aspect="auto", cmap="magma", extent=extent, vmin=-60, vmax=-10)
    ax.set(ylabel="kHz", title=name, xlim=(4, 10), ylim=(0, 6))
axes[-1].set_xlabel("time in s")

# %%
# The parts compete for each bin, round after round. What a round gains, in decibels of SI-SDR; with an
# exponent of 2 each round sharpens the masks, which pays for two rounds and not for eight.
print("rounds   exponent 1        exponent 2")
print("        voice    band     voice    band")
for n_iter in (1, 2, 3, 5, 8):
    gains = []
    for exponent in (1.0, 2.0):
        found = separator.replace(n_iter=n_iter, exponent=exponent).separate(scene.mixture, rate)
        for reference, name in ((voice, "vocals"), (band, "accompaniment")):
            gains.append(np.mean(si_sdr(reference, found[name])) - np.mean(si_sdr(reference, scene.mixture)))
    print(f"{n_iter:6}", "{:7.1f} {:7.1f}   {:7.1f} {:7.1f}".format(*gains))

# %%
# How much of it is the rule that all below 100 Hz is accompaniment?
for cutoff in (100.0, None):
    found = separator.replace(cutoff_hertz=cutoff).separate(scene.mixture, rate)
    gain = np.mean(si_sdr(voice, found["vocals"])) - np.mean(si_sdr(voice, scene.mixture))
    print(f"cutoff {cutoff}: {gain:.1f} dB")

# %%
# Kernels of your own: three sources at once. A siren glides upwards, a bin each frame; a picture of that is a
# kernel. It is added to the band, and comes out under its name.
time = np.arange(scene.mixture.shape[-1]) / rate
slope = (rate / 2048) / (512 / rate)  # a bin each hop, in hertz for each second
frequency = 800 + slope * (time % 1.0)
siren = 0.1 * np.sin(2 * np.pi * np.cumsum(frequency) / rate) * np.ones_like(band)
three = KAM(
    sources={
        "notes": Horizontal(seconds=0.3),
        "strokes": Vertical(hertz=500.0),
        "siren": Pattern(values=np.eye(17)),
    },
    exponent=2.0,
)
found = three.separate(band + siren, rate)
gain = np.mean(si_sdr(siren, found["siren"])) - np.mean(si_sdr(siren, band + siren))
print(f"siren: {gain:.1f} dB above the mixture")

# %%
# The same for a spectrogram of your own.
notes, strokes = kam(V[0], [Horizontal(frames=31), Vertical(bins=31)])
print(notes.shape, strokes.shape)

plt.show()

# %%
# To listen: the voice and its accompaniment.
sources.play(duration=10)
