"""Sources: a read-only mapping that says what is wrong with what it is given."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import dspsep
from dspsep import HPSS, STFT, InputError, Provenance, Sources
from tests.test_stft import noise


@pytest.fixture
def sources():
    return Sources.from_dict({"a": noise(40, n_channels=2), "b": noise(40, n_channels=2, seed=1)}, 8000)


@pytest.mark.core
def test_a_mapping_in_order(sources):
    assert isinstance(sources, Mapping)
    assert list(sources) == list(sources.names) == ["a", "b"]
    assert len(sources) == 2
    assert "a" in sources
    assert "c" not in sources
    assert dict(sources).keys() == {"a", "b"}
    assert sources.get("c") is None
    assert (sources.shape, sources.n_channels, sources.n_samples) == ((2, 40), 2, 40)
    mono = Sources.from_dict({"a": np.zeros(7)}, 8000)
    assert (mono.shape, mono.n_channels, mono.n_samples) == ((7,), 1, 7)


@pytest.mark.core
def test_the_mixture_is_the_sum(sources):
    assert np.array_equal(sources.mixture(), sources["a"] + sources["b"])


def test_the_mixture_of_one_source_is_an_array_of_its_own():
    alone = Sources.from_dict({"a": np.ones(5)}, 8000)
    mixture = alone.mixture()
    mixture[:] = 7
    assert (alone["a"] == 1).all()


def test_a_missing_name_lists_those_there_are(sources):
    with pytest.raises(KeyError, match=r"no source 'c'; there are 'a', 'b'"):
        sources["c"]


@pytest.mark.core
def test_read_only(sources):
    with pytest.raises(TypeError):
        sources["a"] = 0
    with pytest.raises(TypeError):
        sources.audio["a"] = 0
    with pytest.raises(FrozenInstanceError):
        sources.sample_rate = 1
    given = {"a": np.ones(3)}
    made = Sources.from_dict(given, 8000)
    given["b"] = 0
    assert list(made) == ["a"]


@pytest.mark.core
@pytest.mark.parametrize("twin", [lambda s: pickle.loads(pickle.dumps(s)), copy.copy, copy.deepcopy])
def test_copies_are_whole(twin):
    sources = HPSS(stft=STFT(64), margin=2.0).separate(noise(100), 8000)
    again = twin(sources)
    assert again.names == sources.names
    assert all(np.array_equal(again[name], sources[name]) for name in sources)
    assert again.model == sources.model
    assert again.provenance == sources.provenance
    assert again.sample_rate == 8000


@pytest.mark.core
def test_provenance_makes_the_same_again():
    audio = noise(300)
    sources = HPSS(stft=STFT(64), margin=2.0).separate(audio, 8000)
    assert isinstance(sources.provenance, Provenance)
    assert sources.provenance == Provenance(
        version=dspsep.__version__, settings=repr(HPSS(stft=STFT(64), margin=2.0)), seed=None, gain=1.0
    )
    again = eval(sources.provenance.settings, vars(dspsep) | {"HPSS": HPSS, "STFT": STFT}).separate(
        audio, 8000
    )
    assert all(np.array_equal(again[name], sources[name]) for name in sources)


@pytest.mark.core
def test_printing(sources):
    assert repr(sources) == "Sources(a, b; 2 channels, 40 samples at 8000 Hz)"
    assert repr(Sources.from_dict({"x": np.zeros(3)}, 44100.5)) == "Sources(x; mono, 3 samples at 44100.5 Hz)"


@pytest.mark.core
@pytest.mark.parametrize(
    ("audio", "name"),
    [
        ({}, "audio"),
        ([np.zeros(3)], "audio"),
        (None, "audio"),
        ({1: np.zeros(3)}, "a source's name"),
        ({"": np.zeros(3)}, "a source's name"),
        ({"a\n": np.zeros(3)}, "a source's name"),
        ({"a\x00": np.zeros(3)}, "a source's name"),
        ({"x" * 121: np.zeros(3)}, "a source's name"),
        ({"a": np.zeros((1, 2, 3))}, "audio['a']"),
        ({"a": np.zeros(0)}, "audio['a']"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, "audio['b']"),
        ({"a": np.zeros(3), "b": np.zeros((1, 3))}, "audio['b']"),
        ({"a": np.zeros(3), "b": np.zeros(3, "float32")}, "audio['b']"),
        ({"a": np.zeros(3, complex)}, "audio['a']"),
        ({"a": "x.wav"}, "audio['a']"),
    ],
    ids=repr,
)
def test_what_are_no_sources_is_refused(audio, name):
    with pytest.raises(InputError) as info:
        Sources.from_dict(audio, 8000)
    assert info.value.name == name


def test_rates_are_checked_and_whole_ones_are_integers():
    with pytest.raises(InputError, match=r"^sample_rate"):
        Sources.from_dict({"a": np.zeros(3)}, 0)
    rate = Sources.from_dict({"a": np.zeros(3)}, 44100.0).sample_rate
    assert isinstance(rate, int)
    assert Sources.from_dict({"a": np.zeros(3)}, 0.5).sample_rate == 0.5


def test_integers_are_scaled():
    sources = Sources.from_dict({"a": np.array([16384, -32768], np.int16)}, 8000)
    assert sources["a"].dtype == np.float32
    assert sources["a"].tolist() == [0.5, -1.0]


@pytest.mark.parametrize("audio", [{}, None, [np.ones(4)]], ids=str)
def test_sources_are_never_empty(audio):
    for make in (Sources, Sources.from_dict):
        with pytest.raises(InputError, match=r"^audio must be a mapping of at least one name"):
            make(audio, 8000)
