"""REPET-SIM: a background that comes again, with a period or without.

Frames repeat one another where they are alike: with u_t the magnitudes of frame t, divided by their norm,

    similarity[s, t] = u_s . u_t

and frame t repeats the peaks of row t that are at least `threshold`, at least `distance_seconds` apart, the
highest `n_neighbors` of them, itself among them. S is their median.

The rows of that matrix are made some at a time and forgotten, so that it never exists.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.kernels import kernels_for
from dspsep.progress import Callback, Progress
from dspsep.separators.repetition._repeats import Repeating, Repeats, RepetitionModel
from dspsep.stft import Spectrogram

__all__ = ["REPETSim", "REPETSimModel", "similar_to"]

# Values of the similarity matrix that exist at a time.
_BLOCK = 2**20
_MOST_NEIGHBORS = 1000


@final
@dataclass(frozen=True, kw_only=True)
class REPETSim(Repeating):
    """Separation of what comes again from what does not, whether it has a period or not.

    For accompaniment whose chords and strokes come again here and there.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    cutoff_hertz : float or None, default=100.0
        What is centred at this frequency or below is background, where no voice reaches. None for no such
        rule.
    threshold : float, default=0.0
        How alike frames must be, from 0 to 1, to repeat one another.
    distance_seconds : float, default=1.0
        How far apart the frames are that a frame is taken to repeat: nearer ones belong to the same note.
    n_neighbors : int, default=100
        How many there are at most, the frame itself among them: from 1 to 1000.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    REPET : For what repeats with a period.

    Notes
    -----
    The sources are ``background`` and ``foreground``. Frames are compared by the mean of the channels'
    magnitudes; each channel has a mask of its own. A loop is background only if more than half of the frames
    that are at least `distance_seconds` apart repeat: with one second, a loop of less than two.

    Deviations from the paper: a frame always repeats itself; bins of no magnitude are background.

    US patent 9,093,056 concerns REPET.

    Cost: O(n_freqs n_frames**2). Peak memory beside the input and the sources: the spectrum, its magnitudes
    twice, the mask, and the lists of similar frames.

    References
    ----------
    Z. Rafii, B. Pardo, "Music/voice separation using the similarity matrix", 13th International Society for
    Music Information Retrieval Conference (ISMIR), 2012, pp. 583-588.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=8.0)
    >>> sources = dspsep.REPETSim().separate(scene.mixture, scene.sample_rate)
    >>> list(sources)
    ['background', 'foreground']
    """

    threshold: float = 0.0
    distance_seconds: float = 1.0
    n_neighbors: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        threshold = _checks.number("threshold", _checks.plain(self.threshold), minimum=0, maximum=1)
        distance = _checks.number("distance_seconds", _checks.plain(self.distance_seconds), minimum=0)
        most = _checks.integer(
            "n_neighbors", _checks.plain(self.n_neighbors), minimum=1, maximum=_MOST_NEIGHBORS
        )
        for name, value in (("threshold", threshold), ("distance_seconds", distance), ("n_neighbors", most)):
            object.__setattr__(self, name, value)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> REPETSimModel:
        """Return the frames that are alike.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` and the frames that are compared. What it returns makes no difference.

        Returns
        -------
        REPETSimModel
            With the similar frames of each.
        """
        xp = _backend.namespace(spectrogram.values)
        directions = directions_of(xp.permute_dims(spectrogram.magnitude(), (0, 2, 1)))
        n_frames = spectrogram.n_frames
        distance = round(self.distance_seconds * spectrogram.sample_rate / self.stft.hop_length)
        most = min(self.n_neighbors, 1 + n_frames // (distance + 1))
        lists = []
        step = max(1, _BLOCK // n_frames)
        for start in range(0, n_frames, step):
            block = slice(start, min(start + step, n_frames))
            lists.append(similar_to(directions, block, self.threshold, distance, most))
            if callback is not None:
                callback(Progress(stage="fit", iteration=block.stop, n_iterations=n_frames))
        return REPETSimModel(neighbors=xp.concat(lists), cutoff_hertz=self.cutoff_hertz)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class REPETSimModel(RepetitionModel):
    """The frames that a `REPETSim` takes to repeat one another.

    Parameters
    ----------
    cutoff_hertz : float or None
        Bins centred at this frequency or below are background.
    neighbors : array of shape (n_frames, n_neighbors)
        The frames that each frame repeats, itself first; -1 for none.
    """

    neighbors: Array = field(repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        neighbors = self.neighbors
        xp = _backend.namespace(neighbors)
        if neighbors.ndim != 2 or 0 in neighbors.shape or not xp.isdtype(neighbors.dtype, "integral"):
            got = f"{neighbors.dtype} of shape {tuple(neighbors.shape)}"
            raise InputError("neighbors", "integers of shape (n_frames, n_neighbors)", got)
        lowest, highest = _backend.to_host(xp.stack([xp.min(neighbors), xp.max(neighbors)])).tolist()
        if lowest < -1 or highest >= neighbors.shape[0]:
            got = f"numbers from {lowest} to {highest}"
            raise InputError("neighbors", f"frames below {neighbors.shape[0]}, or -1", got)

    def repeats(self, spectrogram: Spectrogram) -> Repeats:
        """Return the similar frames.

        Parameters
        ----------
        spectrogram : Spectrogram
            Of the mixture that was learned from.

        Returns
        -------
        Repeats
            A list for each frame.

        Raises
        ------
        InputError
            If it has another number of frames.
        """
        n_frames = self.neighbors.shape[0]
        if spectrogram.n_frames != n_frames:
            remedy = "Fit the separator to this spectrogram."
            raise InputError("spectrogram", f"of {n_frames} frames", f"{spectrogram.n_frames}", remedy)
        neighbors = _backend.asarray_like(self.neighbors, spectrogram.values)
        xp = _backend.namespace(neighbors)
        return Repeats(neighbors, xp.arange(n_frames, device=neighbors.device))


def directions_of(V: Array) -> Array:
    """Return the mean over channels of frame-major magnitudes, each frame divided by its norm, if any."""
    xp = _backend.namespace(V)
    mean = V[0, ...] if V.shape[0] == 1 else xp.mean(V, axis=0)
    # By the largest first: no square overflows or vanishes.
    largest = xp.max(mean, axis=1, keepdims=True)
    there = largest >= xp.finfo(V.dtype).smallest_normal
    scaled = mean / xp.where(there, largest, xp.ones_like(largest))
    norm = xp.sqrt(xp.sum(scaled * scaled, axis=1, keepdims=True))
    directions: Array = xp.where(
        there, scaled / xp.where(there, norm, xp.ones_like(norm)), xp.zeros_like(mean)
    )
    return directions


def similar_to(directions: Array, block: slice, threshold: float, distance: int, most: int) -> Array:
    """Return for the frames of a block which of all frames are similar, themselves first; -1 for none."""
    xp = _backend.namespace(directions)
    similarity = directions[block, :] @ xp.permute_dims(directions, (1, 0))
    # More alike than itself is nothing, even in silence.
    own = xp.arange(block.start, block.stop, device=directions.device)[:, None]
    every = xp.arange(directions.shape[0], device=directions.device)[None, :]
    similarity = xp.where(own == every, xp.full_like(similarity, 2), similarity)
    return kernels_for(directions).similar_frames(similarity, threshold, distance, most)
