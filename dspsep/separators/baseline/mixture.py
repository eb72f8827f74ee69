"""The mixture as the estimate of every source: what a method has to beat.

With x the mixture of n sources, each is s_j = x / n (Stöter, Liutkus & Ito 2018, where it is called MIX).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from dspsep import _audio, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.separator import Separator
from dspsep.sources import Sources, check_source_name
from dspsep.streaming import Reach

__all__ = ["MixtureAsEstimate"]


@final
@dataclass(frozen=True, kw_only=True)
class MixtureAsEstimate(Separator):
    """An equal share of the mixture for every source, as the lower bound of a results table.

    Parameters
    ----------
    source_names : tuple of str, default=("vocals", "accompaniment")
        The names of the sources: at least one, all different.

    Raises
    ------
    InputError
        If there is no name, one is there twice, or one cannot name a source.

    See Also
    --------
    HighLowPass : The lower bound for sources of different registers.
    dspsep.oracle : The upper bounds.

    Notes
    -----
    A method whose SI-SDR is not above that of this has done nothing, however its stems sound. The SDR hears
    the level, too, and a share of the mixture is nearer to a quiet source than the mixture is: an SDR a
    little above 0 dB means nothing.

    Memory beside the sources: none.

    References
    ----------
    F.-R. Stöter, A. Liutkus, N. Ito, "The 2018 signal separation evaluation campaign", Latent Variable
    Analysis and Signal Separation (LVA/ICA), 2018, pp. 293-305. doi:10.1007/978-3-319-93764-9_28

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import MixtureAsEstimate
    >>> sources = MixtureAsEstimate(source_names=("drums", "rest")).separate(np.ones(4), 8000)
    >>> sources["drums"]
    array([0.5, 0.5, 0.5, 0.5])
    """

    source_names: tuple[str, ...] = ("vocals", "accompaniment")

    def __post_init__(self) -> None:
        names = self.source_names
        if isinstance(names, str) or not isinstance(names, (tuple, list)) or not names:
            raise InputError("source_names", "a tuple of at least one name", repr(names)[:60])
        names = tuple(check_source_name(name) for name in names)
        if len(set(names)) < len(names):
            raise InputError("source_names", "different names", repr(names)[:80])
        object.__setattr__(self, "source_names", names)

    def reach(self, sample_rate: float) -> Reach:
        """Return that a share looks at nothing around a sample."""
        return Reach(samples=0)

    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Give every source its share.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio, NumPy or CuPy. Never changed. Integers are scaled as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with a `Progress` before each source.

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
        audio = _audio.mixture_of(mixture)
        n_sources = len(self.source_names)
        sources = {}
        for done, name in enumerate(self.source_names):
            if callback is not None:
                callback(Progress(stage=name, iteration=done, n_iterations=n_sources))
            sources[name] = audio.restore(audio.samples / n_sources)
        return Sources(sources, rate, None, self.provenance())
