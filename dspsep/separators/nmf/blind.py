"""Non-negative matrix factorisation: a spectrogram as a sum of templates, each louder and softer over time.

With V the magnitudes of a mixture, or a power of them, find

    V[f, t] ~ (W H)[f, t] = sum_k W[f, k] H[k, t],        W, H >= 0

such that the beta-divergence d(V | W H) is least: half the squared distance for beta 2, Kullback-Leibler for
1, Itakura-Saito for 0 (Lee & Seung 2000; Fevotte & Idier 2011). What `_updates.py` derives makes it fall in
every iteration. A source is a set of components, and gets their share of the model in every bin:

    M_g = sum_{k in g} W[f, k] H[k, t] / (W H)[f, t]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Literal, final

import numpy as np

from dspsep import _backend, _checks
from dspsep._frozen_array import FrozenArray
from dspsep._pictures import Pictures, of_factors, of_losses
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import MaskModel, check_fits
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators.nmf._core import Prepared, Weights, factorise, prepare
from dspsep.separators.nmf._grouping import (
    Groups,
    by_timbre,
    checked_groups,
    component_names,
    iter_group_masks,
)
from dspsep.separators.nmf._settings import (
    check_divergence,
    check_iterations,
    check_losses,
    check_penalties,
    matrix,
)
from dspsep.separators.nmf._starts import STARTS, start
from dspsep.stft import Spectrogram

__all__ = ["NMF", "NMFModel"]

# More components than this are more than any spectrogram has to tell, and would fill the memory.
_MAX_N_COMPONENTS = 10_000


@final
@dataclass(frozen=True, kw_only=True)
class NMF(SpectralSeparator):
    """Separation into components that keep their spectrum and change their level.

    Learns a few spectra and when each of them is heard, such that together they explain the mixture. Each
    component is a source, or several are grouped.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    n_components : int, default=8
        How many spectra there are, at most 10000: one for each drum, and one for each pitch of an instrument.
        8 do for a bar of a small band; a song has some 30 to 100.
    beta : float, default=1.0
        The divergence, from -1 to 3: 2 is half the squared distance, which loud bins rule; 1 is that of
        Kullback and Leibler; 0 that of Itakura and Saito, to which loud and quiet count alike.
    exponent : float, default=1.0
        What is factorised is magnitude ** exponent, from 0.1 to 2: 1 magnitudes, 2 powers, which suit beta 0.
    n_iter : int, default=200
        The most iterations.
    tol : float, default=1e-4
        They end where ten of them lower the objective by less than this part of what it was at first.
    solver : {"auto", "mu", "accelerated", "hals"}, default="auto"
        How the objective is lowered; see the notes. "hals" is for beta 2 without `l2` and `continuity`.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar"}, default="random"
        Where it begins, unless `templates` or `activations` say so: random numbers, or the non-negative parts
        of singular vectors, with zeros kept, or filled with the mean (a) or with small random numbers (ar).
    seed : int, default=0
        Of random numbers.
    templates : array of shape (n_freqs, n_components), optional
        The spectra to begin with, of magnitude ** exponent.
    activations : array of shape (n_components, n_frames), optional
        The activations to begin with: for one mixture of the length they are for.
    l1 : float, default=0.0
        The weight of the sum of activations, for templates that sum to one and data with a mean of one. It
        makes them sparse, but for beta 1, where that sum is that of the data and the weight only scales it.
    l2 : float, default=0.0
        The weight of half the sum of their squares, in the same units.
    continuity : float, default=0.0
        The weight of half the sum of squared differences from frame to frame, in the same units.
    groups : mapping, callable or "timbre", optional
        Which components make a source: names and the numbers of their components, what is in none being the
        ``residual``; a function of templates, activations and the sample rate that returns such a mapping; or
        clusters of templates that sound alike. By default each component is a source.
    n_groups : int, default=2
        How many clusters of timbre there are.

    Raises
    ------
    InputError
        If a setting is out of range, or two of them contradict each other.

    See Also
    --------
    nmf : The algorithm as a function of a spectrogram alone.

    Notes
    -----
    Solvers, each of which never lets the objective rise: ``"mu"`` multiplies by (N / D) ** gamma, for which
    that is proved. ``"accelerated"`` goes beyond in the logarithm of the factors, and below beta 1 tries
    gamma 1, taking back what raises the objective. ``"hals"`` minimises along one row after the other, two
    sweeps for each product with V. ``"auto"`` is ``"hals"`` where it can be had, else ``"accelerated"``.

    Several channels are factorised as one, the root of their mean square, and share masks: panning stays.

    Deviations from the papers: penalties are on the activations of templates that sum to one, by way of an
    objective that no rescaling changes. 2**-33 of the mean is added to models, except for beta 2, in place of
    an epsilon in each division.

    Sources are ``component_0``, ``component_1``, …, the names of the groups, or ``group_0``, … for clusters.
    Cost: O(n_iter n_components n_freqs n_frames). Peak memory beside the input and the sources: the spectrum,
    three real arrays of the size of one channel of it, and a few copies of the factors.

    References
    ----------
    D. D. Lee, H. S. Seung, "Algorithms for non-negative matrix factorization", Advances in Neural Information
    Processing Systems 13, 2000, pp. 556-562.

    C. Févotte, J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
    Computation 23(9), 2011, pp. 2421-2456. doi:10.1162/NECO_a_00168

    A. Cichocki, A.-H. Phan, "Fast local algorithms for large scale nonnegative matrix and tensor
    factorizations", IEICE Transactions on Fundamentals E92-A(3), 2009, pp. 708-721.
    doi:10.1587/transfun.E92.A.708

    J. Le Roux, F. J. Weninger, J. R. Hershey, "Sparse NMF - half-baked or well done?", Mitsubishi Electric
    Research Laboratories, TR2015-023, 2015.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> sources = dspsep.NMF(n_components=3, n_iter=50).separate(scene.mixture, scene.sample_rate)
    >>> list(sources), sources.model.templates.shape
    (['component_0', 'component_1', 'component_2'], (1025, 3))
    """

    n_components: int = 8
    beta: float = 1.0
    exponent: float = 1.0
    n_iter: int = 200
    tol: float = 1e-4
    solver: Literal["auto", "mu", "accelerated", "hals"] = "auto"
    init: Literal["random", "nndsvd", "nndsvda", "nndsvdar"] = "random"
    seed: int = 0
    templates: FrozenArray | None = None
    activations: FrozenArray | None = None
    l1: float = 0.0
    l2: float = 0.0
    continuity: float = 0.0
    groups: Any = None
    n_groups: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting in fields(self):
            if setting.name not in ("groups", "templates", "activations"):
                object.__setattr__(self, setting.name, _checks.plain(getattr(self, setting.name)))
        _checks.integer("n_components", self.n_components, minimum=1, maximum=_MAX_N_COMPONENTS)
        check_penalties(self.l1, self.l2, self.continuity)
        check_divergence(self.beta, self.solver, squares=self._weights.squares)
        check_iterations(self.n_iter, self.tol)
        _checks.number("exponent", self.exponent, minimum=0.1, maximum=2)
        _checks.choice("init", self.init, STARTS)
        _checks.integer("seed", self.seed, minimum=0)
        _checks.integer("n_groups", self.n_groups, minimum=1, maximum=self.n_components)
        for name in ("beta", "exponent", "tol", "l1", "l2", "continuity"):
            # Whole numbers become floats, so that equal settings print and are stored alike.
            object.__setattr__(self, name, float(getattr(self, name)))
        self._freeze("templates", (self.stft.n_freqs, self.n_components), "(n_freqs, n_components)")
        self._freeze("activations", (self.n_components, None), "(n_components, n_frames)")
        if isinstance(self.groups, str):
            _checks.choice("groups", self.groups, ("timbre",))
        elif self.groups is not None and not callable(self.groups):
            object.__setattr__(self, "groups", checked_groups(self.groups, self.n_components))

    def _freeze(self, name: str, shape: tuple[int | None, int | None], what: str) -> None:
        value = getattr(self, name)
        if value is not None:
            values = (
                value.values
                if isinstance(value, FrozenArray)
                else _backend.to_host(_backend.as_array(name, value))
            )
            object.__setattr__(self, name, FrozenArray(matrix(name, values, shape, what)))

    @property
    def _weights(self) -> Weights:
        return Weights(l1=self.l1, l2=self.l2, continuity=self.continuity)

    @property
    def source_names(self) -> tuple[str, ...] | None:
        """Those of components, groups or clusters; None if a function groups them."""
        if callable(self.groups):
            return None
        if self.groups == "timbre":
            return tuple(f"group_{number}" for number in range(self.n_groups))
        return tuple(name for name, _ in self._fixed_groups)

    @property
    def _fixed_groups(self) -> Groups:
        if self.groups is not None:
            return self.groups  # type: ignore[no-any-return]  # `__post_init__` has seen to it
        return tuple((f"component_{k}", (k,)) for k in range(self.n_components))

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> NMFModel:
        """Return templates and activations, and how the objective fell.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` and the loss after each iteration. Returning True ends them.

        Returns
        -------
        NMFModel
            With the factors, which masks are made of.

        Raises
        ------
        InputError
            If `activations` are for another number of frames.

        Examples
        --------
        >>> import numpy as np
        >>> from dspsep import NMF, STFT
        >>> nmf = NMF(stft=STFT(512), n_components=2)
        >>> model = nmf.fit(nmf.stft.forward(np.sin(0.1 * np.arange(8000)), 8000))
        >>> model.activations.shape, model.losses[-1] < 0.1 * model.losses[0]
        ((2, 63), True)
        """
        V = spectrogram.magnitude()
        prepared = prepare(V if self.exponent == 1 else V**self.exponent, self.beta)
        del V
        W, H = self._start(prepared)

        def report(iteration: int, loss: float, _W: Array, _H: Array) -> bool:
            told = Progress(stage="fit", iteration=iteration, n_iterations=self.n_iter, loss=loss)
            return callback is not None and bool(callback(told))

        factors = factorise(
            prepared,
            W,
            H,
            beta=self.beta,
            solver=self.solver,
            n_iter=self.n_iter,
            tol=self.tol,
            weights=self._weights,
            report=report if callback is not None else None,
        )
        return self._model(factors.W, prepared.restored(factors.H), factors.losses, spectrogram.sample_rate)

    def _start(self, prepared: Prepared) -> tuple[Array, Array]:
        V = prepared.values
        W, H = start(self.init, V, self.n_components, self.seed)
        xp = _backend.namespace(V)
        if self.templates is not None:
            W = xp.astype(_backend.asarray_like(np.ascontiguousarray(self.templates.values.T), V), V.dtype)
        if self.activations is not None:
            n_frames = self.activations.values.shape[1]
            if n_frames != V.shape[0]:
                raise InputError("activations", f"for {V.shape[0]} frames, as the mixture has", f"{n_frames}")
            H = xp.astype(_backend.asarray_like(np.ascontiguousarray(self.activations.values.T), V), V.dtype)
            H = prepared.scaled(H)
        elif self.templates is not None:
            # The random activations are for templates of another size.
            size = _backend.scalar(xp.sum(W, dtype=xp.float64)) / W.shape[1]
            H = xp.full_like(H, prepared.mean / size) if size else H
        return W, H

    def _model(self, W: Array, H: Array, losses: tuple[float, ...], sample_rate: float) -> NMFModel:
        xp = _backend.namespace(W, H)
        templates, activations = xp.permute_dims(W, (1, 0)), xp.permute_dims(H, (1, 0))
        if self.groups == "timbre":
            groups = by_timbre(W ** (1 / self.exponent), sample_rate, self.n_groups, self.seed)
        elif callable(self.groups):
            found = self.groups(_backend.to_host(templates), _backend.to_host(activations), sample_rate)
            groups = checked_groups(found, self.n_components)
        else:
            groups = self._fixed_groups
        return NMFModel(
            templates=templates, activations=activations, losses=losses, groups=groups, exponent=self.exponent
        )


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class NMFModel(MaskModel):
    """The templates and activations of an `NMF`, and how its objective fell.

    Parameters
    ----------
    templates : array of shape (n_freqs, n_components)
        The spectra, of magnitude ** exponent.
    activations : array of shape (n_components, n_frames)
        How much of each there is.
    losses : tuple of float
        The objective at the start and after each iteration, for data scaled by the power of two that brings
        their mean to between 1/2 and 1. Never rises.
    groups : tuple of (str, tuple of int)
        The sources, and the components of each.
    exponent : float
        Of the magnitudes.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=2.0, sample_rate=8000)
    >>> model = dspsep.NMF(n_components=3, n_iter=20).separate(scene.mixture, scene.sample_rate).model
    >>> model.templates.shape, model.activations.shape
    ((1025, 3), (3, 32))
    """

    templates: Array
    activations: Array
    losses: tuple[float, ...] = field(repr=False)
    groups: Groups
    exponent: float

    def __post_init__(self) -> None:
        # A model may come from a file.
        matrix("templates", self.templates, (None, None), "(n_freqs, n_components)")
        n_components = self.templates.shape[1]
        matrix("activations", self.activations, (n_components, None), "(n_components, n_frames)")
        check_losses(self.losses)
        _checks.number("exponent", self.exponent, minimum=0.1, maximum=2)
        object.__setattr__(self, "groups", checked_groups(self.groups, n_components))

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return tuple(name for name, _ in self.groups)

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the share of each source in the model; for a spectrogram of as many frames and bins.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture that was learned from: activations are those of its frames.

        Returns
        -------
        iterator of array of shape (1, n_freqs, n_frames)
            In [0, 1]; they sum to one. They are made one at a time.

        Raises
        ------
        InputError
            If the spectrogram has another number of either.
        """
        remedy = "Fit the separator to this spectrogram; its `templates` may be those of this model."
        check_fits(spectrogram, self.activations.shape[1], self.templates.shape[0], remedy=remedy)
        xp = _backend.namespace(self.templates, self.activations)
        W, H = (xp.permute_dims(factor, (1, 0)) for factor in (self.templates, self.activations))
        return iter_group_masks(W, H, self.groups)

    def _pictures(self) -> Pictures:
        names = component_names(self.groups)
        return {
            **of_factors(self.templates, self.activations, names, self.exponent),
            "losses": of_losses(self.losses),
            **self._mask_pictures(),
        }
