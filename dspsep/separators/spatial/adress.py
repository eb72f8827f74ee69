"""ADRess: sources between left and right, by the gains at which one channel cancels in the other.

A source that is panned to the right has L = g R with a gain 0 <= g <= 1, and one to the left R = g L. For
each bin of which the right channel is the louder one, and gains g_i = i / beta, i = 0 ... beta,

    Az[i] = |L - g_i R|,    null at  i* = argmin_i Az[i],    of depth  1 - min_i Az[i] / max_i Az[i]

and the same with L and R exchanged where the left one is (Barry, Lawlor & Coyle 2004). The place of a null is
u = 1 - g to the right and g - 1 to the left: -1 is left alone, 0 the centre, 1 right alone. A source is what
has its null within half a width of its place.

|L - g R|^2 is a parabola in g, least at g = Re(L conj R) / |R|^2 and largest at one end. So no bin needs more
than that gain, rounded to the grid, and three absolute values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, final

import numpy as np
import numpy.typing as npt

from dspsep import _backend, _checks
from dspsep._pictures import Pictures, Recipe, picture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import MaskModel
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators._names import numbered
from dspsep.separators.spatial._stereo import (
    check_shares,
    checked_pair,
    energy_of,
    frame_blocks,
    highest_peaks,
    in_blocks,
    sums_by_cell,
    warn_if_few,
    warn_unless_panned,
)
from dspsep.stft import STFT, Spectrogram
from dspsep.streaming import Reach

__all__ = ["ADRess", "ADRessModel", "adress_nulls"]

_MASKS = ("soft", "hard")
#: Places that are found are farther apart than this, or than a width if that is less.
_APART = 0.25
_MOST_SOURCES = 100
_MOST_GAINS = 10_000


@final
@dataclass(frozen=True, kw_only=True)
class ADRess(SpectralSeparator):
    """Separation of an amplitude-panned stereo mixture by the places of its sources.

    For music that was mixed with pan pots, each instrument at a place of its own.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=4096, hop_length=1024, window="hann")
        The transform: 93 ms frames every 23 ms at 44.1 kHz. In long frames fewer bins hold two sources.
    n_sources : int, default=3
        How many places are looked for, at most 100. They are the highest peaks of what is heard where, more
        than 0.25 apart, or than `width` if that is less.
    positions : sequence of float, optional
        The places, if they are known, from -1, left, over 0, the centre, to 1, right: 1 - g to the right,
        with g how loud the left channel is beside the right one, and g - 1 to the left. Then `n_sources` is
        as many.
    width : float, default=0.25
        How wide a place is in the same unit: a source is what has its null within half of it. Where two
        places overlap, the nearer one counts. Above 0, at most 2.
    n_gains : int, default=100
        Into how many steps the way from the centre to a side is divided, from 2 to 10000.
    mask : {"soft", "hard"}, default="soft"
        Whether a source gets as much of a bin as the null is deep, or all of it.

    Raises
    ------
    InputError
        If a setting is out of range.

    Warns
    -----
    DspsepWarning
        ``W_NOT_PANNED`` from `fit` if phases differ between the channels: a mixture with delays or rooms.
        ``W_FEW_SOURCES`` if there are fewer places than sources.

    See Also
    --------
    adress_nulls : The algorithm as a function of two spectra alone.
    PROJET : For the same mixtures, where sources overlap.
    DUET : For sources that differ in delay.

    Notes
    -----
    The sources are ``source_0``, ``source_1``, … from left to right, or in the order of `positions`, and the
    ``residual``: what has its null elsewhere, and with soft masks what a null leaves. Sources for which there
    is no place left are silent.

    Assumed is that sources are told apart by levels alone, and that few bins hold two of them: the null of
    two sources is at neither of their places. Sources that are in opposite phases have no null.

    Deviations from the paper: each bin has one null, in the plane of the louder channel, where the paper has
    a second one, in the centre of the other plane; the magnitude of a null, which is that of the louder
    channel times something between 1/2 and 1 by place, only tells how deep it is, and the source keeps the
    levels and phases of both channels; places are found by the energy of nulls, where the paper has a
    listener at the controls.

    With `positions` it streams. Cost: O(n_freqs n_frames n_sources), whatever `n_gains`. Peak memory beside
    the input and the sources: 74 MB for 30 s of stereo at 44.1 kHz in single precision, of which the spectrum
    is 42.

    References
    ----------
    D. Barry, B. Lawlor, E. Coyle, "Sound source separation: azimuth discrimination and resynthesis", 7th
    International Conference on Digital Audio Effects (DAFx), 2004.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.panned(n_sources=3, duration=3.0)
    >>> sources = dspsep.ADRess(n_sources=3).separate(scene.mixture, scene.sample_rate)
    >>> list(sources), [round(place, 1) for place in sources.model.positions]
    (['source_0', 'source_1', 'source_2', 'residual'], [-0.7, 0.1, 0.7])
    """

    min_channels = max_channels = 2

    stft: STFT = field(default_factory=lambda: STFT(4096, 1024))
    n_sources: int = 3
    positions: tuple[float, ...] | None = None
    width: float = 0.25
    n_gains: int = 100
    mask: Literal["soft", "hard"] = "soft"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.positions is not None:
            object.__setattr__(self, "positions", _checked_positions(self.positions))
            object.__setattr__(self, "n_sources", len(self.positions))
        n_sources = _checks.integer("n_sources", self.n_sources, minimum=1, maximum=_MOST_SOURCES)
        object.__setattr__(self, "n_sources", n_sources)
        object.__setattr__(self, "width", _checked_width(self.width))
        object.__setattr__(self, "n_gains", _checked_n_gains(self.n_gains))
        _checks.choice("mask", self.mask, _MASKS)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources by number, and the residual."""
        return (*numbered(self.n_sources), "residual")

    def reach(self, sample_rate: float) -> Reach | None:
        """Return how far around a sample the separation looks.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        Reach or None
            A frame if places are given; None if they are found in the mixture.
        """
        if self.positions is None:
            return None
        return Reach(samples=self.stft.n_fft, step=self.stft.hop_length)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> ADRessModel:
        """Return the places of the sources.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of two channels, made by ``self.stft.forward``.
        callback : callable, optional
            Called once, with stage ``"fit"``.

        Returns
        -------
        ADRessModel
            With the places, and what is heard where.

        Raises
        ------
        InputError
            If there are not two channels.
        """
        warn_unless_panned(spectrogram)
        energies = np.zeros(2 * self.n_gains + 1)
        for _, L, R in frame_blocks(spectrogram):
            cells, depths = _nulls(L, R, self.n_gains)
            energies += sums_by_cell(cells, depths * (energy_of(L) + energy_of(R)), len(energies))
        positions = self.positions
        if positions is None:
            smooth = np.convolve(np.pad(energies, 1), [0.25, 0.5, 0.25], "valid")
            apart = max(1, round(min(self.width, _APART) * self.n_gains))
            peaks = highest_peaks(smooth, self.n_sources, (apart,))
            warn_if_few(len(peaks), self.n_sources)
            positions = tuple(sorted(peak[0] / self.n_gains - 1 for peak in peaks))
        total = float(energies.sum())
        model = ADRessModel(
            positions=positions,
            n_sources=self.n_sources,
            width=self.width,
            n_gains=self.n_gains,
            mask=self.mask,
            energies=energies / total if total else energies,
        )
        if callback is not None:
            callback(Progress(stage="fit", iteration=1, n_iterations=1, model=model))
        return model


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class ADRessModel(MaskModel):
    """The places of the sources of an `ADRess`; applies to any spectrogram of two channels.

    Parameters
    ----------
    positions : tuple of float
        From -1, left, to 1, right; at most `n_sources`.
    n_sources : int
        How many sources there are; those without a place are silent.
    width : float
        How wide a place is.
    n_gains : int
        Steps from the centre to a side.
    mask : {"soft", "hard"}
        How much of a bin a source gets.
    energies : array of shape (2 n_gains + 1,)
        What part of the energy has its null at which place, from left to right, each counted by how deep it
        is.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.panned(duration=3.0, sample_rate=8000)
    >>> model = dspsep.ADRess(n_sources=2).separate(scene.mixture, scene.sample_rate).model
    >>> len(model.positions), model.source_names
    (2, ('source_0', 'source_1', 'residual'))
    """

    positions: tuple[float, ...]
    n_sources: int
    width: float
    n_gains: int
    mask: str
    energies: Array = field(repr=False)

    def __post_init__(self) -> None:
        # A model may come from a file.
        _checks.integer("n_sources", self.n_sources, minimum=1, maximum=_MOST_SOURCES)
        object.__setattr__(self, "positions", _checked_positions(self.positions, least=0))
        if len(self.positions) > self.n_sources:
            raise InputError("positions", f"at most {self.n_sources}", f"{len(self.positions)}")
        _checked_width(self.width)
        _checked_n_gains(self.n_gains)
        _checks.choice("mask", self.mask, _MASKS)
        if tuple(np.shape(self.energies)) != (2 * self.n_gains + 1,):
            raise InputError("energies", f"of shape ({2 * self.n_gains + 1},)", f"{np.shape(self.energies)}")
        check_shares("energies", self.energies)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources by number, and the residual."""
        return (*numbered(self.n_sources), "residual")

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the mask of each source, and that of the residual.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of two channels.

        Yields
        ------
        array of shape (1, n_freqs, n_frames)
            In [0, 1]; they sum to one.

        Raises
        ------
        InputError
            If there are not two channels.
        """
        places = _backend.asarray_like(self._owners(), spectrogram.values)
        xp = _backend.namespace(places)

        def owner(L: Array, R: Array) -> Array:
            cells, _ = _nulls(L, R, self.n_gains)
            found: Array = xp.take(places, xp.reshape(cells, (-1,)))
            return xp.reshape(found, cells.shape)  # type: ignore[no-any-return]

        def depth(L: Array, R: Array) -> Array:
            _, depths = _nulls(L, R, self.n_gains)
            return depths if self.mask == "soft" else xp.ones_like(depths)

        owners, depths = in_blocks(spectrogram, owner), in_blocks(spectrogram, depth)
        for number in range(self.n_sources):
            yield xp.where(owners == number, depths, xp.zeros_like(depths))
        yield xp.where(owners < self.n_sources, 1 - depths, xp.ones_like(depths))

    def _owners(self) -> npt.NDArray[np.uint8]:
        """Return the number of the source that owns each place of the grid; `n_sources` for nobody."""
        grid = np.arange(-self.n_gains, self.n_gains + 1) / self.n_gains
        if not self.positions:
            return np.full(len(grid), self.n_sources, np.uint8)
        distances = np.abs(grid[:, None] - np.array(self.positions))
        # Places at an edge are in, however they are rounded.
        within = distances.min(axis=1) <= self.width / 2 + 1e-9
        return np.where(within, distances.argmin(axis=1), self.n_sources).astype(np.uint8)

    def _pictures(self) -> Pictures:
        panorama = Recipe(
            lambda _: picture("panorama", self.energies, positions=self.positions, width=self.width)
        )
        return {"panorama": panorama, **self._mask_pictures()}


def adress_nulls(L: Array, R: Array, *, n_gains: int = 100) -> tuple[Array, Array]:
    """Return where the channels of a stereo mixture cancel best, and how well.

    The algorithm of `ADRess` for those who have their own transform.

    Parameters
    ----------
    L, R : array
        The spectra of the left and of the right channel, of one shape; finite.
    n_gains : int, default=100
        Into how many steps the way from the centre to a side is divided.

    Returns
    -------
    positions : array
        From -1, left, to 1, right, of the shape of L; 0 where both are zero.
    depths : array
        From 0, no null, to 1, silence.

    Raises
    ------
    InputError
        If the spectra differ in shape or are not finite, or `n_gains` is out of range.

    See Also
    --------
    ADRess : From audio to audio.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import adress_nulls
    >>> positions, depths = adress_nulls(np.array([1.0, 0.5, 1j]), np.array([0.0, 1.0, 1.0]))
    >>> positions, depths.round(3)
    (array([-1. ,  0.5, -1. ]), array([1.   , 1.   , 0.293]))
    """
    L, R = checked_pair(("L", "R"), L, R)
    n_gains = _checked_n_gains(n_gains)
    cells, depths = _nulls(L, R, n_gains)
    xp = _backend.namespace(depths)
    return (xp.astype(cells, depths.dtype) - n_gains) / n_gains, depths


def _nulls(L: Array, R: Array, n_gains: int) -> tuple[Array, Array]:
    """Return the place of each null on the grid, 0 … 2 n_gains from left to right, and its depth."""
    xp = _backend.namespace(L, R)
    energies = energy_of(L), energy_of(R)
    to_right = energies[1] > energies[0]
    louder, softer = xp.where(to_right, R, L), xp.where(to_right, L, R)
    energy = xp.where(to_right, energies[1], energies[0])
    heard = energy > 0
    gain = xp.real(softer * xp.conj(louder)) / xp.where(heard, energy, xp.ones_like(energy))
    steps = xp.round(xp.clip(gain, 0, 1) * n_gains)
    least = xp.abs(softer - (steps / n_gains) * louder)
    # The larger end of a parabola is the largest.
    largest = xp.maximum(xp.abs(softer), xp.abs(softer - louder))
    audible = largest > 0
    depths = xp.where(audible, 1 - least / xp.where(audible, largest, xp.ones_like(largest)), 0)
    away = n_gains - xp.where(heard, steps, xp.full_like(steps, n_gains))
    cells = xp.astype(n_gains + xp.where(to_right, away, -away), xp.int64)
    return cells, xp.astype(xp.clip(depths, 0, 1), energy.dtype, copy=False)


def _checked_positions(positions: object, least: int = 1) -> tuple[float, ...]:
    positions = _checks.plain(positions)
    if isinstance(positions, np.ndarray) and positions.ndim == 1:
        positions = tuple(positions.tolist())
    if not isinstance(positions, tuple) or len(positions) < least:
        raise InputError("positions", "a sequence of numbers from -1 to 1", repr(positions)[:60])
    return tuple(_checks.number("positions", place, minimum=-1, maximum=1) for place in positions)


def _checked_width(width: object) -> float:
    return _checks.number("width", _checks.plain(width), minimum=0, maximum=2, above=True)


def _checked_n_gains(n_gains: object) -> int:
    return _checks.integer("n_gains", _checks.plain(n_gains), minimum=2, maximum=_MOST_GAINS)
