"""The scores of singing voice separation at MIREX: what an estimate is better than the mixture by.

    NSDR = SDR(x̂, s) − SDR(x, s)

with x the mixture, and SDR that of BSS Eval 3 for sources, over the whole clip. Over clips, GNSDR is the mean
of NSDR weighted by their lengths (Hsu and Jang 2010, eq. 12 and 13), and GSDR, GSIR, GSAR those of the
others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from dspsep.errors import InputError
from dspsep.metrics._projections import Pairs
from dspsep.metrics._stacks import Stack
from dspsep.metrics.bss_eval import BSSEval
from dspsep.metrics.protocols import Measured, Protocol, Task

__all__ = ["MIREX"]


@final
@dataclass(frozen=True, kw_only=True)
class MIREX(Protocol):
    """NSDR, SDR, SIR and SAR of singing voice separation, and over tracks GNSDR, GSDR, GSIR, GSAR.

    Use it to compare with papers on MIR-1K and iKala. The SDR here is that of `BSSEval` version 3 for
    sources: it forgives any filter of 512 taps, and level with it.

    Parameters
    ----------
    n_taps : int, default=512
        Length of the filters in samples.

    Raises
    ------
    InputError
        If a setting is out of range.

    See Also
    --------
    BSSEval : The scores without the mixture's.

    Notes
    -----
    The mean over tracks is weighted by their durations, which is the G in GNSDR: `Scores.value` and
    `Scores.summary` of several tracks return it under the name of the metric.

    Where no mixture is given, the sum of the references is held in double precision.

    MIREX scores one channel. Several are treated as `BSSEval` treats them. The mixture is that given to
    `evaluate`, else the sum of the references. A source or an estimate that is silent throughout is an error.

    References
    ----------
    C.-L. Hsu and J.-S. R. Jang, "On the improvement of singing voice separation for monaural recordings using
    the MIR-1K dataset", IEEE Transactions on Audio, Speech, and Language Processing 18(2), 2010,
    pp. 310–319. DOI 10.1109/TASL.2009.2026503

    Examples
    --------
    The mixture as its own estimate gains nothing:

    >>> import numpy as np
    >>> from dspsep.metrics import MIREX, evaluate
    >>> voice, band = np.random.default_rng(0).standard_normal((2, 8000))
    >>> mixture = voice + band
    >>> scores = evaluate({"voice": voice, "band": band}, {"voice": mixture, "band": mixture}, 8000, MIREX())
    >>> abs(round(scores["voice", "NSDR"], 6))
    0.0
    """

    n_taps: int = 512

    def __post_init__(self) -> None:
        self._set("n_taps", BSSEval(n_taps=self.n_taps).n_taps)

    @property
    def name(self) -> str:
        """``mirex``."""
        return "mirex"

    @property
    def metrics(self) -> tuple[str, ...]:
        """NSDR, SDR, SIR, SAR."""
        return ("NSDR", "SDR", "SIR", "SAR")

    @property
    def decides(self) -> str:
        """SIR: whose mean a permutation makes largest."""
        return "SIR"

    @property
    def refuses_silence(self) -> bool:
        """Yes."""
        return True

    over_tracks = "weighted mean"

    def measure(self, task: Task, pairs: Pairs) -> Measured:
        """Return the scores of pairs of a reference and an estimate: see `Protocol.measure`."""
        mixture = len(task.estimates.signals)  # the mixture is one more estimate, of every source
        whole = task.mixture
        if whole is None:
            whole = Stack([task.references.summed("mixture")], task.references.exponent)
        if whole.signals[0].silent:
            raise InputError(
                "mixture", "audible", "silence throughout", "There is nothing to be better than."
            )
        references = sorted({i for i, _ in pairs})
        all_pairs = [*pairs, *((i, mixture) for i in references)]
        with_mixture = replace(task, estimates=task.estimates.beside(whole))
        found = BSSEval(version="v3_sources", n_taps=self.n_taps).measure(with_mixture, all_pairs)
        scores, before = np.split(found.values, [len(pairs)])
        gain = scores[:, :1] - np.stack([before[references.index(i), :1] for i, _ in pairs])
        return Measured(np.concatenate([gain, scores], axis=1), found.windows, found.details)
