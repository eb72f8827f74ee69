"""
What is harmonic and what is percussive in this song?
=====================================================

A note is a horizontal ridge of the spectrogram and a drum stroke a vertical one. `HPSS` filters along both
directions and lets the two compete for every bin. On a song whose stems are known, we look at what each part
gets.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import HPSS
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

scene = scenes.song(duration=12.0)
sources = HPSS().separate(scene.mixture, scene.sample_rate)
print(sources)

# %%
# The mixture and its two parts, four seconds of them, on one scale of levels: what is dark in one part is
# bright in the other. The curved lines are the singer's vibrato and glides, the vertical ones drums and
# consonants.
start, stop = (round(second * scene.sample_rate) for second in (4, 8))
figure, axes = plt.subplots(3, 1, figsize=(9, 8), layout="constrained")
for ax, (name, audio) in zip(axes, {"mixture": scene.mixture, **sources}.items(), strict=True):
    plot_spectrogram(audio[:, start:stop], scene.sample_rate, ax=ax, reference=scene.mixture)
    ax.set_title(name)

# %%
# How near did it come? SI-SDR compares a part with the truth, in decibels: before, the mixture stands in for
# the part; after, the estimate does. As truth we take drums against everything else, which is not quite what
# the method looks for.
stems = scene.sources
drums = stems["kick"] + stems["snare"] + stems["hihat"]
truth = {"harmonic": scene.mixture - drums, "percussive": drums}
for name, reference in truth.items():
    before, after = si_sdr(reference, scene.mixture), si_sdr(reference, sources[name])
    print(f"{name:10}  {before:5.1f} dB before, {after:5.1f} dB after")

# %%
# Where does each instrument go? With a margin of 2 a bin needs twice the rival's median to be won, and what
# neither wins is the residual. A stem's share of a part is the part's projection on the stem, so a stem's
# shares add up to one but for what it has in common with other stems. The hi-hat is percussive and the voice
# harmonic; a kick drum is a tone that decays and a plucked bass begins like a drum: half of each belongs to
# neither.
strict = HPSS(margin=2.0).separate(scene.mixture, scene.sample_rate)
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
left = np.zeros(len(stems))
for name, colour in zip(strict, ("#3b6ea5", "#d98c2b", "#b8b8b8"), strict=True):
    share = [np.vdot(strict[name], stem) / np.vdot(stem, stem) for stem in stems.values()]
    ax.barh(list(stems), share, left=left, color=colour, label=name)
    left += share
ax.invert_yaxis()
ax.set(xlabel="share of the stem", title="HPSS(margin=2.0)")
ax.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False)
plt.show()

# %%
# To listen: the song with the strict margin; the residual is what neither part won.
strict.play(duration=10)
