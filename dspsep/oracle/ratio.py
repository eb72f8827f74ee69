"""Ideal ratio masks: every source has the share of a bin that its spectrum has in the sum of all spectra.

With S_j the spectrum of source j, in every channel (Stöter, Liutkus & Ito 2018), and S_0 = X - sum_j S_j
what the references leave of the mixture X,

    M_j = |S_j|^p / sum_i |S_i|^p,        i = 0, 1, 2, …

p = 1 compares magnitudes. p = 2 compares energies, as a Wiener filter does that knows them in every bin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast, final

from dspsep import _backend, _checks
from dspsep._typing import Array, Namespace
from dspsep.oracle._base import MaskOracle
from dspsep.oracle._references import Material

__all__ = ["IRM", "IWM"]


@dataclass(frozen=True, kw_only=True)
class _RatioMask(MaskOracle):
    exponent: float

    def __post_init__(self) -> None:
        super().__post_init__()
        exponent = _checks.number(
            "exponent", self.exponent, minimum=0, above=True, maximum=_checks.MAX_POWER,
            remedy="1 compares magnitudes, 2 energies.",
        )  # fmt: skip
        object.__setattr__(self, "exponent", exponent)

    def _masks(self, material: Material) -> Iterator[Array]:
        xp = _backend.namespace(material.mixture.values)
        largest, total = self._largest_and_total(xp, material)
        for S in material.spectra():
            V = xp.abs(S)
            del S
            yield _relative(xp, V, largest) ** self.exponent / total

    def _largest_and_total(self, xp: Namespace, material: Material) -> tuple[Array, Array]:
        """Return the largest magnitude of each bin, and the sum of powers relative to it, at least one."""
        spectra = material.spectra_and_rest()
        largest: Array = xp.abs(next(spectra))
        total = xp.ones_like(largest)
        for S in spectra:
            V = xp.abs(S)
            del S
            # No power of anything below one overflows, so the sum is kept relative to the largest so far.
            larger = xp.maximum(largest, V)
            total = total * _relative(xp, largest, larger) ** self.exponent
            total = total + _relative(xp, V, larger) ** self.exponent
            largest = larger
        return largest, xp.maximum(total, xp.ones_like(total))


def _relative(xp: Namespace, values: Array, largest: Array) -> Array:
    """Return ``values / largest``, and 0 where both are below the normal numbers: silence."""
    silent = largest < xp.finfo(largest.dtype).smallest_normal
    ratio: Array = values / xp.where(silent, xp.ones_like(largest), largest)
    return cast("Array", xp.where(silent, xp.zeros_like(values), ratio))


@final
@dataclass(frozen=True, kw_only=True)
class IRM(_RatioMask):
    """The ideal ratio mask, which shares every bin in the ratio of the true magnitudes.

    Parameters
    ----------
    references : mapping of str to array of shape (n_samples,) or (n_channels, n_samples)
        The true sources, all of the shape of the mixture, under any name but ``residual``. Integers are
        scaled as PCM. Kept on the host, as a tuple of pairs (name, `FrozenArray`).
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz. That of SiSEC 2018 is ``STFT(2048, 1024)``.
    exponent : float, default=1.0
        The p that magnitudes are raised to, above 0 and at most 1000: 1 is IRM1 of the tables, 2 is IRM2,
        for which there is `IWM`. The larger, the nearer to a binary mask.

    Raises
    ------
    InputError
        If the references are not audio of one shape, or a setting is out of range.

    See Also
    --------
    IWM : The same with exponent 2.
    MWF : Uses the differences between channels, too.

    Notes
    -----
    The sources are those of the references, in order, and ``residual``. What the references leave of the
    mixture (noise, or a source without a reference) competes for every bin like another source, whose
    estimate is the residual, if its peak is above what rounding leaves. Where the references sum to the
    mixture there is nothing of the kind: then each source is what SiSEC 2018 defines, and the residual is
    silent but for rounding. Each channel is masked by itself.

    Deviations from the published program: what competes for bins beside the references, as above; no
    constant keeps the ratio from dividing by zero, since powers are taken relative to the largest of each
    bin; a bin of silence is nobody's.

    Cost: two transforms for each source, and an inverse one. Peak memory beside references and sources: 3.9
    complex spectrograms of the mixture, whatever the number of sources.

    References
    ----------
    F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 signal separation evaluation campaign", Latent Variable
    Analysis and Signal Separation (LVA/ICA), 2018, pp. 293-305. doi:10.1007/978-3-319-93764-9_28

    Examples
    --------
    >>> from dspsep.data import scenes
    >>> from dspsep.metrics import sdr
    >>> from dspsep.oracle import IRM
    >>> scene = scenes.drum_loop(duration=2.0)
    >>> sources = IRM(references=scene.sources).separate(scene.mixture, scene.sample_rate)
    >>> sdr(scene.sources["snare"], sources["snare"]) > 8
    True
    """

    exponent: float = 1.0


@final
@dataclass(frozen=True, kw_only=True)
class IWM(_RatioMask):
    """The ideal Wiener-like mask, which shares every bin in the ratio of the true energies.

    That is `IRM` with an exponent of 2, under the name that it has where masks are compared.

    Parameters
    ----------
    references : mapping of str to array of shape (n_samples,) or (n_channels, n_samples)
        The true sources, all of the shape of the mixture, under any name but ``residual``. Integers are
        scaled as PCM. Kept on the host, as a tuple of pairs (name, `FrozenArray`).
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz. That of SiSEC 2018 is ``STFT(2048, 1024)``.
    exponent : float, default=2.0
        The p that magnitudes are raised to, above 0 and at most 1000.

    Raises
    ------
    InputError
        If the references are not audio of one shape, or a setting is out of range.

    See Also
    --------
    IRM : The same with exponent 1; what its notes say holds here, too.

    References
    ----------
    F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 signal separation evaluation campaign", Latent Variable
    Analysis and Signal Separation (LVA/ICA), 2018, pp. 293-305. doi:10.1007/978-3-319-93764-9_28

    Examples
    --------
    >>> from dspsep.data import scenes
    >>> from dspsep.metrics import sdr
    >>> from dspsep.oracle import IWM
    >>> scene = scenes.drum_loop(duration=2.0)
    >>> sources = IWM(references=scene.sources).separate(scene.mixture, scene.sample_rate)
    >>> sdr(scene.sources["snare"], sources["snare"]) > 8
    True
    """

    exponent: float = 2.0
