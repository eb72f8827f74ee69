"""
Why does a masked spectrogram click, and why not here?
======================================================

The inverse FFT of an unchanged frame begins and ends at zero, because the window did. After masking it
begins and ends in a step. If frames are just added up, the steps stay, at every multiple of the hop. The
least-squares inverse multiplies each frame by the window once more, and the steps are gone.
"""

import matplotlib.pyplot as plt
import numpy as np

from dspsep import HPSS
from dspsep.data import scenes

scene = scenes.song(duration=6.0)
audio = (scene.sources["bass"] + scene.sources["kick"]).mean(axis=0).astype(np.float64)
hpss = HPSS(mask="hard")
spectrogram = hpss.stft.forward(audio, scene.sample_rate)
mask = hpss.fit(spectrogram).masks(spectrogram)["harmonic"]
n_fft, hop = hpss.stft.n_fft, hpss.stft.hop_length


# %%
# The inverse that clicks: frames are added, and divided by the sum of the windows they were cut with.
def plain_inverse(values):
    """Add the frames of a spectrogram up, without a synthesis window."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    frames = np.fft.irfft(values[0].T, n_fft)
    total, weight = np.zeros((2, n_fft + hop * (len(frames) - 1)))
    for t, frame in enumerate(frames):
        total[t * hop : t * hop + n_fft] += frame
        weight[t * hop : t * hop + n_fft] += window
    return (total / np.maximum(weight, 1e-9))[n_fft // 2 : n_fft // 2 + spectrogram.n_samples]


# %%
# A round trip cannot tell the two apart; a masked spectrogram can.
masked = {
    "frames just added": plain_inverse(spectrogram.values * mask),
    "least squares (dspsep)": hpss.stft.inverse(spectrogram, mask=mask),
}
inverses = plain_inverse(spectrogram.values), hpss.stft.inverse(spectrogram)
print("errors of the round trip:", *(f"{np.abs(inverse - audio).max():.0e}" for inverse in inverses))

# %%
# Left: the harmonic part of a bass and a kick drum where the worst click is, hops marked. Right: the second
# difference, large at clicks, as its root mean square at every position within a hop.
figure, axes = plt.subplots(2, 2, figsize=(9, 5), layout="constrained", width_ratios=(2, 1), sharey="col")
worst = np.abs(np.diff(masked["frames just added"], n=2)).argmax() // hop + 1
for (wave, roughness), (name, signal) in zip(axes, masked.items(), strict=True):
    shown = np.arange((worst - 1) * hop - 50, (worst + 1) * hop + 50)
    wave.plot(shown / scene.sample_rate, signal[shown], linewidth=1)
    wave.set(title=name, xticks=np.arange(worst - 1, worst + 2) * hop / scene.sample_rate)
    wave.grid(axis="x")
    bends = np.diff(signal, n=2)[: len(signal) // hop * hop - hop].reshape(-1, hop)
    rms = np.sqrt(np.mean(bends**2, axis=0))
    roughness.semilogy(rms)
    print(f"{name}: at sample {rms.argmax()} of {hop}, {rms.max() / np.median(rms):.1f} times the usual")
wave.set_xlabel("Time (s)")
roughness.set_xlabel("Sample within the hop")
plt.show()
