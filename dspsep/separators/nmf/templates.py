"""Templates of one source, learned from an example of it alone: what a supervised factorisation begins with.

With V the magnitudes of the example, V ~ W H as in `NMF`; the columns of W are what the source is made of,
and H, which says when, is thrown away. Only the shape of a column counts, so each sums to one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, final

import numpy as np

from dspsep import _audio, _backend, _checks, _serial
from dspsep._frozen_array import FrozenArray
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.separators.nmf._core import Prepared, factorise, prepare
from dspsep.separators.nmf._settings import check_divergence, check_iterations, matrix
from dspsep.separators.nmf._starts import STARTS, start
from dspsep.stft import STFT

__all__ = ["MAX_N_COMPONENTS", "Templates", "learn_templates"]

#: More components than this are more than any spectrogram has to tell, and would fill the memory.
MAX_N_COMPONENTS = 10_000

# What sums to one but for this is left as it is, so that what was stored comes back to the bit.
_ROUNDING = 1e-6

# Seconds. The neighbours of a bass drum are told from it by frequency: with a quarter of this, drums of other
# recordings gain less than half as much.
_FRAME = 0.19


@final
@dataclass(frozen=True, kw_only=True)
class Templates:
    """The spectra that a source is made of, and which transform and rate they are for.

    `learn_templates` makes them from an example; those of others can be given, too.

    Parameters
    ----------
    values : array of shape (n_freqs, n_components)
        The spectra, of magnitude ** exponent: finite, not negative. Each column is scaled to sum to one, or
        is zero. Kept on the host, as a `FrozenArray`.
    sample_rate : float
        Of the audio they are spectra of, in hertz.
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform they are for.
    exponent : float, default=1.0
        What magnitudes were raised to, from 0.1 to 2: 1 for magnitudes, 2 for powers.

    Raises
    ------
    InputError
        If an argument is out of range, or `values` has not as many rows as `stft` has frequencies.

    See Also
    --------
    learn_templates : Templates of an example.
    SupervisedNMF : Separation of sources that all have templates.
    SemiSupervisedNMF : Separation of sources with templates from the rest.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import STFT, Templates
    >>> low = Templates(values=np.eye(129)[:, :20], sample_rate=8000, stft=STFT(256))
    >>> low.n_components, Templates.from_json(low.to_json()) == low
    (20, True)
    """

    values: Any
    sample_rate: float
    stft: STFT = field(default_factory=STFT)
    exponent: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.stft, STFT):
            raise InputError("stft", "an STFT", repr(self.stft)[:80], "For example STFT(n_fft=2048).")
        exponent = _checks.number("exponent", _checks.plain(self.exponent), minimum=0.1, maximum=2)
        object.__setattr__(self, "sample_rate", _checks.sample_rate(self.sample_rate))
        object.__setattr__(self, "exponent", exponent)
        values = self.values.values if isinstance(self.values, FrozenArray) else self.values
        values = matrix("values", values, (self.stft.n_freqs, None), "(n_freqs, n_components)")
        if values.shape[1] > MAX_N_COMPONENTS:
            raise InputError("values", f"of at most {MAX_N_COMPONENTS} columns", f"{values.shape[1]}")
        object.__setattr__(self, "values", FrozenArray(_sums_of_one(_backend.to_host(values))))

    @property
    def n_components(self) -> int:
        """How many spectra there are."""
        return int(self.values.values.shape[1])

    def to_json(self) -> str:
        """Return the templates as JSON; `from_json` reads them again, to the bit."""
        return _serial.dumps(self)

    @classmethod
    def from_json(cls, text: str) -> Templates:
        """Return what `to_json` wrote.

        Parameters
        ----------
        text : str
            JSON.

        Returns
        -------
        Templates
            Equal to those that were stored.

        Raises
        ------
        InputError
            If the text is not JSON of dspsep, or describes something else.
        """
        value = _serial.loads(text)
        if not isinstance(value, cls):
            raise InputError("text", "the JSON of templates", f"that of a {type(value).__name__}")
        return value


def learn_templates(
    audio: Array | Sequence[Array],
    sample_rate: float,
    *,
    n_components: int = 16,
    stft: STFT | None = None,
    beta: float = 1.0,
    exponent: float = 1.0,
    n_iter: int = 100,
    tol: float = 0.0,
    init: Literal["random", "nndsvd", "nndsvda", "nndsvdar"] = "nndsvdar",
    seed: int = 0,
) -> Templates:
    """Learn the templates of a source from examples of it alone.

    Parameters
    ----------
    audio : array of shape (n_samples,) or (n_channels, n_samples), or a sequence of such arrays
        The source alone, NumPy or CuPy: finite audio; a list or a tuple of arrays is several examples.
        Several channels are learned from as one, the root of their mean square. How loud an example is makes
        no difference.
    sample_rate : float
        In hertz. Mixtures must have the same: resample examples first if need be.
    n_components : int, default=16
        How many spectra to learn, at most 10000: one for each drum or pitch, and a few more.
    stft : STFT, optional
        The transform, also of mixtures. By default frames of that power of two which is nearest to 0.19 s,
        and a hop of a quarter: ``STFT(n_fft=8192, hop_length=2048, window="hann")`` at 44.1 kHz. What is low
        is told apart by frequency, which needs long frames; in return, what precedes a stroke is blurred
        more.
    beta : float, default=1.0
        The divergence that is minimised, from -1 to 3; see `NMF`. The same as for mixtures is best.
    exponent : float, default=1.0
        What magnitudes are raised to, from 0.1 to 2.
    n_iter : int, default=100
        The most iterations.
    tol : float, default=0.0
        They end where ten of them lower the objective by less than this part of what it was at first; 0 makes
        all of them.
    init : {"random", "nndsvd", "nndsvda", "nndsvdar"}, default="nndsvdar"
        Where it begins, as in `NMF`: singular vectors have the strongest of the spectra, which random numbers
        may need hundreds of iterations to tell from one another.
    seed : int, default=0
        Of random numbers.

    Returns
    -------
    Templates
        Columns that sum to one; zeros if the example is silent.

    Raises
    ------
    InputError
        If the audio cannot be learned from, or a setting is out of range.

    See Also
    --------
    SupervisedNMF : Separation of sources that all have templates.
    SemiSupervisedNMF : Separation of sources with templates from the rest.

    Notes
    -----
    Several examples are learned from as one after the other, at the same mean level. A kit that is not known
    is described better by several that are.

    Cost and memory are those of `NMF` on the examples.

    References
    ----------
    P. Smaragdis, B. Raj, M. Shashanka, "Supervised and semi-supervised separation of sounds from
    single-channel mixtures", Independent Component Analysis and Signal Separation (ICA), 2007, pp. 414-421.
    doi:10.1007/978-3-540-74494-8_52

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> dspsep.learn_templates(scene.sources["bass"], scene.sample_rate, n_components=5).values.values.shape
    (4097, 5)
    """
    n_components, beta, exponent, n_iter, tol, seed = _checks.plain(
        (n_components, beta, exponent, n_iter, tol, seed)
    )
    _checks.choice("init", init, STARTS)
    rate = _checks.sample_rate(sample_rate)
    stft = _transform(rate) if stft is None else stft
    if not isinstance(stft, STFT):
        raise InputError("stft", "an STFT", repr(stft)[:80], "For example STFT(n_fft=2048).")
    _checks.integer("n_components", n_components, minimum=1, maximum=MAX_N_COMPONENTS)
    _checks.number("exponent", exponent, minimum=0.1, maximum=2)
    _checks.integer("seed", seed, minimum=0)
    check_divergence(beta, "auto", squares=False)
    check_iterations(n_iter, tol)
    prepared = _examples(audio, rate, stft, float(beta), exponent)
    if prepared.mean:
        W, H = start(init, prepared.values, n_components, seed)
        W = factorise(prepared, W, H, beta=float(beta), n_iter=n_iter, tol=float(tol)).W
        values = _backend.to_host(W).T
    else:
        dtype = _backend.to_host(prepared.values[:1, :1]).dtype
        values = np.zeros((stft.n_freqs, n_components), dtype)
    return Templates(values=values, sample_rate=rate, stft=stft, exponent=float(exponent))


def _transform(rate: float) -> STFT:
    """Return the default transform: frames of about so many seconds, a power of two of samples."""
    n_fft = 2 ** min(max(round(math.log2(_FRAME * rate)), 6), 16)
    return STFT(n_fft, n_fft // 4)


def _examples(audio: Any, rate: float, stft: STFT, beta: float, exponent: float) -> Prepared:
    """Return the frames of one example or several, each with a mean of one; silence if all are silent."""
    several = isinstance(audio, list | tuple)
    if several and not audio:
        raise InputError("audio", "an example or several", repr(audio), "For example [drums, other_drums].")
    heard: list[Prepared] = []
    for number, each in enumerate(audio if several else [audio]):
        example = _audio.mixture_of(each, name=f"audio[{number}]" if several else "audio")
        V = stft._forward(example.samples, rate, example.mono).magnitude()
        prepared = prepare(V if exponent == 1 else V**exponent, beta)
        del V
        if prepared.mean:
            # Starts are not quite of the scale of what they are for; so what they are for always has the
            # same.
            heard.append(replace(prepared, values=prepared.values / prepared.mean, mean=1.0))
    if len(heard) < 2:
        return heard[0] if heard else prepared
    xp = _backend.namespace(*(prepared.values for prepared in heard))
    return replace(heard[0], values=xp.concat([prepared.values for prepared in heard], axis=0))


def _sums_of_one(values: Any) -> Any:
    """Return columns that are not zero divided by their sums, unless these are one; NumPy."""
    largest = values.max(axis=0).astype(np.float64)
    # By the largest first: no sum overflows, and none is lost below the normal numbers.
    scaled = values / np.where(largest > 0, largest, 1.0)
    sums = scaled.sum(axis=0)
    is_one = (largest <= 1) & (np.abs(sums * np.minimum(largest, 1.0) - 1) <= _ROUNDING)
    return np.where(is_one, values, scaled / np.where(sums > 0, sums, 1.0)).astype(values.dtype)
