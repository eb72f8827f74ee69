"""What may be called a method, and what is made of it."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest

import dspsep
from dspsep.bench import Counted, methods_file
from dspsep.bench.methods import methods_of
from dspsep.data.tracks import LoadedTrack
from dspsep.oracle import IRM


def loaded(n_sources: int = 2) -> LoadedTrack:
    audio = np.random.default_rng(0).standard_normal((n_sources, 2, 400)).astype(np.float32)
    sources = dspsep.Sources({f"s{k}": one for k, one in enumerate(audio)}, 8000)
    return LoadedTrack(name="noise", mixture=sources.mixture(), sources=sources, sample_rate=8000)


def made(method, n_sources=2, seed=None):
    (found,) = methods_of(method)
    track = loaded(n_sources)
    return found.separator(track, track.sources.names, seed)


def test_a_name_is_a_method_with_defaults():
    assert made("hpss") == dspsep.HPSS()
    assert made("repet-sim") == dspsep.REPETSim()


def test_names_are_told_the_number_of_sources_and_objects_keep_their_own():
    assert made("FastMNMF2", 3).n_sources == 3
    assert made(dspsep.FastMNMF2(), 3).n_sources == 2
    assert made(Counted(dspsep.FastMNMF2(n_iter=7)), 4) == dspsep.FastMNMF2(n_iter=7, n_sources=4)


def test_pipelines_are_told_through_their_first_step():
    pipeline = dspsep.DUET() >> {"source_0": dspsep.HPSS()}
    assert made(Counted(pipeline), 2).steps[0].n_sources == 2


def test_oracles_are_made_of_the_sources_of_each_track():
    exact = made("IRM")
    assert exact.source_names == ("s0", "s1", "residual")
    stft = dspsep.STFT(512)
    assert made(functools.partial(IRM, stft=stft)).stft == stft
    assert made(IRM).stft == exact.stft


def test_the_mixture_is_named_after_the_sources():
    assert made("mixture", 3).source_names == ("s0", "s1", "s2")


def test_all_is_every_registered_method():
    names = [method.name for method in methods_of("all")]
    assert names == [name for name in dspsep._registry.METHODS if name != "MixtureAsEstimate"]
    assert [method.name for method in methods_of(["IRM", "all"])][:2] == ["IRM", names[0]]


def test_seeds_are_put_in_at_any_depth():
    pipeline = dspsep.HPSS() >> {"harmonic": dspsep.RPCA()}
    steps = made(pipeline, seed=17).steps
    assert dict(steps[1].separators)["harmonic"].seed == 17
    assert made(pipeline).steps[1] == pipeline.steps[1]
    (method,) = methods_of(pipeline)
    assert method.takes_seed()
    assert not methods_of("HPSS")[0].takes_seed()


def test_a_function_makes_the_separator_of_a_track():
    def longer(track):
        return dspsep.HPSS(stft=dspsep.STFT(2 * track.mixture.shape[0] * 256))

    assert made(longer).stft.n_fft == 1024
    (method,) = methods_of({"mine": longer})
    assert (method.name, method.plain()["kind"]) == ("mine", "separator")


def test_a_separator_of_the_users_is_a_method():
    class Own(type(dspsep.HPSS()).__mro__[1]):  # a SpectralSeparator
        source_names = ("a",)

        def fit(self, spectrogram, *, callback=None):
            raise NotImplementedError

    own = Own()
    (method,) = methods_of(own)
    assert method.settings is None
    assert method.separator(loaded(), ("s0", "s1"), 3) is own
    assert method.identity()["source"]


def test_identity_tells_settings_apart_and_equal_ones_not():
    one, two, three = (
        methods_of(method)[0].identity()
        for method in (dspsep.HPSS(), dspsep.HPSS(margin=2), dspsep.HPSS(margin=1.0))
    )
    assert one != two
    assert one == three
    counted = methods_of(Counted(dspsep.DUET()))[0].identity()
    assert counted != methods_of(dspsep.DUET())[0].identity()


@pytest.mark.parametrize(
    ("methods", "says"),
    [
        ("nothing", "names out of"),
        ([], "at least one"),
        (3, "names, separators"),
        (["HPSS", "hpss"], "different names"),
        (dspsep.HPSS, "not classes"),
        (functools.partial(IRM, references={}), "The references are those"),
        (functools.partial(IRM, exponent=-1), "exponent"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(methods, says):
    with pytest.raises(dspsep.InputError, match=says):
        methods_of(methods)
    with pytest.raises(dspsep.InputError):
        Counted(dspsep.HPSS())


def test_files_hold_named_methods(tmp_path):
    path = tmp_path / "methods.json"
    told = {
        "long": json.loads(dspsep.HPSS(margin=2.0).to_json()),
        "bound": {"type": "IRM", "exponent": 2.0},
        "told": {"type": "Counted", "separator": json.loads(dspsep.DUET().to_json())},
        "plain": "REPET",
    }
    path.write_text(json.dumps(told))
    found = methods_of(methods_file(path))
    assert [method.name for method in found] == list(told)
    track = loaded(3)
    separators = [method.separator(track, track.sources.names, None) for method in found]
    assert separators[0] == dspsep.HPSS(margin=2.0)
    assert separators[1].exponent == 2.0
    assert separators[2] == dspsep.DUET(n_sources=3)
    assert separators[3] == dspsep.REPET()


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "3", '{"type": "HPSS"}', '{"a": 3}', '{"a": {"type": "os.system"}}',
        '{"a": {"type": "Regroup", "groups": []}}', "[" * 100_000,
        '{"a": {"type": "IRM", "references": 1}}', '{"a": {"type": "Counted", "separator": "HPSS"}}',
    ],
)  # fmt: skip
def test_files_of_anything_else_are_refused(tmp_path, text):
    path = tmp_path / "methods.json"
    path.write_text(text)
    with pytest.raises(dspsep.InputError):
        methods_of(methods_file(path))
    with pytest.raises(dspsep.InputError):
        methods_file(tmp_path / "none.json")
