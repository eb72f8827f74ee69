"""Score-informed factorisation: a score says where each pitch may lie, in frequency and in time.

With V the magnitudes of a mixture, or a power of them,

    V[f, t] ~ sum_k W[f, k] H[k, t],        W[f, k] = 0 off the partials of pitch k,
                                            H[k, t] = 0 where no note of pitch k sounds

where k runs over the pitches of each part, and over attacks. Multiplicative updates keep zeros, so zeros at
the start (`score_start`) are constraints, and cost nothing. A part is the sum of its components:

    M_part = sum_{k in part} W[f, k] H[k, t] / (sum_k W[f, k] H[k, t] + floor)

and the floor, a constant far below the mixture, is what the ``residual`` has: bins that nobody may have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, cast, final

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.separator import SpectralSeparator
from dspsep.separators.nmf._core import FLOOR, Prepared, factorise, prepare
from dspsep.separators.nmf._grouping import RESIDUAL, Groups
from dspsep.separators.nmf._settings import check_divergence, check_iterations
from dspsep.separators.nmf.blind import NMFModel
from dspsep.separators.nmf.score import Note, Tolerances, checked_notes, score_start
from dspsep.stft import STFT, Spectrogram

__all__ = ["ScoreInformedNMF"]

_SOLVERS = ("accelerated", "mu")


@final
@dataclass(frozen=True, kw_only=True)
class ScoreInformedNMF(SpectralSeparator):
    """Separation of parts whose notes are known: instruments, or the hands of a pianist.

    The score says which pitches sound when. What is learned is how they sound, and how loud they are.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=4096, hop_length=1024, window="hann")
        The transform: 93 ms frames every 23 ms at 44.1 kHz, in which low notes of a chord can be told apart.
    notes : iterable of Note
        The score, at least one note: from a list, or from `read_midi`. Kept as a tuple. It has to be in time
        with the mixture, but for the tolerances.
    beta : float, default=1.0
        The divergence, from -1 to 3: 2 is half the squared distance, which loud bins rule; 1 is that of
        Kullback and Leibler; 0 that of Itakura and Saito, to which loud and quiet count alike.
    exponent : float, default=2.0
        What is factorised is magnitude ** exponent, from 0.1 to 2. With 2, parts share a bin in the ratio of
        their energies.
    n_iter : int, default=10
        The most iterations. More let templates explain what is not theirs.
    tol : float, default=0.0
        They end where ten of them lower the objective by less than this part of what it was at first.
    solver : {"accelerated", "mu"}, default="accelerated"
        How the objective is lowered; see `NMF`, whose third solver does not keep zeros.
    tuning : float, default=440.0
        The frequency of pitch 69, in hertz, from 20 to 20000.
    n_partials : int, optional
        How many partials a pitch has; by default all up to half the sampling rate.
    pitch_tolerance : float, default=50.0
        How far partials may be from harmonics, in cents, at most 600: 50 are half a semitone. It is never
        less than two bins, which is how wide a pure tone is seen.
    onset_tolerance : float, default=0.05
        How much earlier than in the score a note may begin, and how much later its attack, in seconds: at
        most 60, as the next. Half a frame is seen before a note begins.
    offset_tolerance : float, default=0.2
        How much longer than in the score a note may be heard, in seconds.
    attack : bool, default=True
        Whether each pitch has one more template, of all frequencies, for how it is struck.

    Raises
    ------
    InputError
        If a setting is out of range, or there are no notes, or more than can be worked on: 100000 notes, and
        10000 templates.

    See Also
    --------
    read_midi : The notes of a MIDI file.
    score_start : What it begins with.
    NMF : Without a score.

    Notes
    -----
    The sources are the parts, in the order in which they are met, and the ``residual``: what lies off all
    partials, and what is heard where no note sounds. Its component, the last of the model, has the floor that
    `NMF` adds to models, 2**-33 of the mean of what is factorised, and is not learned.

    Two parts that play the same pitch at the same time share it by how they play it elsewhere, or equally if
    they play it nowhere else. What the score does not have goes to whatever it has there. Notes beyond either
    end of the mixture, and pitches above half the sampling rate, are not heard; a part without any note that
    is heard is silent.

    Several channels are factorised as one, the root of their mean square, and share masks: panning stays.

    Deviations from the paper, which minimises for magnitudes and over many iterations: powers, few
    iterations, faster solvers, any beta; a partial is at least as wide as the window shows it; attacks begin
    quiet.

    Cost: O(n_iter n_components n_freqs n_frames), with two components for each pitch of each part. Peak
    memory beside the input and the sources: the spectrum, three real arrays of the size of one channel of it,
    and a few copies of the factors.

    References
    ----------
    S. Ewert, M. Müller, "Using score-informed constraints for NMF-based source separation", IEEE
    International Conference on Acoustics, Speech and Signal Processing (ICASSP), 2012, pp. 129-132.
    doi:10.1109/ICASSP.2012.6287834

    S. Ewert, B. Pardo, M. Müller, M. D. Plumbley, "Score-informed source separation for musical audio
    recordings: An overview", IEEE Signal Processing Magazine 31(3), 2014, pp. 116-124.
    doi:10.1109/MSP.2013.2296076

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import Note, ScoreInformedNMF
    >>> time = np.arange(16000) / 16000
    >>> mixture = np.sin(2 * np.pi * 440 * time) + np.sin(2 * np.pi * 660 * time)
    >>> score = [
    ...     Note(pitch=69, onset=0, duration=1, part="low"),
    ...     Note(pitch=76, onset=0, duration=1, part="high"),
    ... ]
    >>> sources = ScoreInformedNMF(notes=score).separate(mixture, 16000)
    >>> list(sources)
    ['low', 'high', 'residual']
    """

    stft: STFT = field(default_factory=lambda: STFT(4096, 1024))
    notes: Iterable[Note]
    beta: float = 1.0
    exponent: float = 2.0
    n_iter: int = 10
    tol: float = 0.0
    solver: Literal["accelerated", "mu"] = "accelerated"
    tuning: float = 440.0
    n_partials: int | None = None
    pitch_tolerance: float = 50.0
    onset_tolerance: float = 0.05
    offset_tolerance: float = 0.2
    attack: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        floats = (
            "beta",
            "exponent",
            "tol",
            "tuning",
            "pitch_tolerance",
            "onset_tolerance",
            "offset_tolerance",
        )
        for name in (*floats, "n_iter", "solver", "n_partials", "attack"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        check_divergence(self.beta, "auto", squares=False)
        check_iterations(self.n_iter, self.tol)
        _checks.number("exponent", self.exponent, minimum=0.1, maximum=2)
        _checks.choice("solver", self.solver, _SOLVERS)
        self._tolerances  # noqa: B018 - which checks what it is made of
        object.__setattr__(self, "notes", checked_notes(self.notes, attack=self.attack))
        for name in floats:
            # Whole numbers become floats, so that equal settings print and are stored alike.
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def _tolerances(self) -> Tolerances:
        return Tolerances(
            tuning=self.tuning,
            n_partials=self.n_partials,
            pitch_tolerance=self.pitch_tolerance,
            onset_tolerance=self.onset_tolerance,
            offset_tolerance=self.offset_tolerance,
            attack=self.attack,
        )

    @property
    def source_names(self) -> tuple[str, ...]:
        """The parts, in the order in which they are met, and ``residual``."""
        score = cast("tuple[Note, ...]", self.notes)
        return (*dict.fromkeys(note.part for note in score), RESIDUAL)

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
            With the factors, which masks are made of. Templates sum to one or are zero. The last component is
            that of the residual.

        Raises
        ------
        InputError
            If the spectrogram is of another transform.
        """
        if spectrogram.stft != self.stft:
            raise InputError("spectrogram", f"made by this transform, {self.stft}", f"{spectrogram.stft}")
        V = spectrogram.magnitude()
        prepared = prepare(V if self.exponent == 1 else V**self.exponent, self.beta)
        del V
        W, H, groups = self._start(prepared, spectrogram)

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
            report=report if callback is not None else None,
        )
        W, H = _with_residual(prepared, factors.W, factors.H)
        xp = _backend.namespace(W)
        return NMFModel(
            templates=xp.permute_dims(W, (1, 0)),
            activations=xp.permute_dims(prepared.restored(H), (1, 0)),
            losses=factors.losses,
            groups=(*groups, (RESIDUAL, (W.shape[0] - 1,))),
            exponent=self.exponent,
        )

    def _start(self, prepared: Prepared, spectrogram: Spectrogram) -> tuple[Array, Array, Groups]:
        """Return frame-major factors whose model has the mean of what was prepared."""
        templates, activations, groups = score_start(
            cast("tuple[Note, ...]", self.notes),
            self.stft,
            spectrogram.sample_rate,
            spectrogram.n_frames,
            exponent=self.exponent,
            **vars(self._tolerances),
        )
        size = float(templates.sum(axis=0) @ activations.sum(axis=1))
        if size:
            activations *= prepared.mean * templates.shape[0] * activations.shape[1] / size
        V = prepared.values
        xp = _backend.namespace(V)
        W, H = (
            xp.astype(_backend.asarray_like(np.ascontiguousarray(factor.T), V), V.dtype)
            for factor in (templates, activations)
        )
        return W, H, groups


def _with_residual(prepared: Prepared, W: Array, H: Array) -> tuple[Array, Array]:
    """Return frame-major factors with templates that sum to one, and the floor as one more component."""
    xp = _backend.namespace(W, H)
    n_freqs = W.shape[1]
    sizes = xp.sum(W, axis=1)
    there = sizes > xp.finfo(W.dtype).smallest_normal
    divisor = xp.where(there, sizes, xp.ones_like(sizes))
    level = xp.full((1, n_freqs), 1 / n_freqs, dtype=W.dtype, device=W.device)
    floor = xp.full((H.shape[0], 1), FLOOR * prepared.mean * n_freqs, dtype=H.dtype, device=H.device)
    return xp.concat([W / divisor[:, None], level], axis=0), xp.concat([H * divisor, floor], axis=1)
