"""A singing voice by harmonic-percussive separation in two resolutions.

A voice is never quite steady: vibrato, glides and syllables change it many times in a second. Frames as long
as that see it move across bins, and call it percussive beside held chords; frames so short that it stands
still in them see its partials, and call it harmonic beside drums. So with x the mixture (Tachibana, Ono &
Sagayama 2014),

    x = h1 + p1             long frames: h1 is what is held, the accompaniment
    p1 = h2 + p2            short frames: h2 is what moves and has a pitch, the voice; p2 the drums

A bass line moves as well. What h2 has below the lowest notes of singers is the accompaniment's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from dspsep import _checks
from dspsep._typing import Array
from dspsep.progress import Callback
from dspsep.separator import Separator, SpectralSeparator
from dspsep.separators.hpss import _two_passes
from dspsep.separators.hpss.median import HPSS
from dspsep.sources import Sources
from dspsep.stft import STFT
from dspsep.streaming import Reach

__all__ = ["TwoStageHPSS"]


def _long_pass() -> HPSS:
    return HPSS(stft=STFT(8192), harmonic_seconds=1.0, percussive_hertz=50.0, power=1.0)


def _short_pass() -> HPSS:
    return HPSS(stft=STFT(2048), harmonic_seconds=0.2, percussive_hertz=500.0, power=1.0)


@final
@dataclass(frozen=True, kw_only=True)
class TwoStageHPSS(Separator):
    """A singing voice, or another lead that moves, by two passes of harmonic-percussive separation.

    Gives to the voice what is percussive in long frames and harmonic in short ones. Use it where nothing but
    the voice glides and trembles, as a start for a better method, or to show why a length of frames is a
    choice. It knows nothing of voices: a guitar solo is vocals to it, and a voice that holds a note is
    accompaniment. A deep model is far better at this.

    Parameters
    ----------
    first : SpectralSeparator, default=HPSS with n_fft=8192
        Gives what is held. Frames of 186 ms every 46 ms at 44.1 kHz; medians of 1 s, so that what is held
        lasts half a second, and of 50 Hz, so that a partial is percussive when vibrato or a glide makes it
        25 Hz wide; masks that compare magnitudes (``power=1``).
    second : SpectralSeparator, default=HPSS with n_fft=2048
        Parts the rest into voice and drums. Frames of 46 ms every 11.6 ms at 44.1 kHz; medians of 0.2 s and
        500 Hz, so that a syllable lasts 0.1 s and a stroke is 250 Hz wide.
    cutoff_hertz : float or None, default=150.0
        What the voice would have below this goes to the harmonic part: basses move, too. Singers go down to
        about 80 Hz, but what they have below 150 Hz is less than what is there of everything else. None for
        no limit.

    Raises
    ------
    InputError
        If a pass is not a spectral separator into harmonic and percussive (`HPSS`, `IterativeHPSS`), or the
        limit is out of range.

    See Also
    --------
    CascadedHPSS : The same two passes, for drums.
    HPSS : One pass.

    Notes
    -----
    The sources are ``harmonic``, ``percussive`` and ``vocals``, and ``residual`` if the second pass has one.
    The accompaniment of the paper is ``harmonic``, or for karaoke ``harmonic`` and ``percussive`` together:
    ``TwoStageHPSS() >> Regroup(vocals=["vocals"], accompaniment=["harmonic", "percussive"])``.

    Deviations from the paper: it separates by iteration, with the methods that `IterativeHPSS` stands for,
    which may be given here as `first` and `second`; medians came out ahead on the recordings that defaults
    were chosen on. The limit is applied to the spectrum of the first pass's transform, bin by bin.

    The `model` of the sources is a dict of those of ``first`` and ``second``. Cost: that of the two passes,
    and of a transform back and forth for the limit, one after the other. Peak memory with the default
    settings: beside the sources seven times the mixture; more where `HPSS` has to make a spectrum.

    References
    ----------
    H. Tachibana, N. Ono, S. Sagayama, "Singing voice enhancement in monaural music signals based on two-stage
    harmonic/percussive sound separation on multiple resolution spectrograms", IEEE/ACM Transactions on Audio,
    Speech, and Language Processing 22(1), 2014, pp. 228-237. doi:10.1109/TASLP.2013.2287052

    H. Tachibana, T. Ono, N. Ono, S. Sagayama, "Melody line estimation in homophonic music audio signals based
    on temporal-variability of melodic source", IEEE International Conference on Acoustics, Speech and Signal
    Processing (ICASSP), 2010, pp. 425-428. doi:10.1109/ICASSP.2010.5495764

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=3.0)
    >>> sources = dspsep.TwoStageHPSS().separate(scene.mixture, scene.sample_rate)
    >>> list(sources)
    ['harmonic', 'percussive', 'vocals']
    """

    first: SpectralSeparator = field(default_factory=_long_pass)
    second: SpectralSeparator = field(default_factory=_short_pass)
    cutoff_hertz: float | None = 150.0

    def __post_init__(self) -> None:
        _two_passes.check_pass("first", self.first)
        _two_passes.check_pass("second", self.second)
        if self.cutoff_hertz is not None:
            cutoff = _checks.number("cutoff_hertz", self.cutoff_hertz, minimum=0, above=True, maximum=1e6)
            object.__setattr__(self, "cutoff_hertz", cutoff)

    @property
    def source_names(self) -> tuple[str, ...]:
        """``harmonic``, ``percussive``, ``vocals`` and, where the second pass has one, ``residual``."""
        names = ("harmonic", "percussive", "vocals")
        return (*names, "residual") if _two_passes.leaves_residual(self.second) else names

    def reach(self, sample_rate: float) -> Reach | None:
        """Return how far around a sample the separation looks.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        Reach or None
            The sum of both passes and a frame of the first for the limit: 1.0 s at 44.1 kHz and the default
            settings. None if a pass needs all of the mixture.
        """
        reach = _two_passes.reach_of_both(self.first, self.second, sample_rate)
        if reach is None or self.cutoff_hertz is None:
            return reach
        return reach.then(Reach(samples=self.first.stft.n_fft, step=self.first.stft.hop_length))

    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Take a mixture apart.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio, NumPy or CuPy. Never changed. Integers are scaled as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with the `Progress` of both passes, the stage preceded by ``first:`` or ``second:``.

        Returns
        -------
        Sources
            They sum to the mixture, and each has its shape, precision and device.

        Raises
        ------
        InputError
            If the mixture cannot be worked on: the argument, what was seen, and what to do.
        """
        parts = _two_passes.separate_twice(mixture, sample_rate, self.first, self.second, callback)
        harmonic, vocals = parts.harmonic, parts.between
        if self.cutoff_hertz is not None:
            low = _below(vocals, self.cutoff_hertz, self.first.stft, parts.sample_rate)
            harmonic, vocals = harmonic + low, vocals - low
        sources = {"harmonic": harmonic, "percussive": parts.percussive, "vocals": vocals}
        if parts.residual is not None:
            sources["residual"] = parts.residual
        return Sources(parts.restored(sources), parts.sample_rate, parts.models, self.provenance())


def _below(samples: Array, cutoff: float, stft: STFT, sample_rate: float) -> Array:
    """Return what samples (n_channels, n_samples) have below `cutoff` hertz, in bins of a transform."""
    spectrogram = stft._forward(samples, sample_rate, mono=False)
    n_below = int((spectrogram.frequencies() < cutoff).sum())
    spectrogram.values[:, n_below:, :] = 0  # the spectrum is nobody else's
    return stft._inverse(spectrogram, None)
