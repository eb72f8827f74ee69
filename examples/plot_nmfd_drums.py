"""
What does a drum look like, and when is it struck?
==================================================

`NMFD` explains a drum track by a short spectrogram for each drum, and by when it is struck and how hard. It
starts from a rough idea of a kit, made of sines and noise, and adapts it to what it hears.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import NMFD
from dspsep.data import scenes
from dspsep.metrics import si_sdr

# %%
# A loop whose strokes we know.
scene = scenes.drum_loop(duration=6.0)
nmfd = NMFD()
sources = nmfd.separate(scene.mixture, scene.sample_rate)
model = sources.model

# %%
# The templates, before and after. The hi-hat has two: one for when it is closed, and one for when it is open.
rough = nmfd.replace(n_iter=1).separate(scene.mixture, scene.sample_rate).model
names = [name for name, count in model.sources for _ in range(count)]
figure, axes = plt.subplots(2, 4, figsize=(9, 5), layout="constrained", sharex=True, sharey=True)
extent = (0, model.templates.shape[2] * 512 / scene.sample_rate, 0, scene.sample_rate / 2000)
for row, (label, shown) in zip(axes, {"rough idea": rough, "adapted": model}.items(), strict=True):
    for k, ax in enumerate(row):
        decibels = 20 * np.log10(np.maximum(shown.templates[:, k], 1e-6))
        top = decibels.max()
        ax.imshow(
            decibels, origin="lower", aspect="auto", cmap="magma", vmin=top - 60, vmax=top, extent=extent
        )
        ax.set_title(names[k])
    row[0].set_ylabel(f"{label}\nfrequency in kHz")
for ax in axes[1]:
    ax.set_xlabel("time in s")

# %%
# The activations, and the strokes that were played: taller where they were harder. A sound that lasts longer
# than its template is struck again and again, as the open hi-hat is.
figure, axes = plt.subplots(4, 1, figsize=(9, 6), layout="constrained", sharex=True)
times = np.arange(model.activations.shape[1]) * nmfd.stft.hop_length / scene.sample_rate
for k, ax in enumerate(axes):
    strokes = [(onset, force) for name, onset, force in scene.facts["hits"] if name == names[k]]
    onsets, forces = np.transpose(strokes)
    highest = model.activations[k].max()
    ax.vlines(onsets, 0, forces * highest, color="#d08030", linewidth=3, alpha=0.5)
    ax.plot(times, model.activations[k], color="#3b6ea5", linewidth=1)
    ax.set_ylabel(names[k])
axes[-1].set_xlabel("time in s")

# %%
# The objective never rises. For ten iterations templates wait, so that each finds its strokes first.
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.semilogy(model.losses, color="#3b6ea5")
ax.axvline(nmfd.adapt_after, color="#999999", linestyle=":")
ax.set(xlabel="iteration", ylabel="objective")
ax.grid(alpha=0.3)

# %%
# What it gains, in decibels of SI-SDR, and how much of that is due to adapting.
truth = scene.sources
fixed = nmfd.replace(adapt_after=nmfd.n_iter).separate(scene.mixture, scene.sample_rate)
for name, reference in truth.items():
    scores = (si_sdr(reference, audio) for audio in (scene.mixture, fixed[name], sources[name]))
    print(f"{name:6}", "mixture {:5.1f}  fixed {:5.1f}  adapted {:5.1f}".format(*scores))

plt.show()

# %%
# To listen: each drum, and B for the true one.
sources.play(references=scene.sources, duration=10)
