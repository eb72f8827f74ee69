"""How good a separation is, against the true sources.

`si_sdr` and `sdr` score one estimate, `score` a whole separation, and `best_permutation` tells which
estimate of a blind method is which source. All take NumPy or CuPy arrays, (n_samples,) or
(n_channels, n_samples), and compute in double precision without a second copy of the audio. Integers are read
as in every separator, as fractions of full scale.

What happens at the edges:

=====================================  ==============  ==============
situation                              `si_sdr`        `sdr`
=====================================  ==============  ==============
estimate equal to the reference        ``inf``         ``inf``
estimate equal up to a factor          ``inf``         finite
silent estimate                        ``-inf``        0 dB
silent reference                       `InputError`    `InputError`
NaN or infinity in either              `InputError`    `InputError`
different shapes                       `InputError`    `InputError`
=====================================  ==============  ==============
"""

from __future__ import annotations

from dspsep.metrics.permutation import Permutation, best_permutation
from dspsep.metrics.ratios import sdr, si_sdr
from dspsep.metrics.results import Scores, Summary, TrackScores
from dspsep.metrics.scores import score

__all__ = ["Permutation", "Scores", "Summary", "TrackScores", "best_permutation", "score", "sdr", "si_sdr"]
