"""
Is that a good score?
=====================

A score means something beside two others: what is had for nothing, and what no mask could exceed. We put a
voice and its accompaniment between `MixtureAsEstimate` and `HighLowPass` below, and the ideal ratio mask
above.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import REPET, HighLowPass, MixtureAsEstimate, TwoStageHPSS
from dspsep.data import scenes
from dspsep.metrics import si_sdr
from dspsep.oracle import IRM

# %%
# The song, and what is to come out of it.
scene = scenes.song(duration=12.0)
mixture, rate = scene.mixture, scene.sample_rate
voice = scene.sources["vocals"]
truth = {"vocals": voice, "accompaniment": mixture - voice}

# %%
# Each method, and how its sources are called.
plain = {"vocals": "vocals", "accompaniment": "accompaniment"}
methods = {
    "MixtureAsEstimate": (MixtureAsEstimate(), plain),
    "HighLowPass": (HighLowPass(), plain),
    "REPET": (REPET(), {"vocals": "foreground", "accompaniment": "background"}),
    "TwoStageHPSS": (TwoStageHPSS(), {"vocals": "vocals"}),
    "oracle.IRM": (IRM(references=truth), plain),
}
scores = {}
for name, (method, names) in methods.items():
    sources = method.separate(mixture, rate)
    estimates = {part: sources[called] for part, called in names.items()}
    estimates.setdefault("accompaniment", mixture - estimates["vocals"])  # the sources sum to the mixture
    scores[name] = [np.mean(si_sdr(truth[part], estimates[part])) for part in truth]
    print(
        f"{name:20}"
        + "".join(f"{part} {score:5.1f} dB   " for part, score in zip(truth, scores[name], strict=True))
    )

# %%
# An equal share of the mixture has the SI-SDR of the mixture itself, which is not 0 dB: the accompaniment is
# louder than the voice, so the mixture is nearer to it. A filter at one frequency gains something for the
# voice, because bass and kick drum are below it, and ruins the accompaniment. What a method adds is what
# stands out above both; what it lacks is up to the dashed lines, which are those of the ideal mask.
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
places = np.arange(len(scores))
for part, (name, colour) in enumerate(zip(truth, ("#3b6ea5", "#d08030"), strict=True)):
    heights = [row[part] for row in scores.values()]
    ax.bar(places + 0.4 * part - 0.2, heights, 0.38, color=colour, label=name)
    ax.axhline(heights[-1], color=colour, linestyle="--", linewidth=0.8)
ax.axhline(0, color="black", linewidth=0.8)
ax.set(xticks=places, xticklabels=scores, ylabel="SI-SDR in dB")
ax.legend(frameon=False)
plt.show()
