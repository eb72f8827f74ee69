"""
What is gained by knowing the notes?
====================================

`ScoreInformedNMF` begins with templates that are zero off the partials of a pitch, and with activations that
are zero where the score has no note. Zeros stay zero. The rest is learned from the mixture.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np

from dspsep import Note, ScoreInformedNMF, score_start
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

# %%
# A melody above broken chords, on plucked strings. The score has pitches, times and hands, but not how loud a
# note is or how it sounds. One pitch, 67, is played by both hands.
sample_rate = 22050
melody = [76, 74, 72, 74, 76, 76, 76, 67, 74, 74, 74, 72, 76, 79, 79]
chords = [(48, 55, 64, 55), (43, 55, 59, 55), (48, 55, 64, 67), (43, 50, 59, 55)]
right = [(0.2 + 0.5 * n, 0.45, pitch) for n, pitch in enumerate(melody)]
left = [(0.2 + 0.25 * n, 0.5, chords[n // 8][n % 4]) for n in range(32)]
score = [
    Note(pitch=pitch, onset=onset, duration=duration, part=part)
    for part, notes in {"right hand": right, "left hand": left}.items()
    for onset, duration, pitch in notes
]


def plucked(pitch, duration, rng):
    """Return a string: partials that fall off, the higher the faster, and the noise of the finger."""
    time = np.arange(int((duration + 0.15) * sample_rate)) / sample_rate
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    orders = np.arange(1, int(0.45 * sample_rate / f0))
    stretched = orders * np.sqrt(1 + 2e-4 * orders**2)  # as stiff strings are
    partials = np.sin(2 * np.pi * f0 * stretched[:, None] * time + rng.uniform(0, 6, (orders.size, 1)))
    loudness = orders[:, None] ** -1.2 * np.exp(-(1 + 0.3 * orders[:, None]) * time)
    finger = 0.3 * rng.standard_normal(time.size) * np.exp(-time / 0.01)
    damped = np.clip(1 - (time - duration) / 0.1, 0, 1)
    return rng.uniform(0.6, 1) * damped * ((loudness * partials).sum(axis=0) + finger)


def perform(notes, seed):
    """Return the notes as played, each up to 20 ms early or late."""
    rng, track = np.random.default_rng(seed), np.zeros(9 * sample_rate)
    for onset, duration, pitch in notes:
        first = round((onset + rng.uniform(-0.02, 0.02)) * sample_rate)
        sound = plucked(pitch, duration, rng)
        track[first : first + sound.size] += sound
    return 0.2 * track


truth = {"right hand": perform(right, 1), "left hand": perform(left, 2)}
mixture = sum(truth.values())

# %%
nmf = ScoreInformedNMF(notes=score)
sources = nmf.separate(mixture, sample_rate)
model = sources.model

# %%
# Where it begins, and what it learns. Each pitch of each hand has a template of partials, and one of all
# frequencies for the attack. We look at those of partials, from low to high: black is zero, and stays so.
n_frames = model.activations.shape[1]
W, H, groups = score_start(score, nmf.stft, sample_rate, n_frames, exponent=nmf.exponent)
pitches = {}
for name, members in groups:
    met = dict.fromkeys(note.pitch for note in score if note.part == name)
    pitches.update({(pitch, name): k for pitch, k in zip(met, members[::2], strict=True)})
order = [pitches[key] for key in sorted(pitches)]
labels = [f"{pitch} {name[0]}" for pitch, name in sorted(pitches)]


def decibels(power, axis=None):
    """Return decibels below the highest, at least -60; what is zero is black."""
    return 10 * np.log10(np.maximum(power / power.max(axis=axis, keepdims=True), 1e-6))


style = {
    "origin": "lower",
    "aspect": "auto",
    "cmap": "magma",
    "vmin": -60,
    "vmax": 0,
    "interpolation": "none",
}
figure, axes = plt.subplots(1, 2, figsize=(9, 5), layout="constrained", sharey=True)
extent = (-0.5, len(order) - 0.5, 0, sample_rate / 2000)
for ax, (title, templates) in zip(axes, {"at the start": W, "learned": model.templates}.items(), strict=True):
    ax.imshow(decibels(templates[:, order], axis=0), extent=extent, **style)
    ax.set(title=f"templates, {title}", xlabel="pitch, and hand", ylim=(0, 4))
    ax.set_xticks(range(len(order)), labels, rotation=90)
axes[0].set_ylabel("frequency in kHz")

# %%
# The activations, and how loud the notes are in them. Where a note ends is found within the tolerance, and
# nothing is where the score has no note.
figure, axes = plt.subplots(2, 1, figsize=(9, 7), layout="constrained", sharex=True)
extent = (0, n_frames * nmf.stft.hop_length / sample_rate, -0.5, len(order) - 0.5)
for ax, (title, activations) in zip(
    axes, {"at the start": H, "learned": model.activations}.items(), strict=True
):
    ax.imshow(decibels(activations[order]), extent=extent, **style)
    ax.set(title=f"activations, {title}", ylabel="pitch, and hand")
    ax.set_yticks(range(len(order)), labels)
axes[-1].set_xlabel("time in s")

# %%
# The objective never rises, but sources are a little better after ten iterations than after one or a hundred:
# templates that may change for long take what is not theirs.
long = nmf.replace(n_iter=100).fit(nmf.stft.forward(mixture, sample_rate))
steps = (1, 2, 5, 10, 20, 50, 100)
gains = []
for n_iter in steps:
    found = nmf.replace(n_iter=n_iter).separate(mixture, sample_rate)
    gains.append([si_sdr(audio, found[name]) - si_sdr(audio, mixture) for name, audio in truth.items()])
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
axes[0].loglog(np.arange(1, 101), long.losses[1:], color="#3b6ea5")
axes[0].axvline(nmf.n_iter, color="#999999", linestyle=":")
axes[0].set(xlabel="iteration", ylabel="objective")
for name, curve, color in zip(truth, np.transpose(gains), ("#d08030", "#3b6ea5"), strict=True):
    axes[1].semilogx(steps, curve, "o-", label=name, color=color)
axes[1].axvline(nmf.n_iter, color="#999999", linestyle=":")
axes[1].set(xlabel="iterations", ylabel="gain of SI-SDR in dB", ylim=(0, None))
axes[1].legend()

# %%
# The hands, and what neither has.
figure, axes = plt.subplots(4, 1, figsize=(9, 10), layout="constrained", sharex=True, sharey=True)
for ax, (name, audio) in zip(axes, {"mixture": mixture, **sources}.items(), strict=True):
    plot_spectrogram(audio, sample_rate, ax=ax, reference=mixture)
    ax.set(title=name, ylim=(0, 5000))
    ax.label_outer()

# %%
# What if the score is wrong? It may be late by a twentieth of a second, and out of tune by less than half a
# semitone. Beyond the tolerances notes are missed, and then one hand gets what is the other's.
wrong = {
    "right": {},
    "0.05 s late": {"late": 0.05},
    "0.2 s late": {"late": 0.2},
    "40 cents flat": {"tuning": 440 * 2 ** (-40 / 1200)},
    "a semitone flat": {"tuning": 440 * 2 ** (-1 / 12)},
}
for label, change in wrong.items():
    late = change.pop("late", 0.0)
    moved = [replace(note, onset=note.onset + late) for note in score]
    found = nmf.replace(notes=moved, **change).separate(mixture, sample_rate)
    gain = (si_sdr(audio, found[name]) - si_sdr(audio, mixture) for name, audio in truth.items())
    print(f"{label:16}", "right hand {:5.1f} dB  left hand {:5.1f} dB".format(*gain))

plt.show()

# %%
# To listen: the two hands.
sources.play(duration=10)
