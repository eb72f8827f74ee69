"""PROJET: sources as distributions over the stereo panorama, learned from many projections of the mixture.

With A the gains of angles theta_l from left to right, (cos theta, sin theta), and B projectors that are each
silent at one angle phi_m, the model is

    |B_m X[n]|^alpha ~ sigma[n, m] = sum_j P[n, j] sum_l K[m, l] Q[l, j],        K = |B A|^alpha

P being how much of each source is in a bin, and Q where each source is. Both are found by multiplicative
updates that never let the beta-divergence of the two sides rise (FitzGerald, Liutkus & Badeau 2016). A
projection of a source is its share of that of the mixture, and all of them together are projected back by
least squares:

    Y_j = B^+ diag(P[n, j] (K Q)[:, j] / sigma[n, :]) B X[n]

which is a matrix of 2 by 2 for each bin. Bins that differ in energy and phase alone are one: see
`_projections.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import cast, final

import numpy as np
import numpy.typing as npt

from dspsep import _audio, _backend, _checks
from dspsep._pictures import Picture, Pictures, Recipe, Scale, of_losses, picture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import MaskModel
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators._names import numbered
from dspsep.separators.spatial._projections import (
    MOST_ANGLES,
    MOST_SOURCES,
    N_CELLS,
    angles,
    cell_projections,
    cells_of,
    check_losses,
    check_profiles,
    directions,
    looked_up,
    projectors,
    share_of_bins,
    shares,
)
from dspsep.separators.spatial._projet import factor
from dspsep.separators.spatial._stereo import frame_blocks, in_blocks, sums_by_cell, warn_unless_panned
from dspsep.stft import STFT, Spectrogram

__all__ = ["PROJET", "PROJETModel"]

_FAINTEST = 1e-280


@final
@dataclass(frozen=True, kw_only=True)
class PROJET(SpectralSeparator):
    """Separation of a stereo mixture into sources that are spread over the panorama.

    Learns what is where between left and right from projections of the mixture, in each of which something is
    silent. For music that was mixed with pan pots, also where instruments overlap in time and frequency, and
    for sources that are wide.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=4096, hop_length=1024, window="hann")
        The transform: 93 ms frames every 23 ms at 44.1 kHz, as the authors have it.
    n_sources : int, default=3
        How many sources there are, at most 100.
    n_angles : int, default=30
        At how many angles from left to right sources may be, from 2 to 1000.
    n_projections : int, default=10
        How many projections there are, from 2 to 1000.
    opposite_phases : bool, default=False
        Whether sources may be in opposite phases in the two channels, too, as in some recordings and in
        mixtures with any matrix. Then there are twice as many angles and projections, less two.
    alpha : float, default=1.0
        The exponent of magnitudes, above 0 and at most 2: 1 is for sounds with large dynamics, 2 has powers.
    beta : float, default=1.0
        The divergence, from -1 to 3: 1 is Kullback-Leibler, 0 Itakura-Saito, which suits alpha 2.
    n_iter : int, default=500
        How many iterations.
    seed : int, default=0
        Of the random start.

    Raises
    ------
    InputError
        If a setting is out of range.

    Warns
    -----
    DspsepWarning
        ``W_NOT_PANNED`` from `fit` if phases differ between the channels: a mixture with delays or rooms.

    See Also
    --------
    projet : The algorithm as a function of projections.
    ADRess : The same by one null for each bin.
    DUET : For sources that differ in delay.

    Notes
    -----
    The sources are ``source_0``, ``source_1``, … from left to right, by the mean of the angles where they
    are. Each is a filter of two channels in every bin, not a mask: what is silent in some projection stays
    so. The masks of the model are what such a filter leaves of the projections in the mean, and separate
    less.

    Deviations from the paper: the divergence is that of its Kullback-Leibler variant, with exponents that
    keep it from rising; bins that differ in energy and phase alone are merged on a grid of 360 by 32 points,
    which changes no gradient but for the size of its cells, and makes the cost of learning independent of
    the length of the mixture; how much of a source is in a bin is found again from where the sources are,
    with as many iterations, so that a model is small, and fits other mixtures. The delays of the
    authors' later paper are not there.

    Cost: O(n_iter n_projections n_sources), whatever the length, and O(n_freqs n_frames n_sources) for the
    filters. Peak memory beside the input and the sources: 133 MB for 30 s of stereo at 44.1 kHz in single
    precision, of which the spectrum is 42.

    References
    ----------
    D. FitzGerald, A. Liutkus, R. Badeau, "PROJET - spatial audio separation using projections", IEEE
    International Conference on Acoustics, Speech and Signal Processing (ICASSP), 2016.

    C. Févotte, J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
    Computation 23(9), 2011, pp. 2421-2456. doi:10.1162/NECO_a_00168

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.panned(n_sources=3, duration=3.0)
    >>> sources = dspsep.PROJET(n_sources=3).separate(scene.mixture, scene.sample_rate)
    >>> [round(angle) for angle in sources.model.mean_angles]
    [15, 49, 73]
    """

    min_channels = max_channels = 2

    stft: STFT = field(default_factory=lambda: STFT(4096, 1024))
    n_sources: int = 3
    n_angles: int = 30
    n_projections: int = 10
    opposite_phases: bool = False
    alpha: float = 1.0
    beta: float = 1.0
    n_iter: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_sources", "n_angles", "n_projections", "alpha", "beta", "n_iter", "seed"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        _checks.integer("n_sources", self.n_sources, minimum=1, maximum=MOST_SOURCES)
        _checks.integer("n_angles", self.n_angles, minimum=2, maximum=MOST_ANGLES)
        _check_shape_of_model(self)
        _checks.integer("seed", self.seed, minimum=0)
        for name in ("alpha", "beta"):
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources by number."""
        return numbered(self.n_sources)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> PROJETModel:
        """Return where the sources are.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of two channels, made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` and the loss after each iteration. Returning True ends them.

        Returns
        -------
        PROJETModel
            With the profile of each source, and how the objective fell.

        Raises
        ------
        InputError
            If there are not two channels.
        """
        warn_unless_panned(spectrogram)
        weights = self._weights(spectrogram)
        theta = angles(self.n_angles, self.opposite_phases)
        rng = np.random.default_rng(self.seed)
        start = 1 + np.abs(rng.standard_normal((len(theta), self.n_sources)))
        model = PROJETModel(
            profiles=start / start.sum(axis=0),
            n_projections=self.n_projections,
            opposite_phases=self.opposite_phases,
            alpha=self.alpha,
            beta=self.beta,
            n_iter=self.n_iter,
            losses=(),
        )
        heard = weights > 0
        if not heard.any():
            return model
        V, K = model._data()
        states = factor(
            V[heard],
            K,
            np.ones((np.count_nonzero(heard), self.n_sources)),
            model.profiles,
            weights=(weights[heard] / weights.sum())[:, None],
            beta=self.beta,
            n_iter=self.n_iter,
        )
        losses: list[float] = []
        profiles = model.profiles
        for _, found, loss in states:
            profiles = found
            losses.append(loss)
            if callback is not None and len(losses) > 1:
                told = Progress(stage="fit", iteration=len(losses) - 1, n_iterations=self.n_iter, loss=loss)
                if callback(told):
                    break
        order = np.argsort(theta @ profiles, kind="stable")
        return replace(model, profiles=profiles[:, order], losses=tuple(losses))

    def _weights(self, spectrogram: Spectrogram) -> npt.NDArray[np.float64]:
        """Return the weight of each cell of the disk."""
        weights = np.zeros(N_CELLS)
        for _, L, R in frame_blocks(spectrogram):
            xp = _backend.namespace(L, R)
            cells, energy = cells_of(L, R)
            # Exponents may be negative, and the inverse of a number below all normal ones is infinite.
            power = xp.clip(xp.astype(energy, xp.float64), _FAINTEST, None) ** (self.alpha * self.beta / 2)
            weights += sums_by_cell(cells, xp.where(energy > 0, power, xp.zeros_like(power)), N_CELLS)
        return weights

    def _resynthesise(
        self,
        audio: _audio.Mixture,
        spectrogram: Spectrogram,
        model: MaskModel,
        report: Callback,
        masks: Iterator[Array] | None = None,
    ) -> dict[str, Array]:
        *names, last = model.source_names
        sources: dict[str, Array] = {}
        remainder = audio.samples
        images = cast("PROJETModel", model).iter_images(spectrogram)
        for done, name in enumerate(names):
            report(Progress(stage=name, iteration=done, n_iterations=len(names), model=model))
            source = self.stft._inverse(spectrogram.with_values(next(images)), None)
            remainder = remainder - source
            sources[name] = audio.restore(source)
        xp = _backend.namespace(remainder)
        sources[last] = audio.restore(remainder if names else xp.asarray(remainder, copy=True))
        return sources


def _check_shape_of_model(value: PROJET | PROJETModel) -> None:
    _checks.integer("n_projections", value.n_projections, minimum=2, maximum=MOST_ANGLES)
    if not isinstance(value.opposite_phases, (bool, np.bool_)):
        raise InputError("opposite_phases", "True or False", repr(value.opposite_phases)[:60])
    _checks.number("alpha", value.alpha, minimum=0, above=True, maximum=2)
    _checks.number("beta", value.beta, minimum=-1, maximum=3)
    _checks.integer("n_iter", value.n_iter, minimum=1)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class PROJETModel(MaskModel):
    """Where the sources of a `PROJET` are; applies to any spectrogram of two channels.

    Parameters
    ----------
    profiles : array of shape (n_angles, n_sources)
        What part of each source is at which angle, the Q of the papers.
    n_projections : int
        How many projections there are.
    opposite_phases : bool
        Whether angles go over opposite phases, too.
    alpha, beta : float
        The exponent of magnitudes and the divergence.
    n_iter : int
        How many iterations find how much of each source is in a bin.
    losses : tuple of float
        The objective at the start and after each iteration, for a mixture of unit weight. Never rises.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.panned(duration=3.0, sample_rate=8000)
    >>> model = dspsep.PROJET(n_sources=3, n_iter=20).separate(scene.mixture, scene.sample_rate).model
    >>> model.profiles.shape, model.losses[-1] < model.losses[0]
    ((30, 3), True)
    """

    profiles: Array
    n_projections: int
    opposite_phases: bool
    alpha: float
    beta: float
    n_iter: int
    losses: tuple[float, ...] = field(repr=False)

    def __post_init__(self) -> None:
        # A model may come from a file.
        _check_shape_of_model(self)
        check_profiles(self.profiles, self.opposite_phases)
        check_losses(self.losses)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources by number."""
        return numbered(self.profiles.shape[1])

    @property
    def angles(self) -> npt.NDArray[np.float64]:
        """The angles of `profiles` in degrees: 0 left, 45 the centre, 90 right; below 0 opposite phases."""
        return np.degrees(self._angles)

    @property
    def mean_angles(self) -> tuple[float, ...]:
        """The mean angle of each source in degrees."""
        return tuple(float(angle) for angle in self.angles @ self.profiles)

    @property
    def _angles(self) -> npt.NDArray[np.float64]:
        number = self.profiles.shape[0]
        return angles(number // 2 + 1 if self.opposite_phases else number, self.opposite_phases)

    def _data(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return V, the projections of each cell, and K, those of each angle."""
        phi = angles(self.n_projections, self.opposite_phases)
        K = np.abs(projectors(phi) @ directions(self._angles)) ** self.alpha
        return cell_projections(phi, self.alpha), K

    def _parts(self) -> npt.NDArray[np.float64]:
        """Return the sources' parts of all projections of all cells, (n_sources, N_CELLS, n_projections)."""
        V, K = self._data()
        n_sources = self.profiles.shape[1]
        start = np.ones((N_CELLS, n_sources))
        for P, _, _ in factor(  # noqa: B007
            V, K, start, self.profiles, weights=None, beta=self.beta, n_iter=self.n_iter, learn=False
        ):
            pass
        return np.stack([P[:, j, None] * (K @ self.profiles)[:, j] for j in range(n_sources)])

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield what part of all projections of each bin is of each source.

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
        parts = self._parts().sum(axis=2)
        for share in shares(parts):
            yield in_blocks(spectrogram, partial(share_of_bins, share))

    def iter_images(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the spectrum of each source in both channels: what `PROJET` makes audio of.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of two channels.

        Yields
        ------
        array of shape (2, n_freqs, n_frames)
            They sum to that of the mixture.

        Raises
        ------
        InputError
            If there are not two channels.
        """
        B = projectors(angles(self.n_projections, self.opposite_phases))
        back = np.linalg.pinv(B)
        cells = in_blocks(spectrogram, lambda L, R: cells_of(L, R)[0])[0, :, :]
        xp = _backend.namespace(cells)
        for share in shares(self._parts()):
            filters = np.einsum("am,nm,mb->abn", back, share, B)
            image = xp.empty((2, *reversed(cells.shape)), dtype=spectrogram.values.dtype, device=cells.device)
            for frames, L, R in frame_blocks(spectrogram):
                for channel in range(2):
                    left, right = (
                        looked_up(filters[channel, other], L, R, cells[:, frames]) for other in range(2)
                    )
                    image[channel, frames, :] = xp.permute_dims(left * L + right * R, (1, 0))
            yield xp.permute_dims(image, (0, 2, 1))

    def _pictures(self) -> Pictures:
        profiles = {"profiles": Recipe(self._drawn_profiles)}
        return {**profiles, "losses": of_losses(self.losses), **self._mask_pictures()}

    def _drawn_profiles(self, _: Scale) -> Picture:
        order = np.argsort(self.angles)
        profiles = np.asarray(_backend.to_host(self.profiles))[order]
        shares = dict(zip(self.source_names, profiles.T, strict=True))
        return picture("shares", shares, self.angles[order], xlabel="Angle (°, 45 is the centre)")
