"""What separators of instantaneous mixtures share: whitening, order and sign, warnings, and images."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from dspsep import _audio, _backend, _checks
from dspsep._audio import Mixture
from dspsep._typing import Array
from dspsep.errors import InputError, warn
from dspsep.progress import Callback, Progress
from dspsep.separator import Separator
from dspsep.separators.ica._doubts import warn_of_delays, warn_of_gaussians
from dspsep.separators.ica._iterations import Report, Solution
from dspsep.separators.ica._model import InstantaneousModel, names_of
from dspsep.separators.ica._moments import GAUSSIAN, log_cosh_means
from dspsep.separators.ica._whitening import MOST_EXPONENT, Whitening, apply, whitening
from dspsep.sources import Sources

__all__ = ["InstantaneousSeparator"]

# Fewer samples for each channel than this say nothing about its statistics.
_LEAST_SAMPLES = 16


@dataclass(frozen=True, kw_only=True)
class InstantaneousSeparator(Separator):
    """Base class of methods that find one matrix that demixes all samples.

    A subclass writes `_solve`, from white signals to a matrix. Sources are images at all microphones.

    Parameters
    ----------
    n_sources : int or None, default=None
        How many sources to look for. None for as many as there are channels.
    """

    n_sources: int | None = None

    min_channels: ClassVar[int] = 2
    #: Whether sources must differ from Gaussian noise to be told apart.
    _needs_contrast: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_sources", _checks.plain(self.n_sources))
        if self.n_sources is not None:
            _checks.integer("n_sources", self.n_sources, minimum=1)

    @property
    def source_names(self) -> tuple[str, ...] | None:
        """The names of the sources, in order; None where there are as many as channels."""
        return None if self.n_sources is None else names_of(self.n_sources, with_residual=True)

    @abstractmethod
    def _solve(self, Z: Array, sample_rate: float, report: Report) -> Solution:
        """Return what demixes white signals of at least two rows."""

    def _most_iterations(self, rank: int) -> int | None:
        """Return how many iterations there may be, for the progress that is told."""
        limit: int | None = getattr(self, "n_iter", None)
        return limit

    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Take a mixture apart.

        Parameters
        ----------
        mixture : array of shape (n_channels, n_samples)
            Finite audio of two channels or more, NumPy or CuPy. Never changed. Integers are scaled as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with a `Progress` before whitening, with stage ``"fit"``, the loss and the model so far
            after each iteration, and before images are made. Returning True ends the iterations.

        Returns
        -------
        Sources
            The image of each source at all microphones, loudest first. They sum to the mixture.

        Raises
        ------
        InputError
            If the mixture cannot be worked on, or has fewer channels than sources are asked for.

        Warns
        -----
        DspsepWarning
            ``W_RANK`` if the channels have fewer independent signals than sources are looked for,
            ``W_GAUSSIAN`` or ``W_SPECTRA`` if some outputs cannot be told apart, ``W_NOT_CONVERGED`` if
            iterations ran out, ``W_DELAYS`` if outputs resemble one another at other times, as in rooms,
            ``W_TOO_SHORT`` if there is too little to learn from.
        """
        rate = _checks.sample_rate(sample_rate)
        audio = _audio.mixture_of(mixture, min_channels=self.min_channels)
        n_channels, n_samples = audio.samples.shape
        n_sources = n_channels if self.n_sources is None else self.n_sources
        if n_sources > n_channels:
            raise InputError(
                "n_sources",
                f"at most {n_channels}, the number of channels of the mixture",
                f"{n_sources}",
                "With fewer channels than sources, no matrix takes them apart.",
            )
        if n_samples < _LEAST_SAMPLES * n_channels:
            return self._too_short(audio, rate, n_sources)
        tell = callback or _say_nothing
        tell(Progress(stage="whitening"))
        white = whitening(audio.samples, n_sources if audio.exponent < MOST_EXPONENT else 0)
        rank = white.K.shape[0]
        if rank < n_sources and audio.peak > 0:
            warn(
                "W_RANK",
                f"the {n_channels} channels have only {rank} independent signal{'s' * (rank != 1)}: "
                f"the last {n_sources - rank} of {n_sources} sources are silent.",
            )
        model = self._fit(audio, white, rate, tell, n_sources)
        tell(Progress(stage="images", model=model))
        return Sources(model._images(audio), rate, model, self.provenance())

    def _fit(
        self, audio: Mixture, white: Whitening, rate: float, tell: Callback, n_sources: int
    ) -> InstantaneousModel:
        with_residual = self.n_sources is not None

        def model_of(solution: Solution, contrasts: Array) -> InstantaneousModel:
            return _model_of(solution, white, contrasts, (n_sources, audio.exponent, with_residual))

        def report(iteration: int, loss: float, W: Array) -> bool:
            if tell is _say_nothing:
                return False
            so_far = model_of(Solution(W, (loss,), False), np.zeros(len(W)))
            limit = self._most_iterations(len(W))
            told = Progress(stage="fit", iteration=iteration, n_iterations=limit, loss=loss, model=so_far)
            return bool(tell(told))

        rank = white.K.shape[0]
        if rank == 0:
            return model_of(Solution(np.zeros((0, 0)), (), True), np.zeros(0))
        Z = apply(white, audio.samples)
        solution = self._solve(Z, rate, report) if rank > 1 else Solution(np.eye(1), (), True)
        W = solution.W / np.linalg.norm(solution.W, axis=1, keepdims=True)
        contrasts = log_cosh_means(W, Z) - GAUSSIAN
        if not solution.converged:
            warn(
                "W_NOT_CONVERGED",
                f"{type(self).__name__} was still moving after {len(solution.losses)} iterations: raise "
                "n_iter, or tol.",
                stacklevel=4,
            )
        # What nothing tells apart is left mixed, and so alike at other times as well.
        if not (self._needs_contrast and warn_of_gaussians(contrasts, int(Z.shape[1]), stacklevel=5)):
            warn_of_delays(W, Z, rate, stacklevel=5)
        return model_of(solution._replace(W=W), contrasts)

    def _too_short(self, audio: Mixture, sample_rate: float, n_sources: int) -> Sources:
        n_channels, n_samples = audio.samples.shape
        warn(
            "W_TOO_SHORT",
            f"{type(self).__name__} needs {_LEAST_SAMPLES} samples for each of {n_channels} channels to "
            f"learn from and the mixture has {n_samples}: one source is the mixture, the others are silent.",
            stacklevel=4,
        )
        xp = _backend.namespace(audio.samples)
        names = names_of(n_sources, self.n_sources is not None)
        sources = {name: audio.restore(xp.zeros_like(audio.samples)) for name in names[1:]}
        first = {names[0]: audio.restore(xp.asarray(audio.samples, copy=True))}
        return Sources({**first, **sources}, sample_rate, None, self.provenance())


def _model_of(
    solution: Solution, white: Whitening, contrasts: Array, shape: tuple[int, int, bool]
) -> InstantaneousModel:
    """Return the model in the caller's scale, its sources in order of energy."""
    n_sources, exponent, with_residual = shape
    rank, n_channels = white.K.shape
    demixing = np.zeros((n_sources, n_channels))
    found = np.zeros(n_sources)
    if rank:
        W = solution.W / np.linalg.norm(solution.W, axis=1, keepdims=True)
        demixing[:rank] = W @ white.K
        mixing = np.linalg.pinv(demixing[:rank])
        order = np.argsort(-np.sum(mixing * mixing, axis=0), kind="stable")
        loudest = np.take_along_axis(mixing, np.abs(mixing).argmax(axis=0)[None, :], axis=0)[0]
        demixing[:rank] = (np.sign(loudest)[:, None] * demixing[:rank])[order]
        found[:rank] = contrasts[order]
    return InstantaneousModel(
        demixing=np.ldexp(demixing, exponent),
        mean=np.ldexp(white.m, -exponent),
        losses=solution.losses,
        converged=solution.converged,
        switches=solution.switches,
        contrasts=tuple(found.tolist()),
        with_residual=with_residual,
    )


def _say_nothing(_: Progress) -> None:
    return None
