"""Factorisation that goes on: batch after batch, in memory that does not grow.

Batches of frames V_b come one after the other. In each of them, templates and activations are found that
minimise

    d_beta(V_b | W H_b)  +  what the batches before it say of W

where the second term is what majorisation leaves of all of them: two matrices of the size of W, however many
there were (`_history.py`). A batch is masked by the templates that it ended with, and goes out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, final

import numpy as np

from dspsep import _audio, _checks
from dspsep._typing import Array
from dspsep.causal import CausalStream
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.separator import Separator
from dspsep.separators.nmf._grouping import Groups
from dspsep.separators.nmf._online import Learner, Learning
from dspsep.separators.nmf._settings import check_divergence, check_iterations
from dspsep.separators.nmf._starts import random_templates
from dspsep.separators.nmf._supervision import (
    Dictionaries,
    check_agreement,
    check_rate,
    checked_dictionaries,
    groups_of,
    known_templates,
    with_residual,
)
from dspsep.separators.nmf.templates import MAX_N_COMPONENTS, Templates
from dspsep.sources import Sources, check_source_name
from dspsep.stft import STFT
from dspsep.streaming import Stream

__all__ = ["OnlineNMF"]

# What is longer than an hour is no batch, and would fill the memory.
_LONGEST_BATCH = 3600.0
# More than lifetimes of memory are None.
_LONGEST_MEMORY = 1e9


@final
@dataclass(frozen=True, kw_only=True)
class OnlineNMF(Separator):
    """Separation in batches, by templates that are learned, or adapt, as the mixture goes on.

    For recordings of any length, and for audio as it comes: each batch of frames is factorised with what is
    left of all batches before, masked and given out, so that memory does not grow.

    Parameters
    ----------
    stft : STFT, optional
        The transform: that of the templates or, without any, ``STFT(n_fft=2048, hop_length=512,
        window="hann")``: 46 ms frames every 11.6 ms at 44.1 kHz.
    n_components : int, default=8
        How many spectra are learned from the mixture: each is a source, or all of them are the rest, if there
        are templates. 0 learns none beside the templates.
    templates : mapping of str to Templates, optional
        Of some or all sources, by name: see `learn_templates`. All for one transform, rate and exponent. Kept
        as a tuple of pairs.
    adapt : bool, default=False
        Whether the templates follow the mixture: at first they count as if they had been heard for
        `memory_seconds`. Otherwise they stay as they are.
    rest : str, default="rest"
        The name of what the templates leave.
    beta : float, default=1.0
        The divergence, from -1 to 3: 2 is half the squared distance, which loud bins rule; 1 is that of
        Kullback and Leibler; 0 that of Itakura and Saito, to which loud and quiet count alike.
    exponent : float, optional
        What is factorised is magnitude ** exponent, from 0.1 to 2: that of the templates or, without any, 1.
    batch_seconds : float, default=0.5
        How much is factorised at a time, rounded to frames, at least one. What goes into the stream comes out
        so much later, and a frame less a hop. Longer ones tell components apart better, and learn them later.
    memory_seconds : float or None, default=60.0
        How long spectra are remembered, in time in which they are heard as loud as ever. None never forgets
        anything but the beginning: then every spectrum becomes a mean of all that it was.
    n_iter : int, default=50
        The most iterations for each batch.
    tol : float, default=1e-3
        They end where ten of them lower the objective by less than this part of what it was at first.
    seed : int, default=0
        Of the random numbers that learned spectra begin with.

    Raises
    ------
    InputError
        If a setting is out of range, or two of them contradict each other.

    See Also
    --------
    NMF : The same of a whole recording, which sees all of it before it decides.
    SemiSupervisedNMF : With templates, of a whole recording.

    Notes
    -----
    The sources are those of the templates, and the rest; without templates ``component_0``, ``component_1``
    and so on. With templates and no components, frequencies at which all templates are zero are the
    ``residual``, as in `SupervisedNMF`. A frame is masked once, by the templates of its batch; no sound that
    comes later changes what is out. So the first seconds are those of a factorisation of the first seconds.

    `stream` gives exactly what `separate` gives, whatever the blocks. Its latency is a batch, and a frame
    less a hop: 0.53 s by default at 44.1 kHz.

    Several channels are factorised as one, the root of their mean square, and share masks: panning stays.

    Deviations from the paper, which is about beta 0: all divergences, accelerated updates, activations that
    are solved for together with templates, and a memory that fades as new sounds come, the first of them
    sooner than others, where the paper's fades as time goes by.

    Cost: O(n_iter n_components n_freqs n_frames). Memory beside input and sources: spectrum, magnitudes and
    masks of a batch, and some copies of the templates; `separate` also keeps all activations for the model.

    References
    ----------
    A. Lefèvre, F. Bach, C. Févotte, "Online algorithms for nonnegative matrix factorization with the
    Itakura-Saito divergence", IEEE Workshop on Applications of Signal Processing to Audio and Acoustics
    (WASPAA), 2011, pp. 313-316. doi:10.1109/ASPAA.2011.6082314

    C. Févotte, J. Idier, "Algorithms for nonnegative matrix factorization with the beta-divergence", Neural
    Computation 23(9), 2011, pp. 2421-2456. doi:10.1162/NECO_a_00168

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=3.0)
    >>> separator = dspsep.OnlineNMF(n_components=3)
    >>> sources = separator.separate(scene.mixture, scene.sample_rate)
    >>> list(sources), sources.model.templates.shape
    (['component_0', 'component_1', 'component_2'], (1025, 3))
    >>> separator.stream(scene.sample_rate).latency_samples / scene.sample_rate < 0.54
    True
    """

    stft: STFT = None  # type: ignore[assignment]  # that of the templates, or the default
    n_components: int = 8
    templates: Mapping[str, Templates] | Dictionaries | None = None
    adapt: bool = False
    rest: str = "rest"
    beta: float = 1.0
    exponent: float = None  # type: ignore[assignment]  # that of the templates, or 1
    batch_seconds: float = 0.5
    memory_seconds: float | None = 60.0
    n_iter: int = 50
    tol: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "n_components",
            "adapt",
            "beta",
            "exponent",
            "batch_seconds",
            "memory_seconds",
            "n_iter",
            "tol",
            "seed",
        ):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        if self.templates is not None:
            object.__setattr__(self, "templates", checked_dictionaries(self.templates))
        self._take_from_templates()
        if not isinstance(self.stft, STFT):
            raise InputError("stft", "an STFT", repr(self.stft)[:80], "For example STFT(n_fft=2048).")
        least = 0 if self._dictionaries else 1
        most = MAX_N_COMPONENTS - self._n_known
        _checks.integer("n_components", self.n_components, minimum=least, maximum=most)
        check_divergence(self.beta, "auto", squares=False)
        check_iterations(self.n_iter, self.tol)
        _checks.number("exponent", self.exponent, minimum=0.1, maximum=2)
        _checks.integer("seed", self.seed, minimum=0)
        _checks.number("batch_seconds", self.batch_seconds, minimum=0, maximum=_LONGEST_BATCH, above=True)
        if self.memory_seconds is not None:
            _checks.number(
                "memory_seconds",
                self.memory_seconds,
                minimum=0,
                maximum=_LONGEST_MEMORY,
                above=True,
                remedy="None never forgets.",
            )
            object.__setattr__(self, "memory_seconds", float(self.memory_seconds))
        for name in ("beta", "exponent", "tol", "batch_seconds"):
            # Whole numbers become floats, so that equal settings print and are stored alike.
            object.__setattr__(self, name, float(getattr(self, name)))
        self._check_templates()

    def _take_from_templates(self) -> None:
        known = self._dictionaries[0][1] if self._dictionaries else None
        if self.stft is None:
            object.__setattr__(self, "stft", STFT() if known is None else known.stft)
        if self.exponent is None:
            object.__setattr__(self, "exponent", 1.0 if known is None else known.exponent)

    def _check_templates(self) -> None:
        if not isinstance(self.adapt, bool):
            raise InputError("adapt", "True or False", repr(self.adapt)[:60])
        check_source_name(self.rest)
        if not self._dictionaries:
            if self.adapt:
                raise InputError("adapt", "False without templates", "True", "Other components always adapt.")
            return
        check_agreement(self._dictionaries, self.stft)
        known = self._dictionaries[0][1]
        if known.exponent != self.exponent:
            requirement, remedy = f"that of the templates, {known.exponent:g}", "Leave it out."
            raise InputError("exponent", requirement, f"{self.exponent:g}", remedy)
        if self.n_components and self.rest in dict(self._dictionaries):
            raise InputError("rest", "another name than those of the templates", repr(self.rest))
        if self.adapt and self.memory_seconds is None:
            remedy = (
                "Templates count as if they had been heard for so long; without end, they stay as they are."
            )
            raise InputError("memory_seconds", "a duration, if templates are to adapt", "None", remedy)

    @property
    def _dictionaries(self) -> Dictionaries:
        return cast("Dictionaries", self.templates or ())

    @property
    def _n_known(self) -> int:
        return sum(known.n_components for _, known in self._dictionaries)

    @property
    def _groups(self) -> Groups:
        free = range(self._n_known, self._n_known + self.n_components)
        if not self._dictionaries:
            return tuple((f"component_{k}", (k,)) for k in free)
        known = groups_of(self._dictionaries)
        return (*known, (self.rest, tuple(free))) if self.n_components else self._complete()[1]

    def _complete(self) -> tuple[Array, Groups]:
        """Return templates of sources that are all known, and the sources."""
        return with_residual(known_templates(self._dictionaries), groups_of(self._dictionaries))

    @property
    def source_names(self) -> tuple[str, ...]:
        """Those of the templates and the rest, or ``component_0``, ``component_1`` and so on."""
        return tuple(name for name, _ in self._groups)

    def streams(self, sample_rate: float) -> bool:
        """Return True: what comes later changes nothing of what was before.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        bool
            True.
        """
        _checks.sample_rate(sample_rate)
        return True

    def stream(self, sample_rate: float, n_channels: int | None = None) -> Stream:
        """Return this separator as something that is fed in blocks.

        Parameters
        ----------
        sample_rate : float
            In hertz.
        n_channels : int, optional
            Of the blocks, which are then of shape (n_channels, n_samples). By default they have no channel
            axis.

        Returns
        -------
        Stream
            With `push`, `flush` and `latency_samples`: a batch, and a frame less a hop.

        Raises
        ------
        InputError
            If the templates are for another rate.
        """
        rate = _checks.sample_rate(sample_rate)
        return self._stream(rate, n_channels, self._learner(rate))

    def _stream(self, sample_rate: float, n_channels: int | None, learner: Learner) -> CausalStream:
        n_batch = self.stft.n_frames_in(self.batch_seconds, sample_rate)
        return CausalStream(self.source_names, n_channels, self.stft, sample_rate, n_batch, learner)

    def _learner(self, sample_rate: float, *, keeps_model: bool = False) -> Learner:
        if self._dictionaries:
            check_rate(self._dictionaries, sample_rate)
        memory = math.inf
        if self.memory_seconds is not None:
            memory = self.memory_seconds * sample_rate / self.stft.hop_length
        templates = self._first_templates()
        return Learner(
            Learning(
                templates=templates,
                n_known=len(templates) - self.n_components,
                adapt=self.adapt,
                groups=self._groups,
                beta=self.beta,
                exponent=self.exponent,
                memory=memory,
                n_iter=self.n_iter,
                tol=self.tol,
                keeps_model=keeps_model,
            )
        )

    def _first_templates(self) -> Array:
        """Return what templates begin with, frame-major, on the host."""
        if not self.n_components:
            return self._complete()[0]
        free = random_templates(self.n_components, self.stft.n_freqs, self.seed)
        return np.concatenate([known_templates(self._dictionaries), free]) if self._dictionaries else free

    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Take a mixture apart, batch by batch.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio, NumPy or CuPy. Never changed. Integers are scaled as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with stage ``"fit"`` before the first batch and after each, with the frames that are done
            and the loss of the batch. Returning True, once, ends the learning: what follows is taken apart
            with the templates of then.

        Returns
        -------
        Sources
            They sum to the mixture, and each has its shape, precision and device.

        Raises
        ------
        InputError
            If the mixture cannot be worked on, or the templates are for another rate.
        """
        rate = _checks.sample_rate(sample_rate)
        audio = _audio.mixture_of(mixture, min_channels=self.min_channels, max_channels=self.max_channels)
        learner = self._learner(rate, keeps_model=True)
        stream = self._stream(rate, audio.samples.shape[0], learner)
        n_frames = self.stft.n_frames(audio.samples.shape[1])

        def report(done: int) -> None:
            if callback is not None:
                told = Progress(stage="fit", iteration=done, n_iterations=n_frames, loss=learner.loss)
                learner.learns = not callback(told) and learner.learns

        found = stream.run(audio.samples, report)
        sources = {name: audio.restore(source) for name, source in found.items()}
        return Sources(sources, rate, learner.model(self.stft, rate), self.provenance())
