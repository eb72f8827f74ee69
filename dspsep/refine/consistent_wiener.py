"""Consistent Wiener filtering: the Wiener objective plus a penalty on what is the transform of no signal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.progress import Callback
from dspsep.refine._phase import (
    Report,
    bin_weights,
    by_channel,
    check_n_iter,
    check_power,
    check_stft,
    inner,
    laid_out,
    reported,
    stacked,
)
from dspsep.separator import Refiner
from dspsep.sources import Sources
from dspsep.stft import STFT, Spectrogram

__all__ = ["ConsistentWiener", "consistent_wiener"]

# Variances are at least this share of their mean: beside it 1 / v would overflow, and nobody hears it.
_FLOOR = 1e-10
# The iterations end where the squared residual has fallen by this: further on there is only rounding.
_ENOUGH = {"float32": 1e-12, "float64": 1e-28}


def consistent_wiener(
    X: Spectrogram, v: Array, *, weight: float = 1.0, n_iter: int = 30, callback: Callback | None = None
) -> tuple[Array, tuple[float, ...]]:
    """Return sources near their Wiener estimates that are nearly transforms of signals.

    Parameters
    ----------
    X : Spectrogram
        Of the mixture.
    v : array of shape (n_sources, n_channels, n_freqs, n_frames)
        The variances of the sources, finite and not negative; only their ratios to their mean matter.
    weight : float, default=1.0
        The weight of inconsistency, from 0 to a million, in units of one over the mean of what the variances
        sum to. 0 is the Wiener filter.
    n_iter : int, default=30
        Steps of conjugate gradients, at most a million. The larger the weight, the more are needed. Fewer are
        made where rounding is reached before.
    callback : callable, optional
        Called with stage ``"consistent_wiener"`` and the loss after every step, channel by channel. Returning
        True ends those of a channel.

    Returns
    -------
    s : array of shape (n_sources, n_channels, n_samples)
        The sources. They sum to the mixture but for rounding.
    loss : tuple of float
        The objective of the Notes at the start, which is the Wiener filter, and after each step, summed over
        channels; variances in units of the mean of what they sum to. Never rises but for rounding.

    Raises
    ------
    InputError
        If `v` does not fit the mixture, or a setting is out of range.

    See Also
    --------
    ConsistentWiener : As a step of a pipeline.
    misi : Keeps magnitudes, and not the Wiener filter's.

    Notes
    -----
    With F(S) = S - STFT(inverse STFT(S)), which is zero for transforms of signals, the spectra S_j minimise

        sum_j sum_ft abs(S_j)**2 / v_j  +  weight * sum_j norm(F(S_j))**2   where   sum_j S_j = X,

    each bin counted as often as it stands in the whole spectrum. The first term alone gives the Wiener filter
    ``v_j / sum_k v_k * X``. F is an orthogonal projection, so the gradient has F itself, and the solution is
    where ``S_j / v_j + weight * F(S_j)`` is the same for all sources.

    Deviations from the paper, which has two sources: there, the second is X minus the first, so that the
    objective is the paper's with twice the `weight` as its gamma. For more, all sources are solved for
    together, by conjugate gradients whose directions sum to zero over the sources. One source against the
    rest, as the paper would have it, gives estimates that sum to the mixture for two sources only. The weight
    is relative, so that sources scale with the mixture. The hard constraint, which is the limit of large
    weights, is not here: its system is too badly conditioned to be solved in a number of steps one waits for.

    The preconditioner is the diagonal of the system, as in the paper. Variances are at least 1e-10 of their
    mean.

    Cost: O(n_iter n_sources n_frames n_fft log n_fft) per channel. Channels are worked on one after the
    other; peak memory as in `ConsistentWiener`.

    References
    ----------
    J. Le Roux, E. Vincent, "Consistent Wiener filtering for audio source separation", IEEE Signal Processing
    Letters 20(3), 2013, pp. 217-220. doi:10.1109/LSP.2012.2225617

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import STFT, consistent_wiener
    >>> stft, n = STFT(512), np.arange(8000)
    >>> sources = [np.sin(0.1 * n), np.sin(0.13 * n)]
    >>> v = np.stack([stft.forward(s, 8000).magnitude() ** 2 for s in sources])
    >>> s, loss = consistent_wiener(stft.forward(sum(sources), 8000), v)
    >>> s.shape, bool(np.allclose(s.sum(axis=0)[0], sum(sources))), loss[-1] < loss[0]
    ((2, 1, 8000), True, True)
    """
    check_n_iter(n_iter)
    weight = _weight(weight)
    v = stacked("v", v, X)
    xp = _backend.namespace(v, X.values)
    channels, losses = [], []
    for channel in range(X.n_channels):
        stage = "consistent_wiener"
        if X.n_channels > 1:
            stage += f" channel {channel + 1} of {X.n_channels}"
        one = Spectrogram(
            values=X.values[channel : channel + 1, ...],
            stft=X.stft,
            sample_rate=X.sample_rate,
            n_samples=X.n_samples,
        )
        peak = _backend.scalar(xp.max(v[:, channel, ...])) or 1.0
        level = _backend.scalar(xp.max(xp.abs(one.values))) or 1.0
        variances = [laid_out(v[j, channel : channel + 1, ...] / peak, one.values) for j in range(v.shape[0])]
        report = reported(callback, stage, n_iter, unit=level**2)
        s, loss = solve(one.with_values(one.values / level), variances, weight, n_iter, report)
        channels.append([estimate * level for estimate in s])
        losses.append([value * level**2 for value in loss])
    s = xp.stack([xp.concat([parts[j] for parts in channels], axis=0) for j in range(v.shape[0])])
    longest = max(map(len, losses))
    return s, tuple(sum(loss[min(k, len(loss) - 1)] for loss in losses) for k in range(longest))


def solve(
    X: Spectrogram, v: list[Array], weight: float, n_iter: int, report: Report
) -> tuple[list[Array], tuple[float, ...]]:
    """Run the conjugate gradients on one channel, each variance of the shape of its spectrum."""
    xp = _backend.namespace(X.values, *v)
    total = sum(v[1:], start=v[0])
    size = total.shape[0] * total.shape[1] * total.shape[2]
    mean = _backend.scalar(xp.sum(total, dtype=xp.float64)) / size
    if mean == 0.0:
        # Nothing tells the sources apart.
        report(0, 0.0)
        share = X.stft._inverse(X, None) / len(v)
        return [share for _ in v], (0.0,)
    v = [variance / mean + _FLOOR for variance in v]
    common = X.values / (total / mean + len(v) * _FLOOR)
    del total
    S = [variance * common for variance in v]
    wiener = inner([X.values], [common], bin_weights(X.stft, X.values))
    del common
    losses = _descend(X, S, v, wiener, weight, n_iter, report)
    return [X.stft._inverse(X.with_values(estimate), None) for estimate in S], losses


def _descend(
    X: Spectrogram,
    S: list[Array],
    v: list[Array],
    wiener: float,
    weight: float,
    n_iter: int,
    report: Report,
) -> tuple[float, ...]:
    """Move the spectra S, in place, from their Wiener estimates, whose first term is `wiener`."""
    stft = X.stft
    weights = bin_weights(stft, X.values)
    # The diagonal of F: of what a frame holds, the share hop / n_fft comes back from the signal's own frame.
    curvature = weight * max(0.0, 1.0 - stft.hop_length / stft.n_fft)
    m = [variance / (1.0 + curvature * variance) for variance in v]
    total = sum(m[1:], start=m[0])
    # S / v is the same for all sources at the start, so that only the penalty has a gradient.
    r = [-weight * _inconsistent(X, estimate) for estimate in S]
    losses = [wiener + (inner(r, r, weights) / weight if weight else 0.0)]
    ended = report(0, losses[0])
    _project(r, m, total)
    p = [gain * residual for gain, residual in zip(m, r, strict=True)]
    rho = first = inner(r, p, weights)
    enough = _ENOUGH["float32" if str(X.values.dtype).endswith("complex64") else "float64"]
    for iteration in range(1, n_iter + 1):
        if ended or not rho > enough * first:
            break
        q = [d / variance + weight * _inconsistent(X, d) for d, variance in zip(p, v, strict=True)]
        step = rho / inner(p, q, weights)
        for j in range(len(S)):
            S[j] += step * p[j]
            r[j] -= step * q[j]
        del q
        _project(r, m, total)
        losses.append(losses[-1] - step * rho)
        ended = report(iteration, losses[-1])
        before, rho = rho, sum(inner([r[j]], [m[j] * r[j]], weights) for j in range(len(S)))
        for j in range(len(S)):
            p[j] *= rho / before
            p[j] += m[j] * r[j]
    return tuple(losses)


def _inconsistent(X: Spectrogram, values: Array) -> Array:
    """Return F(S): what is left of a spectrum when the transform of its inverse is taken away."""
    stft = X.stft
    samples = stft._inverse(X.with_values(values), None)
    return values - stft._forward(samples, X.sample_rate, X.mono).values


def _project(r: list[Array], m: list[Array], total: Array) -> None:
    """Take from residuals what all have in common, so that directions sum to zero over the sources."""
    shift = sum((gain * residual for gain, residual in zip(m[1:], r[1:], strict=True)), start=m[0] * r[0])
    shift = shift / total
    for j in range(len(r)):
        r[j] -= shift


@final
@dataclass(frozen=True, kw_only=True)
class ConsistentWiener(Refiner):
    """Filter the mixture again, so that what comes out is nearly the transform of signals.

    A mask gives a spectrogram that no signal has: neighbouring frames contradict each other about the samples
    they share. This refiner trades some of the Wiener filter's fit for agreement. It helps where the
    variances of the sources are known well, as in informed separation, and hardly changes anything where
    they are guesses: see `consistent_wiener` to give variances of your own.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform. It may differ from that of the separator.
    weight : float, default=1.0
        The weight of inconsistency, from 0 to a million, in units of one over the mean variance. 0 is the
        Wiener filter.
    n_iter : int, default=30
        Steps of conjugate gradients, from 1 to a million.
    power : float, default=1.0
        The variance of a source is the magnitude of its estimate to this power, above 0 and at most 4. 1
        keeps the shares that the estimates have of each bin; the paper's 2, meant for estimates that are no
        filtered mixtures, would make masks harder that are made already.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    consistent_wiener : The algorithm as a function of variances.
    MISI : Keeps magnitudes.

    Notes
    -----
    Names and order are kept, and the sources sum to the mixture. Channels do not influence one another, each
    has its own mean variance. There is no reach: the steps have the whole mixture in common. The `model`
    of the sources is that of the step before.

    Deviations from the paper: see `consistent_wiener`; and the default `power`.

    Cost: O(n_iter n_sources n_frames n_fft log n_fft) per channel. Peak memory
    beside the input and the sources, in single precision: 32 bytes for each bin and frame of one channel, and
    46 more for each source.

    References
    ----------
    J. Le Roux, E. Vincent, "Consistent Wiener filtering for audio source separation", IEEE Signal Processing
    Letters 20(3), 2013, pp. 217-220. doi:10.1109/LSP.2012.2225617

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> pipeline = dspsep.HPSS() >> dspsep.ConsistentWiener(n_iter=5)
    >>> pipeline.separate(scene.mixture, scene.sample_rate).names
    ('harmonic', 'percussive')
    """

    stft: STFT = field(default_factory=STFT)
    weight: float = 1.0
    n_iter: int = 30
    power: float = 1.0

    def __post_init__(self) -> None:
        check_stft(self.stft)
        object.__setattr__(self, "weight", _weight(self.weight))
        object.__setattr__(self, "n_iter", check_n_iter(self.n_iter, minimum=1))
        object.__setattr__(self, "power", check_power(self.power))

    def names_after(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return the names that go in."""
        return names

    def refine(self, mixture: Array, sources: Sources, *, callback: Callback | None = None) -> Sources:
        """Return the sources filtered again.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Never changed.
        sources : Sources
            Estimates of its sources. Never changed.
        callback : callable, optional
            Called with stage ``"refine"`` and the loss after every step, channel by channel. Returning True
            ends those of a channel.

        Returns
        -------
        Sources
            Of the same names. They sum to the mixture.

        Raises
        ------
        InputError
            If the sources are not of the shape of the mixture.
        """
        return by_channel(mixture, sources, self.stft, self.n_iter, callback, self._refine)

    def _refine(self, X: Spectrogram, given: list[Array], report: Report) -> list[Array]:
        xp = _backend.namespace(X.values)
        v = [xp.abs(self.stft._forward(estimate, X.sample_rate, X.mono).values) for estimate in given]
        if self.power != 1:
            # Only ratios to the mean count: none is above one, where no power takes them beyond all numbers.
            largest = max(_backend.scalar(xp.max(magnitude)) for magnitude in v) or 1.0
            v = [(magnitude / largest) ** self.power for magnitude in v]
        return solve(X, v, self.weight, self.n_iter, report)[0]


def _weight(value: object) -> float:
    return _checks.number("weight", value, minimum=0, maximum=1e6)
