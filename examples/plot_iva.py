"""
Which output belongs to whom?
=============================

Two talkers in a room, two microphones. In each frequency by itself, independent component analysis parts
them, and does not know which is which. We look at the order of all bins, and at two ways out of it.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np

from dspsep import FDICA, ILRMA, STFT, AuxIVA
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

# %%
# A room that decays by 60 dB in 0.12 s. Frames are about as long as that.
scene = scenes.reverberant(duration=5.0, rt60=0.12, seed=2)
rate, talkers = scene.sample_rate, list(scene.sources.values())
stft = STFT(2048, 512)
figure, axes = plt.subplots(3, 1, figsize=(9, 7.5), layout="constrained")
for ax, (name, audio) in zip(axes, {"mixture": scene.mixture, **scene.sources}.items(), strict=True):
    plot_spectrogram(audio[0], rate, ax=ax, reference=scene.mixture)
    ax.set_title(f"{name}, first microphone")
    ax.label_outer()


# %%
# What each method makes of it, as the gain in SI-SDR over the mixture, in whichever order is better.
# Without an order of bins there is nothing gained, although every bin is separated.
def gain(sources):
    """Return the mean gain of both talkers."""
    scores = [
        np.mean([np.mean(si_sdr(ref, sources[name])) for ref, name in zip(talkers, order, strict=True)])
        for order in itertools.permutations(sources)
    ]
    return max(scores) - np.mean([np.mean(si_sdr(ref, scene.mixture)) for ref in talkers])


methods = {
    "FDICA, no order": FDICA(stft=stft, n_iter=30, permutation=None),
    "FDICA, by score": FDICA(stft=stft, n_iter=30, permutation="score"),
    "FDICA, by correlation": FDICA(stft=stft, n_iter=30),
    "AuxIVA": AuxIVA(stft=stft, n_iter=30),
    "ILRMA": ILRMA(stft=stft, n_iter=30),
}
found = {name: method.separate(scene.mixture, rate) for name, method in methods.items()}
for name, sources in found.items():
    print(f"{name:22} {gain(sources):5.1f} dB")

# %%
# We know the truth, so we can tell in each bin which talker the first output is: the one that is louder in
# it. One colour for each talker; a bin of the wrong colour is noise in both sources.
truth = [stft.forward(audio, rate).values for audio in talkers]
figure, axes = plt.subplots(len(found), 1, figsize=(9, 5), layout="constrained", sharex=True)
for ax, (name, sources) in zip(axes, found.items(), strict=True):
    rows = sources.model.demixing[:, 0, :]
    powers = [np.sum(np.abs(np.einsum("fc,cft->ft", rows, image)) ** 2, axis=1) for image in truth]
    belongs = (powers[0] > powers[1]).astype(float)
    if belongs.mean() < 0.5:
        belongs = 1 - belongs
    ax.imshow(
        belongs[None], aspect="auto", cmap="coolwarm", extent=(0, rate / 2, 0, 1), interpolation="nearest"
    )
    ax.set(yticks=[], title=f"{name}: {np.mean(belongs):.0%} of the bins agree")
axes[-1].set_xlabel("Hz")

# %%
# What is minimised falls in every iteration, by whatever update: pairs of rows get there sooner.
figure, ax = plt.subplots(figsize=(9, 3.5), layout="constrained")
for update, colour in (("ip", "#3b6ea5"), ("ip2", "#c44e52"), ("iss", "#999999")):
    model = AuxIVA(stft=stft, n_iter=30, update=update).separate(scene.mixture, rate).model
    ax.plot(model.losses, label=update, color=colour)
ax.set(xlabel="iteration", ylabel="objective", ylim=(min(model.losses) - 500, model.losses[1]))
ax.legend(frameon=False)
ax.grid(alpha=0.3)

# %%
# A matrix that was learned is a filter, and works on other audio of the same microphones: here, on each
# talker alone. What is left of the wrong one is some 15 dB down.
model = found["AuxIVA"].model
levels = np.array(
    [[np.mean(audio**2) for audio in model.images(talker, rate).values()] for talker in talkers]
)
for k, row in enumerate(10 * np.log10(levels / levels.max(axis=1, keepdims=True))):
    print(
        f"talker {k + 1} alone:",
        ", ".join(f"{name} {level:5.1f} dB" for name, level in zip(model.names, row, strict=True)),
    )

# %%
# What ILRMA makes of the mixture, and what it learned: two spectra for each talker.
figure, axes = plt.subplots(2, 1, figsize=(9, 5.5), layout="constrained")
for ax, (name, audio) in zip(axes, found["ILRMA"].items(), strict=True):
    plot_spectrogram(audio[0], rate, ax=ax, reference=scene.mixture)
    ax.set_title(f"ILRMA: {name}, first microphone")
    ax.label_outer()
plt.show()

# %%
# To listen: the two talkers, as both microphones hear them.
found["FDICA, by correlation"].play(duration=10)
