"""How good a separation is, against the true sources.

`evaluate` scores a whole separation by a protocol: BSS Eval in its versions (`BSSEval`), the scale-invariant
family (`ScaleInvariant`), the numbers of the Music Demixing Challenge (`MDX`) and of MIREX (`MIREX`). What
comes back are `Scores`: numbers by source, metric, window and track, that add up to tables and files.

For a number at once, `si_sdr` and `sdr` score one estimate, `score` a whole separation, `best_permutation`
tells which estimate of a blind method is which source, and `amari_index` compares matrices. All take NumPy
or CuPy arrays, (n_samples,) or (n_channels, n_samples), and compute in double precision without a second
copy of the audio. Integers are read as in every separator, as fractions of full scale.

What happens at the edges:

=====================================  ==============  ==============  =====================================
situation                              `si_sdr`        `sdr`           `evaluate`
=====================================  ==============  ==============  =====================================
estimate equal to the reference        ``inf``         ``inf``         as on the left; ISR, SIR and SAR
                                                                       measure rounding (above 50 dB, and
                                                                       above 200 dB on broad-band sound)
estimate equal up to a factor          ``inf``         finite          as on the left
silent estimate                        ``-inf``        0 dB            `InputError`, or as on the left if
                                                                       ``silence="strict"`` and by `MDX`
silent reference                       `InputError`    `InputError`    `InputError`, or undefined if
                                                                       ``silence="strict"``; `MDX` scores it
NaN or infinity in either              `InputError`    `InputError`    `InputError`
different shapes                       `InputError`    `InputError`    `InputError`, lengths unless `pad`
=====================================  ==============  ==============  =====================================
"""

from __future__ import annotations

from dspsep.metrics.amari import amari_index
from dspsep.metrics.bss_eval import BSSEval
from dspsep.metrics.evaluation import evaluate
from dspsep.metrics.mdx import MDX
from dspsep.metrics.mirex import MIREX
from dspsep.metrics.permutation import Permutation, best_permutation
from dspsep.metrics.protocols import Protocol
from dspsep.metrics.ratios import sdr, si_sdr
from dspsep.metrics.results import Scores, Summary, TrackScores
from dspsep.metrics.scale_invariant import ScaleInvariant
from dspsep.metrics.scores import score

__all__ = [
    "MDX",
    "MIREX",
    "BSSEval",
    "Permutation",
    "Protocol",
    "ScaleInvariant",
    "Scores",
    "Summary",
    "TrackScores",
    "amari_index",
    "best_permutation",
    "evaluate",
    "score",
    "sdr",
    "si_sdr",
]
