"""Median of the nearest neighbours: a background that comes again somewhere, whatever lies between.

With u_t the magnitudes of frame t, divided by their norm, frame t has the k neighbours s of the highest
``u_s . u_t`` that are at least `distance_seconds` away from it, itself not among them. With S the lesser of V
and their median,

    M_b = S**p / (S**p + (m_b (V - S))**p),        M_f = (V - S)**p / ((V - S)**p + (m_f S)**p)

are the masks of background and foreground, where p is `power` and m_b and m_f are margins: what neither takes
for certain is the residual.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import final

import numpy as np

from dspsep import _backend, _checks
from dspsep._pictures import Pictures, of_neighbors
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.kernels import kernels_for
from dspsep.model import MaskModel, check_fits
from dspsep.progress import Callback, Progress
from dspsep.separators._background import BACKGROUND, FOREGROUND, BackgroundSeparator, n_bins_below
from dspsep.separators.repetition._similar import check_neighbors, directions_of
from dspsep.stft import Spectrogram

__all__ = ["NearestNeighborMedian", "NearestNeighborMedianModel", "nearest_to"]

RESIDUAL = "residual"
# Values of the similarity matrix that exist at a time, and bins that are masked at a time.
_BLOCK = 2**20
_MOST_NEIGHBORS = 1000
_LARGEST_MARGIN, _LARGEST_POWER = 1e6, 1e3


@final
@dataclass(frozen=True, kw_only=True)
class NearestNeighborMedian(BackgroundSeparator):
    """Separation of a voice from an accompaniment, each frame of which is like some others.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    cutoff_hertz : float or None, default=100.0
        What is centred at this frequency or below is background, where no voice reaches. None for no such
        rule.
    n_neighbors : int, optional
        How many neighbours a frame has, from 1 to 1000. By default twice the root of how many frames there
        are to choose from.
    distance_seconds : float, default=2.0
        How far away neighbours are at least: nearer ones have the same note of the voice.
    margin : float or (float, float), default=1.0
        How much stronger background must be than foreground, and foreground than background, to be taken for
        certain; at least 1. What is certain to neither is the ``residual``, of which there is none with 1.
        Kept as two numbers.
    power : float, default=2.0
        Of the soft masks: above 0; the higher, the harder.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    REPETSim : With frames as alike as any that are far enough from one another.

    Notes
    -----
    The sources are ``background``, ``foreground`` and, unless both margins are 1, ``residual``. Frames are
    compared by the mean of the channels' magnitudes; each channel has masks of its own.

    With ``margin=(2, 10)`` and ``cutoff_hertz=None`` this is the recipe of librosa's example of vocal
    separation, but for one thing: of the frames that are near, librosa (0.11) keeps any `n_neighbors`, unless
    its matrix of neighbours is made with ``mode="distance"``; here it is the nearest. Deviations from the
    paper: the cosine instead of the distance of Euclid, and the masks of that recipe.

    Cost: O(n_freqs n_frames**2). Peak memory beside the input and the sources: the spectrum, and four real
    arrays of its size, or six with margins.

    References
    ----------
    D. FitzGerald, "Vocal separation using nearest neighbours and median filtering", 23rd IET Irish Signals
    and Systems Conference, 2012.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=8.0)
    >>> list(dspsep.NearestNeighborMedian().separate(scene.mixture, scene.sample_rate))
    ['background', 'foreground']
    """

    n_neighbors: int | None = None
    distance_seconds: float = 2.0
    margin: float | tuple[float, float] = 1.0
    power: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_neighbors is not None:
            most = _checks.plain(self.n_neighbors)
            most = _checks.integer("n_neighbors", most, minimum=1, maximum=_MOST_NEIGHBORS)
            object.__setattr__(self, "n_neighbors", most)
        distance = _checks.number("distance_seconds", _checks.plain(self.distance_seconds), minimum=0)
        power = _checks.plain(self.power)
        power = _checks.number("power", power, minimum=0, maximum=_LARGEST_POWER, above=True)
        object.__setattr__(self, "distance_seconds", distance)
        object.__setattr__(self, "power", power)
        object.__setattr__(self, "margin", _pair(self.margin))

    @property
    def source_names(self) -> tuple[str, ...]:
        """Background, foreground and, unless both margins are 1, what is neither."""
        return _names(_pair(self.margin))

    def fit(
        self, spectrogram: Spectrogram, *, callback: Callback | None = None
    ) -> NearestNeighborMedianModel:
        """Return the neighbours of each frame.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` and the frames that are compared. What it returns makes no difference.

        Returns
        -------
        NearestNeighborMedianModel
            With the neighbours.
        """
        xp = _backend.namespace(spectrogram.values)
        n_frames = spectrogram.n_frames
        width = max(1, int(self.distance_seconds * spectrogram.sample_rate / self.stft.hop_length))
        n_others = max(1, n_frames - 2 * width + 1)
        wanted = 2 * math.ceil(math.sqrt(n_others)) if self.n_neighbors is None else self.n_neighbors
        most = max(1, min(wanted, n_frames - 1, _MOST_NEIGHBORS))
        directions = directions_of(xp.permute_dims(spectrogram.magnitude(), (0, 2, 1)))
        lists = xp.empty((n_frames, most), dtype=xp.int32, device=directions.device)
        step = max(1, _BLOCK // n_frames)
        for start in range(0, n_frames, step):
            block = slice(start, min(start + step, n_frames))
            lists[block, :] = xp.astype(nearest_to(directions, block, width, most), xp.int32)
            if callback is not None:
                callback(Progress(stage="fit", iteration=block.stop, n_iterations=n_frames))
        margin = _pair(self.margin)
        return NearestNeighborMedianModel(
            neighbors=lists, margin=margin, power=self.power, cutoff_hertz=self.cutoff_hertz
        )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class NearestNeighborMedianModel(MaskModel):
    """The neighbours that a `NearestNeighborMedian` found, and the settings of its masks.

    Parameters
    ----------
    neighbors : array of shape (n_frames, n_neighbors)
        The frames that are most like each frame; -1 for none.
    margin : tuple of float
        Of background and foreground.
    power : float
        Of the soft masks.
    cutoff_hertz : float or None
        Bins centred at this frequency or below are background.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=3.0, sample_rate=8000)
    >>> model = dspsep.NearestNeighborMedian().separate(scene.mixture, scene.sample_rate).model
    >>> model.neighbors.shape
    (47, 2)
    """

    neighbors: Array = field(repr=False)
    margin: tuple[float, float]
    power: float
    cutoff_hertz: float | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "margin", _pair(self.margin))
        _checks.number("power", self.power, minimum=0, maximum=_LARGEST_POWER, above=True)
        if self.cutoff_hertz is not None:
            _checks.number("cutoff_hertz", self.cutoff_hertz, minimum=0)
        check_neighbors(self.neighbors)

    @property
    def source_names(self) -> tuple[str, ...]:
        """Background, foreground and, unless both margins are 1, what is neither."""
        return _names(self.margin)

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the masks.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture that was learned from.

        Yields
        ------
        array of shape (n_channels, n_freqs, n_frames)
            In [0, 1]; they sum to one.

        Raises
        ------
        InputError
            If it has another number of frames.
        """
        check_fits(spectrogram, self.neighbors.shape[0])
        xp = _backend.namespace(spectrogram.values)
        V = xp.permute_dims(spectrogram.magnitude(), (0, 2, 1))
        kernels = kernels_for(V)
        repeating = xp.minimum(kernels.median_of_frames(V, _backend.asarray_like(self.neighbors, V)), V)
        other = V - repeating
        n_below = n_bins_below(self.cutoff_hertz, spectrogram.stft, spectrogram.sample_rate)
        certain, margin = self.margin
        background = kernels.soft_mask(repeating, other, certain, self.power, 1.0)
        background[:, :, :n_below] = 1
        yield xp.permute_dims(background, (0, 2, 1))
        foreground = kernels.soft_mask(other, repeating, margin, self.power, 0.0)
        foreground[:, :, :n_below] = 0
        if len(self.source_names) == 2:
            yield xp.permute_dims(1 - background, (0, 2, 1))
            return
        yield xp.permute_dims(foreground, (0, 2, 1))
        yield xp.permute_dims(xp.clip(1 - background - foreground, 0, 1), (0, 2, 1))

    def _pictures(self) -> Pictures:
        return {"similar frames": of_neighbors(self.neighbors), **self._mask_pictures()}


def nearest_to(directions: Array, block: slice, width: int, most: int) -> Array:
    """Return the frames that are most like those of a block, at least `width` away; -1 for none."""
    xp = _backend.namespace(directions)
    similarity = directions[block, :] @ xp.permute_dims(directions, (1, 0))
    own = xp.arange(block.start, block.stop, device=directions.device)[:, None]
    every = xp.arange(directions.shape[0], device=directions.device)[None, :]
    similarity = xp.where(xp.abs(own - every) < width, xp.full_like(similarity, -1), similarity)
    if _backend.is_numpy(similarity):
        # In no order, which a median has no use for.
        order = np.argpartition(-similarity, most - 1, axis=1)[:, :most]
    else:
        order = xp.argsort(-similarity, axis=1, stable=True)[:, :most]
    found = xp.take_along_axis(similarity, order, axis=1)
    nearest: Array = xp.where(found >= 0, order, xp.full_like(order, -1))
    return nearest


def _names(margin: tuple[float, float]) -> tuple[str, ...]:
    return (BACKGROUND, FOREGROUND) if margin == (1.0, 1.0) else (BACKGROUND, FOREGROUND, RESIDUAL)


def _pair(margin: object) -> tuple[float, float]:
    """Return a margin, or two, as two."""
    plain = _checks.plain(margin)
    pair = plain if isinstance(plain, tuple) else (plain, plain)
    if len(pair) != 2:
        raise InputError("margin", "a number, or two: of background and foreground", repr(margin)[:60])
    first, second = (_checks.number("margin", value, minimum=1, maximum=_LARGEST_MARGIN) for value in pair)
    return first, second
