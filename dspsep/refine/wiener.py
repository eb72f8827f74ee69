"""Refine estimates by Wiener filters: by masks alone, or by expectation maximisation over places, too.

Estimates that were made apart from one another need not agree on whose a bin is. The generalised Wiener
filter (Liutkus & Badeau 2015) shares every bin of the mixture x as the estimates Y_j share a power of
magnitudes,

    y_j  =  |Y_j|^alpha / sum_i |Y_i|^alpha  x.

With several channels there is more to know. In the local Gaussian model (Duong, Vincent & Gribonval 2010)
the channels of source j in bin (f, t) are drawn with the covariance v_j[f, t] R_j[f]: how loud it is, times
where it is. A step learns both from the estimates (Nugraha, Liutkus & Vincent 2016), C being the number of
channels,

    v_j  =  |y_j|^2 / C,    R_j  =  sum_t y_j y_j^H / sum_t v_j,

and makes the estimates anew:  y_j  =  v_j R_j K^-1 x,  with  K  =  sum_i v_i R_i + noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import final

from dspsep import _audio, _backend, _checks
from dspsep._audio import Mixture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.refine._local_gaussian import LocalGaussian
from dspsep.refine.filters import (
    checked_alpha,
    checked_regularisation,
    inverse_total,
    parts,
    powers,
    share,
    swap,
)
from dspsep.separator import Refiner
from dspsep.sources import Sources
from dspsep.stft import STFT, Spectrogram
from dspsep.streaming import Reach

__all__ = ["Wiener"]

_STARTS = ("softmask", "estimates")
# Numbers of all sources that are made at a time: few, since fresh memory takes time. Frames, of which the
# transform likes multiples; and those of a run at least, in parts of those that neighbouring runs both make.
_NUMBERS = 2**20
_FRAMES = 64
_OVERLAPS = 8


@final
@dataclass(frozen=True, kw_only=True)
class Wiener(Refiner):
    """Refine estimates by Wiener filters: by shares of magnitudes and, if wanted, by where sources are.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    n_iter : int, default=0
        Steps of expectation maximisation. By default none: on songs whose estimates are blind a step costs a
        quarter of a decibel, and more cost more. Masks of talkers at several microphones gain decibels.
    alpha : float, default=1.0
        Above 0 and at most 4: the power of magnitudes that estimates share bins by. 1 shares by magnitudes, 2
        by energies, which is Wiener's filter of Gaussian sources, and what estimates without errors call for.
    start : {"softmask", "estimates"}, default="softmask"
        What steps begin with: the shares of the mixture, or the estimates as they are, which is right where
        they were told apart by more than masks, as by `ILRMA` or `FastMNMF2`: shares would undo that.
    posterior : bool, default=False
        Whether a step counts what a source may be beside its estimate, as in the EM of Duong et al. (2010),
        under which the likelihood never falls. Without, as in the programs for music since, estimates are
        taken for the sources: they harden.
    regularisation : float, default=1e-10
        White noise in all channels, in parts of the energy of the loudest bin: -100 dB. From 1e-12 to 1.

    Raises
    ------
    InputError
        If a setting is out of range, or there is no step and nothing else to do.

    See Also
    --------
    alpha_wiener : The shares, as a function of spectra.
    wiener_em : The steps, as a function of spectra.
    dspsep.oracle.MWF : The same filter from the true sources.

    Notes
    -----
    The sources keep their names and their order. They sum to the mixture: in the model the noise is shared as
    the powers v_j are, equally where no source has any, and the last source is what the others leave of the
    mixture. With ``start="softmask"`` the sum of what comes in does not matter.

    Without steps every sample depends on a frame around it, and pipelines stream. Steps look at everything.

    Deviations from the papers: the updates are those of music separation since Nugraha et al. (2016), without
    the prior of weights that theirs has; the noise is constant, relative to the loudest bin, where Duong et
    al. anneal it, and belongs to the sources in the end. With `posterior`, no R_j is inverted, so places may
    be points; an estimate more than 130 dB above the noise is taken to be that loud.

    Cost: O(n_sources n_channels^2) operations a bin and step. Compiled kernels are for one and two channels,
    without `posterior`; else the same runs as array expressions. Peak memory, for four stereo sources in
    single precision: the sources that come out, and three complex spectrograms of the mixture or, with steps,
    3.4. Each further source adds one real number a bin with one step, and two with more. No covariance of a
    bin is ever stored.

    References
    ----------
    N. Q. K. Duong, E. Vincent, R. Gribonval, "Under-determined reverberant audio source separation using a
    full-rank spatial covariance model", IEEE Transactions on Audio, Speech, and Language Processing 18(7),
    2010, pp. 1830-1840. doi:10.1109/TASL.2010.2050716

    A. A. Nugraha, A. Liutkus, E. Vincent, "Multichannel audio source separation with deep neural networks",
    IEEE/ACM Transactions on Audio, Speech, and Language Processing 24(9), 2016, pp. 1652-1664.

    A. Liutkus, R. Badeau, "Generalized Wiener filtering with fractional power spectrograms", IEEE
    International Conference on Acoustics, Speech and Signal Processing (ICASSP), 2015, pp. 266-270.
    doi:10.1109/ICASSP.2015.7177973

    Examples
    --------
    >>> from dspsep import HPSS, Wiener
    >>> from dspsep.data import scenes
    >>> scene = scenes.song(duration=2.0)
    >>> pipeline = HPSS() >> Wiener(n_iter=1)
    >>> list(pipeline.separate(scene.mixture, scene.sample_rate))
    ['harmonic', 'percussive']
    """

    stft: STFT = field(default_factory=STFT)
    n_iter: int = 0
    alpha: float = 1.0
    start: str = "softmask"
    posterior: bool = False
    regularisation: float = 1e-10

    def __post_init__(self) -> None:
        if not isinstance(self.stft, STFT):
            raise InputError("stft", "an STFT", repr(self.stft)[:80], "For example STFT(n_fft=2048).")
        _checks.choice("start", self.start, _STARTS)
        if not isinstance(self.posterior, bool):
            raise InputError("posterior", "True or False", repr(self.posterior)[:60])
        least = 0 if self.start == "softmask" else 1
        remedy = (
            "" if least == 0 else "Without a step, estimates that start from themselves stay as they are."
        )
        n_iter = _checks.integer("n_iter", self.n_iter, minimum=least, remedy=remedy)
        object.__setattr__(self, "n_iter", n_iter)
        object.__setattr__(self, "alpha", checked_alpha(self.alpha))
        object.__setattr__(self, "regularisation", checked_regularisation(self.regularisation))

    def names_after(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return the same names in the same order."""
        return names

    def reach(self, sample_rate: float) -> Reach | None:
        """Return a frame where there are masks alone; None with steps, which look at all of the mixture."""
        if self.n_iter:
            return None
        return Reach(samples=self.stft.n_fft, step=self.stft.hop_length)

    def refine(self, mixture: Array, sources: Sources, *, callback: Callback | None = None) -> Sources:
        """Return the refined sources.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio. Neither it nor the sources are changed.
        sources : Sources
            Estimates of the mixture's shape, precision and device.
        callback : callable, optional
            Called with a `Progress` before the transform, after each step but the first, and before each
            source. The `loss` of a step is the negative log likelihood of the model that it began with, in
            the scale in which the loudest bin is near one. Returning True ends the steps.

        Returns
        -------
        Sources
            Of the same names and in the same order. They sum to the mixture: the last is what the others
            leave. `model` and `provenance` are those of `sources`.

        Raises
        ------
        InputError
            If the mixture cannot be worked on, or a source is not like it.
        """
        report = callback or _say_nothing
        audio, estimates = _checked_audio(mixture, sources)
        report(Progress(stage="transform"))
        spectrogram = self.stft._forward(audio.samples, sources.sample_rate, audio.mono)
        if self.n_iter:
            gaussian = self._learned(spectrogram, estimates)
            gaussian.iterate(self.n_iter - 1, callback)
            refined = self._filtered(spectrogram, gaussian, len(estimates))
        else:
            refined = self._masked(spectrogram, estimates)
        *names, last = sources
        found: dict[str, Array] = {}
        remainder = audio.samples
        for done, name in enumerate(names):
            report(Progress(stage=name, iteration=done, n_iterations=len(names)))
            source = next(refined)
            remainder = remainder - source
            found[name] = audio.restore(source)
        # A copy where nothing was taken away: what is returned is never the caller's own array.
        found[last] = audio.restore(remainder if names else remainder + 0)
        return Sources(found, sources.sample_rate, sources.model, sources.provenance)

    def _learned(self, spectrogram: Spectrogram, estimates: Sequence[Array]) -> LocalGaussian:
        """Return the sources as they are learned from what the steps begin with."""
        xp = _backend.namespace(spectrogram.values)
        X = swap(xp, spectrogram.values)
        gaussian = LocalGaussian(X, len(estimates), self.regularisation, self.posterior)
        if self.start == "estimates":
            for j, audio in enumerate(estimates):
                gaussian.learn(j, self._spectra(spectrogram, audio))
            return gaussian
        for frames, shares in self._shares(spectrogram, estimates):
            for j, mask in enumerate(shares):
                gaussian.learn_frames(j, frames, mask * X[:, frames, :])
        gaussian.end_frames()
        return gaussian

    def _filtered(self, spectrogram: Spectrogram, gaussian: LocalGaussian, n_sources: int) -> Iterator[Array]:
        """Yield the audio of the sources after the steps."""
        xp = _backend.namespace(spectrogram.values)
        for j in range(n_sources):
            y = swap(xp, gaussian.estimates(j)[0, ...])
            yield self.stft._inverse(spectrogram.with_values(y), None)
            del y

    def _masked(self, spectrogram: Spectrogram, estimates: Sequence[Array]) -> Iterator[Array]:
        """Yield the audio of the shares of the sources."""
        xp = _backend.namespace(spectrogram.values)
        gain = self._gain(estimates)
        total = self._inverse_total(spectrogram, estimates, gain)
        mask = xp.empty_like(total)
        for audio in estimates:
            y = self._spectra(spectrogram, audio)
            for part in parts(y):
                power = powers(xp, y[:, part, :], gain, self.alpha)
                mask[:, part, :] = share(xp, power, total[:, part, :], len(estimates))
            del y
            yield self.stft._inverse(spectrogram, swap(xp, mask))

    def _inverse_total(self, spectrogram: Spectrogram, estimates: Sequence[Array], gain: float) -> Array:
        """Return one over the powers of all sources, (n_channels, n_frames, n_freqs).

        Spectra are made again afterwards: to keep them would take more memory than all the rest.
        """
        xp = _backend.namespace(spectrogram.values)
        total: Array = xp.zeros_like(swap(xp, xp.real(spectrogram.values)))
        for audio in estimates:
            y = self._spectra(spectrogram, audio)
            for part in parts(y):
                total[:, part, :] += powers(xp, y[:, part, :], gain, self.alpha)
            del y
        for part in parts(total):
            total[:, part, :] = inverse_total(xp, total[:, part, :])
        return total

    def _shares(
        self, spectrogram: Spectrogram, estimates: Sequence[Array]
    ) -> Iterator[tuple[slice, list[Array]]]:
        """Yield runs of frames, and the shares there of all sources, (n_channels, frames, n_freqs)."""
        xp = _backend.namespace(spectrogram.values)
        gain, count = self._gain(estimates), len(estimates)
        n_channels, n_freqs, n_frames = spectrogram.values.shape
        twice = 2 * self._frames_before
        made = _FRAMES * max(1, _NUMBERS // (_FRAMES * count * n_channels * n_freqs))
        size = max(_OVERLAPS * twice, made - twice)
        for start in range(0, n_frames, size):
            frames = slice(start, min(start + size, n_frames))
            raised = [powers(xp, self._frames(spectrogram, a, frames), gain, self.alpha) for a in estimates]
            inverse = inverse_total(xp, sum(raised[1:], start=raised[0]))
            yield frames, [share(xp, power, inverse, count) for power in raised]

    def _gain(self, estimates: Sequence[Array]) -> float:
        """Return the power of two with which magnitudes of the loudest bin are about one."""
        xp = _backend.namespace(*estimates)
        loudest = max(_backend.scalar(xp.max(xp.abs(audio))) for audio in estimates)
        return 2.0 ** -math.frexp(loudest * self.stft.n_fft)[1]

    @property
    def _frames_before(self) -> int:
        """How many frames begin within half the length of one."""
        return -(-self.stft.n_fft // (2 * self.stft.hop_length))

    def _frames(self, spectrogram: Spectrogram, audio: Array, frames: slice) -> Array:
        """Return a run of frames of the spectra, from as much of an estimate as they look at."""
        hop = self.stft.hop_length
        first = max(0, frames.start - self._frames_before)
        stop = (frames.stop - 1) * hop + -(-self.stft.n_fft // 2)
        part = audio[:, first * hop : min(stop, audio.shape[1])]
        return self._spectra(spectrogram, part)[:, frames.start - first : frames.stop - first, :]

    def _spectra(self, spectrogram: Spectrogram, audio: Array) -> Array:
        """Return the spectra (n_channels, n_frames, n_freqs) of an estimate."""
        found = self.stft._forward(audio, spectrogram.sample_rate, spectrogram.mono)
        return swap(_backend.namespace(found.values), found.values)


def _checked_audio(mixture: Array, sources: Sources) -> tuple[Mixture, list[Array]]:
    """Return mixture and estimates in one scale in which nothing overflows."""
    samples, mono, peak = _audio.finite_samples_of("mixture", mixture)
    estimates = []
    for name, source in sources.items():
        estimate, _, loudest = _audio.finite_samples_of(f"source {name!r}", source)
        _backend.namespace(samples, estimate)
        if estimate.shape != samples.shape or estimate.dtype != samples.dtype:
            raise InputError(
                f"source {name!r}",
                f"like the mixture, {tuple(samples.shape)} of {samples.dtype}",
                f"{tuple(estimate.shape)} of {estimate.dtype}",
            )
        estimates.append(estimate)
        peak = max(peak, loudest)
    exponent = _audio.safe_exponent(peak)
    if exponent:
        samples = _audio.times_power_of_two(samples, exponent)
        estimates = [_audio.times_power_of_two(estimate, exponent) for estimate in estimates]
    return Mixture(samples, mono, exponent, math.ldexp(peak, exponent)), estimates


def _say_nothing(_: Progress) -> None:
    return None
