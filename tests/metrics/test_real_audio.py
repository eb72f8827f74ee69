"""The score of untouched mixtures of real audio, as measured by whoever collected the cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dspsep.metrics import best_permutation, score, si_sdr
from tests.cases import Case, case_names, real_case

TASKS = ("a_", "b_", "c_", "d_", "e_")


def _plain(reference: Any, estimate: Any) -> float:
    """SI-SDR as the paper writes it, in three lines."""
    s, x = (np.asarray(audio, dtype=np.float64).ravel() for audio in (reference, estimate))
    target = (x @ s) / (s @ s) * s
    return float(10 * np.log10((target @ target) / ((target - x) @ (target - x))))


def _as_measured(case: Case) -> tuple[dict[str, Any], Any]:
    """Return the references and the mixture, cut to what the manifest's number was measured on."""
    measured_on = case.facts.get("baseline_measured_on", "all channels together")
    if measured_on in ("all channels together", "mono"):
        return case.references, case.mixture
    assert measured_on in ("microphone 1", "mixture channel 1 against the source")
    return {name: audio[0] for name, audio in case.references.items()}, case.mixture[0]


@pytest.mark.parametrize("name", [name for task in TASKS for name in case_names(task)])
def test_untouched_mixture_scores_what_the_manifest_says(name: str) -> None:
    case = real_case(name)
    references, mixture = _as_measured(case)
    found = {source: si_sdr(audio, mixture) for source, audio in references.items()}
    assert found == pytest.approx({s: _plain(x, mixture) for s, x in references.items()}, abs=1e-6)
    if case.real:  # a synthetic stand-in comes with no number of somebody else's
        assert found == pytest.approx(case.facts["baseline_si_sdr_db"], abs=0.01)


@pytest.mark.parametrize("name", [case_names("c_")[0], case_names("e_")[0]])
def test_leaky_estimates_find_their_references(name: str) -> None:
    case = real_case(name)
    leaky = {str(i): audio + 0.1 * case.mixture for i, audio in enumerate(case.references.values())}
    backwards = dict(reversed(leaky.items()))
    found = best_permutation(case.references, backwards)
    assert list(found.names.values()) == list(leaky)
    assert score(case.references, backwards, permutation=True) == pytest.approx(found.matched, abs=1e-6)
    assert min(found.matched.values()) > 5
