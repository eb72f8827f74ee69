"""What supervised separators share: templates among the settings, their checks, and the factorisation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators.nmf._core import Prepared, Weights, factorise, prepare
from dspsep.separators.nmf._grouping import RESIDUAL, Groups
from dspsep.separators.nmf._settings import check_divergence, check_iterations, check_penalties
from dspsep.separators.nmf.blind import NMFModel
from dspsep.separators.nmf.templates import MAX_N_COMPONENTS, Templates
from dspsep.sources import check_source_name
from dspsep.stft import STFT, Spectrogram

__all__ = [
    "Dictionaries",
    "Supervision",
    "check_agreement",
    "check_rate",
    "checked_dictionaries",
    "even_start",
    "groups_of",
    "known_templates",
    "with_residual",
]

# Templates sum to one. What is less than this in all of them would be zero in single precision.
_SILENT = float(np.finfo(np.float32).tiny)

Dictionaries = tuple[tuple[str, Templates], ...]


@dataclass(frozen=True, kw_only=True)
class Supervision(SpectralSeparator):
    """Base class of factorisations in which the templates of some sources are known.

    Parameters
    ----------
    stft : STFT, optional
        That of the templates.
    templates : mapping of str to Templates
        Those of each source that has some. Kept as a tuple of pairs.
    beta : float, default=1.0
        See `NMF`, as for what follows.
    n_iter : int, default=200
        The most iterations.
    tol : float, default=1e-4
        Of the objective.
    solver : {"auto", "mu", "accelerated", "hals"}, default="auto"
        How it is lowered.
    l1 : float, default=0.0
        The weight of the sum of activations.
    """

    templates: Mapping[str, Templates] | Dictionaries
    # Nothing is restated: what the templates say is put here.
    stft: STFT = None  # type: ignore[assignment]
    beta: float = 1.0
    n_iter: int = 200
    tol: float = 1e-4
    solver: Literal["auto", "mu", "accelerated", "hals"] = "auto"
    l1: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "templates", checked_dictionaries(self.templates))
        if self.stft is None:
            object.__setattr__(self, "stft", self._dictionaries[0][1].stft)
        super().__post_init__()
        for name in ("beta", "n_iter", "tol", "solver", "l1"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        check_penalties(self.l1, 0.0, 0.0)
        check_divergence(self.beta, self.solver, squares=False)
        check_iterations(self.n_iter, self.tol)
        for name in ("beta", "tol", "l1"):
            # Whole numbers become floats, so that equal settings print and are stored alike.
            object.__setattr__(self, name, float(getattr(self, name)))
        check_agreement(self._dictionaries, self.stft)

    @property
    def _dictionaries(self) -> Dictionaries:
        return cast("Dictionaries", self.templates)

    @property
    def _n_fixed(self) -> int:
        return sum(templates.n_components for _, templates in self._dictionaries)

    @property
    def _groups(self) -> Groups:
        """The sources with templates, and their components."""
        return groups_of(self._dictionaries)

    def _check(self, spectrogram: Spectrogram) -> None:
        if spectrogram.stft != self.stft:
            raise InputError("spectrogram", f"made by this transform, {self.stft}", f"{spectrogram.stft}")
        check_rate(self._dictionaries, spectrogram.sample_rate)

    def _known(self) -> Array:
        return known_templates(self._dictionaries)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> NMFModel:
        """Return templates, known and learned, and activations, and how the objective fell.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``, at the rate of the templates.
        callback : callable, optional
            Called with stage ``"fit"`` and the loss after each iteration. Returning True ends them.

        Returns
        -------
        NMFModel
            With the factors, which masks are made of.

        Raises
        ------
        InputError
            If the templates are for another transform or rate.
        """
        self._check(spectrogram)
        exponent = self._dictionaries[0][1].exponent
        V = spectrogram.magnitude()
        prepared = prepare(V if exponent == 1 else V**exponent, self.beta)
        del V
        W, fixed, groups = self._components(prepared)
        xp = _backend.namespace(W)

        def report(iteration: int, loss: float, _W: Array, _H: Array) -> bool:
            told = Progress(stage="fit", iteration=iteration, n_iterations=self.n_iter, loss=loss)
            return callback is not None and bool(callback(told))

        factors = factorise(
            prepared,
            W,
            even_start(prepared, W),
            beta=self.beta,
            solver=self.solver,
            n_iter=self.n_iter,
            tol=self.tol,
            weights=self._weights(prepared, W),
            fixed_templates=_backend.asarray_like(fixed, W),
            report=report if callback is not None else None,
        )
        H = prepared.restored(factors.H)
        return NMFModel(
            templates=xp.permute_dims(factors.W, (1, 0)),
            activations=xp.permute_dims(H, (1, 0)),
            losses=factors.losses,
            groups=groups,
            exponent=exponent,
        )

    def _weights(self, prepared: Prepared, W: Array) -> Weights:
        """Return the penalties, for frame-major templates to begin with."""
        return Weights(l1=self.l1)

    @abstractmethod
    def _components(self, prepared: Prepared) -> tuple[Array, Array, Groups]:
        """Return frame-major templates to begin with, which of them are fixed (on the host), and sources."""


def checked_dictionaries(templates: Any) -> Dictionaries:
    """Return templates as pairs of a name and `Templates`; refuse what are none."""
    try:  # settings that were stored, or are replaced, come back as pairs
        given: dict[str, Any] = dict(templates)
        complete = len(given) == len(templates)
    except (TypeError, ValueError):
        given, complete = {}, False
    if not given or not complete:
        requirement = "a mapping from the name of each source to its templates"
        remedy = "For example templates={'drums': learn_templates(drums, sample_rate)}."
        raise InputError("templates", requirement, repr(templates)[:60], remedy)
    for name, known in given.items():
        check_source_name(name)
        if not isinstance(known, Templates):
            remedy = "learn_templates() makes them of audio, Templates(values=...) of an array."
            raise InputError(f"templates[{name!r}]", "Templates", repr(known)[:60], remedy)
        if name == RESIDUAL:
            raise InputError("templates", "of sources named otherwise than what they leave over", repr(name))
    n_components = sum(known.n_components for known in given.values())
    if n_components > MAX_N_COMPONENTS:
        raise InputError("templates", f"at most {MAX_N_COMPONENTS} columns in all", f"{n_components}")
    return tuple(given.items())


def check_agreement(dictionaries: Dictionaries, stft: STFT) -> None:
    """Refuse templates that do not belong together, or are for another transform."""
    (first, known), *others = dictionaries
    if known.stft != stft:
        remedy = "Learn templates with the transform that is to be used, or leave stft out."
        raise InputError(f"templates[{first!r}]", f"for the transform, {stft}", f"{known.stft}", remedy)
    for name, templates in others:
        for what in ("stft", "sample_rate", "exponent"):
            wanted, found = getattr(known, what), getattr(templates, what)
            if wanted != found:
                remedy = "Templates that are used together are learned with the same settings."
                requirement = f"for the {what} of templates[{first!r}], {wanted}"
                raise InputError(f"templates[{name!r}]", requirement, f"{found}", remedy)


def check_rate(dictionaries: Dictionaries, sample_rate: float) -> None:
    """Refuse a rate that templates are not for."""
    wanted = dictionaries[0][1].sample_rate
    if sample_rate != wanted:
        remedy = "Resample the mixture, or learn templates from examples at its rate."
        raise InputError(
            "sample_rate", f"{wanted:g} Hz, as the templates are for", f"{sample_rate:g}", remedy
        )


def known_templates(dictionaries: Dictionaries) -> Array:
    """Return all templates, frame-major, on the host."""
    return np.ascontiguousarray(np.concatenate([known.values.values.T for _, known in dictionaries]))


def groups_of(dictionaries: Dictionaries) -> Groups:
    """Return the sources with templates, and their components: one after the other."""
    ends = np.cumsum([templates.n_components for _, templates in dictionaries]).tolist()
    names = [name for name, _ in dictionaries]
    return tuple((name, tuple(range(a, b))) for name, a, b in zip(names, [0, *ends], ends, strict=False))


def with_residual(known: Array, groups: Groups) -> tuple[Array, Groups]:
    """Return templates and sources with one more for frequencies at which all templates are zero, if any.

    Templates are frame-major, on the host. No other one is heard where this one is, so it changes none of
    their activations.
    """
    silent = known.max(axis=0) < _SILENT
    if not silent.any():
        return known, groups
    return np.concatenate([known, (silent / silent.sum())[None, :]]), (*groups, (RESIDUAL, (len(known),)))


def even_start(prepared: Prepared, W: Array) -> Array:
    """Return activations that are all the same, of the mean of what was prepared; frame-major.

    What varies from frame to frame is then up to templates that fit it.
    """
    V = prepared.values
    xp = _backend.namespace(V, W)
    level = prepared.mean * W.shape[1] / W.shape[0]
    H: Array = xp.full((V.shape[0], W.shape[0]), level, dtype=V.dtype, device=V.device)
    return H
