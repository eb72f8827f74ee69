"""
What did the method learn?
==========================

Nothing is hidden in a classical method: whatever it learned can be drawn. Every model has ``plot``, and
``pictures`` says what there is to show. We let one song be looked at by methods that have little in common.
"""

import matplotlib.pyplot as plt
import numpy as np

import dspsep
from dspsep.data import scenes
from dspsep.display import plot_scores, plot_similarity
from dspsep.metrics import evaluate

scene = scenes.song(duration=8.0, sample_rate=16000)
mixture, rate = scene.mixture.mean(axis=0), scene.sample_rate


def learned(separator):
    """Return a model, and the spectrogram that it was learned from."""
    spectrogram = separator.stft.forward(mixture, rate)
    return separator.fit(spectrogram), spectrogram


def show(model, spectrogram, *names):
    """Draw some pictures of a model below each other."""
    _, axes = plt.subplots(len(names), figsize=(9, 2.7 * len(names)), layout="constrained", squeeze=False)
    for ax, name in zip(axes[:, 0], names, strict=True):
        model.plot(spectrogram, show=name, ax=ax)


# %%
# **Spectra, and when they sound.** Templates are drawn beside each other, each relative to its own loudest
# point; activations one above the other, relative to the loudest of all.
nmf, spectrogram = learned(dspsep.NMF(n_components=8, n_iter=60))
print(nmf.pictures[:3])
show(nmf, spectrogram, "templates", "activations")

# %%
# **A period.** The beat spectrum says how much the song resembles itself some time later. REPET took the
# dashed line; the dotted ones are its multiples. What comes again with that period is the background.
repet, spectrogram = learned(dspsep.REPET())
print(f"period: {repet.period:.2f} s")
show(repet, spectrogram, "beat spectrum", "mask of background")

# %%
# **What is alike.** Where there is no period, frames can still be like others: parallels to the diagonal are
# passages that come again. To the left all similarities, to the right the frames that REPET-SIM takes.
similar, spectrogram = learned(dspsep.REPETSim())
frames = spectrogram.magnitude()[0]
frames /= np.maximum(np.linalg.norm(frames, axis=0), 1e-9)
_, (left, right) = plt.subplots(1, 2, figsize=(9, 4.3), layout="constrained")
plot_similarity(frames.T @ frames, times=spectrogram.times(), ax=left)
similar.plot(spectrogram, ax=right)

# %%
# **A rule.** HPSS learns nothing: its picture is the rule by which bins are shared, and what it makes of
# this song.
hpss, spectrogram = learned(dspsep.HPSS(margin=2.0))
show(hpss, spectrogram, "shares", "mask of harmonic")

# %%
# **How many spectra.** The background of RPCA is of low rank, but not of a sharp one: singular values fall
# steeply first, and then there are many faint ones.
rpca, spectrogram = learned(dspsep.RPCA())
values = np.linalg.norm(rpca.activations, axis=1)
print(f"{rpca.rank} singular values, {np.sum(values > values.max() / 10)} within 20 dB of the largest")
show(rpca, spectrogram, "singular values", "residuals")

# %%
# **Places.** In stereo there are others: the panorama of ADRess, from left to right, with the places that it
# found.
stereo = scenes.panned(duration=4.0)
adress = dspsep.ADRess()
spectrogram = adress.stft.forward(stereo.mixture, stereo.sample_rate)
show(adress.fit(spectrogram), spectrogram, "panorama", "mask of source_1")

# %%
# **Microphones in a room.** A demixing matrix knows no directions without the places of the microphones, but
# it knows how loud each source is at each of them.
room = scenes.reverberant(duration=4.0, rt60=0.1)
auxiva = dspsep.AuxIVA(stft=dspsep.STFT(2048), n_iter=15)
model = auxiva.separate(room.mixture, room.sample_rate).model
show(model, auxiva.stft.forward(room.mixture, room.sample_rate), "levels", "losses")

# %%
# **And how good was it?** A diamond is the number that counts, the points are the windows behind it.
tonal = [name for name in scene.sources if name not in ("kick", "snare", "hihat")]
harmonic = sum(scene.sources[name].mean(axis=0) for name in tonal)
references = {"harmonic": harmonic, "percussive": mixture - harmonic}
scores = evaluate(references, dspsep.HPSS().separate(mixture, rate), rate, "bss_eval_v4")
_, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
plot_scores(scores, ax=ax)
print(scores)
plt.show()
