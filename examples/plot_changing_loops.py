"""
What if the loop changes?
=========================

`REPET` looks for one period in the whole of a song. `REPETExtended` looks in one part after the other,
`AdaptiveREPET` at each moment, and `NearestNeighborMedian` for no period at all. We make a song whose
second half is slower, and see who follows.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import resample_poly

from dspsep import REPET, AdaptiveREPET, NearestNeighborMedian, REPETExtended
from dspsep.data import scenes
from dspsep.metrics import si_sdr

# %%
# Two songs of twenty seconds, of other chords; the second one runs slower by 15 per cent, as a tape would.
# Both repeat after four seconds, so that after the change it is 4.6 s.
rate, seconds = 16000, 20.0
songs = [scenes.song(duration=seconds, sample_rate=rate, seed=seed) for seed in (0, 1)]


def joined(stems):
    """Return one stem after the other, the second one slower."""
    return np.concatenate([stems[0].mean(axis=0), resample_poly(stems[1].mean(axis=0), 23, 20)])


mixture = joined([song.mixture for song in songs])
voice = joined([song.sources["vocals"] for song in songs])
band = mixture - voice
period = 1.15 * songs[1].facts["period_seconds"]
print(f"{len(mixture) / rate:.0f} s, the second half with a period of {period:.1f} s")

# %%
# Windows of 15 s hold three periods. Nothing else is set.
methods = {
    "REPET": REPET(),
    "REPETExtended": REPETExtended(segment_seconds=15.0),
    "AdaptiveREPET": AdaptiveREPET(window_seconds=15.0),
    "NearestNeighborMedian": NearestNeighborMedian(),
}
found = {name: method.separate(mixture, rate) for name, method in methods.items()}
models = {name: sources.model for name, sources in found.items()}

# %%
# The beat spectrum over time: how much the song resembles itself some seconds later. The ridge at 4 s ends
# where the tempo changes. One period for all is wrong for one half at least: here it is half of that of the
# second, and nothing to the first. The others follow.
model = models["AdaptiveREPET"]
hop = REPET().stft.hop_length / rate
lags = np.arange(model.beat_spectrogram.shape[0]) * hop
shown = (lags > 0.5) & (lags < 6)
figure, ax = plt.subplots(figsize=(9, 3.6), layout="constrained")
ax.pcolormesh(model.times, lags[shown], model.beat_spectrogram[shown], cmap="magma", shading="nearest")
ax.plot(model.times, model.periods, "o", color="#6ec6ff", markeredgecolor="black", label="AdaptiveREPET")
ax.axhline(models["REPET"].period, color="white", linestyle=":", label="REPET")
ax.axvline(seconds, color="white", linewidth=0.8)
ax.set(xlabel="middle of the window in s", ylabel="lag in s", title="beat spectrum, and the periods taken")
ax.legend(loc="upper right", facecolor="#888888")
plt.show()

# %%
# What each gains over the mixture, in either half.
halves = (slice(0, round(seconds * rate)), slice(round(seconds * rate), None))
gains = {}
print(f"{'SI-SDR over the mixture, in dB':32}voice        band")
for name, sources in found.items():
    gains[name] = [
        si_sdr(truth[half], sources[part][half]) - si_sdr(truth[half], mixture[half])
        for truth, part in ((voice, "foreground"), (band, "background"))
        for half in halves
    ]
    print(f"{name:30}" + "{:5.1f} {:5.1f}  {:5.1f} {:5.1f}".format(*gains[name]))

# %%
# A wrong period costs both halves several decibels. Without a period nothing can be wrong about it, and
# something is lost: neighbours are chosen by how they sound, and that is partly the voice.
figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
places = np.arange(len(gains))
for shift, half, colour in ((-0.2, 0, "#3b6ea5"), (0.2, 1, "#d08030")):
    ax.bar(
        places + shift,
        [row[half] for row in gains.values()],
        0.38,
        color=colour,
        label=f"{('first', 'second')[half]} half",
    )
ax.set(xticks=places, xticklabels=gains, ylabel="gain of the voice in dB")
ax.legend(frameon=False)
plt.show()

# %%
# To listen: what the medians of neighbours make of it.
found["NearestNeighborMedian"].play(duration=10)
