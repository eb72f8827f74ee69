"""Scores of whole separations."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from dspsep.errors import InputError
from dspsep.metrics import score, sdr, si_sdr
from dspsep.sources import Sources


def _noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.fixture
def references() -> dict[str, Any]:
    return dict(zip(("voice", "drums", "bass"), _noise(3, 2, 500), strict=True))


@pytest.fixture
def estimates(references: dict[str, Any]) -> dict[str, Any]:
    """In another order, with a residual, better for some than for others."""
    made = {
        name: audio + amount * _noise(2, 500, seed=1)
        for amount, (name, audio) in zip((1.0, 0.1, 0.01), references.items(), strict=True)
    }
    return {"residual": _noise(2, 500, seed=2), **dict(reversed(made.items()))}


@pytest.mark.parametrize(("metric", "ratio"), [("si_sdr", si_sdr), ("sdr", sdr)])
def test_each_source_by_its_name(
    references: dict[str, Any], estimates: dict[str, Any], metric: str, ratio: Any
) -> None:
    expected = {name: ratio(audio, estimates[name]) for name, audio in references.items()}
    scores = score(references, estimates, metric=metric)
    assert scores == expected
    assert list(scores) == ["voice", "drums", "bass"]
    as_sources = [Sources.from_dict(audio, 44100) for audio in (references, estimates)]
    assert score(*as_sources, metric=metric) == expected
    assert all(type(value) is float for value in scores.values())


def test_default_is_si_sdr(references: dict[str, Any], estimates: dict[str, Any]) -> None:
    assert score(references, estimates) == score(references, estimates, metric="si_sdr")
    assert score(references, estimates) != score(references, estimates, metric="sdr")


@pytest.mark.parametrize("metric", ["si_sdr", "sdr", si_sdr])
def test_permutation_gives_the_very_scores_of_the_right_names(
    references: dict[str, Any], estimates: dict[str, Any], metric: Any
) -> None:
    nameless = {f"{index}": audio for index, audio in enumerate(estimates.values())}
    by_name = score(references, estimates, metric=metric)
    assert score(references, nameless, metric=metric, permutation=True) == by_name


def test_permutation_looks_past_names_that_are_wrong(references: dict[str, Any]) -> None:
    swapped = {**references, "voice": references["drums"], "drums": references["voice"]}
    assert score(references, swapped)["voice"] < 0
    assert score(references, swapped, permutation=True)["voice"] == np.inf


def test_a_function_gets_the_arrays_as_they_are(
    references: dict[str, Any], estimates: dict[str, Any]
) -> None:
    seen: list[Any] = []

    def metric(reference: Any, estimate: Any) -> Any:
        seen.append((reference, estimate))
        return np.float32(len(seen))

    scores = score(references, estimates, metric=metric)
    assert scores == {"voice": 1.0, "drums": 2.0, "bass": 3.0}
    assert type(scores["bass"]) is float
    assert all(
        pair[0] is references[name] and pair[1] is estimates[name]
        for name, pair in zip(references, seen, strict=True)
    )
    offset = {name: audio + 3 for name, audio in estimates.items()}
    centred = score(references, offset, metric=functools.partial(si_sdr, zero_mean=True))
    assert centred["bass"] > score(references, offset)["bass"] + 10


def test_missing_names_are_listed(references: dict[str, Any], estimates: dict[str, Any]) -> None:
    del estimates["voice"], estimates["bass"]
    with pytest.raises(
        InputError,
        match=r"^estimates must be audio for every reference \('voice', 'drums', 'bass'\); "
        r"got none for 'voice', 'bass', but 'residual', 'drums'\. .*permutation=True",
    ):
        score(references, estimates)


def test_everything_is_checked_before_the_first_score(
    references: dict[str, Any], estimates: dict[str, Any]
) -> None:
    def metric(reference: Any, estimate: Any) -> float:
        pytest.fail("scored before all was checked")

    estimates["bass"][0, 3] = np.nan
    with pytest.raises(InputError, match=r"^estimates\['bass'\] must be finite"):
        score(references, estimates, metric=metric)
    estimates["bass"] = np.ones((2, 499))
    with pytest.raises(
        InputError, match=r"^estimates\['bass'\] must be of the shape of references\['voice'\]"
    ):
        score(references, estimates, metric=metric)


def test_silent_reference_is_refused_by_name(references: dict[str, Any], estimates: dict[str, Any]) -> None:
    references["drums"] = np.zeros((2, 500))
    for metric in ("si_sdr", "sdr"):
        with pytest.raises(InputError, match=r"^references\['drums'\] must be audible"):
            score(references, estimates, metric=metric)


@pytest.mark.parametrize("wrong", [[np.ones(4)], {}, None, np.ones((1, 4))])
@pytest.mark.parametrize("culprit", ["references", "estimates"])
def test_only_mappings_have_names(culprit: str, wrong: Any) -> None:
    audio: dict[str, Any] = {"references": {"voice": np.ones(4)}, "estimates": {"voice": np.ones(4)}}
    with pytest.raises(InputError, match=rf"^{culprit} must be a mapping of at least one name to its audio"):
        score(**{**audio, culprit: wrong})


def test_unknown_metric_is_refused(references: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="metric must be one of 'si_sdr', 'sdr'; got 'SI-SDR'"):
        score(references, references, metric="SI-SDR")
