"""
What does a separation sound like beside the truth?
===================================================

Numbers say how far a source is from its reference, ears say in which way. We take a song apart whose stems
are known, and listen to both at the same place and level.
"""

import matplotlib.pyplot as plt

from dspsep import HPSS
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

scene = scenes.song(duration=4.0)
mixture = scene.mixture.mean(axis=0)
drums = sum(scene.sources[name] for name in ("kick", "snare", "hihat")).mean(axis=0)
references = {"harmonic": mixture - drums, "percussive": drums}
sources = HPSS().separate(mixture, scene.sample_rate)
for name, reference in references.items():
    print(f"{name:10}  SI-SDR {si_sdr(reference, sources[name]):5.1f} dB")

# %%
# The player: the key 2 is the solo of the drums, and B switches to the true ones.
sources.play(references=references)

# %%
# The same to look at. The estimate has the onsets of notes and the consonants of the voice, which are brief,
# and lacks the decay of the kick drum, which is a tone.
figure, axes = plt.subplots(2, 1, figsize=(9, 5), layout="constrained")
for ax, (title, audio) in zip(axes, {"estimate": sources["percussive"], "truth": drums}.items(), strict=True):
    plot_spectrogram(audio, scene.sample_rate, ax=ax, reference=mixture)
    ax.set_title(title)
plt.show()
