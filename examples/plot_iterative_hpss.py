"""
Can one watch a spectrogram fall apart?
=======================================

`IterativeHPSS` starts with two halves of the spectrogram and lets one diffuse along time and the other along
frequency, while they go on adding up to the whole. Every step makes both a little smoother. We watch it on a
drawing, and then on a song.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import IterativeHPSS, iterative_hpss
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

# %%
# Two notes, two strokes, and some noise. `iterative_hpss` takes magnitudes as they are, so that a spectrogram
# can be a drawing.
V = 0.05 * np.random.default_rng(0).exponential(size=(60, 100))
V[20, 5:60] += 0.9
V[38, 40:95] += 0.9
V[:, [30, 75]] += 0.9
steps = (0, 3, 30, 300)
figure, axes = plt.subplots(2, len(steps), figsize=(9, 4), layout="constrained", sharex=True, sharey=True)
for column, n_iter in zip(axes.T, steps, strict=True):
    if n_iter:
        H, P, loss = iterative_hpss(V, harmonic_weight=0.5, exponent=1.0, n_iter=n_iter)
    else:
        H, P = V / 2, V / 2
    for ax, part in zip(column, (H, P), strict=True):
        ax.imshow(part, origin="lower", aspect="auto", cmap="magma", vmin=0, vmax=1)
    column[0].set_title(f"{n_iter} steps")
axes[0, 0].set_ylabel("H")
axes[1, 0].set_ylabel("P")
for ax in axes[1]:
    ax.set_xlabel("frame")

# %%
# What falls is the objective: the squared differences of H along time and of P along frequency. No step can
# raise it. It cannot become zero, since lines end somewhere and noise is smooth in no direction.
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.semilogx(np.arange(1, len(loss)), loss[1:], color="#3b6ea5")
ax.set(xlabel="step", ylabel="objective", ylim=(0, None), title="it never rises")
ax.grid(alpha=0.3)

# %%
# On a song, with the defaults. The shares of H and P in every bin make the masks.
scene = scenes.song(duration=12.0)
sources = IterativeHPSS().separate(scene.mixture, scene.sample_rate)
start, stop = (round(second * scene.sample_rate) for second in (4, 8))
figure, axes = plt.subplots(3, 1, figsize=(9, 8), layout="constrained")
for ax, (name, audio) in zip(axes, {"mixture": scene.mixture, **sources}.items(), strict=True):
    plot_spectrogram(audio[:, start:stop], scene.sample_rate, ax=ax, reference=scene.mixture)
    ax.set_title(name)
    ax.label_outer()

# %%
# How near did it come, and does it matter when one stops? SI-SDR in decibels, the mixture standing in for the
# part at first. A step reaches one frame and one bin, so the first fifty compare what is near; after them the
# objective hardly falls, and a little is gained yet at four times the cost.
stems = scene.sources
drums = stems["kick"] + stems["snare"] + stems["hihat"]
truth = {"harmonic": scene.mixture - drums, "percussive": drums}
print("mixture  ", *(f"{name} {si_sdr(reference, scene.mixture):5.1f}" for name, reference in truth.items()))
for n_iter in (1, 10, 50, 200):
    parts = IterativeHPSS(n_iter=n_iter).separate(scene.mixture, scene.sample_rate)
    scores = (f"{name} {si_sdr(reference, parts[name]):5.1f}" for name, reference in truth.items())
    print(f"{n_iter:3} steps", *scores, f"  objective {parts.model.loss[-1]:.1f}")
plt.show()

# %%
# To listen: the two parts of the song.
sources.play(duration=10)
