"""REPET-SIM: a background that comes again, with a period or without.

Frames repeat one another where they are alike: with u_t the magnitudes of frame t, divided by their norm,

    similarity[s, t] = u_s . u_t

and frame t repeats the peaks of row t that are at least `threshold`, at least `distance_seconds` apart, the
highest `n_neighbors` of them, itself among them. S is their median.

The rows of that matrix are made some at a time and forgotten, so that it never exists.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast, final

from dspsep import _backend, _checks
from dspsep._audio import Mixture
from dspsep._pictures import Pictures, of_neighbors
from dspsep._typing import Array
from dspsep.causal import CausalStream
from dspsep.errors import InputError
from dspsep.model import check_fits
from dspsep.progress import Callback, Progress
from dspsep.separators._background import n_bins_below
from dspsep.separators.repetition._frames import PastLearner, magnitudes_of, separated
from dspsep.separators.repetition._repeats import Repeating, Repeats, RepetitionModel
from dspsep.separators.repetition._similar import check_neighbors, directions_of, similar_to
from dspsep.stft import Spectrogram
from dspsep.streaming import Stream

__all__ = ["REPETSim", "REPETSimModel"]

# Values of the similarity matrix that exist at a time, and rows of it at least: the product reads all frames
# once for a block, and of an hour some rows less would take four times as long.
_BLOCK = 2**20
_LEAST_ROWS = 128
_MOST_NEIGHBORS = 1000
# Frames of a stream that are masked at a time. What comes out does not depend on it.
_AT_ONCE = 8
# Bins of a spectrum above which it is not held in memory: a minute of stereo by default.
_LARGE = 10**7


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
    past_seconds : float, optional
        How far back similar frames are looked for, and then only back: what is to come changes nothing, and
        it can be streamed. The authors' is 10. By default all of the mixture is looked at.

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

    With `past_seconds`, `stream` is online REPET-SIM (2013), and gives exactly what `separate` gives. Its
    latency is eight hops, and a frame less a hop: 0.13 s by default at 44.1 kHz.

    Cost: O(n_freqs n_frames**2), or with `past_seconds` O(n_freqs n_frames n_past). Peak memory beside the
    input and the sources: the spectrum, three real arrays of its size, and the lists of similar frames; of
    mixtures of more than a minute, the magnitudes of one channel, these lists, and 128 rows of the matrix of
    similarities. A stream holds the frames that it remembers twice, however long it runs.

    References
    ----------
    Z. Rafii, B. Pardo, "Music/voice separation using the similarity matrix", 13th International Society for
    Music Information Retrieval Conference (ISMIR), 2012, pp. 583-588.

    Z. Rafii, B. Pardo, "Online REPET-SIM for real-time speech enhancement", IEEE International Conference on
    Acoustics, Speech and Signal Processing (ICASSP), 2013, pp. 848-852.

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
    past_seconds: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        threshold = _checks.number("threshold", _checks.plain(self.threshold), minimum=0, maximum=1)
        distance = _checks.number("distance_seconds", _checks.plain(self.distance_seconds), minimum=0)
        most = _checks.integer(
            "n_neighbors", _checks.plain(self.n_neighbors), minimum=1, maximum=_MOST_NEIGHBORS
        )
        if self.past_seconds is not None:
            past = _checks.number("past_seconds", _checks.plain(self.past_seconds), minimum=0, above=True)
            object.__setattr__(self, "past_seconds", past)
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
        return self._compared(directions, spectrogram.sample_rate, callback)

    def _compared(self, directions: Array, sample_rate: float, callback: Callback | None) -> REPETSimModel:
        """Return the model of frames of such directions, (n_frames, n_freqs)."""
        xp = _backend.namespace(directions)
        n_frames = directions.shape[0]
        settings = self._in_frames(sample_rate, n_frames)
        lists = xp.empty((n_frames, settings[2]), dtype=xp.int32, device=directions.device)
        step = max(_LEAST_ROWS, _BLOCK // n_frames)
        for start in range(0, n_frames, step):
            block = slice(start, min(start + step, n_frames))
            lists[block, :] = xp.astype(similar_to(directions, block, *settings), xp.int32)
            if callback is not None:
                callback(Progress(stage="fit", iteration=block.stop, n_iterations=n_frames))
        return REPETSimModel(neighbors=lists, cutoff_hertz=self.cutoff_hertz)

    def _in_frames(self, sample_rate: float, n_frames: int | None) -> tuple[float, int, int, int | None]:
        """Return threshold, distance, how many frames at most, and how far back, of so many frames."""
        per_second = sample_rate / self.stft.hop_length
        distance = round(self.distance_seconds * per_second)
        n_past = None if self.past_seconds is None else max(1, round(self.past_seconds * per_second))
        looked_at = min(n for n in (n_past, n_frames) if n is not None)
        return self.threshold, distance, min(self.n_neighbors, 1 + looked_at // (distance + 1)), n_past

    def streams(self, sample_rate: float) -> bool:
        """Tell whether it looks at the past alone.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        bool
            Whether `past_seconds` is set.
        """
        return self.past_seconds is not None

    def stream(self, sample_rate: float, n_channels: int | None = None) -> Stream:
        """Return online REPET-SIM, if `past_seconds` is set.

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
            With `push`, `flush` and `latency_samples`: eight hops, and a frame less a hop.

        Raises
        ------
        InputError
            If `past_seconds` is None.
        """
        rate = _checks.sample_rate(sample_rate)
        if self.past_seconds is None:
            remedy = "REPETSim(past_seconds=10) looks back only. Or use separate() on the whole mixture."
            raise InputError("past_seconds", "set, to work in blocks", "None", remedy)
        return self._causal(rate, n_channels, self._past_learner(rate, keeps_lists=False))

    def _causal(self, sample_rate: float, n_channels: int | None, learner: PastLearner) -> CausalStream:
        return CausalStream(self.source_names, n_channels, self.stft, sample_rate, _AT_ONCE, learner)

    def _past_learner(self, sample_rate: float, *, keeps_lists: bool) -> PastLearner:
        threshold, distance, most, n_past = self._in_frames(sample_rate, None)
        n_below = n_bins_below(self.cutoff_hertz, self.stft, sample_rate)
        return PastLearner(cast("int", n_past), threshold, distance, most, n_below, keeps_lists=keeps_lists)

    def _take_apart(
        self, audio: Mixture, sample_rate: float, callback: Callback | None
    ) -> tuple[REPETSimModel, dict[str, Array]]:
        samples = audio.samples
        n_frames = self.stft.n_frames(samples.shape[1])
        if self.past_seconds is not None:
            learner = self._past_learner(sample_rate, keeps_lists=True)

            def report(done: int) -> None:
                if callback is not None:
                    callback(Progress(stage="fit", iteration=done, n_iterations=n_frames))

            found = self._causal(sample_rate, samples.shape[0], learner).run(samples, report)
            lists = _backend.namespace(samples).concat(learner.lists)
            model = REPETSimModel(neighbors=lists, cutoff_hertz=self.cutoff_hertz)
        elif n_frames * self.stft.n_freqs * samples.shape[0] <= _LARGE:
            return super()._take_apart(audio, sample_rate, callback)  # type: ignore[return-value]
        else:
            # What exists at once is one channel's magnitudes, and not the spectrum of all.
            directions = magnitudes_of(samples, self.stft, sample_rate, directions=True)
            model = self._compared(directions, sample_rate, callback)
            del directions
            n_below = n_bins_below(self.cutoff_hertz, self.stft, sample_rate)
            found = separated(samples, self.stft, sample_rate, model.neighbors, n_below, self.source_names)
        return model, {name: audio.restore(source) for name, source in found.items()}


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

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=13.0, sample_rate=8000)
    >>> model = dspsep.REPETSim().separate(scene.mixture, scene.sample_rate).model
    >>> model.neighbors.shape[0]
    204
    """

    neighbors: Array = field(repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_neighbors(self.neighbors)

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
        check_fits(spectrogram, n_frames)
        neighbors = _backend.asarray_like(self.neighbors, spectrogram.values)
        xp = _backend.namespace(neighbors)
        return Repeats(neighbors, xp.arange(n_frames, device=neighbors.device))

    def _pictures(self) -> Pictures:
        return {"similar frames": of_neighbors(self.neighbors), **self._mask_pictures()}
