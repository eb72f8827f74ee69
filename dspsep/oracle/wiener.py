"""The multichannel Wiener filter of sources whose spectra and places are known.

In the local Gaussian model (Duong, Vincent & Gribonval 2010) the C channels of a source in bin (f, t) are
drawn with the covariance v_j[f, t] R_j[f]: how loud it is, times where it is, which does not change. With
y_j the spectrum of the reference, both are learned as in SiSEC 2018 (Stöter, Liutkus & Ito 2018):

    R_j  =  mean over t of  y_j y_j^H / |y_j|^2,  scaled to a trace of C, plus a little of the identity,
    v_j  =  y_j^H R_j^-1 y_j / C.

With these the least-squares estimate of the source from the mixture x is

    s_j  =  v_j R_j (sum_i v_i R_i)^-1 x.

In one channel R = 1, and that is the ideal ratio mask of energies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from dspsep import _backend, _checks
from dspsep._typing import Array, Namespace
from dspsep.oracle._base import Oracle
from dspsep.oracle._references import Material

__all__ = ["MWF"]

# Numbers in the matrices that are solved at once: in double precision and complex, 8 MiB.
_SOLVED_VALUES = 2**19

# Frames so far below the loudest bin of a source count less: what is there is rounding, which has no place.
_QUIET = 1e-12


@final
@dataclass(frozen=True, kw_only=True)
class MWF(Oracle):
    """The multichannel Wiener filter of known sources, which tells them apart by place and by spectrum.

    Parameters
    ----------
    references : mapping of str to array of shape (n_samples,) or (n_channels, n_samples)
        The true sources, all of the shape of the mixture, under any name but ``residual``. Integers are
        scaled as PCM. Kept on the host, as a tuple of pairs (name, `FrozenArray`).
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz. That of SiSEC 2018 is ``STFT(2048, 1024)``.
        Rooms whose echoes last longer than a frame blur the places.
    regularisation : float, default=1e-10
        How much of the identity is added to the covariance R of each source: how much of it comes from
        everywhere at least, here -100 dB. From 1e-12 to 1.

    Raises
    ------
    InputError
        If the references are not audio of one shape, or a setting is out of range.

    See Also
    --------
    IWM : What this is in one channel.

    Notes
    -----
    The sources are those of the references, in order, and ``residual``. What the references leave of the
    mixture is one more source in the model, whose estimate is the residual, if its peak is above what
    rounding leaves; where the references sum to the mixture the residual is silent but for rounding.

    The filter has rank: two sources panned to two places of a stereo mixture are told apart by a matrix,
    without any error to speak of, and not by masks. More sources than channels share bins as under `IWM`.
    Sources that are not at one place, as in a stereo mix of music, are hardly told apart by it, and then
    `IWM`, whose channels have masks of their own, can be better.

    Deviations from the published program: the trace that normalises R is that of each frequency's matrix
    (the program takes it across frequencies); frames that are 120 dB or more below the loudest bin of a
    source count less in R, since rounding has no place, where the program has a constant for full scale;
    the other constants are relative to the signal, too; any number of channels; and the source of what the
    references leave. Matrices are solved in double precision.

    The `model` of the sources is None. Cost: a transform for each source and an inverse one, and one matrix
    of C by C to solve in every bin. Peak memory beside references and sources, for single precision and two
    sources: eleven complex spectrograms of a mono mixture, nine of a stereo one; every further source needs
    one number in double precision for every bin.

    References
    ----------
    N. Q. K. Duong, E. Vincent, R. Gribonval, "Under-determined reverberant audio source separation using a
    full-rank spatial covariance model", IEEE Transactions on Audio, Speech, and Language Processing 18(7),
    2010, pp. 1830-1840. doi:10.1109/TASL.2010.2050716

    F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 signal separation evaluation campaign", Latent Variable
    Analysis and Signal Separation (LVA/ICA), 2018, pp. 293-305. doi:10.1007/978-3-319-93764-9_28

    Examples
    --------
    >>> from dspsep.data import scenes
    >>> from dspsep.metrics import sdr
    >>> from dspsep.oracle import IWM, MWF
    >>> scene = scenes.panned(duration=2.0)
    >>> name = next(iter(scene.sources))
    >>> filtered, masked = (
    ...     oracle(references=scene.sources).separate(scene.mixture, scene.sample_rate)
    ...     for oracle in (MWF, IWM)
    ... )
    >>> sdr(scene.sources[name], filtered[name]) > sdr(scene.sources[name], masked[name]) + 3
    True
    """

    regularisation: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        value = _checks.number("regularisation", self.regularisation, minimum=1e-12, maximum=1.0)
        object.__setattr__(self, "regularisation", value)

    def _estimates(self, material: Material) -> Iterator[Array]:
        xp = _backend.namespace(material.mixture.values)
        places, loudness = [], []
        for S in material.spectra_and_rest():
            Y = _in_double(xp, S)
            del S
            R = spatial_covariance(Y, regularisation=self.regularisation)
            places.append(R)
            loudness.append(_loudness(xp, Y, R))
            del Y
        X = material.mixture.values
        Z, level = _solved(xp, places, loudness, X)
        for R, v in zip(places[:-1], loudness[:-1], strict=True):
            Y = xp.stack([v / level * _row_times(R, row, Z) for row in range(R.shape[1])])
            yield self.stft._inverse(material.mixture.with_values(xp.astype(Y, X.dtype)), None)
            del Y


def spatial_covariance(Y: Array, *, regularisation: float = 1e-10) -> Array:
    """Return the covariance between the channels of a source in every frequency, all frames counting alike.

    But for those that are 120 dB or more below the loudest bin, and so rounding: they count less.

    Parameters
    ----------
    Y : array of shape (n_channels, n_freqs, n_frames)
        The spectrum of the source, complex and in double precision.
    regularisation : float, default=1e-10
        How much of the identity is added to matrices of the trace n_channels.

    Returns
    -------
    array of shape (n_freqs, n_channels, n_channels)
        Hermitian and positive definite; the identity where the source is silent.
    """
    xp = _backend.namespace(Y)
    n_channels = Y.shape[0]
    energy = _squared(xp, Y[0, ...])
    for channel in range(1, n_channels):
        energy = energy + _squared(xp, Y[channel, ...])
    least = xp.finfo(energy.dtype).smallest_normal
    floor = _QUIET * xp.max(energy) + least
    weight = 1 / (energy + floor)
    del energy
    rows = []
    for one in range(n_channels):
        weighted = weight * Y[one, ...]
        row = [xp.sum(weighted * xp.conj(Y[two, ...]), axis=-1) for two in range(n_channels)]
        rows.append(xp.stack(row))
    R = xp.permute_dims(xp.stack(rows), (2, 0, 1))
    identity = xp.broadcast_to(xp.eye(n_channels, dtype=R.dtype, device=R.device), R.shape)
    trace = sum(xp.real(R[:, channel, channel]) for channel in range(n_channels))
    heard = trace > least
    scale = n_channels / xp.where(heard, trace, xp.ones_like(trace))
    placed: Array = xp.where(heard[:, None, None], R * scale[:, None, None], identity)
    regular: Array = placed + regularisation * identity
    return regular


def _loudness(xp: Namespace, Y: Array, R: Array) -> Array:
    """Return v = y^H R^-1 y / C, (n_freqs, n_frames).

    By eigenvectors: the inverse of a matrix that is almost of rank one has large entries, and what they
    cancel to would be their rounding.
    """
    n_channels = Y.shape[0]
    values, vectors = xp.linalg.eigh(R)
    v: Array = xp.zeros_like(xp.real(Y[0, ...]))
    for one in range(n_channels):
        along = xp.conj(vectors[:, 0, one])[:, None] * Y[0, ...]
        for channel in range(1, n_channels):
            along = along + xp.conj(vectors[:, channel, one])[:, None] * Y[channel, ...]
        v = v + _squared(xp, along) / values[:, one][:, None]
    mean: Array = v / n_channels
    return mean


def _solved(xp: Namespace, places: list[Array], loudness: list[Array], X: Array) -> tuple[Array, Array]:
    """Return the solution Z of ``sum_i v_i / level R_i Z = X`` in every bin, and the level.

    The level (n_freqs, n_frames) is the sum of all v, so that the matrices have a trace near C wherever there
    is sound; in silence Z is X.
    """
    n_channels, n_freqs, n_frames = X.shape
    level = loudness[0]
    for v in loudness[1:]:
        level = level + v
    silent = level < xp.finfo(level.dtype).smallest_normal
    level = xp.where(silent, xp.ones_like(level), level)
    Z = xp.zeros_like(_in_double(xp, X))
    identity = xp.eye(n_channels, dtype=Z.dtype, device=Z.device)
    step = max(1, _SOLVED_VALUES // (n_freqs * n_channels**2))
    for start in range(0, n_frames, step):
        frames = slice(start, min(start + step, n_frames))
        C = xp.astype(silent[:, frames], Z.dtype)[..., None, None] * identity
        for R, v in zip(places, loudness, strict=True):
            C = C + (v[:, frames] / level[:, frames])[..., None, None] * R[:, None, :, :]
        Z[:, :, frames] = _solution(xp, C, _in_double(xp, X[:, :, frames]))
    return Z, level


def _solution(xp: Namespace, M: Array, Y: Array) -> Array:
    """Return ``M^-1 Y`` for positive definite M (…, C, C) and Y (C, …), stacked like Y."""
    n_channels = Y.shape[0]
    solution: Array
    if n_channels == 1:
        solution = Y / M[..., 0, 0]
    elif n_channels == 2:
        a, d, b = xp.real(M[..., 0, 0]), xp.real(M[..., 1, 1]), M[..., 0, 1]
        # Not below zero but for rounding, from which the least eigenvalue a matrix can have here keeps away.
        determinant = a * d - _squared(xp, b)
        first, second = Y[0, ...], Y[1, ...]
        solution = xp.stack([d * first - b * second, a * second - xp.conj(b) * first]) / determinant
    else:
        columns = xp.permute_dims(Y, (1, 2, 0))[..., None]
        solution = xp.permute_dims(xp.linalg.solve(M, columns)[..., 0], (2, 0, 1))
    return solution


def _row_times(R: Array, row: int, Z: Array) -> Array:
    total: Array = R[:, row, 0][:, None] * Z[0, ...]
    for column in range(1, Z.shape[0]):
        total = total + R[:, row, column][:, None] * Z[column, ...]
    return total


def _squared(xp: Namespace, values: Array) -> Array:
    squared: Array = xp.real(values) ** 2 + xp.imag(values) ** 2
    return squared


def _in_double(xp: Namespace, values: Array) -> Array:
    double: Array = xp.astype(values, xp.complex128, copy=False)
    return double
