"""Non-negative matrix factor deconvolution: a spectrogram as strokes of a few sounds that last.

With V the magnitudes of a mixture, find templates W of L frames each, and when and how loud they are struck,

    V[f, t] ~ sum_k Y_k[f, t],        Y_k[f, t] = sum_l W[f, k, l] H[k, t - l],        W, H >= 0

such that the beta-divergence is least (Smaragdis 2004). A template is a little spectrogram, so that a drum
with an attack and a tail, which plain factorisation needs several components for, is one. What
`_convolutive.py` derives makes the objective fall in every iteration. A source has one or more templates:

    M_g = (sum_{k in g} Y_k)^p / sum_g (sum_{k in g} Y_k)^p
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, final

import numpy as np

from dspsep import _backend, _checks
from dspsep._frozen_array import FrozenArray
from dspsep._pictures import Pictures, each_name, of_factors, of_losses
from dspsep._typing import Array, FloatArray
from dspsep.errors import InputError
from dspsep.model import MaskModel, check_fits
from dspsep.progress import Callback
from dspsep.separator import SpectralSeparator
from dspsep.separators.nmf._convolutive import shifted
from dspsep.separators.nmf._core import Prepared, prepare
from dspsep.separators.nmf._drum_templates import KIT, drum_templates
from dspsep.separators.nmf._settings import check_divergence, check_iterations, check_losses, matrix
from dspsep.separators.nmf.deconvolution import (
    check_adaptation,
    deconvolve,
    frame_major,
    paper_order,
    patches,
)
from dspsep.sources import check_source_name
from dspsep.stft import Spectrogram

__all__ = ["NMFD", "NMFDModel"]

# More is more than any spectrogram has to tell, and would fill the memory.
_MAX_N_COMPONENTS, _MAX_SECONDS = 1000, 10.0


@final
@dataclass(frozen=True, kw_only=True)
class NMFD(SpectralSeparator):
    """Separation of drums, and of other sounds that are alike each time they are struck.

    Learns a short spectrogram of each drum, and when it is struck and how hard. By default it starts from a
    rough idea of a kick, a snare and a hi-hat, and adapts it to the mixture, which should be of drums alone:
    whatever else is there goes to the drum that is most like it. With other instruments, take the drums out
    first, with `HPSS` for example.

    Parameters
    ----------
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform: 46 ms frames every 11.6 ms at 44.1 kHz.
    start : {"drums", "random"} or mapping of str to array, default="drums"
        Where the templates begin: a kick, a snare and a hi-hat made of sines and noise; random numbers; or
        magnitudes by the name of the source, each (n_freqs, n_template_frames) or, for several templates,
        (n_freqs, n_components, n_template_frames). Templates of different lengths keep them.
    n_components : int, default=3
        How many templates there are with a random start, at most 1000: each is a source.
    template_seconds : float, default=0.2
        How long templates are, unless they are given: 17 frames at 44.1 kHz and hop 512. At most 10. What
        rings on is a stroke that is struck again and again.
    beta : float, default=1.0
        The divergence, from -1 to 3: 2 is half the squared distance, which loud bins rule; 1 is that of
        Kullback and Leibler; 0 that of Itakura and Saito, to which loud and quiet count alike.
    n_iter : int, default=80
        The most iterations.
    tol : float, default=0.0
        They end where ten of them lower the objective by less than this part of what it was at first.
    adapt_after : int, default=10
        In so many iterations at the start templates stay as they are, so that each finds its strokes before
        it changes. As many as `n_iter` keep them for good. Without effect on a random start.
    power : float, default=2.0
        The exponent p of the masks, above 0 and at most 1000: 2 compares energies, 1 magnitudes.
    seed : int, default=0
        Of the noise that templates are made of, and of a random start.

    Raises
    ------
    InputError
        If a setting is out of range, or given templates do not fit the transform.

    See Also
    --------
    nmfd : The algorithm as a function of a spectrogram alone.

    Notes
    -----
    The sources are ``kick``, ``snare`` and ``hihat``, of which the last has two templates, for it can be
    open or closed; the names of given templates; or ``component_0``, ``component_1``, …. Activations begin
    equal, or at random if the templates do. Templates that are longer than the mixture are cut.

    Several channels are factorised as one, the root of their mean square, and share masks: panning stays.

    Deviations from the paper: activations are updated for all frames of the templates at once, which never
    lets the objective rise; any beta; 2**-33 of the mean is added to models, except for beta 2.

    Cost: O(n_iter n_freqs n_frames n_components L) for templates of L frames. Peak memory beside the input
    and the sources: the spectrum, four real arrays of the size of one channel of it, and some five of
    n_frames x n_components x L.

    References
    ----------
    P. Smaragdis, "Non-negative matrix factor deconvolution; extraction of multiple sound sources from
    monophonic inputs", Independent Component Analysis and Blind Signal Separation (ICA), 2004, pp. 494-499.
    doi:10.1007/978-3-540-30110-3_63

    C. Dittmar, M. Müller, "Reverse engineering the Amen break - score-informed separation and restoration
    applied to drum recordings", IEEE/ACM Transactions on Audio, Speech, and Language Processing 24(9), 2016,
    pp. 1535-1547. doi:10.1109/TASLP.2016.2567645

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.drum_loop(duration=2.0)
    >>> sources = dspsep.NMFD().separate(scene.mixture, scene.sample_rate)
    >>> list(sources), sources.model.templates.shape
    (['kick', 'snare', 'hihat'], (1025, 4, 17))
    """

    start: Any = "drums"
    n_components: int = 3
    template_seconds: float = 0.2
    beta: float = 1.0
    n_iter: int = 80
    tol: float = 0.0
    adapt_after: int = 10
    power: float = 2.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for setting in fields(self):
            if setting.name != "start":
                object.__setattr__(self, setting.name, _checks.plain(getattr(self, setting.name)))
        object.__setattr__(self, "start", _checked_start(self.start, self.stft.n_freqs))
        _checks.integer("n_components", self.n_components, minimum=1, maximum=_MAX_N_COMPONENTS)
        _checks.number("template_seconds", self.template_seconds, minimum=0, above=True, maximum=_MAX_SECONDS)
        check_divergence(self.beta, "auto", squares=False)
        check_iterations(self.n_iter, self.tol)
        check_adaptation(self.adapt_after)
        _checks.number("power", self.power, minimum=0, above=True, maximum=_checks.MAX_POWER)
        _checks.integer("seed", self.seed, minimum=0)
        for name in ("template_seconds", "beta", "tol", "power"):
            # Whole numbers become floats, so that equal settings print and are stored alike.
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def source_names(self) -> tuple[str, ...]:
        """``kick``, ``snare`` and ``hihat``, the names of given templates, or numbered components."""
        return tuple(name for name, _ in self._sources)

    @property
    def _sources(self) -> tuple[tuple[str, int], ...]:
        """The sources, and how many templates each has."""
        if self.start == "drums":
            return KIT
        if self.start == "random":
            return tuple((f"component_{k}", 1) for k in range(self.n_components))
        return tuple((name, given.values.shape[1]) for name, given in self.start)

    def fit(self, spectrogram: Spectrogram, *, callback: Callback | None = None) -> NMFDModel:
        """Return templates and activations, and how the objective fell.

        Parameters
        ----------
        spectrogram : Spectrogram
            Made by ``self.stft.forward``.
        callback : callable, optional
            Called with stage ``"fit"`` and the loss after each iteration. Returning True ends them.

        Returns
        -------
        NMFDModel
            With the factors, which masks are made of.

        Examples
        --------
        >>> from dspsep import NMFD
        >>> from dspsep.data import scenes
        >>> drums, nmfd = scenes.drum_loop(duration=1.0), NMFD(template_seconds=0.1, n_iter=5)
        >>> model = nmfd.fit(nmfd.stft.forward(drums.mixture, drums.sample_rate))
        >>> model.templates.shape, model.activations.shape, len(model.losses)
        ((1025, 4, 9), (4, 87), 6)
        """
        prepared = prepare(spectrogram.magnitude(), self.beta)
        W, H = self._begin(prepared, spectrogram)
        task = {
            "n_iter": self.n_iter,
            "tol": self.tol,
            "hold": 0 if self.start == "random" else self.adapt_after,
        }
        W, H, losses = deconvolve(prepared, W, H, self.beta, task, callback)
        xp = _backend.namespace(W, H)
        # Loudness is in the activations.
        lags = xp.reshape(W, (-1, *H.shape[1:], W.shape[1]))
        sizes = xp.sum(lags, axis=(0, 2))
        sizes = xp.where(sizes > 0, sizes, xp.ones_like(sizes))
        return NMFDModel(
            templates=paper_order(xp.reshape(lags / sizes[None, :, None], W.shape), H.shape[1]),
            activations=xp.permute_dims(prepared.restored(H * sizes), (1, 0)),
            losses=losses,
            sources=self._sources,
            power=self.power,
        )

    def _begin(self, prepared: Prepared, spectrogram: Spectrogram) -> tuple[Array, Array]:
        """Return templates that sum to one, and activations that make them as loud as the mixture."""
        V = prepared.values
        n_frames, n_freqs = V.shape
        length = min(spectrogram.n_frames_in(self.template_seconds), n_frames)
        n_components = sum(count for _, count in self._sources)
        rng = np.random.default_rng(self.seed)
        strength: FloatArray = np.ones((n_frames, n_components))
        if self.start == "drums":
            W = drum_templates(self.stft, spectrogram.sample_rate, length, self.seed)
        elif self.start == "random":
            W = np.abs(rng.standard_normal((n_freqs, n_components, length)))
            strength = np.abs(rng.standard_normal(strength.shape))
        else:
            W = _side_by_side([given.values for _, given in self.start])[:, :, :n_frames]
        sizes = W.sum(axis=(0, 2), keepdims=True)
        W = W / np.where(sizes > 0, sizes, 1.0)
        H = strength * (prepared.mean * n_freqs / n_components)
        xp = _backend.namespace(V)
        rows, H = (xp.astype(_backend.asarray_like(factor, V), V.dtype) for factor in (frame_major(W), H))
        return rows, H


def _checked_start(start: object, n_freqs: int) -> str | tuple[tuple[str, FrozenArray], ...]:
    if isinstance(start, str):
        return _checks.choice("start", start, ("drums", "random"))
    try:  # stored settings come back as pairs
        pairs = list(start.items() if isinstance(start, Mapping) else start)  # type: ignore[call-overload]
        given = [(check_source_name(name), values) for name, values in pairs]
    except (TypeError, ValueError):
        got = repr(start)[:60]
        raise InputError("start", "'drums', 'random' or a mapping from name to templates", got) from None
    if not given or max(Counter(name for name, _ in given).values()) > 1:
        raise InputError("start", "a mapping from names, all different, to templates", repr(start)[:60])
    checked = []
    for name, values in given:
        setting = f"start[{name!r}]"
        bare = values.values if isinstance(values, FrozenArray) else _backend.as_array(setting, values)
        array = _backend.to_host(bare)
        template = patches(setting, array[:, None, :] if array.ndim == 2 else array, n_freqs)
        if not template.any(axis=(0, 2)).all():
            raise InputError(setting, "templates that are not all zeros", "zeros")
        checked.append((name, FrozenArray(template)))
    return tuple(checked)


def _side_by_side(given: list[FloatArray]) -> FloatArray:
    """Return templates of different lengths as one array, filled with zeros, which stay zero."""
    longest = max(values.shape[2] for values in given)
    parts = [np.pad(values, ((0, 0), (0, 0), (0, longest - values.shape[2]))) for values in given]
    return np.concatenate(parts, axis=1).astype(np.float64)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class NMFDModel(MaskModel):
    """The templates and activations of an `NMFD`, and how its objective fell.

    Parameters
    ----------
    templates : array of shape (n_freqs, n_components, n_template_frames)
        Magnitudes of a stroke, each of which sums to one.
    activations : array of shape (n_components, n_frames)
        When strokes begin, and their sum of magnitudes.
    losses : tuple of float
        The objective at the start and after each iteration. Never rises.
    sources : tuple of (str, int)
        The sources, and how many templates each has.
    power : float
        The exponent of the masks.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=2.0, sample_rate=8000)
    >>> model = dspsep.NMFD(n_iter=10).separate(scene.mixture, scene.sample_rate).model
    >>> model.source_names, model.losses[-1] < model.losses[0]
    (('kick', 'snare', 'hihat'), True)
    """

    templates: Array
    activations: Array
    losses: tuple[float, ...] = field(repr=False)
    sources: tuple[tuple[str, int], ...]
    power: float

    def __post_init__(self) -> None:
        # A model may come from a file.
        patches("templates", self.templates, None)
        n_components = self.templates.shape[1]
        matrix("activations", self.activations, (n_components, None), "(n_components, n_frames)")
        check_losses(self.losses)
        _checks.number("power", self.power, minimum=0, above=True, maximum=_checks.MAX_POWER)
        names = [check_source_name(name) for name, _ in self.sources]
        counts = [_checks.integer("sources", count, minimum=1) for _, count in self.sources]
        if len(set(names)) != len(names) or sum(counts) != n_components:
            requirement = f"different names, and {n_components} templates in all"
            raise InputError("sources", requirement, repr(self.sources)[:80])

    @property
    def source_names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return tuple(name for name, _ in self.sources)

    def iter_masks(self, spectrogram: Spectrogram) -> Iterator[Array]:
        """Yield the share of each source; of a spectrogram of other bins or frames there is none."""
        check_fits(spectrogram, self.activations.shape[1], self.templates.shape[0])
        return self._iter_masks()

    def _iter_masks(self) -> Iterator[Array]:
        xp = _backend.namespace(self.templates, self.activations)
        shape = (self.activations.shape[1], self.templates.shape[0])
        highest = xp.zeros(shape, dtype=self.templates.dtype, device=self.templates.device)
        for part in self._parts():
            highest = xp.maximum(highest, part)
        there = highest > xp.finfo(highest.dtype).smallest_normal
        divisor = xp.where(there, highest, xp.ones_like(highest))

        def weights() -> Iterator[Array]:
            # Relative to the largest, so that no power of it overflows, and their sum is one or more.
            for part in self._parts():
                yield xp.where(there, (part / divisor) ** self.power, xp.ones_like(part))

        total = xp.zeros_like(highest)
        for weight in weights():
            total += weight
        for weight in weights():
            yield xp.permute_dims(weight / total, (1, 0))[None, :, :]

    def _parts(self) -> Iterator[Array]:
        """Yield the part of each source in the model, (n_frames, n_freqs), one at a time."""
        xp = _backend.namespace(self.templates, self.activations)
        n_lags, first = self.templates.shape[2], 0
        for _, count in self.sources:
            own = slice(first, first + count)
            H = xp.permute_dims(self.activations[own, :], (1, 0))
            yield shifted(H, n_lags) @ frame_major(self.templates[:, own, :])
            first += count

    def _pictures(self) -> Pictures:
        return {
            **of_factors(self.templates, self.activations, each_name(self.sources)),
            "losses": of_losses(self.losses),
            **self._mask_pictures(),
        }
