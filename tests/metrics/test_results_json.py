"""Scores as JSON: everything comes back, and nothing else is taken for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dspsep.errors import InputError
from dspsep.metrics import Scores
from tests.metrics.made_scores import HOSTILE, INF, NAN, PROTOCOL, one_source, track


def _refuse(word: str) -> float:
    raise AssertionError(f"{word} is not strict JSON")


def test_everything_comes_back_exactly() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(2, 2, 40)) * 10.0 ** rng.integers(-300, 300, (2, 2, 40))
    values[0, 0, :5] = NAN, INF, -INF, 5e-324, -0.0
    details = {
        "condition": INF, "notes": ["NaN", {"$float": "NaN", "$": NAN, "$$a": [None, True, -INF]}],
        "seed": 2**127, "permutation": [1, 0], "$float": "NaN",
    }  # fmt: skip
    made = Scores(
        (
            track(values, details=details, estimates=("x", "y"), duration=0.1 + 0.2, starts=rng.random(40)),
            track([[[]] * 2] * 2, track="none"),
        )
    )
    text = made.to_json()
    json.loads(text, parse_constant=_refuse)
    assert text.isascii()
    for given in (text, text.encode()):
        back = Scores.from_json(given)
        assert back == made
        assert back.tracks[0].values.tobytes() == made.tracks[0].values.tobytes()
        assert back.tracks[1].values.shape == (2, 2, 0)
        assert back.to_json() == text


@pytest.mark.parametrize("name", HOSTILE)
def test_names_come_back_as_they_were(name: str) -> None:
    made = Scores(
        (
            track(
                [[[1.0]]], track=name, sources=(name,), metrics=(name,), details={name: name},
                protocol={**PROTOCOL, "name": name},
            ),
        )
    )  # fmt: skip
    assert Scores.from_json(made.to_json()) == made


def test_says_what_it_is() -> None:
    content = json.loads(one_source([1.0, NAN]).to_json())
    assert content["format"] == "dspsep scores"
    assert content["version"] == 1
    assert content["tracks"][0]["values"] == [[[1.0, "NaN"]]]


def _changed(change: Callable[[Any], Any]) -> str:
    content = json.loads(one_source([1.0, 2.0]).to_json())
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("format"), r"^text must be what Scores.to_json returned; got something else"),
        (lambda c: c.update(version=2), r"^text must be of version 1 of the format; got 2\. Update"),
        (lambda c: c.update(tracks={}), r"got no list of tracks"),
        (lambda c: c.update(tracks=[]), r"^tracks must be a tuple of at least one"),
        (lambda c: c.update(tracks=[3]), r"got a track without all its fields"),
        (lambda c: c.update(tracks=c["tracks"] * 2), r"^tracks must be of different names"),
        (lambda c: c["tracks"][0].pop("details"), r"got a track without all its fields"),
        (lambda c: c["tracks"][0].update(more=1), r"got a track without all its fields, or with others"),
        (lambda c: c["tracks"][0].update(values=[[["nan", 1]]]), r"got a str among the numbers"),
        (lambda c: c["tracks"][0].update(values=[[[True, 1]]]), r"got a bool among the numbers"),
        (lambda c: c["tracks"][0].update(values=[[[None, 1]]]), r"got a NoneType among the numbers"),
        (lambda c: c["tracks"][0].update(values=[[[10**400, 1]]]), r"got a int among the numbers"),
        (lambda c: c["tracks"][0].update(values=[[[1], 1]]), r"^text must be what .* got ValueError"),
        (lambda c: c["tracks"][0].update(values=[[[1.0]]]), r"^values must be of shape"),
        (lambda c: c["tracks"][0].update(values=3), r"^values must be of shape"),
        (lambda c: c["tracks"][0].update(sources="voice"), r"^sources must be a tuple"),
        (lambda c: c["tracks"][0].update(sources=[["voice"]]), r"^sources must be a tuple of strings"),
        (lambda c: c["tracks"][0].update(track=3), r"^track must be a string"),
        (lambda c: c["tracks"][0].update(duration="3"), r"^duration must be a number"),
        (lambda c: c["tracks"][0].update(protocol=[]), r"^protocol must be a mapping"),
        (lambda c: c["tracks"][0].update(details={"$float": "NaN"}), r"^details must be a mapping"),
    ],
)
def test_what_was_changed_is_refused(change: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Scores.from_json(_changed(change))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", '"a"', "null", b"\xff\xfe", "[" * 100_000,
     '{"format": NaN}', '{"a": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_garbage_is_refused(text: Any) -> None:
    with pytest.raises(InputError, match=r"^text must be what Scores.to_json returned"):
        Scores.from_json(text)


@pytest.mark.parametrize("wrong", [None, 3, {}, ["a"]])
def test_only_text_is_read(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"^text must be a string that Scores.to_json returned"):
        Scores.from_json(wrong)


def test_deep_and_long_text_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def nest(depth: int) -> str:
        return _changed(lambda c: c["tracks"][0].update(values="?")).replace('"?"', "[" * depth + "]" * depth)

    for depth in (100, 900, 50_000):
        with pytest.raises(InputError, match=r"^(text|values) must be"):
            Scores.from_json(nest(depth))
    text = one_source([1.0]).to_json()
    monkeypatch.setattr("dspsep.metrics._scores_json._MAX_LENGTH", len(text))
    assert Scores.from_json(text) == one_source([1.0])
    with pytest.raises(InputError, match=r"^text must be what .* got \d+ characters"):
        Scores.from_json(text + " ")
    with pytest.raises(InputError, match=r"^tracks must be at most \d+ characters of JSON; got \d+"):
        one_source([1.25]).to_json()


def test_no_damage_goes_unnoticed() -> None:
    """Whatever is cut or overwritten gives scores, or the documented error, and nothing else."""
    text = Scores((track(details={"notes": [{"a": INF}]}),)).to_json()
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(400):
        at, length = int(rng.integers(len(text))), int(rng.integers(1, 12))
        middle = "".join(chr(code) for code in rng.integers(32, 127, int(rng.integers(0, 4))))
        try:
            Scores.from_json(text[:at] + middle + text[at + length :])
        except InputError:
            refused += 1
    assert refused > 200
