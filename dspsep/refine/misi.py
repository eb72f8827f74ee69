"""Multiple input spectrogram inversion: keep magnitudes, share the mixture's error among the sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback
from dspsep.refine._phase import (
    Report,
    bin_weights,
    by_channel,
    check_finite,
    check_n_iter,
    check_power,
    check_stft,
    energy,
    laid_out,
    phasors,
    reported,
    root,
    stacked,
)
from dspsep.separator import Refiner
from dspsep.sources import Sources
from dspsep.stft import STFT, Spectrogram

__all__ = ["MISI", "misi"]


def misi(
    X: Spectrogram,
    A: Array,
    *,
    n_iter: int = 10,
    start: Array | None = None,
    callback: Callback | None = None,
) -> tuple[Array, tuple[float, ...]]:
    """Return sources of given magnitudes that sum to a mixture, as nearly as can be found.

    Parameters
    ----------
    X : Spectrogram
        Of the mixture.
    A : array of shape (n_sources, n_channels, n_freqs, n_frames)
        The magnitudes of the sources, finite and not negative.
    n_iter : int, default=10
        Iterations, at most a million. 0 gives the start's phases, the error shared.
    start : array of the shape of A, optional
        Complex numbers that have the phases to begin with. By default every source has the mixture's.
    callback : callable, optional
        Called with stage ``"misi"`` and the loss after every iteration. Returning True ends them.

    Returns
    -------
    s : array of shape (n_sources, n_channels, n_samples)
        The sources. They sum to the mixture after every iteration, but for rounding.
    loss : tuple of float
        At the start and after each iteration, the norm of ``abs(STFT(s_j)) - A_j`` over all sources, over
        that of `A`. Never rises but for rounding.

    Raises
    ------
    InputError
        If `A` does not fit the mixture, or a setting is out of range.

    See Also
    --------
    MISI : As a step of a pipeline.
    griffin_lim : One signal, and no mixture that is known.

    Notes
    -----
    An iteration takes the phases of the sources, gives them the magnitudes `A`, transforms back, and adds to
    each source the same share of what is missing to the mixture. For one source, that gives the mixture.

    Why the loss never rises: the sets of spectra with magnitudes `A`, and of transforms of signals that sum
    to the mixture, are each met by the nearest point. Of the second set that is the inverse transform with
    the error shared equally, since the weights of the least-squares inverse are the same for all sources.

    The paper adds the error to the signals before their phases are taken, which is done here, too, and once
    more at the end, so that what comes out sums to the mixture.

    Cost: O(n_iter n_sources n_frames n_fft log n_fft) per channel. Peak memory as in `MISI`, of all channels.

    References
    ----------
    D. Gunawan, D. Sen, "Iterative phase estimation for the synthesis of separated sources from single-channel
    mixtures", IEEE Signal Processing Letters 17(5), 2010, pp. 421-424.

    P. Magron, T. Virtanen, "Online spectrogram inversion for low-latency audio source separation", IEEE
    Signal Processing Letters 27, 2020, pp. 306-310. doi:10.1109/LSP.2020.2970310

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import STFT, misi
    >>> stft, n = STFT(512), np.arange(8000)
    >>> sources = [np.sin(0.1 * n), np.sin(0.13 * n)]
    >>> A = np.stack([stft.forward(s, 8000).magnitude() for s in sources])
    >>> s, loss = misi(stft.forward(sum(sources), 8000), A, n_iter=50)
    >>> s.shape, bool(np.allclose(s.sum(axis=0)[0], sum(sources))), loss[-1] < 0.5 * loss[0]
    ((2, 1, 8000), True, True)
    """
    check_n_iter(n_iter)
    A = stacked("A", A, X)
    xp = _backend.namespace(A, X.values)
    if start is not None:
        _backend.namespace(start, A)
        if not xp.isdtype(start.dtype, "complex floating") or tuple(start.shape) != tuple(A.shape):
            got = f"{tuple(start.shape)} of {start.dtype}"
            raise InputError("start", f"complex, of the shape of A, {tuple(A.shape)}", got)
        check_finite("start", start)
    # Of all, since magnitudes may be far above a mixture in which sources cancel.
    level = max(_backend.scalar(xp.max(xp.abs(X.values))), _backend.scalar(xp.max(A))) or 1.0
    magnitudes = [laid_out(A[j, ...] / level, X.values) for j in range(A.shape[0])]
    phases = None if start is None else [phasors(start[j, ...]) for j in range(A.shape[0])]
    report = reported(callback, "misi", n_iter)
    s, losses = invert(X.with_values(X.values / level), magnitudes, phases, n_iter, report)
    return xp.stack(s) * level, losses


def invert(
    X: Spectrogram, A: list[Array], phases: list[Array] | None, n_iter: int, report: Report
) -> tuple[list[Array], tuple[float, ...]]:
    """Run the iterations on magnitudes of a modest level, of the shape of X; `phases` is emptied."""
    xp = _backend.namespace(X.values)
    stft, n_sources = X.stft, len(A)
    x = stft._inverse(X, None)
    weights = bin_weights(stft, x)
    whole = root([energy(a, weights) for a in A]) or 1.0
    mixed = phasors(X.values) if phases is None else None
    s: list[Array] = []
    for a in reversed(A):
        phase = phases.pop() if phases else mixed  # no longer needed, and as large as a spectrogram
        s.insert(0, stft._inverse(X.with_values(a * phase), None))
    del mixed
    losses: list[float] = []
    for iteration in range(n_iter + 1):
        missing = (x - sum(s[1:], start=s[0])) / n_sources
        s = [estimate + missing for estimate in s]
        last, excess = iteration == n_iter, []
        ahead: list[Array] = []
        for a, estimate in zip(A, s, strict=True):
            Y = stft._forward(estimate, X.sample_rate, X.mono)
            excess.append(energy(xp.abs(Y.values) - a, weights))
            if not last:
                ahead.append(stft._inverse(Y.with_values(a * phasors(Y.values)), None))
        losses.append(root(excess) / whole)
        if report(iteration, losses[-1]) or last:
            break
        s = ahead
    return s, tuple(losses)


@final
@dataclass(frozen=True, kw_only=True)
class MISI(Refiner):
    """Find phases that fit the magnitudes of the sources, by multiple input spectrogram inversion.

    Where magnitudes are known well, as in informed separation, phases follow from them and the mixture, and
    are far better than the mixture's: give `misi` such magnitudes. From the audio of blind estimates there is
    little to gain, since their magnitudes are no better than their phases.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform. It may differ from that of the separator.
    n_iter : int, default=10
        Iterations, from 1 to a million.
    power : float, default=1.0
        Each source wants the share of the mixture's magnitude that its own magnitude to this power has among
        those of all sources; above 0 and at most 4.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    misi : The algorithm as a function of magnitudes.
    ConsistentWiener : Gives way in magnitudes, too.

    Notes
    -----
    Names and order are kept, and the sources sum to the mixture. Channels do not influence one another. The
    phases are those of the estimates to begin with. The `model` of the sources is that of the step before.

    Deviation from the paper, which is given magnitudes: those of the estimates themselves would be met from
    the start, and nothing would change, since the estimates are signals that sum to the mixture. Hence the
    shares of the mixture's magnitude, which are what masks meant before signals were made of them.

    Cost: O(n_iter n_sources n_frames n_fft log n_fft) per channel. Peak memory
    beside the input and the sources, in single precision: some 70 bytes for each bin and frame of one
    channel, and 10 more for each source.

    References
    ----------
    D. Gunawan, D. Sen, "Iterative phase estimation for the synthesis of separated sources from single-channel
    mixtures", IEEE Signal Processing Letters 17(5), 2010, pp. 421-424.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> pipeline = dspsep.HPSS() >> dspsep.MISI(n_iter=2)
    >>> pipeline.separate(scene.mixture, scene.sample_rate).names
    ('harmonic', 'percussive')
    """

    stft: STFT = field(default_factory=STFT)
    n_iter: int = 10
    power: float = 1.0

    def __post_init__(self) -> None:
        check_stft(self.stft)
        object.__setattr__(self, "n_iter", check_n_iter(self.n_iter, minimum=1))
        object.__setattr__(self, "power", check_power(self.power))

    def names_after(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return the names that go in."""
        return names

    def refine(self, mixture: Array, sources: Sources, *, callback: Callback | None = None) -> Sources:
        """Return the sources with phases that fit better.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Never changed.
        sources : Sources
            Estimates of its sources. Never changed.
        callback : callable, optional
            Called with stage ``"refine"`` and the loss after every iteration, channel by channel. Returning
            True ends those of a channel.

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
        parts, phases = [], []
        for estimate in given:
            Y = self.stft._forward(estimate, X.sample_rate, X.mono).values
            parts.append(xp.abs(Y))
            phases.append(phasors(Y))
        if self.power != 1:
            # Shares of the largest, which no power takes to where numbers end.
            largest = parts[0]
            for part in parts[1:]:
                largest = xp.maximum(largest, part)
            largest = xp.where(largest == 0, xp.ones_like(largest), largest)
            parts = [(part / largest) ** self.power for part in parts]
            del largest
        total = sum(parts[1:], start=parts[0])
        # Shares first: they are at most one, where magnitude over total could overflow.
        total = xp.where(total == 0, xp.ones_like(total), total)
        magnitude = xp.abs(X.values)
        A = [part / total * magnitude for part in parts]
        del parts, total, magnitude
        return invert(X, A, phases, self.n_iter, report)[0]
