"""
Is it better, or is it chance?
==============================

Which frames suit harmonic-percussive separation: those of 93 ms, or of 186 ms? We let both separate eight
synthetic songs, with the mixture itself and an ideal mask as bounds, and ask the results three questions:
what the table says, what is behind its numbers, and whether the difference would come again.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import dspsep
from dspsep.bench import compare, compare_all, plot_pairs, plot_scores, table
from dspsep.data import scenes, stem_folders

folder = Path(tempfile.mkdtemp())
for seed in range(8):
    scene = scenes.song(duration=3.0, sample_rate=11025, seed=seed)
    drums = scene.sources["kick"] + scene.sources["snare"] + scene.sources["hihat"]
    stems = dspsep.Sources({"drums": drums, "rest": scene.mixture - drums}, scene.sample_rate)
    stems.save(folder / "songs" / f"{seed}", format="wav")

# %%
# A benchmark is a folder with a record for each method on each song. What the methods call percussive is
# scored as drums, and the rest as the rest.
as_stems = dspsep.Regroup(drums=["percussive"], rest=["harmonic"])
methods = {
    "long frames": dspsep.HPSS(stft=dspsep.STFT(2048)) >> as_stems,
    "short frames": dspsep.HPSS(stft=dspsep.STFT(1024)) >> as_stems,
}
results = dspsep.run_benchmark(
    methods,
    stem_folders(folder / "songs"),
    folder / "results",
    protocol="scale_invariant",
    baselines=["mixture", "IRM"],
)
print(table(results, metrics="SI-SDR"))

# %%
# A mean hides what it is made of. Each point is a song; the box holds the middle half of them.
fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", width_ratios=[3, 2])
plot_scores(results, metric="SI-SDR", source="drums", ax=left)
plot_pairs(results, "short frames", "long frames", metric="SI-SDR", source="drums", ax=right)
plt.show()

# %%
# Boxes that overlap say little, since songs differ more than methods do. What counts is the difference on
# each song: to the right, how far each point is from the diagonal. The mean of the table prefers short
# frames, five songs of eight the long ones, and the interval holds zero: nothing was found here, neither that
# one is better, nor that they are alike.
print(compare(results, "short frames", "long frames", metric="SI-SDR", source="drums"))

# %%
# Against the mixture, both are tested, and p is corrected for that.
print(compare_all(results, metric="SI-SDR", source="drums"))

# %%
# The test speaks of songs like these, which are synthetic and have one author. For a paper, the words and
# the literature come from what was done:
print(dspsep.describe(results))
