"""
Where is it in the stereo panorama?
===================================

Two channels say more than one: how much louder a source is in one of them, and how much later. We take a
panned mixture apart by both, look at what `ADRess` and `PROJET` see of it, and put talkers before two
microphones for `DUET`.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import DUET, PROJET, ADRess, MidSide, duet_histogram
from dspsep.data import scenes
from dspsep.display import plot_spectrogram
from dspsep.metrics import si_sdr

# %%
# Three sources, panned by gains alone. A talker is left, a plucked melody near the centre, and another talker
# right.
scene = scenes.panned(n_sources=3, duration=6.0, sample_rate=22050)
angles = scene.facts["angles_degrees"]
print("angles:", *(f"{angle:.0f}" for angle in angles), "degrees; 0 is left, 90 is right")


def gains(truths, sources):
    """Print how much nearer each source is to the truth than the mixture is."""
    mixture = sum(truths)
    for name, truth in zip(sources, truths, strict=False):
        gain = si_sdr(truth, sources[name]) - si_sdr(truth, mixture)
        print(f"{name}: SI-SDR {gain:+.1f} dB")


# %%
# `ADRess` asks of each bin at which gain one channel cancels in the other. Where that is tells where its
# source is, and what is heard where has three peaks. Grey lines are the truth; shaded is what each source
# gets.
truths = list(scene.sources.values())
adress = ADRess(n_sources=3)
by_nulls = adress.separate(scene.mixture, scene.sample_rate)
model = by_nulls.model
tangents = np.tan(np.radians(angles))
true_places = np.where(tangents > 1, 1 - 1 / tangents, tangents - 1)
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.plot(np.linspace(-1, 1, len(model.energies)), model.energies, color="#3b6ea5")
for place, found in zip(true_places, model.positions, strict=True):
    ax.axvline(place, color="#999999", linewidth=1)
    ax.axvspan(found - model.width / 2, found + model.width / 2, color="#3b6ea5", alpha=0.15)
ax.set(xlabel="left  ←  place  →  right", ylabel="part of the energy", title="ADRess: where the nulls are")
gains(truths, by_nulls)

# %%
# `PROJET` learns the same from ten projections at once, in each of which another place is silent. It does not
# decide bin by bin, so where two sources are in one bin, it can part them.
by_projections = PROJET(n_sources=3).separate(scene.mixture, scene.sample_rate)
model = by_projections.model
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for name, profile in zip(by_projections, model.profiles.T, strict=True):
    axes[0].plot(model.angles, profile, label=name)
for angle in angles:
    axes[0].axvline(angle, color="#999999", linewidth=1)
axes[0].set(xlabel="angle (degrees)", ylabel="part of the source", title="PROJET: profiles")
axes[0].legend(frameon=False)
axes[1].loglog(model.losses, color="#3b6ea5")
axes[1].set(xlabel="iteration", ylabel="objective", title="which never rises")
gains(truths, by_projections)

# %%
# The talker on the right, as it is and as both give it. Holes are bins that went to another source.
parts = {"truth": truths[2], "ADRess": by_nulls["source_2"], "PROJET": by_projections["source_2"]}
figure, axes = plt.subplots(3, 1, figsize=(9, 8), layout="constrained")
for ax, (name, audio) in zip(axes, parts.items(), strict=True):
    plot_spectrogram(audio[:, : 3 * scene.sample_rate], scene.sample_rate, ax=ax, reference=scene.mixture)
    ax.set_title(name)
    ax.label_outer()

# %%
# If all that is wanted is the centre, `MidSide` needs nothing but a width. Here is what it makes of sources
# that are panned from left to right: the share that is centre.
places = np.linspace(-1, 1, 201)
gain = 1 - np.abs(places)
left, right = np.where(places > 0, gain, 1.0), np.where(places < 0, gain, 1.0)
figure, ax = plt.subplots(figsize=(9, 2.5), layout="constrained")
for width in (0.1, 0.2, 0.5):
    mixture = np.stack([left, right])[:, :, None] * np.sin(0.3 * np.arange(512))
    shares = []
    for source in mixture.transpose(1, 0, 2):
        center = MidSide(width=width).separate(source, 8000)["center"]
        shares.append(np.sqrt(np.sum(center**2) / np.sum(source**2)))
    ax.plot(places, shares, label=f"width={width}")
ax.set(xlabel="left  ←  place  →  right", ylabel="share", title="MidSide: what is centre")
ax.legend(frameon=False)

# %%
# Microphones that are apart hear a source at two times. Three talkers, the second channel of whom has a level
# and a delay of their own:
rate = 16000
dry = scenes.instantaneous(n_sources=6, duration=6.0, sample_rate=rate).dry[::2]
levels, delays = np.array([0.8, 1.1, 1.25]), np.array([-2.0, 2.5, 0.3]) / rate
omega = 2 * np.pi * np.fft.rfftfreq(dry.shape[1], 1 / rate)


def at_two_microphones(delays):
    """Return the talkers with these delays."""
    spectra = np.fft.rfft(dry) * np.exp(-1j * omega * delays[:, None])
    return np.stack([dry, levels[:, None] * np.fft.irfft(spectra, dry.shape[1])], axis=1)


truths = at_two_microphones(delays)
separator = DUET(n_sources=3)
gains(truths, separator.separate(truths.sum(axis=0), rate))

# %%
# The histogram of attenuation and delay (its square root, to show what is faint) has a peak for each; circles
# are the truth. Of a phase the whole turns are unknown: with delays that are ten times as long it goes round
# at a few hundred hertz, and of the two talkers that are beyond the histogram now there is nothing but a
# haze. `DUET` warns where that is most of what is heard.
most, longest = separator.max_attenuation, separator.max_delay_seconds
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained", sharey=True)
for ax, factor in zip(axes, (1, 10), strict=True):
    spectrogram = separator.stft.forward(at_two_microphones(factor * delays).sum(axis=0), rate)
    H, _, _ = duet_histogram(
        *spectrogram.values, 2 * np.pi * spectrogram.frequencies(), max_attenuation=most, max_delay=longest
    )
    extent = (-1e6 * longest, 1e6 * longest, -most, most)
    ax.imshow(np.sqrt(H), origin="lower", aspect="auto", cmap="magma", extent=extent)
    ax.plot(
        1e6 * factor * delays,
        levels - 1 / levels,
        "o",
        mfc="none",
        mec="#7fd1e0",
        markersize=14,
        clip_on=True,
    )
    ax.set(xlabel="delay (µs)", title=f"delays times {factor}", xlim=extent[:2])
axes[0].set_ylabel("symmetric attenuation")
plt.show()

# %%
# To listen: three sources from left to right.
by_projections.play(duration=10)
