"""The score of the Music Demixing Challenge: one signal-to-distortion ratio for the whole song.

    uSDR = 10 log10( (|s|² + δ) / (|s − x|² + δ) ),    δ = 1e-7

over all samples and channels of the song, and then the mean over songs (Mitsufuji et al. 2022, eq. 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, final

import numpy as np

from dspsep import _backend
from dspsep._typing import Array
from dspsep.metrics._projections import Pairs
from dspsep.metrics.protocols import Measured, Protocol, Task, decibels

__all__ = ["MDX"]

#: What the challenge adds to both energies, of samples whose full scale is one.
_DELTA = 1e-7

_BLOCK = 2**16


@final
@dataclass(frozen=True, kw_only=True)
class MDX(Protocol):
    """The global SDR of the Music Demixing Challenge, which is also called uSDR.

    No window, no filter, no scale: the energy of the source over that of the difference, over the whole song.
    Songs are averaged, not ranked, so a single failure shows.

    See Also
    --------
    sdr : The same without the small constant.
    BSSEval : The SDR of its version 4 is this in windows of a second, and a median.

    Notes
    -----
    The challenge adds 1e-7 to both energies, in samples of full scale one. A source that is silent throughout
    is therefore scored: 0 dB for a silent estimate, and less for any sound. The level of the audio matters,
    too, but only where the energy of the error is not far above that constant.

    One pass over the samples, some megabytes of memory.

    References
    ----------
    Y. Mitsufuji, G. Fabbro, S. Uhlich, F.-R. Stöter, A. Défossez, M. Kim, W. Choi, C.-Y. Yu and K.-W. Cheuk,
    "Music Demixing Challenge 2021", Frontiers in Signal Processing 1, 2022. DOI 10.3389/frsip.2021.808395

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.metrics import MDX, evaluate
    >>> voice, band = np.random.default_rng(0).standard_normal((2, 8000))
    >>> scores = evaluate({"voice": voice, "band": band}, {"voice": 0.5 * voice, "band": band}, 8000, MDX())
    >>> round(scores["voice", "uSDR"], 2)
    6.02
    """

    @property
    def name(self) -> str:
        """``mdx``."""
        return "mdx"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Only uSDR."""
        return ("uSDR",)

    @property
    def needs_mixture(self) -> bool:
        """No."""
        return False

    @property
    def decides(self) -> str:
        """The only one there is."""
        return "uSDR"

    over_tracks = "mean"

    def measure(self, task: Task, pairs: Pairs) -> Measured:
        """Return the scores of pairs of a reference and an estimate: see `Protocol.measure`."""
        whole = (0, task.n_samples)
        xp = _backend.namespace(task.references.like)
        n = task.references.n_channels
        total = np.zeros((len(pairs), 2))
        for start in range(0, task.n_samples, _BLOCK):
            stop = min(start + _BLOCK, task.n_samples)
            sources, made = task.references.read(start, stop, whole), task.estimates.read(start, stop, whole)
            rows = [
                _energies(sources[i * n : (i + 1) * n, :], made[j * n : (j + 1) * n, :]) for i, j in pairs
            ]
            total += _backend.to_host(xp.stack(rows))
        # The constant belongs to samples as they are, and these have been multiplied by 2**exponent.
        total += _DELTA * 2.0 ** min(2 * task.references.exponent, 1000)
        return Measured(decibels(total[:, :1], total[:, 1:])[:, :, None], [whole])


def _energies(source: Array, made: Array) -> Array:
    xp = _backend.namespace(source)
    error = source - made
    return cast("Array", xp.stack([xp.sum(source * source), xp.sum(error * error)]))
