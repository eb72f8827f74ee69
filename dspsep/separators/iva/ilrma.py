"""Independent low-rank matrix analysis: each source is known by a few spectra that come and go.

AuxIVA knows a source by how loud it is, one number for each frame. Here every source has a model of its
powers,

    |y[n, f, t]|**2  ~  R[n, f, t] = sum over k of T[n, f, k] V[n, k, t]        (T, V >= 0)

and demixing matrices and models are found together, such that

    sum over n and f of the mean over t of (|y|**2 / R + log R)  -  2 sum over f of log |det W_f|

is least (Kitamura et al. 2016): the divergence of Itakura and Saito of a factorisation, for outputs that are
Gaussian with these variances. Models are updated by what `nmf` multiplies by for beta 0, with the square root
for which the objective is proved to fall, and matrices by `_updates.py` with weights 1 / R.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast, final

import numpy as np

from dspsep import _backend, _checks
from dspsep._typing import Array, Namespace
from dspsep.errors import InputError
from dspsep.kernels import kernels_for
from dspsep.separators.iva._core import MAX_N_ITER, DemixingSeparator
from dspsep.separators.iva._demixed import checked_matrices, checked_spectra, demixed
from dspsep.separators.iva._updates import Found, Report, Trace, log_determinants, sweep
from dspsep.separators.iva._whitening import Whitened

__all__ = ["ILRMA", "ilrma"]

_UPDATES = ("ip", "iss")
_MAX_N_COMPONENTS = 1000
# Models to begin with are no larger than this, or smaller than its inverse: their squares are numbers.
_MOST = 2.0**50
_MAX_N_STARTS = 1000


@final
@dataclass(frozen=True, kw_only=True)
class ILRMA(DemixingSeparator):
    """Independent low-rank matrix analysis: demixing with a few spectra for each source.

    For instruments, whose notes have spectra that come again, and for talkers, in a room, recorded by as many
    microphones as there are sources.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=4096, hop_length=1024, window="hann")
        The transform. Frames should be about as long as the reverberation: 0.26 s at 16 kHz.
    n_sources : int, optional
        As many as channels, which is also the default.
    n_iter : int, default=50
        How many iterations.
    init : DemixingSeparator, optional
        Another method of the family whose matrices this one begins with. By default the sources are the
        microphones at first.
    update : {"ip", "iss"}, default="ip"
        Iterative projection, or iterative source steering.
    n_components : int, default=2
        The spectra of each source: 2 for talkers, some 10 for instruments.
    n_starts : int, default=3
        How many random models to begin with, one after the other. What ends with the least objective stays.
    seed : int, default=0
        Of these models.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    ilrma : The algorithm as a function of a spectrogram alone.
    AuxIVA : Loudness alone, from no random start.

    Notes
    -----
    The sources are ``source_0``, ``source_1``, …, their images at all microphones, which sum to the mixture.
    What comes of it depends on the random start by some decibels, and goes with the objective: so several
    starts are tried, and their objectives compared. `init` makes it depend less, which is not always for
    the better.

    After each iteration the outputs of a source are divided by their root mean square, all bins by the same
    number, and its templates by its square: this leaves the objective as it is.

    Deviations from the papers: those of `AuxIVA`. Sources share no templates.

    Cost: O(n_starts n_iter n_freqs n_frames n_channels (n_channels**2 + n_components)). Peak memory beside
    the input and the sources: two and a half spectrograms of all channels, and a few copies of the models.

    References
    ----------
    D. Kitamura, N. Ono, H. Sawada, H. Kameoka, H. Saruwatari, "Determined blind source separation unifying
    independent vector analysis and nonnegative matrix factorization", IEEE/ACM Transactions on Audio, Speech,
    and Language Processing 24(9), 2016, pp. 1626-1641. doi:10.1109/TASLP.2016.2577880

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.reverberant(duration=3.0, rt60=0.1)
    >>> separator = dspsep.ILRMA(n_iter=20, n_starts=1)
    >>> sources = separator.separate(scene.mixture, scene.sample_rate)
    >>> list(sources), sources.model.templates.shape
    (['source_0', 'source_1'], (2, 2049, 2))
    """

    update: Literal["ip", "iss"] = "ip"
    n_components: int = 2
    n_starts: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_components", "n_starts", "seed"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        _checks.choice("update", self.update, _UPDATES)
        _checks.integer("n_components", self.n_components, minimum=1, maximum=_MAX_N_COMPONENTS)
        _checks.integer("n_starts", self.n_starts, minimum=1, maximum=_MAX_N_STARTS)
        _checks.integer("seed", self.seed, minimum=0)

    def _learn(self, data: Whitened, W: Array, report: Report | None) -> Found:
        rng = np.random.default_rng(self.seed)
        ended = False

        def told(done: int, iteration: int, loss: float) -> bool:
            nonlocal ended
            ended = report is not None and bool(report(done + iteration, loss))
            return ended

        best: Found | None = None
        for start in range(self.n_starts):
            models = _random_models(data, W, self.n_components, rng)
            tell = None if report is None else partial(told, start * self.n_iter)
            found = _minimise(data, W, models, self.update, self.n_iter, tell)
            if best is None or found.losses[-1] < best.losses[-1]:
                best = found
            if ended:
                break
        return cast("Found", best)

    def _n_reports(self) -> int:
        return self.n_starts * self.n_iter


def ilrma(
    X: Array,
    *,
    update: Literal["ip", "iss"] = "ip",
    n_components: int = 2,
    n_iter: int = 50,
    seed: int = 0,
    demixing: Array | None = None,
    templates: Array | None = None,
    activations: Array | None = None,
    callback: Callable[[int, float], bool | None] | None = None,
) -> tuple[Array, Array, Array, tuple[float, ...]]:
    """Find demixing matrices and low-rank models of the outputs.

    Parameters
    ----------
    X : array of shape (n_channels, n_freqs, n_frames)
        Complex spectra of at least two microphones. Never changed.
    update : {"ip", "iss"}, default="ip"
        Iterative projection, or iterative source steering.
    n_components : int, default=2
        The spectra of each source, unless templates are given.
    n_iter : int, default=50
        How many iterations.
    seed : int, default=0
        Of the random models to begin with, unless they are given.
    demixing : array of shape (n_freqs, n_channels, n_channels), optional
        The matrices to begin with. By default the identity.
    templates : array of shape (n_channels, n_freqs, n_components), optional
        The T to begin with, of powers of the outputs to begin with, together with activations.
    activations : array of shape (n_channels, n_components, n_frames), optional
        The V to begin with.
    callback : callable, optional
        Called with the number of iterations and the loss after each. Returning True ends them.

    Returns
    -------
    W : array of shape (n_freqs, n_channels, n_channels)
        Complex, in double precision. Outputs are ``W[f] @ X[:, f, :]``; their scale is arbitrary.
    T : array of shape (n_channels, n_freqs, n_components)
        Of the powers of these outputs.
    V : array of shape (n_channels, n_components, n_frames)
        Of the same.
    losses : tuple of float
        What is minimised, at the start and after each iteration, for X times the power of two that brings
        its mean power near the number of bins. Nothing where X is zero.

    Raises
    ------
    InputError
        If `X` or a setting is out of range.

    Warns
    -----
    DspsepWarning
        ``W_RANK`` if the channels hold fewer independent signals than there are of them: what belongs to
        sources that were lost is zero.

    See Also
    --------
    ILRMA : The separator made of it.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import ilrma
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2, 20, 100)) + 1j * rng.standard_normal((2, 20, 100))
    >>> W, T, V, losses = ilrma(X, n_iter=5)
    >>> W.shape, T.shape, V.shape, losses[-1] < losses[0]
    ((20, 2, 2), (2, 20, 2), (2, 2, 100), True)
    """
    _checks.choice("update", update, _UPDATES)
    _checks.integer("n_iter", n_iter, minimum=0, maximum=MAX_N_ITER)
    _checks.integer("n_components", n_components, minimum=1, maximum=_MAX_N_COMPONENTS)
    _checks.integer("seed", seed, minimum=0)
    X = checked_spectra(X)
    n_channels, n_freqs, n_frames = X.shape
    if demixing is not None:
        demixing = checked_matrices("demixing", demixing, (n_freqs, n_channels, n_channels))
    if (templates is None) != (activations is None):
        raise InputError("activations", "given with templates, and only with them", "one of them")
    if templates is not None and activations is not None:
        templates = _checked_model("templates", templates, (n_channels, n_freqs, None))
        if not templates.shape[2]:
            raise InputError("templates", "of one component at least", f"shape {tuple(templates.shape)}")
        activations = _checked_model("activations", activations, (n_channels, templates.shape[2], n_frames))

    def learn(data: Whitened, W: Array) -> Found:
        if templates is None or activations is None:
            models = _random_models(data, W, n_components, np.random.default_rng(seed))
        else:
            # Given matrices are those of X itself; the others begin with outputs in the scale of the start.
            gain = data.scale**2 if demixing is None else 1.0
            models = _given_models(data, templates, activations, gain)
        return _minimise(data, W, models, update, n_iter, callback)

    found = demixed(X, n_channels, learn, demixing=demixing)
    if found.templates is None or found.activations is None:
        xp = _backend.namespace(X)
        n = n_components if templates is None else int(templates.shape[2])
        real = xp.float32 if X.dtype == xp.complex64 else xp.float64
        T = xp.zeros((n_channels, n_freqs, n), dtype=real, device=X.device)
        V = xp.zeros((n_channels, n, n_frames), dtype=real, device=X.device)
        return found.demixing, T, V, found.losses
    return found.demixing, found.templates, found.activations, found.losses


def _checked_model(name: str, value: Array, shape: tuple[int | None, ...]) -> Array:
    values = _backend.real_floating(name, value)
    checked_matrices(name, values, shape)
    xp = _backend.namespace(values)
    if not bool(_backend.to_host(xp.all(values >= 0))):
        raise InputError(name, "not negative", "negative numbers")
    return values


def _bin_powers(xp: Namespace, W: Array) -> Array:
    """Return the mean power (n_sources, n_active) of the outputs of whitened bins."""
    return xp.permute_dims(xp.sum(xp.real(W) ** 2 + xp.imag(W) ** 2, axis=2), (1, 0))  # type: ignore[no-any-return]


def _random_models(
    data: Whitened, W: Array, n_components: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return templates and activations between a tenth and one, times the mean power of each bin."""
    xp = _backend.namespace(data.spectra)
    n_freqs, _, _, n_frames = data.spectra.shape
    n_sources = W.shape[1]
    drawn = [rng.uniform(0.1, 1.0, (n_sources, n_freqs, n_components))]
    drawn.append(rng.uniform(0.1, 1.0, (n_sources, n_components, n_frames)))
    T, V = (xp.astype(_backend.asarray_like(part, data.spectra), data.spectra.dtype) for part in drawn)
    return T * xp.astype(_bin_powers(xp, W), T.dtype)[:, :, None], V


def _given_models(data: Whitened, T: Array, V: Array, gain: float) -> tuple[Array, Array]:
    xp = _backend.namespace(data.spectra, T, V)
    active = _backend.asarray_like(np.asarray(data.active, np.int64), T)
    T = xp.take(T, active, axis=1) * gain
    rank = data.n_channels
    real = data.spectra.dtype
    V = data.active_frames(V)
    T, V = xp.astype(T[:rank, ...], real), xp.astype(V[:rank, ...], real)
    model = T @ V
    lowest, highest = _backend.scalar(xp.min(model)), _backend.scalar(xp.max(model))
    if not 1 / _MOST < lowest <= highest < _MOST:
        requirement = "such that templates @ activations is above 0 wherever X is, and in its scale"
        raise InputError("templates", requirement, f"a product from {lowest:.2g} to {highest:.2g}")
    return T, V


def _minimise(
    data: Whitened, W: Array, models: tuple[Array, Array], update: str, n_iter: int, report: Report | None
) -> Found:
    kernels, xp = kernels_for(data.spectra), _backend.namespace(data.spectra)
    T, V = models
    trace = Trace(report=report, constant=-2 * data.constant())
    logarithms = xp.sum(log_determinants(W))
    for iteration in range(n_iter + 1):
        following, numerator, denominator, loss = kernels.low_rank_terms(data.spectra, W, T, V, data.ridge)
        if trace.ends(loss - 2 * logarithms) or iteration == n_iter:
            break
        T = following
        V = V * xp.astype(xp.sqrt(numerator / denominator), V.dtype)
        W, each = sweep(update, W, kernels.low_rank_covariances(data.spectra, T, V, data.ridge))
        # One number for all bins of a source: what it does to the terms of the objective cancels.
        powers = xp.mean(_bin_powers(xp, W), axis=1)
        roots = xp.sqrt(powers)
        W = W / xp.astype(roots, W.dtype)[None, :, None]
        T = T / xp.astype(powers, T.dtype)[:, None, None]
        logarithms = xp.sum(each) - W.shape[0] * xp.sum(xp.log(roots))
    return Found(demixing=W, losses=trace.losses(), templates=T, activations=V)
