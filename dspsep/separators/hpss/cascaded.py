"""Harmonic-percussive separation in two passes: long frames for the notes, shorter ones for the drums.

No one length of frame suits both parts. Long frames resolve the partials of notes, and smear drum strokes in
time until these look steady; short ones keep strokes sharp, and merge partials until these look broad. So
each part is taken where it shows best (Driedger, Müller & Disch 2014): with x the mixture,

    x = h1 + p1 + r1            first pass, long frames; h1 is harmonic
    p1 + r1 = h2 + p2 + r2      second pass, short frames, over the rest; p2 is percussive

What remains, h2 + r2, is percussive to the one and not to the other. The paper calls it residual. Here h2 is
harmonic unless one asks for the paper: what keeps a pitch for the length of a short frame is no drum stroke.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, final

from dspsep import _checks
from dspsep._typing import Array
from dspsep.progress import Callback
from dspsep.separator import Separator, SpectralSeparator
from dspsep.separators.hpss import _two_passes
from dspsep.separators.hpss.median import HPSS
from dspsep.sources import Sources
from dspsep.stft import STFT
from dspsep.streaming import Reach

__all__ = ["CascadedHPSS"]


def _default_pass(n_fft: int) -> HPSS:
    return HPSS(stft=STFT(n_fft), harmonic_seconds=0.4, percussive_hertz=500.0, power=1.0)


@final
@dataclass(frozen=True, kw_only=True)
class CascadedHPSS(Separator):
    """Harmonic-percussive separation in two passes, with long frames and then with short ones.

    A bin is percussive only if it is so in long frames and in short ones. Use it where `HPSS` leaves notes
    in the drums, or, with the settings of the paper, to get only what is clearly a note, only what is clearly
    a stroke, and the rest by itself.

    Parameters
    ----------
    first : SpectralSeparator, default=HPSS with n_fft=8192
        Gives the harmonic part. Its frames are the long ones: 186 ms every 46 ms at 44.1 kHz. Medians of
        0.4 s and 500 Hz, so that a note lasts 0.2 s or longer and a stroke is 250 Hz wide or wider, and masks
        that compare magnitudes (``power=1``).
    second : SpectralSeparator, default=HPSS with n_fft=2048
        Splits what the first did not call harmonic, and gives the percussive part. Frames of 46 ms every
        11.6 ms at 44.1 kHz; the rest as in `first`.
    between : {"harmonic", "residual"}, default="harmonic"
        Where what the second calls harmonic goes: to the harmonic part, or to nobody, as in the paper.

    Raises
    ------
    InputError
        If a pass is not a spectral separator into harmonic and percussive (`HPSS`, `IterativeHPSS`), or
        `between` is neither.

    See Also
    --------
    HPSS : One pass.
    TwoStageHPSS : The same two passes, where what lies between is a singing voice.

    Notes
    -----
    The sources are ``harmonic`` and ``percussive``, and ``residual`` if `between` says so or the second pass
    has one. What the first leaves as residual is split again.

    The settings of the paper (frames of 4096 and 256 samples, medians of 200 ms and 500 Hz, hard masks with
    a separation factor of 2) are::

        common = dict(harmonic_seconds=0.2, percussive_hertz=500, mask="hard", margin=2)
        CascadedHPSS(
            first=HPSS(stft=STFT(4096), **common),
            second=HPSS(stft=STFT(256), **common),
            between="residual",
        )

    but that ties, where one median is twice the other to the last bit, are residual and not percussive. The
    defaults here are others because on real music with known stems they come nearer to them: see the page
    on these methods for the numbers.

    The `model` of the sources is a dict of those of ``first`` and ``second``. The result is that of the two
    separators run by hand. Cost: that of the two passes, one after the other. Peak memory with the default
    settings: beside the sources three times the mixture; more where `HPSS` has to make a spectrum.

    References
    ----------
    J. Driedger, M. Müller, S. Disch, "Extending harmonic-percussive separation of audio signals", Proceedings
    of the 15th International Society for Music Information Retrieval Conference (ISMIR), 2014.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=3.0)
    >>> sources = dspsep.CascadedHPSS().separate(scene.mixture, scene.sample_rate)
    >>> list(sources)
    ['harmonic', 'percussive']
    >>> dspsep.CascadedHPSS(between="residual").source_names
    ('harmonic', 'percussive', 'residual')
    """

    first: SpectralSeparator = field(default_factory=lambda: _default_pass(8192))
    second: SpectralSeparator = field(default_factory=lambda: _default_pass(2048))
    between: Literal["harmonic", "residual"] = "harmonic"

    def __post_init__(self) -> None:
        _two_passes.check_pass("first", self.first)
        _two_passes.check_pass("second", self.second)
        _checks.choice("between", self.between, ("harmonic", "residual"))

    @property
    def source_names(self) -> tuple[str, ...]:
        """``harmonic``, ``percussive`` and, where the settings leave something over, ``residual``."""
        names = ("harmonic", "percussive")
        left = self.between == "residual" or _two_passes.leaves_residual(self.second)
        return (*names, "residual") if left else names

    def reach(self, sample_rate: float) -> Reach | None:
        """Return how far around a sample the separation looks.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        Reach or None
            The sum of both passes: 0.62 s at 44.1 kHz and the default settings. None if one needs all of
            the mixture.
        """
        return _two_passes.reach_of_both(self.first, self.second, sample_rate)

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
        sources = {"harmonic": parts.harmonic, "percussive": parts.percussive}
        if self.between == "harmonic":
            sources["harmonic"] = parts.harmonic + parts.between
        if parts.residual is not None:
            sources["residual"] = parts.residual
        if self.between == "residual":
            others = sources.get("residual")
            sources["residual"] = parts.between if others is None else others + parts.between
        return Sources(parts.restored(sources), parts.sample_rate, parts.models, self.provenance())
