"""
What makes two sources independent?
===================================

Two sources in two channels, at once and at levels that stay: one matrix takes them apart. We look at what
`FastICA`, `Picard` and `SOBI` look at, and at what a room does to all of them.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

from dspsep import JADE, SOBI, DspsepWarning, FastICA, Infomax, Picard, whiten
from dspsep.data import scenes
from dspsep.metrics import amari_index, si_sdr

# %%
# Each sample of a stereo recording is a point. A talker and a plucked melody are faint most of the time, and
# seldom loud at once: points lie along two lines, one for each. Whitening makes the cloud round; then it is
# a matter of turning it.
scene = scenes.instantaneous(n_sources=2, duration=8.0)
Z, K, _ = whiten(scene.mixture)
sources = FastICA().separate(scene.mixture, scene.sample_rate)
model = sources.model
clouds = {
    "mixture": scene.mixture / scene.mixture.std(),
    "white": Z,
    "independent": model.unmix(scene.mixture),
}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for ax, (name, points) in zip(axes, clouds.items(), strict=True):
    ax.plot(*points[:, ::20], ".", markersize=2, color="#3b6ea5", alpha=0.4)
    ax.set(title=name, xlim=(-6, 6), ylim=(-6, 6), aspect="equal")
lines = K @ scene.mixing
for column in (lines / np.linalg.norm(lines, axis=0)).T:
    axes[1].plot(*np.outer(column, (-6, 6)), color="#c44e52", linewidth=1)

# %%
# How far from Gaussian an output is, for every angle: mean of log cosh, less that of a Gaussian. A
# rotation by 90 degrees is another order. The angle that FastICA finds is where both are at an extreme.
angles = np.linspace(0, np.pi, 181)
rows = np.stack([np.cos(angles), np.sin(angles)], axis=1)
contrast = np.log(np.cosh(rows @ Z)).mean(axis=1) - 0.3746
found = np.linalg.solve(K.T, model.demixing.T).T
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.plot(np.degrees(angles), contrast, color="#3b6ea5")
for row in found:
    ax.axvline(np.degrees(np.arctan2(row[1], row[0])) % 180, color="#c44e52", linewidth=1)
ax.axhline(0, color="#999999", linewidth=0.8)
ax.set(xlabel="angle in degrees", ylabel="contrast", title="Peaked is below zero, Gaussian is zero")

# %%
# Images: what each source adds to both channels. They sum to the mixture.
figure, axes = plt.subplots(3, 1, figsize=(9, 5), layout="constrained", sharex=True, sharey=True)
time = np.arange(scene.mixture.shape[1]) / scene.sample_rate
for ax, (name, audio) in zip(axes, {"mixture": scene.mixture, **sources}.items(), strict=True):
    ax.plot(time, audio.T, linewidth=0.4)
    ax.set(title=name)
axes[-1].set(xlabel="seconds")
print(f"sum is off by {np.abs(sources.mixture() - scene.mixture).max():.0e}")

# %%
# Five ways to one matrix, for four sources. An Amari index of 0 is a perfect demixing.
four = scenes.instantaneous(n_sources=4, duration=8.0)
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
for separator in (FastICA(), Infomax(), Picard(), Picard(ortho=True), JADE(), SOBI()):
    result = separator.separate(four.mixture.astype(np.float64), four.sample_rate)
    name = type(separator).__name__ + ("-O" if getattr(separator, "ortho", False) else "")
    index = amari_index(result.model.demixing, four.mixing)
    worst = min(max(si_sdr(true, audio) for audio in result.values()) for true in four.sources.values())
    print(
        f"{name:8} Amari index {index:.4f}, worst image {worst:.1f} dB, {len(result.model.losses)} iterations"
    )
    if name in ("Infomax", "Picard"):
        losses = np.array(result.model.losses)
        ax.semilogy(np.arange(1, len(losses) + 1), losses - losses.min() + 1e-12, label=name)
ax.set(
    xlabel="iteration",
    ylabel="loss above its end",
    title="The same objective, with and without its curvature",
)
ax.legend(frameon=False)
ax.grid(alpha=0.3)

# %%
# A room has another matrix at every frequency. No single one helps, and the outputs say so: what is in one of
# them comes again, some samples later, in the other.
room = scenes.reverberant(duration=5.0)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always", DspsepWarning)
    result = FastICA().separate(room.mixture, room.sample_rate)
for warning in caught:
    print(warning.message)
for name, true in room.sources.items():
    best = max(si_sdr(true, audio) for audio in result.values())
    print(f"{name}: {best:.1f} dB, in the mixture {si_sdr(true, room.mixture):.1f} dB")

# %%
# To listen: both sources of the first mixture.
sources.play(duration=10)
