"""Griffin and Lim's signal estimation: audio from magnitudes alone, with or without momentum."""

from __future__ import annotations

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback
from dspsep.refine._phase import (
    bin_weights,
    check_finite,
    check_n_iter,
    check_stft,
    energy,
    phasors,
    positive,
    reported,
    root,
)
from dspsep.stft import STFT, Spectrogram

__all__ = ["griffin_lim"]


def griffin_lim(
    S: Array,
    stft: STFT,
    *,
    n_samples: int | None = None,
    n_iter: int = 32,
    momentum: float = 0.99,
    start: Array | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> tuple[Array, tuple[float, ...]]:
    """Return audio whose spectrogram has given magnitudes, as nearly as can be found.

    Parameters
    ----------
    S : array of shape (n_freqs, n_frames) or (n_channels, n_freqs, n_frames)
        Magnitudes, finite and not negative. Channels do not influence one another.
    stft : STFT
        The transform that they are of.
    n_samples : int, optional
        The length of the audio. By default ``(n_frames - 1) * hop_length``, at least 1.
    n_iter : int, default=32
        Iterations, at most a million: each is an inverse transform and a transform. 0 returns the start.
    momentum : float, default=0.99
        How far each step goes on beyond its end, from 0 to 1. 0 is the algorithm of 1984, whose error never
        rises; above it is the fast version of 2013, which mostly ends lower and may rise on the way.
    start : array of the shape of S, optional
        Complex numbers that have the phases to begin with, of any moduli. By default random phases.
    seed : int, default=0
        Of the random phases.
    callback : callable, optional
        Called with stage ``"griffin_lim"`` and the loss after every iteration. Returning True ends them.

    Returns
    -------
    x : array of shape (n_samples,) or (n_channels, n_samples)
        The audio.
    loss : tuple of float
        The spectral convergence at the start and after each iteration: the norm of ``abs(STFT(x)) - S``
        over that of `S`, 0 for silence. Bins that stand for two of the whole spectrum count twice.

    Raises
    ------
    InputError
        If S does not fit the transform and the length, or a setting is out of range.

    See Also
    --------
    misi : The same for sources that must sum to a known mixture.

    Notes
    -----
    Deviation from the papers: none in the iterations. The algorithm finds a local minimum, which depends on
    the start: true phases are not among what magnitudes tell, so the waveform differs from the one that the
    magnitudes came from, and scores that compare waveforms (SDR) do not measure what it is for.

    Cost: O(n_iter n_frames n_fft log n_fft) per channel. Peak memory beside the input and the audio, in
    single precision: some 65 bytes for each bin and frame.

    References
    ----------
    D. W. Griffin, J. S. Lim, "Signal estimation from modified short-time Fourier transform", IEEE
    Transactions on Acoustics, Speech, and Signal Processing 32(2), 1984. doi:10.1109/TASSP.1984.1164317

    N. Perraudin, P. Balazs, P. L. Søndergaard, "A fast Griffin-Lim algorithm", IEEE Workshop on Applications
    of Signal Processing to Audio and Acoustics (WASPAA), 2013. doi:10.1109/WASPAA.2013.6701851

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import STFT, griffin_lim
    >>> stft = STFT(512)
    >>> S = stft.forward(np.sin(0.1 * np.arange(8000)), 8000).magnitude()
    >>> x, loss = griffin_lim(S[0], stft, n_samples=8000, n_iter=50)
    >>> x.shape, loss[-1] < 0.3 * loss[0]
    ((8000,), True)
    """
    check_stft(stft)
    check_n_iter(n_iter)
    momentum = _checks.number("momentum", momentum, minimum=0, maximum=1)
    S, n_samples, mono = _fitting("S", S, stft, n_samples)
    xp = _backend.namespace(S)
    report = reported(callback, "griffin_lim", n_iter)
    level = _backend.scalar(xp.max(S))
    channels = S.shape[0]
    if level == 0.0:
        report(0, 0.0)
        silent = xp.zeros((channels, n_samples), dtype=S.dtype, device=S.device)
        return (silent[0, ...] if mono else silent), (0.0,)
    S = S / level
    weights = bin_weights(stft, S)
    whole = root([energy(S, weights)])
    # Of frame-major memory, as all that the transform makes: see `Spectrogram`.
    t = S * (_random_phasors(S, seed) if start is None else phasors(_fitting_start(start, S, mono)))
    # No rate matters here.
    estimate = Spectrogram(values=t, stft=stft, sample_rate=1.0, n_samples=n_samples)
    x = stft._inverse(estimate, None)
    before, losses = None, []
    for iteration in range(n_iter + 1):
        c = stft._forward(x, 1.0, mono=False).values
        losses.append(root([energy(xp.abs(c) - S, weights)]) / whole)
        if report(iteration, losses[-1]) or iteration == n_iter:
            break
        t = c if before is None or momentum == 0 else c + momentum * (c - before)
        before = c
        x = stft._inverse(estimate.with_values(S * phasors(t)), None)
    x = x * level
    return (x[0, ...] if mono else x), tuple(losses)


def _fitting(name: str, values: Array, stft: STFT, n_samples: int | None) -> tuple[Array, int, bool]:
    """Return magnitudes with a channel axis, the length of the audio, and whether there was no such axis."""
    S = positive(name, values)
    mono = S.ndim == 2
    S = S[None, :, :] if mono else S
    if S.ndim != 3 or S.shape[1] != stft.n_freqs or not S.shape[0] or not S.shape[2]:
        wanted = f"of shape ({stft.n_freqs}, n_frames) or (n_channels, {stft.n_freqs}, n_frames)"
        raise InputError(name, wanted, f"{tuple(values.shape)}")
    n_frames = int(S.shape[2])
    if n_samples is None:
        n_samples = max(1, (n_frames - 1) * stft.hop_length)
    expected = stft.n_frames(n_samples)
    if expected != n_frames:
        raise InputError(name, f"of {expected} frames for {n_samples} samples", f"{n_frames} frames")
    return S, int(n_samples), mono


def _fitting_start(start: Array, S: Array, mono: bool) -> Array:
    xp = _backend.namespace(start, S)
    if not xp.isdtype(start.dtype, "complex floating"):
        raise InputError("start", "complex", f"dtype {start.dtype}", "Phases p are written exp(1j * p).")
    values = start[None, :, :] if mono and start.ndim == 2 else start
    if tuple(values.shape) != tuple(S.shape):
        raise InputError("start", "of the shape of the magnitudes", f"{tuple(start.shape)}")
    check_finite("start", values)
    fitting: Array = xp.astype(values, xp.complex64 if S.dtype == xp.float32 else xp.complex128, copy=False)
    return fitting


def _random_phasors(S: Array, seed: int) -> Array:
    rng = np.random.default_rng(_checks.integer("seed", seed, minimum=0))
    angles = rng.uniform(0.0, 2.0 * np.pi, tuple(S.shape))
    precision = np.complex64 if str(S.dtype).endswith("float32") else np.complex128
    return _backend.asarray_like(np.exp(1j * angles).astype(precision), S)
