"""Which output is which source."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep.bench.matching import Unfit, candidates, check_outputs, matched

RNG = np.random.default_rng(0)
VOICE, BAND, DRUMS, REST = RNG.standard_normal((4, 500))


def test_names_count_where_all_are_there():
    found = matched({"voice": VOICE, "band": BAND}, {"band": VOICE, "voice": BAND, "residual": REST})
    assert found == ("name", {"voice": "voice", "band": "band"})


def test_without_all_names_the_best_is_taken():
    estimates = {"band": VOICE + 0.1 * BAND, "source_1": BAND + 0.1 * VOICE}
    found = matched({"voice": VOICE, "band": BAND}, estimates)
    assert found == ("best", {"voice": "band", "band": "source_1"})


def test_a_background_is_a_source_unless_it_is_what_numbered_ones_leave():
    assert candidates(["background", "foreground"]) == ["background", "foreground"]
    assert candidates(["source_0", "background"]) == ["source_0"]
    found = matched({"a": VOICE, "b": BAND}, {"source_0": BAND, "source_1": DRUMS, "background": VOICE})
    assert "background" not in found.names.values()


def test_a_residual_is_nobodys_estimate():
    found = matched({"a": VOICE, "b": BAND}, {"x": DRUMS, "y": BAND, "residual": VOICE})
    assert found.names == {"a": "x", "b": "y"}


def test_more_outputs_than_sources_are_ignored():
    found = matched({"a": VOICE, "b": BAND}, {"1": DRUMS, "2": BAND, "3": VOICE})
    assert found.names == {"a": "3", "b": "2"}


def test_too_few_outputs_do_not_fit():
    with pytest.raises(Unfit, match=r"1 output \(x\) for 2 sources \(a, b\)"):
        check_outputs(["a", "b"], ["x", "residual"])
    check_outputs(["residual", "x"], ["x", "residual"])


def test_silent_sources_get_what_is_left():
    silent = np.zeros(500)
    found = matched({"a": silent, "b": BAND, "c": VOICE}, {"1": VOICE, "2": DRUMS, "3": BAND})
    assert found.names == {"a": "2", "b": "3", "c": "1"}
