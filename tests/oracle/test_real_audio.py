"""On recordings: nothing that is blind comes near to what masks of the true sources reach."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import HPSS, CascadedHPSS, IterativeHPSS, TwoStageHPSS
from dspsep.metrics import sdr, si_sdr
from dspsep.oracle import IRM, MWF
from tests.cases import case_names, real_case

SECONDS = 4.0


def _excerpt(name):
    case = real_case(name)
    n_samples = round(SECONDS * case.sample_rate)
    references = {
        source: np.ascontiguousarray(audio[:, :n_samples]) for source, audio in case.references.items()
    }
    return references, sum(references.values()), case.sample_rate


@pytest.mark.parametrize("name", [name for task in ("a_", "b_", "e_", "d_pan") for name in case_names(task)])
def test_oracles_beat_every_estimate_of_every_blind_separator(name):
    references, mixture, sample_rate = _excerpt(name)
    # No permutation of a blind method can be better than the best of all its estimates for each source.
    blind = [mixture]
    for separator in (HPSS(), CascadedHPSS(), IterativeHPSS(n_iter=10), TwoStageHPSS()):
        blind += separator.separate(mixture, sample_rate).values()
    oracles = [kind(references=references).separate(mixture, sample_rate) for kind in (IRM, MWF)]
    for source, reference in references.items():
        for metric in (sdr, si_sdr):
            best = max(metric(reference, estimate) for estimate in blind)
            for sources in oracles:
                assert metric(reference, sources[source]) > best + 1
