"""Kernel additive modelling: each source is alike in bins that its kernel says are near.

Nothing is assumed of a source as a whole, but that its magnitude at (f, t) is about the same in a few other
bins: its proximity kernel. Harmonic sounds are alike before and after, strokes above and below, loops a
period away. Kernels of many kinds go into one mixture, and kernel backfitting takes it apart
(`_backfitting.py`): with P_j the model of source j,

    Y_j = V P_j / sum_i P_i,        P_j[f, t] = (median of Y_j over what is near (f, t))**a

in turns, some rounds. A source of several kernels is the sum of that many parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from dspsep import _backend, _checks
from dspsep._audio import Mixture
from dspsep._pictures import Pictures, of_beat_spectrum
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import MaskModel
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators._background import n_bins_below
from dspsep.separators.repetition._backfitting import backfit, masks_of
from dspsep.separators.repetition._named_kernels import (
    Kernels,
    NamedParts,
    check_low,
    check_rounds,
    checked_medians,
    named_parts,
    needs_period,
    parts_of,
    with_period,
)
from dspsep.separators.repetition._period import LEAST_PERIODS, beat_spectrum, repeating_periods
from dspsep.separators.repetition._proximity import ProximityKernel
from dspsep.separators.repetition.proximity import Cross, Horizontal, Periodic, Vertical
from dspsep.stft import Spectrogram
from dspsep.streaming import Reach

__all__ = ["KAM", "KAMModel", "kam"]

# What a voice does not reach belongs to these, if they are there.
_LOW = ("accompaniment", "background")
_VOCALS: NamedParts = (
    ("accompaniment", (Periodic(), Horizontal(seconds=1.0), Vertical(hertz=667.0))),
    ("vocals", (Cross(seconds=0.08, hertz=100.0),)),
)


@final
@dataclass(frozen=True, kw_only=True)
class KAM(SpectralSeparator):
    """Separation of sources that are each alike in what a kernel of their own says is near.

    With its default settings, a voice and an accompaniment: the one is smooth, whichever way it moves; the
    other repeats, lasts, or strikes. With kernels of yours, whatever these tell apart.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    sources : mapping of str to kernel or sequence of kernels, optional
        The sources by name, two at least, each with one kernel or several: `Periodic`, `Horizontal`,
        `Vertical`, `Cross`, `Pattern`, or a class of your own. By default ``accompaniment`` is
        ``Periodic()``, ``Horizontal(seconds=1.0)`` and ``Vertical(hertz=667.0)`` together, and ``vocals`` is
        ``Cross(seconds=0.08, hertz=100.0)``. Kept as pairs.
    exponent : float, default=1.0
        The exponent a of the models, above 0 and at most 4: 1 shares bins by magnitude, 2 by power. Above 1,
        each round makes what is strong stronger.
    n_iter : int, default=5
        Rounds of backfitting. After one, shares are those of the medians of the mixture.
    cutoff_hertz : float or None, default=100.0
        What is centred at this frequency or below belongs to `low`, where no voice reaches. None for no such
        rule.
    low : str, optional
        The source that it belongs to. By default ``accompaniment`` or ``background``, if there is one; with
        other names there is no such rule unless this is given.
    min_period_seconds : float, default=1.0
        The shortest period that is looked for, for a `Periodic` that has none given.
    max_period_seconds : float, default=10.0
        The longest; it is at most a third of the mixture in any case.

    Raises
    ------
    InputError
        If a setting is out of range, or `low` is no source.

    See Also
    --------
    kam : The algorithm as a function of magnitudes alone.
    HPSS : One round of a horizontal kernel and a vertical one.
    REPET : One periodic kernel, and what it leaves.

    Notes
    -----
    Channels have models and masks in common, by the mean of their powers. Where no period is to be found,
    this separator streams: it looks `n_iter` times half of the longest kernel around.

    Deviations from the paper: there are no spatial covariances (they are the identity, so the Wiener filter
    of all channels is one mask); medians are those of magnitudes, which differ from those of powers where
    their number is even; at the ends of a mixture a periodic kernel has fewer bins; kernels are the same in
    all frequencies. Models are kept whole: the light variant of 2015 compresses them. Rounds and sizes of
    the default kernels are those of a script by the authors, but it has no vertical kernel, five periods
    and an exponent of 2, which do worse here.

    US patent 9,093,056 concerns REPET.

    Cost: O(n_iter n_freqs n_frames) for each kernel. Peak memory beside the input and the sources: the
    spectrum, and real arrays of the size of one channel of it: one for each kernel, and seven more.

    References
    ----------
    A. Liutkus, D. FitzGerald, Z. Rafii, B. Pardo, L. Daudet, "Kernel additive models for source separation",
    IEEE Transactions on Signal Processing 62(16), 2014, pp. 4298-4310. doi:10.1109/TSP.2014.2332434

    D. FitzGerald, A. Liutkus, Z. Rafii, B. Pardo, L. Daudet, "Harmonic/percussive separation using kernel
    additive modelling", 25th IET Irish Signals and Systems Conference, 2014.

    A. Liutkus, D. FitzGerald, Z. Rafii, "Scalable audio separation with light kernel additive modelling",
    IEEE International Conference on Acoustics, Speech and Signal Processing (ICASSP), 2015.

    Examples
    --------
    >>> import dspsep
    >>> from dspsep import KAM, Horizontal, Vertical
    >>> scene = dspsep.data.scenes.song(duration=8.0)
    >>> list(KAM().separate(scene.mixture, scene.sample_rate))
    ['accompaniment', 'vocals']
    >>> notes_and_strokes = KAM(sources={"notes": Horizontal(seconds=0.3), "strokes": Vertical(hertz=500.0)})
    >>> list(notes_and_strokes.separate(scene.mixture, scene.sample_rate))
    ['notes', 'strokes']
    """

    sources: NamedParts | Mapping[str, Kernels] = field(default=_VOCALS)
    exponent: float = 1.0
    n_iter: int = 5
    cutoff_hertz: float | None = 100.0
    low: str | None = None
    min_period_seconds: float = 1.0
    max_period_seconds: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "sources", named_parts(self.sources))
        for name in ("exponent", "n_iter", "cutoff_hertz", "min_period_seconds", "max_period_seconds"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        check_rounds(self.exponent, self.n_iter)
        check_low(self.cutoff_hertz, self.low, self.source_names)
        for name in ("min_period_seconds", "max_period_seconds"):
            _checks.number(name, getattr(self, name), minimum=0, above=True)
        if self.max_period_seconds < self.min_period_seconds:
            requirement = f"at least min_period_seconds, {self.min_period_seconds:g}"
            raise InputError("max_period_seconds", requirement, f"{self.max_period_seconds:g}")
        for name in ("exponent", "cutoff_hertz", "min_period_seconds", "max_period_seconds"):
            # Whole numbers become floats, so that equal settings print and are stored alike.
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return tuple(name for name, _ in named_parts(self.sources))

    def reach(self, sample_rate: float) -> Reach | None:
        """Return how far around a sample the separation looks.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        Reach or None
            A frame, and half of the longest kernel for each round; None if a period is to be found, or a
            kernel looks at all of its repeats.
        """
        reaches = [kernel.reach() for kernel in self._kernels(sample_rate)]
        known = [frames for frames in reaches if frames is not None]
        if len(known) < len(reaches):
            return None
        hop = self.stft.hop_length
        return Reach(samples=self.stft.n_fft + self.n_iter * max(known) * hop, step=hop)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> KAMModel:
        """Return the kernels in frames and bins, with the periods that are found.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Not called: rounds are made when masks are. `separate` calls it after each of them, with stage
            ``"fit"``, and returning True ends them.

        Returns
        -------
        KAMModel
            No spectrograms: its `masks` are computed from one when asked for.
        """
        rate = spectrogram.sample_rate
        spectrum, periods = None, []
        missing = sum(needs_period(kernel) for kernel in self._kernels(rate))
        if missing:
            spectrum = beat_spectrum(spectrogram.magnitude())
            shortest = self.stft.n_frames_in(self.min_period_seconds, rate)
            longest = self.stft.n_frames_in(self.max_period_seconds, rate)
            longest = max(shortest, min(longest, spectrogram.n_frames // LEAST_PERIODS))
            periods = repeating_periods(_backend.to_host(spectrum), shortest, longest, missing)
            # Where fewer periods stand out than are asked for, the best serves again.
            periods += periods[:1] * (missing - len(periods))
        following = iter(periods)
        found = [
            (name, tuple(with_period(kernel.counted(self.stft, rate), following) for kernel in kernels))
            for name, kernels in named_parts(self.sources)
        ]
        return KAMModel(
            sources=tuple(found),
            exponent=self.exponent,
            n_iter=self.n_iter,
            cutoff_hertz=self.cutoff_hertz,
            low=self._low_source(),
            beat_spectrum=spectrum,
        )

    def _take_apart(
        self, audio: Mixture, sample_rate: float, callback: Callback | None
    ) -> tuple[KAMModel, dict[str, Array]]:
        # As inherited, but that rounds are told of, and can be ended.
        report: Callback = callback or (lambda _: None)
        report(Progress(stage="transform"))
        spectrogram = self.stft._forward(audio.samples, sample_rate, audio.mono)
        model = self.fit(spectrogram)
        models, n_done = model._backfitted(spectrogram, report)
        model = replace(model, n_iter=n_done)
        masks = model._iter_masks(spectrogram, models)
        return model, self._resynthesise(audio, spectrogram, model, report, masks)

    def _least_frames(self, sample_rate: float) -> int:
        if any(needs_period(kernel) for kernel in self._kernels(sample_rate)):
            return LEAST_PERIODS * self.stft.n_frames_in(self.min_period_seconds, sample_rate)
        return self.min_frames

    def _keeps_all(self, names: tuple[str, ...]) -> str:
        return self._low_source() or names[0]

    def _low_source(self) -> str | None:
        return self.low or next((name for name in self.source_names if name in _LOW), None)

    def _kernels(self, sample_rate: float) -> list[ProximityKernel]:
        kernels = (kernel for _, parts in named_parts(self.sources) for kernel in parts)
        return [kernel.counted(self.stft, sample_rate) for kernel in kernels]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class KAMModel(MaskModel):
    """The kernels of a `KAM` in frames and bins; applies to any spectrogram of the same transform.

    Parameters
    ----------
    sources : tuple of (str, tuple of ProximityKernel)
        The sources and their kernels.
    exponent : float
        Of the models.
    n_iter : int
        Rounds that are made.
    cutoff_hertz : float or None
        Bins centred at this frequency or below belong to `low`.
    low : str or None
        The source that they belong to.
    beat_spectrum : array of shape (n_frames,) or None
        How much the mixture resembles itself at lags of 0, 1, … hops, if periods were looked for.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=13.0, sample_rate=8000)
    >>> model = dspsep.KAM().separate(scene.mixture, scene.sample_rate).model
    >>> model.source_names, model.n_iter
    (('accompaniment', 'vocals'), 5)
    """

    sources: NamedParts
    exponent: float
    n_iter: int
    cutoff_hertz: float | None
    low: str | None
    beat_spectrum: Array | None = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sources", named_parts(self.sources))
        check_rounds(self.exponent, self.n_iter)
        check_low(self.cutoff_hertz, self.low, self.source_names)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return tuple(name for name, _ in self.sources)

    @property
    def periods(self) -> tuple[int, ...]:
        """The periods of the periodic kernels, in frames; 0 if one is not known."""
        kernels = (kernel for _, parts in self.sources for kernel in parts)
        return tuple(kernel.period_frames or 0 for kernel in kernels if isinstance(kernel, Periodic))

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the masks: as many rounds again as the separation took.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture.

        Yields
        ------
        array of shape (1, n_freqs, n_frames)
            In [0, 1]; they sum to one.
        """
        models, _ = self._backfitted(spectrogram, lambda _: None)
        yield from self._iter_masks(spectrogram, models)

    def _backfitted(self, spectrogram: Spectrogram, report: Callback) -> tuple[list[Array], int]:
        """Return the models of all parts, and how many rounds were made."""
        xp = _backend.namespace(spectrogram.values)
        V = xp.permute_dims(spectrogram.magnitude(), (0, 2, 1))
        medians = [checked_medians(kernel) for _, parts in self.sources for kernel in parts]

        def tell(done: int) -> bool | None:
            return report(Progress(stage="fit", iteration=done, n_iterations=self.n_iter, model=self))

        return backfit(V, medians, self.exponent, self.n_iter, tell)

    def _iter_masks(self, spectrogram: Spectrogram, models: list[Array]) -> Iterator[Array]:
        xp = _backend.namespace(models[0])
        cutoff = None if self.low is None else self.cutoff_hertz
        n_below = n_bins_below(cutoff, spectrogram.stft, spectrogram.sample_rate)
        masks = masks_of(models, [len(parts) for _, parts in self.sources])
        for name, mask in zip(self.source_names, masks, strict=True):
            mask[:, :, :n_below] = 1 if name == self.low else 0
            yield xp.permute_dims(mask, (0, 2, 1))

    def _pictures(self) -> Pictures:
        if self.beat_spectrum is None:
            return self._mask_pictures()
        period = max(self.periods) or None  # in frames
        spectrum = of_beat_spectrum(
            self.beat_spectrum, lambda scale: period and period * (scale.hop_seconds or 1)
        )
        return {"beat spectrum": spectrum, **self._mask_pictures()}


def kam(V: Array, kernels: Sequence[Kernels], *, exponent: float = 1.0, n_iter: int = 5) -> tuple[Array, ...]:
    """Return the masks of sources by kernel backfitting.

    The algorithm of `KAM` for those who have their own transform.

    Parameters
    ----------
    V : array of shape (n_freqs, n_frames)
        Magnitudes, finite and not negative. Never changed.
    kernels : sequence of kernels, or of sequences of kernels
        One for each source, or several, in frames and bins.
    exponent : float, default=1.0
        Of the models, above 0 and at most 4.
    n_iter : int, default=5
        Rounds.

    Returns
    -------
    tuple of array of shape (n_freqs, n_frames)
        A mask for each source, in [0, 1]; they sum to one.

    Raises
    ------
    InputError
        If V is not a spectrogram of magnitudes, or a setting is out of range.

    See Also
    --------
    KAM : From audio to audio.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import Horizontal, Vertical, kam
    >>> V = np.full((100, 80), 0.01)
    >>> V[30, :] = 1.0  # a note
    >>> V[:, 50] = 1.0  # a click
    >>> note, click = kam(V, [Horizontal(frames=17), Vertical(bins=17)], exponent=2.0)
    >>> note[30, 10].round(3), click[70, 50].round(3)
    (np.float64(1.0), np.float64(1.0))
    """
    V = _backend.real_floating("V", V)
    if V.ndim != 2 or 0 in V.shape:
        raise InputError("V", "of shape (n_freqs, n_frames)", f"{tuple(V.shape)}")
    xp = _backend.namespace(V)
    lowest, highest = _backend.to_host(xp.stack([xp.min(V), xp.max(V)])).tolist()
    if not (lowest >= 0 and highest < math.inf):
        raise InputError("V", "finite and not negative", f"values from {lowest:g} to {highest:g}")
    check_rounds(exponent, n_iter)
    if not isinstance(kernels, Sequence) or not kernels:
        raise InputError("kernels", "a list, one entry for each source", repr(kernels)[:60])
    parts = [parts_of(f"kernels[{number}]", each) for number, each in enumerate(kernels)]
    medians = [checked_medians(kernel) for each in parts for kernel in each]
    frame_major = xp.permute_dims(V, (1, 0))[None, :, :]
    models, _ = backfit(frame_major, medians, float(exponent), int(n_iter), lambda _: None)
    masks = masks_of(models, [len(each) for each in parts])
    return tuple(xp.permute_dims(mask[0, ...], (1, 0)) for mask in masks)
