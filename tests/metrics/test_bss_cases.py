"""The signals of the stored BSS Eval numbers are the signals that those numbers were made of."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import eigvalsh, toeplitz

from tests.metrics.bss_cases import NAMES, bss_case, real_names

ORACLES = Path(__file__).with_name("oracles")
# A missing file is an error while collecting: nobody is to believe that what was not compared agrees.
STORED = json.loads((ORACLES / "bss_eval.json").read_text())["cases"]
SYNTHETIC = sorted(name for names in NAMES.values() for name in names)
TAPS = 512


def condition(references: np.ndarray) -> float:
    """Return the condition number of the Gram matrix of 512 delays, by sums over time; inf where singular."""
    signals = references.reshape(-1, references.shape[-1])
    padded = np.pad(signals / np.linalg.norm(signals, axis=1, keepdims=True), ((0, 0), (0, TAPS)))
    rows = []
    for x in padded:
        # <x delayed by i, y delayed by j> depends on i - j only: down a column x is later, along a row y.
        later = np.stack([padded @ np.roll(x, k) for k in range(TAPS)], axis=1)
        earlier = np.stack([padded @ np.roll(x, -k) for k in range(TAPS)], axis=1)
        rows.append([toeplitz(down, along) for down, along in zip(later, earlier, strict=True)])
    values = eigvalsh(np.block(rows))
    return values[-1] / values[0] if values[0] > len(values) * 2.0**-52 * values[-1] else np.inf


def test_every_case_is_stored():
    assert set(SYNTHETIC) == {name for name, entry in STORED.items() if entry["group"] != "real"}
    # The folder may gain recordings, but none that was measured goes away unnoticed.
    stored = {name for name, entry in STORED.items() if entry["group"] == "real"}
    assert len(stored) >= 25
    assert not real_names() or stored <= set(real_names())


@pytest.mark.parametrize("name", SYNTHETIC)
def test_the_signals_are_the_same_bits(name):
    case = bss_case(name)
    assert list(case.references.shape) == STORED[name]["shape"]
    assert case.digest == STORED[name]["sha256"]


@pytest.mark.parametrize("name", sorted(set(STORED) - set(SYNTHETIC)))
def test_the_recordings_are_the_same_bits(name):
    if not real_names():
        pytest.skip("needs the data folder")
    assert bss_case(name).digest == STORED[name]["sha256"]


def test_groups_are_as_well_or_ill_conditioned_as_they_say():
    for name, entry in STORED.items():
        if entry["group"] == "plain":
            assert entry["condition"] < 1e6, name
        elif entry["group"] == "limited":
            assert entry["condition"] > 1e9, name
            assert np.isinf(entry["condition"]) == ("rounded" not in name), name


@pytest.mark.parametrize("name", ["plain_00", "plain_03", "plain_04", "limited_mono_rounded", "silent_both"])
def test_condition_numbers_by_another_road(name):
    assert condition(bss_case(name).references) == pytest.approx(STORED[name]["condition"], rel=1e-3)


def test_a_panned_source_is_singular_by_another_road():
    assert np.isinf(condition(bss_case("limited_panned").references[:1, :, :8000]))


@pytest.mark.parametrize("name", SYNTHETIC)
def test_signals_are_numbers_of_full_scale_and_sound(name):
    case = bss_case(name)
    for signal in (case.references, case.estimates):
        assert signal.dtype == np.float64
        assert np.all(np.isfinite(signal))
        assert np.max(np.abs(signal)) < 8
        # Exact: multiples of 2**-52 at the most, so that no sum of a few of them is rounded.
        assert np.array_equal(np.round(signal * 2.0**52), signal * 2.0**52)
    assert all(np.any(source) for source in case.references)


def test_silence_is_where_the_names_say():
    def silent(signal, second):
        return ~np.any(signal[..., second * 8000 : (second + 1) * 8000], axis=(1, 2))

    assert silent(bss_case("silent_reference").references, 1).tolist() == [False, True]
    assert silent(bss_case("silent_estimate").estimates, 3).tolist() == [True, False]
    both = bss_case("silent_both")
    assert silent(both.references, 1).tolist() == [False, True]
    assert silent(both.estimates, 3).tolist() == [True, False]
    cancelling = bss_case("silent_sum_of_channels").references
    assert not np.any(silent(cancelling, 1))
    assert not np.any(cancelling[0, :, 8000:16000].sum(axis=0))
    assert not np.any(bss_case("silent_channel").references[1, 1])


def test_known_amari_indices_are_in_range():
    cases = json.loads((ORACLES / "amari.json").read_text())["by_hand"]
    for entry in cases:
        P = np.abs(np.array(entry["matrix"], dtype=float))
        n = len(P)
        rows = np.sum(P / P.max(axis=1, keepdims=True)) - n
        columns = np.sum(P / P.max(axis=0, keepdims=True)) - n
        assert (rows + columns) / (2 * n * (n - 1)) == pytest.approx(entry["index"], abs=1e-15), entry["how"]
