"""The ideal binary mask: every bin goes to the sources that are loud enough in it.

With X the spectrum of the mixture and S_j that of source j, in every channel (Stöter, Liutkus & Ito 2018),

    M_j[f, t] = 1 if |S_j[f, t]|^p >= theta |X[f, t]|^p, else 0.

At theta = 1/2 and p = 1 that is a vote: a source has a bin that it makes half of. It is not an election.
Two sources that are out of phase can both be louder than their sum, and many small ones can all fail.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.oracle._base import MaskOracle
from dspsep.oracle._references import Material

__all__ = ["IBM"]


@final
@dataclass(frozen=True, kw_only=True)
class IBM(MaskOracle):
    """The ideal binary mask, which gives each bin to the sources that make enough of it.

    Parameters
    ----------
    references : mapping of str to array of shape (n_samples,) or (n_channels, n_samples)
        The true sources, all of the shape of the mixture, under any name but ``residual``. Integers are
        scaled as PCM. Kept on the host, as a tuple of pairs (name, `FrozenArray`).
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz. That of SiSEC 2018 is ``STFT(2048, 1024)``.
    threshold : float, default=0.5
        The theta that the ratio of a source to the mixture has to reach, above 0 and at most a million.
    exponent : float, default=1.0
        The p that magnitudes are raised to first, above 0 and at most 1000: 1 is IBM1 of the tables, 2 is
        IBM2, which asks for 0.71 of the magnitude at the same threshold.

    Raises
    ------
    InputError
        If the references are not audio of one shape, or a setting is out of range.

    See Also
    --------
    IRM : Shares bins.

    Notes
    -----
    The sources are those of the references, in order, and ``residual``: the mixture minus the others. It
    has the bins that no source claims, and it takes away again what bins of several claims were given more
    than once. Each channel is masked by itself.

    Deviations from the published program: no constant keeps the ratio from dividing by zero, since it is
    compared without a division; a bin of silence is nobody's.

    Cost: a transform for each source, and an inverse one. Peak memory beside references and sources: 3.3
    complex spectrograms of the mixture, whatever the number of sources.

    References
    ----------
    F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 signal separation evaluation campaign", Latent Variable
    Analysis and Signal Separation (LVA/ICA), 2018, pp. 293-305. doi:10.1007/978-3-319-93764-9_28

    Examples
    --------
    >>> from dspsep.data import scenes
    >>> from dspsep.metrics import sdr
    >>> from dspsep.oracle import IBM
    >>> scene = scenes.drum_loop(duration=2.0)
    >>> sources = IBM(references=scene.sources).separate(scene.mixture, scene.sample_rate)
    >>> list(sources)
    ['kick', 'snare', 'hihat', 'residual']
    >>> sdr(scene.sources["snare"], sources["snare"]) > 8
    True
    """

    threshold: float = 0.5
    exponent: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, most in (("threshold", _checks.MAX_MARGIN), ("exponent", _checks.MAX_POWER)):
            value = _checks.number(name, getattr(self, name), minimum=0, above=True, maximum=most)
            object.__setattr__(self, name, value)

    def _masks(self, material: Material) -> Iterator[Array]:
        xp = _backend.namespace(material.mixture.values)
        # |S|^p >= theta |X|^p without a power of anything that could leave the range of its type.
        most = _checks.MAX_MARGIN
        overflows = math.log(self.threshold) / self.exponent > math.log(most)
        least = xp.abs(material.X()) * (most if overflows else self.threshold ** (1 / self.exponent))
        for S in material.spectra():
            V = xp.abs(S)
            del S
            yield xp.astype((least <= V) & (V > 0), V.dtype)
