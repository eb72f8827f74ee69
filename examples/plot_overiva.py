"""
Two talkers, four microphones: what are the others for?
=======================================================

With more microphones than talkers `AuxIVA` has an output for each microphone, and somebody has to find the
talkers among them. `OverIVA` is told how many there are, and has one output more for what is left: the
background.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

from dspsep import STFT, AuxIVA, OverIVA
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

# %%
# Two talkers in a small room, and noise in each microphone, 14 dB below them.
scene = scenes.reverberant(duration=6.0, n_channels=4, rt60=0.12)
rate, talkers = scene.sample_rate, dict(scene.sources)
noise = 0.2 * np.std(scene.mixture) * np.random.default_rng(0).standard_normal(scene.mixture.shape)
mixture = scene.mixture + noise
stft = STFT(2048, 512)
sources = OverIVA(n_sources=2, stft=stft).separate(mixture, rate)
print(sources)

# %%
# The first microphone, and what the three outputs have of it. They sum to it.
figure, axes = plt.subplots(4, 1, figsize=(9, 9), layout="constrained")
for ax, (name, audio) in zip(axes, {"mixture": mixture, **sources}.items(), strict=True):
    plot_spectrogram(audio[0], rate, ax=ax, reference=mixture)
    ax.set_title(f"{name}, first microphone")
    ax.label_outer()
plt.show()


# %%
# How near did it come? The order of outputs is arbitrary: we take that which is better. `AuxIVA` has four
# outputs, and is told here which two of them are the talkers.
def gain(estimates, names):
    """Return the mean gain of both talkers in SI-SDR, in the best order of these outputs."""
    scores = []
    for order in itertools.permutations(names, 2):
        pairs = zip(talkers.values(), order, strict=True)
        # At the first two microphones, which all of the estimates have.
        scores.append(np.mean([score(truth[:2], estimates[name][:2]) for truth, name in pairs]))
    return max(scores)


def score(truth, estimate):
    """Return the gain of one estimate over the mixture in SI-SDR."""
    return np.mean(si_sdr(truth, estimate) - si_sdr(truth, mixture[: len(truth)]))


first_two = AuxIVA(stft=stft).separate(mixture[:2], rate)
all_four = AuxIVA(stft=stft).separate(mixture, rate)
print(f"AuxIVA, two microphones         {gain(first_two, first_two):5.1f} dB")
print(f"AuxIVA, four, told which outputs {gain(all_four, all_four):4.1f} dB")
print(f"OverIVA, four                   {gain(sources, ['source_0', 'source_1']):5.1f} dB")
print(f"the noise in the background     {score(noise, sources['background']):5.1f} dB")

# %%
# A demixing matrix is a filter: applied to each talker and to the noise alone, it shows how much of each
# arrives at which output. The two sources are a talker each, with the other one well below; the background is
# mostly noise.
parts = {"first talker": talkers["source_1"], "second talker": talkers["source_2"], "noise": noise}
images = [sources.model.images(part, rate).values() for part in parts.values()]
levels = np.array([[np.mean(image**2) for image in row] for row in images])
decibels = 10 * np.log10(levels / levels.sum(axis=0))
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
image = ax.imshow(decibels, cmap="viridis", vmin=-25, vmax=0, aspect="auto")
for (row, column), value in np.ndenumerate(decibels):
    ax.text(
        column, row, f"{round(value)}", ha="center", va="center", color="black" if value > -8 else "white"
    )
ax.set(xticks=range(3), xticklabels=list(sources), yticks=range(3), yticklabels=list(parts))
figure.colorbar(image, ax=ax, label="share of the output in dB")
plt.show()

# %%
# To listen: both talkers, and the background.
sources.play(duration=10)
