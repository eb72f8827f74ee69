"""
What comes again, and what does not?
====================================

`REPET` finds the period of an accompaniment, and takes for background what is heard in every repeat of it.
`REPETSim` needs no period: it asks which frames are alike.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import REPET, REPETSim, beat_spectrum
from dspsep.data import scenes
from dspsep.metrics import si_sdr

# %%
# A song whose accompaniment goes round and round, and a voice.
scene = scenes.song(duration=16.0)
rate = scene.sample_rate
voice = scene.sources["vocals"]
band = scene.mixture - voice
repet = REPET()
sources = repet.separate(scene.mixture, rate)
model = sources.model
print(f"period: {model.period:.2f} s")

# %%
# The beat spectrum: how much the song resembles itself some seconds later. The period and its multiples stand
# out; the highest lag of all may be any of them.
hop = repet.stft.hop_length / rate
lags = np.arange(len(model.beat_spectrum)) * hop
seen = (lags > 0.2) & (lags < 8)
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.plot(lags[seen], model.beat_spectrum[seen] / model.beat_spectrum[seen].max(), color="#3b6ea5", linewidth=1)
for k in range(1, int(8 / model.period) + 1):
    ax.axvline(k * model.period, color="#d08030", linestyle="-" if k == 1 else ":", linewidth=1)
ax.set(xlabel="lag in s", ylabel="beat spectrum", title="the period, and its multiples")

# %%
# The mixture, the repeating segment over and over, and the mask that comes of it.
spectrogram = repet.stft.forward(scene.mixture, rate)
mask = model.masks(spectrogram)["background"][0]
V = spectrogram.magnitude()[0]
figure, axes = plt.subplots(3, 1, figsize=(9, 7), layout="constrained", sharex=True, sharey=True)
extent = (0, V.shape[1] * hop, 0, rate / 2000)
for ax, shown, name in zip(
    axes, (V, V * mask, V * (1 - mask)), ("mixture", "background", "foreground"), strict=True
):
    decibels = 20 * np.log10(np.maximum(shown, 1e-3 * V.max()))
    ax.imshow(decibels, origin="lower", aspect="auto", cmap="magma", extent=extent, vmin=decibels.max() - 60)
    ax.set(ylabel="frequency in kHz", title=name, xlim=(4, 10), ylim=(0, 6))
axes[-1].set_xlabel("time in s")

# %%
# Which frames are alike? A piece of the similarity matrix, which the separator makes some rows at a time; and
# the frames that one of them, at 6 s, is taken to repeat.
similar = REPETSim().separate(scene.mixture, rate)
directions = V / np.maximum(np.linalg.norm(V, axis=0), 1e-12)
similarity = directions.T[::4] @ directions[:, ::4]
frame = round(6.0 / hop)
neighbors = similar.model.neighbors[frame]
neighbors = neighbors[neighbors >= 0] * hop
figure, ax = plt.subplots(figsize=(6, 5.4), layout="constrained")
image = ax.imshow(similarity, origin="lower", cmap="viridis", extent=(0, extent[1]) * 2)
ax.plot(neighbors, np.full(neighbors.size, 6.0), "o", color="#d08030", markersize=5, markeredgecolor="white")
ax.set(xlabel="time in s", ylabel="time in s", title="how alike frames are")
figure.colorbar(image, ax=ax)

# %%
# What each gains in decibels of SI-SDR, and what of it is due to the rule of what lies below 100 Hz.
print("                        voice   band")
for name, separator in {
    "REPET": REPET(),
    "REPET, no rule": REPET(cutoff_hertz=None),
    "REPETSim": REPETSim(),
    "REPETSim, past 10 s": REPETSim(past_seconds=10.0),
}.items():
    found = separator.separate(scene.mixture, rate)
    gains = (
        np.mean(si_sdr(reference, found[source])) - np.mean(si_sdr(reference, scene.mixture))
        for reference, source in ((voice, "foreground"), (band, "background"))
    )
    print(f"{name:20}", "{:8.1f} {:6.1f}".format(*gains))

# %%
# The same spectrum for a spectrogram of your own.
print(beat_spectrum(V).shape)

plt.show()

# %%
# To listen: what repeats, and what does not.
sources.play(duration=10)
