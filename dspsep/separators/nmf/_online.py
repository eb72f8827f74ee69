"""What an `OnlineNMF` does with a batch of frames, what it remembers, and what it learned in the end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast, final

import numpy as np

from dspsep import _backend, _checks
from dspsep._pictures import Pictures, Scale, of_factors, of_losses
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.model import Model
from dspsep.separators.nmf._core import Prepared, factorise, prepare
from dspsep.separators.nmf._grouping import Groups, checked_groups, component_names, iter_group_masks
from dspsep.separators.nmf._history import History
from dspsep.separators.nmf._settings import check_losses, matrix
from dspsep.separators.nmf._supervision import even_start
from dspsep.separators.nmf._updates import collect, on_host
from dspsep.separators.nmf.templates import Templates
from dspsep.stft import STFT, Spectrogram

__all__ = ["Learner", "Learning", "OnlineNMFModel"]


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class OnlineNMFModel(Model):
    """The templates that an `OnlineNMF` ended with, and the activations of all batches.

    Parameters
    ----------
    templates : array of shape (n_freqs, n_components)
        The spectra after the last batch, of magnitude ** exponent.
    activations : array of shape (n_components, n_frames)
        How much of each there was, each batch by the templates of its own.
    losses : tuple of float
        The divergence of each batch that was not silent, by the templates that it ended with: per bin, for
        data with a mean of one.
    groups : tuple of (str, tuple of int)
        The sources, and the components of each.
    exponent : float
        Of the magnitudes.
    sample_rate : float
        Of the mixture, in hertz.
    stft : STFT
        The transform.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=4.0, sample_rate=8000)
    >>> model = dspsep.OnlineNMF(n_components=3, n_iter=10).separate(scene.mixture, scene.sample_rate).model
    >>> model.templates.shape
    (1025, 3)
    """

    templates: Array
    activations: Array
    losses: tuple[float, ...] = field(repr=False)
    groups: Groups
    exponent: float
    sample_rate: float
    stft: STFT

    def __post_init__(self) -> None:
        # A model may come from a file.
        if not isinstance(self.stft, STFT):
            raise InputError("stft", "an STFT", repr(self.stft)[:80])
        matrix("templates", self.templates, (self.stft.n_freqs, None), "(n_freqs, n_components)")
        n_components = self.templates.shape[1]
        matrix("activations", self.activations, (n_components, None), "(n_components, n_frames)")
        if self.losses:
            check_losses(self.losses)
        _checks.number("exponent", self.exponent, minimum=0.1, maximum=2)
        _checks.sample_rate(self.sample_rate)
        object.__setattr__(self, "groups", checked_groups(self.groups, n_components))

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return tuple(name for name, _ in self.groups)

    def dictionaries(self) -> dict[str, Templates]:
        """Return the templates of each source: those of another separator, for other mixtures.

        Returns
        -------
        dict of str to Templates
            By the name of the source.

        Examples
        --------
        >>> import dspsep
        >>> scene = dspsep.data.scenes.song(duration=2.0)
        >>> learned = dspsep.OnlineNMF(n_components=3).separate(scene.mixture, scene.sample_rate).model
        >>> dspsep.OnlineNMF(templates=learned.dictionaries(), n_components=0).source_names
        ('component_0', 'component_1', 'component_2')
        """
        values = _backend.to_host(self.templates)
        return {
            name: Templates(
                values=values[:, list(members)],
                sample_rate=self.sample_rate,
                stft=self.stft,
                exponent=self.exponent,
            )
            for name, members in self.groups
        }

    def _pictures(self) -> Pictures:
        names = component_names(self.groups)
        return {
            **of_factors(self.templates, self.activations, names, self.exponent),
            "losses": of_losses(self.losses, first=1, xlabel="Batch"),
        }

    def _scale(self, spectrogram: Spectrogram | None) -> Scale:
        return Scale.of_transform(self.stft, self.sample_rate, spectrogram)


@dataclass(frozen=True, kw_only=True, eq=False)
class Learning:
    """What is to be learned, and how: the settings of an `OnlineNMF`, with times in frames.

    Parameters
    ----------
    templates : array of shape (n_components, n_freqs)
        Those to begin with, on the host: the known ones first.
    n_known : int
        How many of them are known.
    adapt : bool
        Whether the known ones are learned as well.
    groups : tuple of (str, tuple of int)
        The sources.
    beta, exponent : float
        What is minimised, of which power of magnitudes.
    memory : float
        Frames that are remembered; may be infinite.
    n_iter, tol : int, float
        When a batch is done.
    keeps_model : bool
        Whether a model is to be made in the end.
    """

    templates: Array
    n_known: int
    adapt: bool
    groups: Groups
    beta: float
    exponent: float
    memory: float
    n_iter: int
    tol: float
    keeps_model: bool


class Learner:
    """The templates so far, and what is known of what came before."""

    def __init__(self, task: Learning) -> None:
        self._task = task
        self._is_known = np.arange(len(task.templates)) < task.n_known
        self._learned = np.ones_like(self._is_known) if task.adapt else ~self._is_known
        self._W: Array | None = None
        self._history: History | None = None
        self._activations: list[Array] = []
        self._loudest = -math.inf
        self.learns = True
        self.loss: float | None = None
        self.losses: list[float] = []

    def masks(self, frames: Array) -> Iterator[Array]:
        """Learn from the next frames, and return their masks."""
        xp = _backend.namespace(frames)
        task = self._task
        V = xp.abs(frames)
        prepared = prepare(V if task.exponent == 1 else V**task.exponent, task.beta)
        if self._W is None:
            self._W = xp.astype(_backend.asarray_like(task.templates, V), V.dtype)
        W, H = self._W, even_start(prepared, self._W)
        if prepared.mean:
            W, H = self._factors(prepared, W, H)
            H = prepared.restored(H)
        self._W = W
        if task.keeps_model:
            self._activations.append(H)
        return iter_group_masks(W, H, task.groups)

    def _factors(self, prepared: Prepared, W: Array, H: Array) -> tuple[Array, Array]:
        """Return the factors of what was prepared, and remember the templates if they are learned."""
        task = self._task
        xp = _backend.namespace(W, H)
        learned = _backend.asarray_like(self._learned & self.learns, W)
        learns = self.learns and bool(self._learned.any())
        if learns:
            self._history = self._history_before(prepared, W, H)
        W, H, losses = factorise(
            prepared,
            W,
            H,
            beta=task.beta,
            solver="accelerated" if learns else "auto",
            n_iter=task.n_iter,
            tol=task.tol,
            history=self._history if learns else None,
            fixed_templates=~learned,
        )
        loss = losses[-1]
        if learns:
            size = xp.sum(W, axis=1)
            size = xp.where(learned & (size > 0), size, xp.ones_like(size))
            W, H = W / size[:, None], H * size[None, :]
            moments = collect(prepared.objective(task.beta), prepared.values, W, H)
            loss = on_host([moments.loss])[0]
            is_learned = xp.astype(learned, W.dtype)[:, None]
            pull, push = moments.numerator * is_learned, moments.denominator * is_learned
            history = cast("History", self._history).scaled(prepared.exponent)
            history = history.after(W, pull, push, H.shape[0], self._task.memory)
            self._history = history.scaled(-prepared.exponent)
        n_bins = prepared.values.shape[0] * prepared.values.shape[1]
        self.loss = loss / (n_bins * prepared.mean**task.beta)
        if task.keeps_model:
            self.losses.append(self.loss)
        return W, H

    def _history_before(self, prepared: Prepared, W: Array, H: Array) -> History:
        """Return what is known before a batch; templates that were given at its level, if it is louder."""
        # In powers of two, of V**beta.
        level = self._task.beta * (math.log2(prepared.mean) - prepared.exponent)
        if self._history is None:
            self._loudest = level
            return self._beginning(prepared, W, H)
        rise = level - self._loudest
        if rise <= 0:
            return self._history
        self._loudest = level
        return self._history.raised(2.0 ** min(rise, 900.0))

    def _beginning(self, prepared: Prepared, W: Array, H: Array) -> History:
        """Return what templates count as before anything was heard: those that adapt as a full memory."""
        task = self._task
        history = History.of_nothing(W, task.beta)
        if not task.adapt:
            return history
        xp = _backend.namespace(W)
        heard = collect(prepared.objective(task.beta), prepared.values, W, H, with_loss=False)[1]
        is_known = _backend.asarray_like(self._is_known, W)[:, None]
        heard = xp.where(is_known, heard, xp.zeros_like(heard))
        history = history.scaled(prepared.exponent).as_if_heard(W, heard, H.shape[0], task.memory)
        return history.scaled(-prepared.exponent)

    def model(self, stft: STFT, sample_rate: float) -> OnlineNMFModel:
        """Return what was learned."""
        task = self._task
        activations, W = self._activations, cast("Array", self._W)
        xp = _backend.namespace(W)
        return OnlineNMFModel(
            templates=xp.permute_dims(W, (1, 0)),
            activations=xp.permute_dims(xp.concat(activations), (1, 0)),
            losses=tuple(self.losses),
            groups=task.groups,
            exponent=task.exponent,
            sample_rate=sample_rate,
            stft=stft,
        )
