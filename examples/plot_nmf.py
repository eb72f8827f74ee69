"""
What are the notes that a recording is made of?
===============================================

A spectrogram of a few notes is a sum of few products: what each sounds like, times when and how loud it is
heard. `NMF` finds both without being told anything but how many products there are. Here is what it finds in
a small band whose notes we know, what it costs to find it, and how the parts become instruments.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import NMF
from dspsep.data import scenes
from dspsep.metrics import si_sdr

BLUE, ORANGE, GREY = "#3b6ea5", "#d08030", "#888888"


def levels(magnitudes, span=70):
    """Return decibels below the largest of them."""
    return np.maximum(20 * np.log10(np.maximum(magnitudes, 1e-12) / magnitudes.max()), -span)


# %%
# Bass and drums of a song, two bars of it. The factorisation sees the magnitudes of the transform, and
# nothing of the phases.
scene = scenes.song(duration=4.0)
rate = scene.sample_rate
truth = {name: scene.sources[name] for name in ("kick", "snare", "hihat", "bass")}
mixture = sum(truth.values())
nmf = NMF(n_components=8, seed=2)
spectrogram = nmf.stft.forward(mixture, rate)
V = spectrogram.magnitude()[0]

# %%
# Eight templates and their activations. What was found has no order, so the templates are shown from low to
# high.
model = nmf.fit(spectrogram)
frequencies = np.arange(V.shape[0]) * rate / nmf.stft.n_fft
times = np.arange(V.shape[1]) * nmf.stft.hop_length / rate
centres = frequencies @ model.templates / model.templates.sum(axis=0)
order = np.argsort(centres)
W, H = model.templates[:, order], model.activations[order]
figure, axes = plt.subplots(
    2, 2, figsize=(10, 7), layout="constrained", width_ratios=(1, 3), height_ratios=(1, 2)
)
axes[0, 0].axis("off")
numbers = np.arange(1, 9)
strengths = levels(H * W.max(axis=0)[:, None], 50)
axes[0, 1].pcolormesh(times, numbers, strengths, cmap="magma", shading="nearest")
axes[0, 1].set(ylabel="component", yticks=numbers, title="activations H, in decibels")
axes[1, 0].pcolormesh(
    numbers, frequencies[1:], levels(W / W.max(axis=0))[1:], cmap="magma", shading="nearest"
)
axes[1, 0].set(xlabel="component", xticks=numbers, ylabel="frequency in Hz", title="templates W")
image = axes[1, 1].pcolormesh(times, frequencies[1:], levels(V)[1:], cmap="magma", shading="nearest")
axes[1, 1].set(xlabel="time in s", title="what they explain: magnitudes V")
for ax in axes[1]:
    ax.set(yscale="log", ylim=(40, 16000))
    ax.set_yticks([50, 100, 200, 500, 1000, 2000, 5000, 10000], [50, 100, 200, 500, "1k", "2k", "5k", "10k"])
    ax.minorticks_off()
figure.colorbar(image, ax=axes[1, 1], label="decibels below the largest")

# %%
# Do the activations know when something is struck? Under the component that each drum is most alike, the
# strokes that were played.
figure, axes = plt.subplots(3, 1, figsize=(10, 5), layout="constrained", sharex=True)
for name, ax in zip(("kick", "snare", "hihat"), axes, strict=True):
    alone = nmf.stft.forward(truth[name], rate).magnitude()[0].sum(axis=0)
    likeness = [np.corrcoef(alone, row)[0, 1] for row in H]
    best = int(np.argmax(likeness))
    ax.fill_between(times, alone / alone.max(), color=ORANGE, alpha=0.4, label="the drum alone")
    ax.plot(times, H[best] / H[best].max(), color=BLUE, linewidth=1.2, label="the component")
    ax.set_ylabel(f"{name}\ncomponent {best + 1}")
    ax.set_title(f"correlation {likeness[best]:.2f}", loc="right", fontsize=9)
axes[0].legend(loc="upper left", ncols=2, fontsize=9)
axes[-1].set_xlabel("time in s")

# %%
# How fast does the objective fall? Multiplicative updates never let it rise, but take small steps; the
# accelerated solver takes the same steps further, and goes back where that does not pay. For the squared
# distance (beta 2) there is coordinate descent as well. What is shown is how much each is above the lowest
# value that any of them has reached in the end. There is more than one place where nothing improves any more,
# and they need not end at the same.
runs = {
    1: {"mu": (GREY, ":"), "accelerated": (BLUE, "-")},
    2: {"mu": (GREY, ":"), "accelerated": (BLUE, "-"), "hals": (ORANGE, "--")},
}
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained", sharey=True)
for ax, (beta, solvers) in zip(axes, runs.items(), strict=True):
    losses = {
        solver: np.array(nmf.replace(beta=beta, solver=solver, n_iter=80, tol=0).fit(spectrogram).losses)
        for solver in solvers
    }
    first, lowest = losses["mu"][0], min(curve[-1] for curve in losses.values())
    for solver, curve in losses.items():
        color, style = solvers[solver]
        ax.semilogy((curve - lowest) / (first - lowest), color=color, linestyle=style, label=solver)
    reached = {solver: int(np.argmax(curve <= losses["mu"][-1])) for solver, curve in losses.items()}
    print(f"beta {beta}: iterations to where mu is after 80:", reached)
    ax.set(xlabel="iteration", title=f"beta {beta}", ylim=(1e-4, 1))
    ax.grid(alpha=0.3)
    ax.legend()
axes[0].set_ylabel("excess of the objective,\nas a part of the first")

# %%
# Parts are not instruments yet: a drum may take several templates. If one knows whose each component is, how
# well are the instruments told apart? Here the true sources say so, which is a bound.
sources = nmf.separate(mixture, rate)
parts = np.stack([sources[f"component_{k}"] for k in range(8)])
names = list(truth)
owner = [max(names, key=lambda name: abs(np.sum(part * truth[name]))) for part in parts]
print("SI-SDR in decibels")
for name, reference in truth.items():
    own = [part for part, whose in zip(parts, owner, strict=True) if whose == name]
    gained = f"{si_sdr(reference, sum(own)):5.1f}" if own else "    -"
    print(f"{name:6} mixture {si_sdr(reference, mixture):5.1f}  its {len(own)} components {gained}")

# %%
# Templates that sound alike can be put together without help. Two groups come out as what is bright and what
# is dark; which is which is left to the listener.
clusters = nmf.replace(groups="timbre", n_groups=2).separate(mixture, rate)
pairs = {"snare and hihat": truth["snare"] + truth["hihat"], "kick and bass": truth["kick"] + truth["bass"]}
for name, estimate in clusters.items():
    closest = max(pairs, key=lambda pair: si_sdr(pairs[pair], estimate))
    before, after = (si_sdr(pairs[closest], audio) for audio in (mixture, estimate))
    print(f"{name} is most like {closest}: mixture {before:.1f}, the group {after:.1f}")

plt.show()

# %%
# To listen: the two groups by timbre.
clusters.play(duration=10)
