"""FastMNMF2: sources with spectra of their own, in directions that are the same in all frequencies.

The channels x of bin (f, t) are drawn with the covariance (Sekiguchi et al. 2020)

    sum_n L[n, f, t] G_nf,     L[n, f, t] = sum_k W[n, f, k] H[n, k, t],     G_nf = Q_f^-1 diag(g_n) Q_f^-H:

how loud each source is, from a few spectra, times where it is. All sources share Q_f, which makes the
covariances of all bins diagonal, so that there are no matrices to invert in each bin; how much of source n is
in direction m does not depend on the frequency, which ties the frequencies together. The image of a source at
all microphones is its part of what Q_f sees, seen from the microphones:

    y_nft = Q_f^-1 diag( g_n L_nft / sum_i g_i L_ift ) Q_f x_ft.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, final

from dspsep import _audio, _backend, _checks
from dspsep._audio import Mixture
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.separator import Separator
from dspsep.separators._names import numbered
from dspsep.separators.spatial._multichannel import (
    Split,
    check_iterations,
    split,
    warn_of_rank,
)
from dspsep.separators.spatial._multichannel_mixtures import learned
from dspsep.separators.spatial._multichannel_model import FastMNMF2Model
from dspsep.separators.spatial._multichannel_starts import (
    fitting_image,
    from_images,
    in_units,
    powers_fit,
    random_start,
    with_given,
)
from dspsep.separators.spatial._multichannel_updates import STEPS, Factors, iterate
from dspsep.separators.spatial.cacgmm import CACGMMModel
from dspsep.sources import Sources
from dspsep.stft import STFT, Spectrogram

__all__ = ["FastMNMF2", "FastMNMF2Model", "fastmnmf2"]

_MAX_N_COMPONENTS = 1000
_N_ITER_OF_DIRECTIONS = 50


def fastmnmf2(
    X: Array,
    n_sources: int,
    *,
    n_components: int = 16,
    n_iter: int = 100,
    seed: int = 0,
    Q: Array | None = None,
    g: Array | None = None,
    W: Array | None = None,
    H: Array | None = None,
    update: Literal["usual", "long", "joint"] = "usual",
    callback: Callable[[int, float], bool | None] | None = None,
) -> tuple[Array, Array, Array, Array, tuple[float, ...]]:
    """Learn spectra and directions of sources from a multichannel spectrum.

    Parameters
    ----------
    X : array of shape (n_channels, n_freqs, n_frames)
        The complex spectrum. Never changed.
    n_sources : int
        How many sources there are; there may be more than channels.
    n_components : int, default=16
        How many spectra each source has.
    n_iter : int, default=100
        The number of iterations.
    seed : int, default=0
        Of the random spectra and activations at the start.
    Q : array of shape (n_freqs, n_channels, n_channels), optional
        Demixing matrices to begin with. By default the identity.
    g : array of shape (n_sources, n_channels), optional
        Directivities to begin with, not negative. By default circular: direction m belongs to source m, m
        plus the number of sources, …, and a twentieth of it to all.
    W : array of shape (n_sources, n_freqs, n_components), optional
        Spectra to begin with, not negative. By default random.
    H : array of shape (n_sources, n_components, n_frames), optional
        Activations to begin with, not negative. By default random.
    update : {"usual", "long", "joint"}, default="usual"
        How factors move: see `FastMNMF2`.
    callback : callable, optional
        Called with the number of iterations and the objective after each. Returning True ends them.

    Returns
    -------
    Q : array of shape (n_freqs, n_channels, n_channels)
        In double precision. The mean square of its rows is one.
    g : array of shape (n_sources, n_channels)
        In double precision, summing to one for each source.
    W : array of shape (n_sources, n_freqs, n_components)
        Spectra of power, each of which sums to one.
    H : array of shape (n_sources, n_components, n_frames)
        How loud they are; in double precision where powers of `X` would leave the range of single.
    losses : tuple of float
        The negative log-likelihood at the start and after each iteration, for data scaled by the power of two
        that brings their mean power to between 1/2 and 2. Never rises.

    Raises
    ------
    InputError
        If `X` or a setting is out of range, or a start does not fit: matrices without inverse, or a model
        that is nothing in some bin.

    See Also
    --------
    FastMNMF2 : The separator made of it.

    Notes
    -----
    Where a start is given in part, the rest is as by default, and activations are scaled to fit the power of
    the mixture unless they are given.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import fastmnmf2
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((2, 5, 40)) + 1j * rng.standard_normal((2, 5, 40))
    >>> Q, g, W, H, losses = fastmnmf2(X, 3, n_components=2, n_iter=20)
    >>> Q.shape, g.shape, W.shape, H.shape
    ((5, 2, 2), (3, 2), (3, 5, 2), (3, 2, 40))
    >>> losses[-1] < losses[0]
    True
    """
    check_iterations(n_sources, n_iter, seed)
    _checks.integer("n_components", n_components, minimum=1, maximum=_MAX_N_COMPONENTS)
    data = split(X)
    powers_fit(data)
    start = random_start(data, n_sources, n_components, seed)
    start = with_given(data, start, {"Q": Q, "g": g, "W": W, "H": H})
    report = None if callback is None else lambda *told: bool(callback(*told))
    n_iter = 0 if data.silent else n_iter
    factors, losses = iterate(data, start, n_iter, report, steps=_checked_update(update))
    return *factors._replace(H=in_units(data, factors.H)), losses


@final
@dataclass(frozen=True, kw_only=True)
class FastMNMF2(Separator):
    """Sources told apart by where they are and by how they sound; there may be more than microphones.

    For rooms: each source is spread over directions, as reverberation spreads it, and not a point.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=4096, hop_length=1024, window="hann")
        The transform: 256 ms at 16 kHz, since a frame should hold most of a room's reverberation.
    n_sources : int, default=2
        How many sources there are.
    n_components : int, default=16
        How many spectra each source has, at most 1000.
    n_iter : int, default=100
        The number of iterations.
    init : Separator or "random", optional
        What begins: any separator of as many sources, from whose images spectra, demixing matrices and
        directivities are learned. By default ``CACGMM(n_sources=n_sources, seed=seed)``. With ``"random"``
        spectra are random and direction m belongs to source m, as in the paper.
    update : {"usual", "long", "joint"}, default="usual"
        How factors move, until the objective would rise; then by the steps of the paper. Usually each sees
        what is newest of the others, and steps of activations are longer. If all are ``"long"`` the
        objective falls faster, but spectra settle before directions are found: sources are told apart less
        well where the start does not tell them. ``"joint"`` is what pyroomacoustics does: spectra and
        activations move at once, by steps as long as those of the paper, and before Q.
    seed : int, default=0
        Of random spectra.

    Raises
    ------
    InputError
        If a setting is out of range, or `init` has another number of sources.

    Warns
    -----
    DspsepWarning
        ``W_RANK``, by `separate` and `fit`, if a channel is silent, or says nothing that others do not.

    See Also
    --------
    fastmnmf2 : The algorithm as a function of a spectrum alone.
    CACGMM : Masks by direction alone, which can begin this.

    Notes
    -----
    The sources are ``source_0``, ``source_1``, …, as all microphones hear them. Which is which depends on the
    start, and so does what is found, much more than on anything else.

    Deviations from the paper: the start; each factor is updated with what is newest of the others, and the
    model is that of the mixture and faint noise (100 dB below it), so that silent bins, silent and equal
    channels need no exceptions, and the objective never rises. Activations are multiplied by the ratio of
    sums, and not by its root, until that fails. Scales are put right in every iteration. The first update is
    that of Q, but with joint steps.

    Cost: O(n_iter n_freqs n_frames (n_sources n_components + n_channels ** 3)). Peak memory beside the input
    and the sources: three spectra of the mixture with ``init="random"``, eight by default, and the factors.

    References
    ----------
    K. Sekiguchi, Y. Bando, A. A. Nugraha, K. Yoshii, T. Kawahara, "Fast multichannel nonnegative matrix
    factorization with directivity-aware jointly-diagonalizable spatial covariance matrices for blind source
    separation", IEEE/ACM Transactions on Audio, Speech, and Language Processing 28, 2020, pp. 2610-2625.

    N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary function
    technique", IEEE Workshop on Applications of Signal Processing to Audio and Acoustics (WASPAA), 2011,
    pp. 189-192. doi:10.1109/ASPAA.2011.6082320

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.reverberant(duration=2.0)
    >>> sources = dspsep.FastMNMF2(n_iter=20).separate(scene.mixture, scene.sample_rate)
    >>> list(sources), sources.model.directivity.shape
    (['source_0', 'source_1'], (2, 2))
    """

    min_channels = 2

    stft: STFT = field(default_factory=lambda: STFT(4096, 1024))
    n_sources: int = 2
    n_components: int = 16
    n_iter: int = 100
    init: Separator | Literal["random"] | None = None
    update: Literal["usual", "long", "joint"] = "usual"
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.stft, STFT):
            raise InputError("stft", "an STFT", repr(self.stft)[:80], "For example STFT(n_fft=4096).")
        for name in ("n_sources", "n_components", "n_iter", "seed"):
            object.__setattr__(self, name, _checks.plain(getattr(self, name)))
        check_iterations(self.n_sources, self.n_iter, self.seed)
        _checks.integer("n_components", self.n_components, minimum=1, maximum=_MAX_N_COMPONENTS)
        _checked_update(self.update)
        if self.init is not None and not (isinstance(self.init, str) and self.init == "random"):
            if not isinstance(self.init, Separator):
                raise InputError("init", "a separator, 'random' or None", repr(self.init)[:80])
            if self.init.source_names is not None:
                _check_number(len(self.init.source_names), self.n_sources)

    @property
    def source_names(self) -> tuple[str, ...]:
        """Numbered: which is which depends on the start."""
        return numbered(self.n_sources)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> FastMNMF2Model:
        """Return what was learned from the spectrogram of a mixture.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` and the loss after each iteration, before that with ``"directions"``
            or what `init` tells. Returning True ends the iterations of the stage.

        Returns
        -------
        FastMNMF2Model
            With all factors.

        Raises
        ------
        InputError
            If there is only one channel, another transform made the spectrogram, or `init` gives another
            number of sources.
        """
        if spectrogram.stft != self.stft:
            raise InputError("spectrogram", f"made by this transform, {self.stft}", f"{spectrogram.stft}")
        samples = None if self.init == "random" else self.stft._inverse(spectrogram, None)
        return self._learned(spectrogram, samples, callback)

    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Take a mixture apart.

        Parameters
        ----------
        mixture : array of shape (n_channels, n_samples)
            Finite audio of two or more channels, NumPy or CuPy. Never changed. Integers are scaled as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with a `Progress` before the transform, after each iteration, and before each source.

        Returns
        -------
        Sources
            They sum to the mixture, and each has its shape, precision and device.

        Raises
        ------
        InputError
            If the mixture cannot be worked on: the argument, what was seen, and what to do.
        """
        rate = _checks.sample_rate(sample_rate)
        audio = _audio.mixture_of(mixture, min_channels=self.min_channels)
        report = callback or _say_nothing
        report(Progress(stage="transform"))
        spectrogram = self.stft._forward(audio.samples, rate, audio.mono)
        model = self._learned(spectrogram, None if self.init == "random" else audio.samples, callback)
        return Sources(self._resynthesise(audio, spectrogram, model, report), rate, model, self.provenance())

    def _learned(
        self, spectrogram: Spectrogram, samples: Array | None, callback: Callback | None
    ) -> FastMNMF2Model:
        data = split(spectrogram.values, min_channels=self.min_channels)
        powers_fit(data)
        warn_of_rank(data, "FastMNMF2", stacklevel=5)
        start = self._start(data, spectrogram, samples, callback)
        report = partial(_tell, callback, "fit", self.n_iter)
        n_iter = 0 if data.silent else self.n_iter
        factors, losses = iterate(data, start, n_iter, report, steps=self.update)
        return FastMNMF2Model(
            demixing=factors.Q,
            directivity=factors.g,
            templates=factors.W,
            activations=in_units(data, factors.H),
            losses=losses,
        )

    def _start(
        self, data: Split, spectrogram: Spectrogram, samples: Array | None, callback: Callback | None
    ) -> Factors:
        if samples is None or data.silent or self.n_sources == 1:
            return random_start(data, self.n_sources, self.n_components, self.seed)
        rate = spectrogram.sample_rate
        found: Iterable[Array]
        if isinstance(self.init, Separator):
            sources = self.init.separate(samples, rate, callback=callback)
            _check_number(len(sources), self.n_sources)
            found = (fitting_image(source, samples) for source in sources.values())
        else:
            report = partial(_tell, callback, "directions", _N_ITER_OF_DIRECTIONS) if callback else None
            found = _by_direction(samples, rate, self.n_sources, self.seed, report)
        images = (self.stft._forward(source, rate, mono=False).values for source in found)
        return from_images(data, images, self.n_components, self.seed)

    def _resynthesise(
        self, audio: Mixture, spectrogram: Spectrogram, model: FastMNMF2Model, report: Callback
    ) -> dict[str, Array]:
        *names, last = model.source_names
        sources: dict[str, Array] = {}
        remainder = audio.samples
        images = model.iter_images(spectrogram)
        for done, name in enumerate(names):
            report(Progress(stage=name, iteration=done, n_iterations=len(names), model=model))
            source = self.stft._inverse(spectrogram.with_values(next(images)), None)
            remainder = remainder - source
            sources[name] = audio.restore(source)
        xp = _backend.namespace(remainder)
        sources[last] = audio.restore(remainder if names else xp.asarray(remainder, copy=True))
        return sources


def _check_number(found: int, wanted: int) -> None:
    if found != wanted:
        remedy = "Give both the same number of sources."
        raise InputError("init", f"a separator of {wanted} sources, as n_sources says", f"{found}", remedy)


def _checked_update(update: object) -> str:
    if not isinstance(update, str) or update not in STEPS:
        raise InputError("update", "'usual', 'long' or 'joint'", repr(update)[:80])
    return update


def _tell(callback: Callback | None, stage: str, n_iterations: int, iteration: int, loss: float) -> bool:
    told = Progress(stage=stage, iteration=iteration, n_iterations=n_iterations, loss=loss)
    return callback is not None and bool(callback(told))


def _by_direction(
    samples: Array, sample_rate: float, n_sources: int, seed: int, report: Callable[[int, float], bool] | None
) -> Iterator[Array]:
    """Yield what `CACGMM` makes of a mixture, without its warnings, which are ours, too."""
    stft = STFT()
    spectrogram = stft._forward(samples, sample_rate, mono=False)
    data = split(spectrogram.values)
    found, losses = learned(data, n_sources, _N_ITER_OF_DIRECTIONS, seed, report, align=True)
    del data
    for mask in CACGMMModel(B=found.B, weights=found.a, losses=losses).iter_masks(spectrogram):
        yield stft._inverse(spectrogram, mask)


def _say_nothing(_: Progress) -> None:
    return None
