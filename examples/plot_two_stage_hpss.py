"""
Can one hear out a voice by how it moves?
=========================================

A singing voice trembles and glides: in long frames it is no line, so a harmonic-percussive separation puts it
with the drums. In short frames it is a line, and they are not. `TwoStageHPSS` does one after the other. There
is nothing in it that knows what a voice is.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import HPSS, STFT, Regroup, TwoStageHPSS
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

scene = scenes.song(duration=12.0)
stems = scene.sources

# %%
# How much of each stem is harmonic, by the length of the frame? Of the chords the more, the longer the frame.
# Of the voice most in short frames, and less and less in longer ones, in which it crosses bins: that
# difference is the method. (Medians of a second and of nine bins, in every frame.)
lengths = [1024, 2048, 4096, 8192, 16384]
figure, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
for name in ("chords", "vocals", "snare"):
    shares = []
    for n_fft in lengths:
        hpss = HPSS(stft=STFT(n_fft), harmonic_seconds=1.0, percussive_bins=9)
        harmonic = hpss.separate(scene.mixture, scene.sample_rate)["harmonic"]
        shares.append(np.vdot(harmonic, stems[name]) / np.vdot(stems[name], stems[name]))
    ax.plot(lengths, shares, marker="o", label=name)
ax.set_xscale("log", base=2)
ax.set(xlabel="n_fft", ylabel="share that is harmonic", ylim=(0, 1), xticks=lengths, xticklabels=lengths)
ax.legend(frameon=False)
ax.grid(alpha=0.3)

# %%
# Both passes, with the defaults. The wavy lines of the voice are brightest in the vocals, and strokes in the
# percussive part; faint copies of everything remain everywhere, since soft masks share every bin.
sources = TwoStageHPSS().separate(scene.mixture, scene.sample_rate)
start, stop = (round(second * scene.sample_rate) for second in (4, 8))
figure, axes = plt.subplots(3, 1, figsize=(9, 8), layout="constrained")
for ax, (name, audio) in zip(axes, sources.items(), strict=True):
    plot_spectrogram(audio[:, start:stop], scene.sample_rate, ax=ax, reference=scene.mixture)
    ax.set_title(name)
    ax.label_outer()

# %%
# For karaoke, the accompaniment is all but the vocals. SI-SDR in decibels, before (the mixture in place of
# the part) and after.
karaoke = TwoStageHPSS() >> Regroup(accompaniment=["harmonic", "percussive"])
sources = karaoke.separate(scene.mixture, scene.sample_rate)
truth = {"vocals": stems["vocals"], "accompaniment": scene.mixture - stems["vocals"]}
for name, reference in truth.items():
    before, after = si_sdr(reference, scene.mixture), si_sdr(reference, sources[name])
    print(f"{name:13} {before:5.1f} dB before, {after:5.1f} dB after")
plt.show()

# %%
# To listen: the song without its singer, and the singer.
sources.play(duration=10)
