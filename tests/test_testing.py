"""The contract finds broken separators, each by the clause that it breaks, and passes good ones."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dspsep import STFT
from dspsep.testing import Clause, ContractError, check_separator, contract
from tests import toys

#: The separators of `toys` that are broken, and the clauses that find them.
BROKEN = {
    "Mutable": ["is a value"],
    "Unhashable": ["is a value"],
    "CannotBePickled": ["is a value"],
    "PrintsItsAddress": ["is a value"],
    "MisnamesSources": ["names its sources"],
    "SaysNoProvenance": ["names its sources"],
    "DropsEnergy": ["keeps the sum"],
    "WrongDtype": ["keeps the sum"],
    "WrongLength": ["keeps the sum", "takes any length"],
    "FailsOnShort": ["takes any length"],
    "HatesConstants": ["copes with odd signals"],
    "RoughInSinglePrecision": ["agrees across precisions"],
    "NanOnSilence": ["maps silence to silence"],
    "LoudOnSilence": ["maps silence to silence"],
    "AbsoluteFloor": ["scales"],
    "SignBlind": ["scales"],
    "ReturnsViews": ["leaves everything untouched"],
    "ChangesInput": ["leaves everything untouched"],
    "UsesGlobalRandom": ["leaves everything untouched"],
    "UsesGlobalRandomModule": ["leaves everything untouched"],
    "ChangesErrorState": ["leaves everything untouched"],
    "IsRandom": ["is reproducible"],
    "DependsOnThreads": ["is reproducible"],
    "Remembers": ["is reproducible"],
    "NotThreadSafe": ["is reproducible"],
    "NeedsContiguous": ["takes any layout"],
    "MisreadsIntegers": ["takes PCM"],
    "AcceptsNan": ["refuses what is not audio"],
    "AcceptsAnyRate": ["refuses what is not audio"],
    "RaisesBareErrors": ["refuses what is not audio"],
    "Leaky": ["learns a model"],
    "NeverReports": ["reports progress"],
    "SwallowsInterrupts": ["reports progress"],
    "SeesLessThanItNeeds": ["streams what it separates"],
    "StreamsTooLate": ["streams what it separates"],
    "StreamsWithoutSayingSo": ["streams what it separates"],
}


def outcomes(separator, **options):
    """Return the message of each clause that is broken, by name."""
    broken = {}
    state = np.geterr()
    for clause in contract(separator, **options):
        try:
            with warnings.catch_warnings():
                clause()
        except ContractError as error:
            broken[clause.name] = str(error)
        finally:
            np.seterr(**state)
    return broken


@pytest.mark.core
def test_a_good_separator_passes():
    assert outcomes(toys.Good()) == {}
    check_separator(toys.Good())
    assert outcomes(toys.Patient(stft=STFT(256))) == {}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_separator_is_found_by_the_right_clause(name):
    broken = outcomes(getattr(toys, name)())
    for clause in BROKEN[name]:
        assert clause in broken
        assert broken[clause].startswith(f"{clause}: ")


@pytest.mark.core
def test_the_public_check_stops_at_the_first_broken_clause():
    with pytest.raises(ContractError, match=r"^keeps the sum: .*the sum is off by"):
        check_separator(toys.DropsEnergy())
    with pytest.raises(AssertionError):  # so that any test runner shows it as a failure
        check_separator(toys.NeverReports())


def test_every_broken_toy_is_listed():
    subclasses = {
        name for name, kind in vars(toys).items() if isinstance(kind, type) and issubclass(kind, toys.Good)
    }
    assert subclasses - {"Good"} <= set(BROKEN)


def test_every_clause_has_a_separator_that_breaks_it():
    names = {clause.name for clause in contract(toys.Good())}
    found = {clause for clauses in BROKEN.values() for clause in clauses}
    assert names - found == {"can be stored"}  # that one is about registered classes only


def test_tolerances_can_be_chosen():
    rough, shy = toys.RoughInSinglePrecision(), toys.AbsoluteFloor()
    assert "agrees across precisions" not in outcomes(rough, precision_snr=20)
    assert "scales" not in outcomes(shy, scale_tolerance=2.0)


def test_mono_must_be_refused_by_what_needs_channels():
    assert outcomes(toys.Stereo(stft=STFT(256)), channels=(2,)) == {}
    assert "mono" in outcomes(toys.Patient(stft=STFT(256)), channels=(2,))["refuses what is not audio"]


@pytest.mark.core
def test_clauses_have_names_for_test_runners():
    clauses = contract(toys.Good())
    assert all(isinstance(clause, Clause) for clause in clauses)
    assert len({clause.name for clause in clauses}) == len(clauses)
    assert repr(clauses[0]) == "is-a-value"


# ---- too little to learn from


@pytest.mark.core
@pytest.mark.parametrize(
    ("names", "keeps"),
    [(("first", "second"), "first"), (("foreground", "background"), "background"), (("only",), "only")],
)
@pytest.mark.parametrize("audio", [np.ones(200), np.ones((2, 1), np.float32) * 1e-20, np.zeros(9)], ids=str)
def test_too_short_audio_goes_to_one_source_with_a_warning(names, keeps, audio):
    separator = toys.Patient(stft=STFT(256), names=names)
    with pytest.warns(
        match=r"^\[W_TOO_SHORT\] Patient needs 5 frames to learn from and the mixture has"
    ) as caught:
        sources = separator.separate(audio, 8000)
    assert [warning.message.code for warning in caught] == ["W_TOO_SHORT"]
    assert caught[0].filename == __file__  # the line to look at is the caller's
    assert sources.names == names
    for name, source in sources.items():
        assert source.dtype == audio.dtype
        assert np.array_equal(source, audio if name == keeps else np.zeros_like(audio))
        assert not np.shares_memory(source, audio)
    assert sources.model is None
    assert sources.provenance == separator.provenance()


@pytest.mark.core
def test_enough_frames_are_no_reason_to_warn():
    separator = toys.Patient(stft=STFT(256))
    for n_samples in (4 * 64, 4 * 64 + 1, 1000):
        sources = separator.separate(np.ones(n_samples), 8000)
        np.testing.assert_allclose(sources["first"], 0.5)
    with pytest.warns(match=r"has 4"):
        separator.separate(np.ones(4 * 64 - 1), 8000)


def test_a_single_source_is_a_copy_of_the_mixture():
    audio = np.ones((2, 900))
    sources = toys.Patient(stft=STFT(256), names=("only",)).separate(audio, 8000)
    assert np.array_equal(sources["only"], audio)
    assert not np.shares_memory(sources["only"], audio)
