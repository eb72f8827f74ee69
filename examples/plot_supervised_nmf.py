"""
How much does it help to know what one is looking for?
======================================================

A drummer may be recorded alone before the song. `learn_templates` makes spectra of such examples, and two
separators look for them in a mixture: `SupervisedNMF`, where all that is heard is known, and
`SemiSupervisedNMF`, where the rest is not. Here is what is learned, what is found, and what becomes of it if
the example is of another kit.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import SemiSupervisedNMF, SupervisedNMF, learn_templates
from dspsep.data import scenes
from dspsep.metrics import si_sdr

BLUE, ORANGE, GREY = "#3b6ea5", "#d08030", "#888888"
DRUMS = ("kick", "snare", "hihat")


def together(sources, names):
    """Return the sum of some sources."""
    return sum(sources[name] for name in names)


# %%
# A song whose sources are known. Its first four seconds are what is to be separated, and later ones the
# examples: the same instruments, other notes.
song = scenes.song(duration=8.0)
rate, half = song.sample_rate, song.mixture.shape[-1] // 2
truth = {"drums": together(song.sources, DRUMS), "band": together(song.sources, ("bass", "chords", "vocals"))}
examples = {name: audio[..., half:] for name, audio in truth.items()}
truth = {name: audio[..., :half] for name, audio in truth.items()}
mixture = truth["drums"] + truth["band"]

# %%
# What is learned. Drums are broad and the band is lines, which is how they can be told apart.
known = {name: learn_templates(audio, rate, n_components=12, n_iter=50) for name, audio in examples.items()}
stft = known["drums"].stft
frequencies = np.arange(stft.n_freqs) * rate / stft.n_fft
figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained", sharey=True)
for ax, (name, templates) in zip(axes, known.items(), strict=True):
    W = templates.values.values
    W = W[:, np.argsort(frequencies @ W)]
    decibels = 20 * np.log10(np.maximum(W / W.max(axis=0), 1e-3))
    numbers = np.arange(1, W.shape[1] + 1)
    image = ax.pcolormesh(numbers, frequencies[1:], decibels[1:], cmap="magma", shading="nearest")
    ax.set(
        title=f"templates of the {name}", xlabel="template", xticks=numbers, yscale="log", ylim=(30, 16000)
    )
    ax.set_yticks([50, 100, 200, 500, 1000, 2000, 5000, 10000], [50, 100, 200, 500, "1k", "2k", "5k", "10k"])
    ax.minorticks_off()
axes[0].set_ylabel("frequency in Hz")
figure.colorbar(image, ax=axes, label="decibels below the largest of a template")

# %%
# All known, or only the drums: in the second case the band is the rest, for which templates are learned from
# the mixture. What the drums add to the model, against how loud they are in truth.
supervised = SupervisedNMF(templates=known)
semi = SemiSupervisedNMF(templates={"drums": known["drums"]}, n_free=12, n_iter=60)
results = {"all is known": supervised, "drums are known": semi}
results = {label: separator.separate(mixture, rate) for label, separator in results.items()}
times = np.arange(results["all is known"].model.activations.shape[1]) * stft.hop_length / rate
level = stft.forward(truth["drums"], rate).magnitude()[0].sum(axis=0)
figure, axes = plt.subplots(2, 1, figsize=(10, 4.5), layout="constrained", sharex=True, sharey=True)
for ax, (label, sources) in zip(axes, results.items(), strict=True):
    W, H = (factor for factor in (sources.model.templates, sources.model.activations))
    found = W[:, :12].sum(axis=0) @ H[:12]
    ax.fill_between(times, level / level.max(), color=ORANGE, alpha=0.4, label="the drums alone")
    ax.plot(times, found / level.max(), color=BLUE, linewidth=1.4, label="what their templates explain")
    ax.set(ylabel=f"{label}\nsum of magnitudes", ylim=(0, 1.5))
axes[0].legend(loc="upper right", fontsize=9)
axes[1].set_xlabel("time in s")

# %%
# The activations of the second: those of the drums jump at strokes, and those of the rest are kept from it,
# so that no free template becomes a drum.
model = results["drums are known"].model
H = model.templates.sum(axis=0)[:, None] * model.activations
decibels = np.maximum(20 * np.log10(np.maximum(H / H.max(), 1e-12)), -50)
figure, ax = plt.subplots(figsize=(10, 4), layout="constrained")
image = ax.pcolormesh(times, np.arange(1, len(H) + 1), decibels, cmap="magma", shading="nearest")
ax.axhline(12.5, color="white", linewidth=2)
ax.set(xlabel="time in s", ylabel="component", yticks=[1, 6, 12, 18, 24])
ax.set_title("below the line the drums, above it the rest", loc="left", fontsize=10)
figure.colorbar(image, ax=ax, label="decibels below the loudest")

# %%
# The objective never rises, prior and penalty included.
figure, ax = plt.subplots(figsize=(10, 3), layout="constrained")
for (label, sources), color, style in zip(results.items(), (BLUE, ORANGE), ("-", "--"), strict=True):
    losses = np.array(sources.model.losses)
    ax.plot(losses / losses[0], color=color, linestyle=style, label=label)
ax.set(xlabel="iteration", ylabel="objective,\nas a part of the first", ylim=(0, 1))
ax.grid(alpha=0.3)
ax.legend()

# %%
# Now the example is of another kit: a loop, tuned a fourth higher by playing it faster. How much of that can
# be made up for by templates that adapt to the mixture, and by a rest that must not jump?
loop = scenes.drum_loop(duration=6.0)
n_samples = loop.mixture.shape[-1]
faster = np.interp(np.arange(0, n_samples - 1, 4 / 3), np.arange(n_samples), loop.mixture)
other = {"drums": learn_templates(faster, rate, n_components=12, n_iter=50)}
semi = semi.replace(templates=other)
variants = {
    "other drums known": semi,
    "... without adaptation": semi.replace(adaptation=0.0),
    "... and without continuity": semi.replace(adaptation=0.0, continuity=0.0),
}
scores = {
    "the mixture itself": mixture,
    "these drums and this band known": results["all is known"]["drums"],
    "these drums known": results["drums are known"]["drums"],
    **{label: variant.separate(mixture, rate)["drums"] for label, variant in variants.items()},
}
scores = {label: si_sdr(truth["drums"], estimate) for label, estimate in scores.items()}
figure, ax = plt.subplots(figsize=(10, 3.2), layout="constrained")
bars = ax.barh(list(scores), list(scores.values()), color=[GREY, *[BLUE] * 2, *[ORANGE] * 3])
ax.bar_label(bars, fmt="%.1f", padding=3)
ax.invert_yaxis()
ax.margins(x=0.1)
ax.set_xlabel("SI-SDR of the drums in decibels")
for label, score in scores.items():
    print(f"{label:32} {score:5.1f}")

plt.show()

# %%
# To listen: the drums that were known, and the rest.
results["drums are known"].play(duration=10)
