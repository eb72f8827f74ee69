"""
How soon does it know the drums?
================================

`OnlineNMF` hears a recording once, half a second at a time. What it gives out it cannot take back, so the
question is how long it takes to learn what there is to tell apart.
"""

from itertools import permutations

import matplotlib.pyplot as plt
import numpy as np

from dspsep import NMF, OnlineNMF
from dspsep.data import scenes
from dspsep.metrics import si_sdr

# %%
# A drum loop, and three components that nobody told anything.
scene = scenes.drum_loop(duration=24.0)
rate, n_samples = scene.sample_rate, scene.mixture.shape[-1]
online = OnlineNMF(n_components=3)
sources = online.separate(scene.mixture, rate)
model = sources.model

# %%
# Which component is which drum? The pairing that fits best is used from here on.
truth = scene.sources
drums = list(truth)
names = max(
    permutations(sources.names, len(drums)),
    key=lambda order: sum(
        si_sdr(truth[drum], sources[name]) for drum, name in zip(drums, order, strict=True)
    ),
)
which = [sources.names.index(name) for name in names]

# %%
# What it knew after one second, two, eight, and all of it. Nothing that comes later changes what was learned
# before, so the templates of then are those of the recording cut off there. Below, the activations.
moments = (1, 2, 8, round(n_samples / rate))
figure, axes = plt.subplots(2, 3, figsize=(9, 5), layout="constrained", sharey="row")
kilohertz = np.arange(online.stft.n_freqs) * rate / online.stft.n_fft / 1000
times = np.arange(model.activations.shape[1]) * online.stft.hop_length / rate
shades = plt.get_cmap("viridis")(np.linspace(0.9, 0.1, len(moments)))
for seconds, shade in zip(moments, shades, strict=True):
    then = online.separate(scene.mixture[..., : seconds * rate], rate).model
    for ax, k in zip(axes[0], which, strict=True):
        decibels = 20 * np.log10(np.maximum(then.templates[:, k], 1e-6))
        ax.plot(kilohertz, decibels, color=shade, linewidth=1, label=f"after {seconds} s")
for above, below, drum, k in zip(*axes, drums, which, strict=True):
    above.set(title=f"template: {drum}", xlabel="frequency in kHz", xlim=(0, 12), ylim=(-90, -15))
    below.plot(times, model.activations[k], color="#3b6ea5", linewidth=0.8)
    below.set(title=f"activations: {drum}", xlabel="time in s")
axes[0, 0].set_ylabel("level in dB")
axes[1, 0].set_ylabel("activation")
axes[0, -1].legend(fontsize="small")

# %%
# The divergence of each batch, by the templates that it ended with: per bin, for data with a mean of one. The
# first is fitted best, since it is all there was to fit. Beside it, what `NMF` reaches, which hears all of it
# two hundred times.
whole = NMF(n_components=3).separate(scene.mixture, rate)
n_bins = whole.model.activations.shape[1] * online.stft.n_freqs
V = np.abs(online.stft.forward(scene.mixture, rate).values[0])
error = whole.model.templates @ whole.model.activations + 1e-9 * V.mean()
divergence = np.mean(V * np.log(np.maximum(V, 1e-12) / error) - V + error) / V.mean()
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.plot(
    (np.arange(len(model.losses)) + 0.5) * online.batch_seconds,
    model.losses,
    ".-",
    color="#3b6ea5",
    label="OnlineNMF",
)
ax.axhline(divergence, color="#d08030", label="NMF, on the mean")
ax.set(xlabel="time in s", ylabel="divergence", ylim=(0, None))
ax.legend()
ax.grid(alpha=0.3)

# %%
# What it gains, in decibels of SI-SDR over the mixture, in the first three seconds and in the last three.
best = max(
    permutations(whole.names, len(drums)),
    key=lambda order: sum(si_sdr(truth[drum], whole[name]) for drum, name in zip(drums, order, strict=True)),
)
print("           first 3 s  last 3 s   NMF, last 3 s")
first, last = slice(0, 3 * rate), slice(n_samples - 3 * rate, n_samples)
for drum, name, other in zip(drums, names, best, strict=True):
    gains = [
        si_sdr(truth[drum][..., part], audio[..., part])
        - si_sdr(truth[drum][..., part], scene.mixture[..., part])
        for part, audio in ((first, sources[name]), (last, sources[name]), (last, whole[other]))
    ]
    print(f"{drum:10}", "{:8.1f} {:9.1f} {:11.1f}".format(*gains))

plt.show()

# %%
# To listen: the first seconds, when little was learned yet.
sources.play(duration=10)
