"""The phase-sensitive mask: of all real factors for a bin, the one that comes nearest to the source.

A mask is a real number, so a masked bin M X lies on the line through X. The point of it nearest to the
source S is its projection (Erdogan, Hershey, Watanabe & Le Roux 2015),

    M = Re(S conj(X)) / |X|^2 = |S| / |X| cos(phase of S - phase of X),

which is below 0 where the source stands against the mixture, and above 1 where others cancel it. Masks that
something is to learn are kept in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.oracle._base import MaskOracle
from dspsep.oracle._references import Material

__all__ = ["PSM"]


@final
@dataclass(frozen=True, kw_only=True)
class PSM(MaskOracle):
    """The phase-sensitive mask, which comes as near to a source in every bin as a factor for the bin can.

    Parameters
    ----------
    references : mapping of str to array of shape (n_samples,) or (n_channels, n_samples)
        The true sources, all of the shape of the mixture, under any name but ``residual``. Integers are
        scaled as PCM. Kept on the host, as a tuple of pairs (name, `FrozenArray`).
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    lowest, highest : float, default=0.0, 1.0
        What the mask is kept between: by default no bin is inverted, and none amplified. At most a million,
        and ``lowest`` not below minus that; as wide as that, the masks of all sources sum to one wherever
        the references sum to the mixture.

    Raises
    ------
    InputError
        If the references are not audio of one shape, or a setting is out of range.

    See Also
    --------
    IRM : Does not look at phases.

    Notes
    -----
    The sources are those of the references, in order, and ``residual``: the mixture minus the others. It
    has what the limits left over. A source that is louder than the mixture in a bin is cut down to it, and
    one that stands against the mixture gets nothing; where that gives more than there is, the residual is
    inverted and takes it away again.

    Nearest in every bin is not nearest in time: frames overlap, and the inverse of a masked spectrogram is
    a compromise between them. Each channel is masked by itself. Bins of the mixture that are below its
    largest by more than the square of the precision (277 dB in single) are nobody's.

    Cost: a transform for each source, and an inverse one. Peak memory beside references and sources: 4.8
    complex spectrograms of the mixture, whatever the number of sources.

    References
    ----------
    H. Erdogan, J. R. Hershey, S. Watanabe, J. Le Roux, "Phase-sensitive and recognition-boosted speech
    separation using deep recurrent neural networks", IEEE International Conference on Acoustics, Speech and
    Signal Processing (ICASSP), 2015, pp. 708-712. doi:10.1109/ICASSP.2015.7178061

    Examples
    --------
    >>> from dspsep.data import scenes
    >>> from dspsep.metrics import sdr
    >>> from dspsep.oracle import IRM, PSM
    >>> scene = scenes.drum_loop(duration=2.0)
    >>> masked = [
    ...     oracle(references=scene.sources).separate(scene.mixture, scene.sample_rate)
    ...     for oracle in (PSM, IRM)
    ... ]
    >>> better, good = (sdr(scene.sources["snare"], sources["snare"]) for sources in masked)
    >>> better > good
    True
    """

    lowest: float = 0.0
    highest: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        most = _checks.MAX_MARGIN
        for name in ("lowest", "highest"):
            value = _checks.number(name, getattr(self, name), minimum=-most, maximum=most)
            object.__setattr__(self, name, value)
        if not self.lowest < self.highest:
            raise InputError("lowest", f"below highest, {self.highest:g}", f"{self.lowest:g}")

    def _masks(self, material: Material) -> Iterator[Array]:
        X = material.X()
        xp = _backend.namespace(X)
        V = xp.abs(X)
        precision = float(xp.finfo(V.dtype).eps)
        audible = precision**2 * xp.max(V) < V
        # S / X with |X| taken out of both first: no square of anything is made.
        direction = xp.where(audible, X / xp.where(audible, V, xp.ones_like(V)), xp.zeros_like(X))
        V = xp.where(audible, V, xp.ones_like(V))
        del X, audible
        for S in material.spectra():
            # The projection is limited before the division, so that the ratio cannot overflow.
            projection = xp.real(S * xp.conj(direction))
            del S
            projection = xp.minimum(xp.maximum(projection, self.lowest * V), self.highest * V)
            yield projection / V
