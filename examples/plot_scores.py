"""
What does a score notice?
=========================

Several scores are called SDR. We take one estimate of a voice, with a tenth of the energy of everything
else left in it, and spoil it in three ways: by its level, a delay, and a filter. Each score forgives some of
that and not the rest.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep.data import scenes
from dspsep.metrics import evaluate

scene = scenes.song(duration=3.0, sample_rate=16000)
mixture, voice = scene.mixture.mean(axis=0), scene.sources["vocals"].mean(axis=0)
references = {"vocals": voice, "accompaniment": mixture - voice}
estimate = voice + np.sqrt(0.1) * (mixture - voice)

SCORES = {
    "SDR, BSS Eval v4": ("bss_eval_v4", "SDR"),
    "SDR, BSS Eval v3 for sources": ("bss_eval_v3_sources", "SDR"),
    "SI-SDR": ("scale_invariant", "SI-SDR"),
    "SD-SDR": ("scale_invariant", "SD-SDR"),
}


def scores_of(spoilt):
    """Return the four scores of an estimate of the voice."""
    made = {**references, "vocals": spoilt}
    found = {way: evaluate(references, made, scene.sample_rate, way) for way, _ in SCORES.values()}
    return [found[way]["vocals", metric] for way, metric in SCORES.values()]


# %%
# A level is a factor, a delay puts silence before, and the filter is a moving average, which takes away
# what is high. (A moving average delays, too, by half its length: here that is taken back.)
def louder(decibels):
    """Return the estimate at another level."""
    return 10 ** (decibels / 20) * estimate


def later(samples):
    """Return the estimate with a delay."""
    return np.concatenate([np.zeros(samples), estimate[: len(estimate) - samples]])


def duller(samples):
    """Return the estimate with less of its high frequencies."""
    return np.convolve(estimate, np.ones(samples) / samples, mode="same")


WAYS = {
    "level in dB": (louder, (-15, -10, -6, -3, -1, 0, 2, 5)),
    "delay in samples": (later, (0, 1, 2, 4, 6)),
    "moving average of samples": (duller, (1, 3, 7, 13)),
}
curves = {
    way: np.array([scores_of(spoil(amount)) for amount in amounts]) for way, (spoil, amounts) in WAYS.items()
}

# %%
# Version 3 for sources draws flat lines: a factor and a delay are filters of fewer than 512 taps, and it
# forgives any of those. It falls a little on the right, because the average takes more from the voice
# than from the bass that is left in it. SI-SDR forgives the level alone. SD-SDR and the SDR of version 4
# forgive nothing, but differ about what is too quiet: silence has 0 dB in one, and minus infinity in the
# other. That is also why version 4 likes the estimate best when it is 1 dB too low.
figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), sharey=True, layout="constrained")
for ax, (way, (_, amounts)) in zip(axes, WAYS.items(), strict=True):
    for name, curve in zip(SCORES, curves[way].T, strict=True):
        ax.plot(amounts, curve, marker=".", label=name)
    ax.set(xlabel=way, ylim=(-15, 15))
    ax.axhline(0, color="#b8b8b8", linewidth=0.8, zorder=0)
axes[0].set_ylabel("score in dB")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
plt.show()

# %%
# In numbers, for a quarter of the level, a delay of one sample (a sixteenth of a millisecond), and an
# average over seven samples:
rows = {
    "as it is": scores_of(estimate),
    "12 dB down": scores_of(louder(-12)),
    "1 sample late": scores_of(later(1)),
    "averaged over 7": scores_of(duller(7)),
}
for row, numbers in rows.items():
    print(f"{row:16}" + "".join(f"{number:7.1f} dB" for number in numbers))

# %%
# Which one is right? The one that asks what you want to know. For stems that are added up again, levels
# and delays matter; for speech that is heard alone, they do not. :doc:`The page on scores </metrics>`
# has more of such cases.
