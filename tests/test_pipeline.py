"""Pipelines: names, errors when they are made, the law through every step, and text that comes back."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dspsep
from dspsep import (
    FT2D,
    HPSS,
    NMF,
    REPET,
    STFT,
    ADRess,
    Ensemble,
    FastICA,
    InputError,
    MidSide,
    Pipeline,
    Regroup,
    Separator,
    Sources,
    Split,
    from_json,
)
from dspsep.separators.hpss.median import HPSSModel
from tests.test_stft import noise

A, B, C = HPSS(stft=STFT(128)), HPSS(stft=STFT(64), margin=2.0), HPSS(stft=STFT(32), mask="hard")
DEEP = (
    A
    >> {"percussive": B, "harmonic": A >> {"harmonic": C}}
    >> {"percussive/percussive": C}
    >> Regroup({"drums": ["percussive"], "tune": ["harmonic/harmonic"]})
)
NAMESPACE = {
    name: getattr(dspsep, name) for name in ("HPSS", "STFT", "Pipeline", "Regroup", "Split", "FrozenArray")
}


@dataclass(frozen=True, kw_only=True)
class Surprise(Separator):
    """A separator whose names only the data decide."""

    @property
    def source_names(self):
        return None

    def separate(self, mixture, sample_rate, *, callback=None):
        return Sources(
            {"left": mixture * 0.25, "right": mixture * 0.75}, sample_rate, None, self.provenance()
        )


@pytest.mark.core
def test_names():
    assert (A >> {"percussive": B}).source_names == (
        "harmonic", "percussive/harmonic", "percussive/percussive", "percussive/residual",
    )  # fmt: skip
    assert DEEP.source_names == ("drums", "tune", "harmonic/percussive")
    assert Pipeline([A]).source_names == A.source_names


@pytest.mark.core
def test_names_are_those_that_come_out():
    for pipeline in (DEEP, A >> {"percussive": B}, Pipeline([A]), B >> Regroup(all=["residual", "harmonic"])):
        assert pipeline.separate(noise(500), 8000).names == pipeline.source_names


@pytest.mark.core
def test_arrows_flatten():
    step, last = {"percussive": B}, Regroup(x=["percussive"])
    arrows = A >> step >> last
    assert arrows == Pipeline([A, step, last]) == Pipeline((A, Split(step), last))
    assert hash(arrows) == hash(Pipeline([A, step, last]))
    assert len(arrows.steps) == 3
    assert arrows != A >> step


@pytest.mark.core
def test_pipelines_nest():
    inner = A >> Regroup(rest=["harmonic"])
    nested = Pipeline([inner, {"rest": B >> Regroup(y=["residual"])}])
    assert nested.source_names == ("rest/y", "rest/harmonic", "rest/percussive", "percussive")
    sources = nested.separate(noise(400, "float32", 2), 8000)
    assert sources.names == nested.source_names


@pytest.mark.core
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Pipeline([]), "the first step"),
        (lambda: Pipeline(None), "the first step"),
        (lambda: Pipeline(A), None),
        (lambda: Pipeline([{"harmonic": A}]), "the first step"),
        (lambda: Pipeline([Regroup(a=["x"])]), "the first step"),
        (lambda: Pipeline(["hpss"]), "the first step"),
        (lambda: A >> B, "step 2"),
        (lambda: A >> "hpss", "step 2"),
        (lambda: A >> None, "step 2"),
        (lambda: A >> {"percussive": B} >> 5, "step 3"),
        (lambda: A >> {}, "separators"),
        (lambda: A >> {"percussive": "hpss"}, "the step for source 'percussive'"),
        (lambda: A >> {"percussive": Regroup(a=["harmonic"])}, "the step for source 'percussive'"),
        (lambda: A >> {1: B}, "a source's name"),
        (lambda: A >> {"drums": B}, "a source to split"),
        (lambda: A >> {"residual": B}, "a source to split"),
        (lambda: A >> {"percussive": B} >> {"percussive": C}, "a source to split"),
        (lambda: A >> Regroup(x=["drums"]), "group 'x'"),
        (lambda: A >> Regroup(percussive=["harmonic"]), "group 'percussive'"),
        (lambda: A >> {"percussive": A} >> Regroup(x=["percussive"], y=["percussive/harmonic"]), "group 'y'"),
        (Regroup, "groups"),
        (lambda: Regroup({}), "groups"),
        (lambda: Regroup(x=[]), "group 'x'"),
        (lambda: Regroup(x="percussive"), "group 'x'"),
        (lambda: Regroup(x=[1]), "a source's name"),
        (lambda: Regroup(x=["a", "a"]), "group 'x'"),
        (lambda: Regroup(x=["a"], y=["a"]), "group 'y'"),
        (lambda: Regroup({"": ["a"]}), "a source's name"),
    ],
)
def test_mistakes_are_found_when_it_is_made(make, name):
    if name is None:
        assert make() == Pipeline([A])
        return
    with pytest.raises(InputError, match=r" must be .+; got .+\.") as info:
        make()
    assert info.value.name == name


@pytest.mark.parametrize(
    "make",
    [
        lambda: Regroup(x=5),
        lambda: Regroup(["ab", "c"]),
        lambda: Regroup(5),
        lambda: Split(5),
        lambda: Split(["abc"]),
    ],
)
def test_what_is_no_mapping_is_an_input_error(make):
    with pytest.raises(InputError):
        make()


def test_a_separator_as_a_later_step_is_told_how_to_be_one():
    with pytest.raises(InputError, match=r"\{name: separator\}"):
        A >> B


def test_names_cannot_collide():
    # A part named like a source that is there would replace it, and the sum would be lost.
    with pytest.raises(InputError):
        A >> Regroup({"a": ["harmonic"], "a/harmonic": ["percussive"]}) >> {"a": A}


@pytest.mark.core
@given(
    st.integers(1, 900),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from([None, 1, 2]),
    st.integers(0, 9),
)
def test_the_law_holds_three_levels_deep(n_samples, dtype, n_channels, seed):
    audio = noise(n_samples, dtype, n_channels, seed)
    sources = DEEP.separate(audio, 8000)
    error = np.abs(sources.mixture() - audio).max()
    assert error <= (5e-6 if dtype == "float32" else 1e-12) * np.abs(audio).max()
    assert all(source.shape == audio.shape and source.dtype == audio.dtype for source in sources.values())


@pytest.mark.core
def test_a_split_is_the_separator_on_that_source():
    audio = noise(600)
    first = A.separate(audio, 8000)
    parts = B.separate(first["percussive"], 8000)
    sources = (A >> {"percussive": B}).separate(audio, 8000)
    assert np.array_equal(sources["harmonic"], first["harmonic"])
    for name in parts:
        assert np.array_equal(sources[f"percussive/{name}"], parts[name])


@pytest.mark.core
def test_regroup_sums_members_parents_and_keeps_the_rest():
    audio = noise(600)
    split = (A >> {"percussive": B}).separate(audio, 8000)
    parts = [split[f"percussive/{part}"] for part in ("harmonic", "percussive", "residual")]
    grouped = Regroup(drums=["percussive"]).refine(audio, split)
    assert grouped.names == ("drums", "harmonic")
    assert np.array_equal(grouped["drums"], parts[0] + parts[1] + parts[2])
    assert np.array_equal(grouped["harmonic"], split["harmonic"])
    single = Regroup({"x": ["percussive/residual", "harmonic"]}).refine(audio, split)
    assert single.names == ("x", "percussive/harmonic", "percussive/percussive")
    assert np.array_equal(single["x"], parts[2] + split["harmonic"])
    with pytest.raises(InputError, match=r"^group 'y' must be made of"):
        Regroup(y=["nothing"]).refine(audio, split)


def test_a_parent_is_a_whole_name_not_a_beginning():
    sources = Sources.from_dict({"per": np.ones(3), "percussive": np.ones(3), "per/a": np.ones(3)}, 8000)
    assert Regroup(x=["per"]).refine(sources.mixture(), sources).names == ("x", "percussive")


@pytest.mark.core
def test_a_group_may_take_the_name_of_what_it_sums():
    assert (B >> Regroup(percussive=["percussive", "residual"])).source_names == ("percussive", "harmonic")


@pytest.mark.core
def test_models_by_path():
    sources = (A >> {"percussive": B, "harmonic": A >> {"harmonic": C}}).separate(noise(300), 8000)
    assert sources.model.keys() == {"", "percussive", "harmonic", "harmonic/harmonic"}
    assert all(isinstance(model, HPSSModel) for model in sources.model.values())
    assert sources.model["percussive"].margin == 2.0
    assert sources.model["harmonic/harmonic"].mask == "hard"
    assert isinstance(Pipeline([A]).separate(noise(300), 8000).model, HPSSModel)


@pytest.mark.core
def test_provenance_is_the_pipelines():
    sources = DEEP.separate(noise(100), 8000)
    assert sources.provenance.settings == repr(DEEP)


@pytest.mark.core
def test_callbacks_name_the_path():
    stages = []
    nested = A >> {"percussive": A >> {"harmonic": A}}
    nested.separate(noise(300), 8000, callback=lambda progress: stages.append(progress.stage))
    one = ["transform", "fit", "harmonic"]
    assert stages == [
        *one,
        *[f"percussive: {stage}" for stage in one],
        *[f"percussive: harmonic: {stage}" for stage in one],
    ]


@pytest.mark.core
def test_errors_come_before_work():
    called = []
    for bad in (np.array([np.nan, 1.0]), np.zeros((100, 2)), np.zeros(0), "x", None):
        with pytest.raises(InputError, match=r"^mixture must be"):
            DEEP.separate(bad, 8000, callback=called.append)
    with pytest.raises(InputError, match=r"^sample_rate"):
        DEEP.separate(np.ones(10), -1, callback=called.append)
    assert not called


@pytest.mark.core
@pytest.mark.parametrize(
    "separator",
    [
        DEEP,
        Pipeline([A]),
        Pipeline([A >> Regroup(x=["harmonic"]), {"x": C}]),
        Pipeline([A, Split({"harmonic": B})]),
    ],
    ids=["deep", "one", "nested", "split"],
)
def test_text_comes_back(separator):
    assert eval(repr(separator), NAMESPACE) == separator
    assert from_json(separator.to_json()) == separator
    assert Pipeline.from_json(separator.to_json()) == separator
    assert pickle.loads(pickle.dumps(separator)) == separator
    assert repr(from_json(separator.to_json())) == repr(separator)
    assert separator.replace(steps=separator.steps) == separator


@pytest.mark.core
@pytest.mark.parametrize(
    "refiner", [Regroup(x=["a", "b"], y=["c/d"]), Split({"a": A, "b": B >> {"residual": C}})]
)
def test_refiners_are_values_too(refiner):
    assert eval(repr(refiner), NAMESPACE) == refiner
    assert from_json(refiner.to_json()) == refiner
    assert hash(pickle.loads(pickle.dumps(refiner))) == hash(refiner)


@pytest.mark.core
def test_names_that_only_data_decide():
    late = Surprise() >> {"left": A} >> Regroup(x=["right"])
    assert late.source_names is None
    sources = late.separate(noise(200), 8000)
    assert sources.names == ("x", "left/harmonic", "left/percussive")
    assert np.abs(sources.mixture() - noise(200)).max() <= 1e-12
    inside = A >> {"harmonic": Surprise()}
    assert inside.source_names is None
    assert inside.separate(noise(200), 8000).names == ("harmonic/left", "harmonic/right", "percussive")
    with pytest.raises(InputError, match=r"^a source to split must be one of left, right; got 'middle'"):
        (Surprise() >> {"middle": A}).separate(noise(200), 8000)


def test_integers_are_scaled_once():
    pcm = (noise(300) * 20000).astype(np.int16)
    sources = (A >> {"percussive": B}).separate(pcm, 8000)
    np.testing.assert_allclose(sources.mixture(), pcm / 32768, atol=5e-6)


def test_parts_that_only_the_data_name_cannot_replace_a_source():
    for taken in (["a", "a/left"], ["a/left", "a"]):
        sources = Sources.from_dict(dict.fromkeys(taken, np.ones(100)), 8000)
        with pytest.raises(InputError, match="named like no other"):
            Split({"a": Surprise()}).refine(sources.mixture(), sources)


# --- stages ---


@pytest.mark.core
def test_stages_are_what_comes_out_of_every_step():
    audio = noise(600, "float64", 2)
    steps, stages = zip(*DEEP.stages(audio, 8000), strict=True)
    assert steps == DEEP.steps
    for position, sources in enumerate(stages, start=1):
        so_far = Pipeline(DEEP.steps[:position])
        assert sources.names == so_far.source_names
        np.testing.assert_allclose(sources.mixture(), audio, atol=1e-12)
        expected = so_far.separate(audio, 8000)
        assert all(sources[name].tobytes() == expected[name].tobytes() for name in expected)
    last = DEEP.separate(audio, 8000)
    assert all(stages[-1][name].tobytes() == last[name].tobytes() for name in last)


def test_a_stage_works_when_its_turn_comes():
    told = []
    stages = (A >> {"percussive": B}).stages(noise(300), 8000, callback=lambda p: told.append(p.stage))
    assert not told
    next(stages)
    assert told == ["transform", "fit", "harmonic"]
    next(stages)
    assert told[3] == "percussive: transform"
    with pytest.raises(StopIteration):
        next(stages)


def test_stages_refuse_what_is_not_audio_at_once():
    with pytest.raises(InputError, match=r"^sample_rate"):
        DEEP.stages(noise(300), 0)
    with pytest.raises(InputError, match=r"^mixture"):
        DEEP.stages("x", 8000)
    with pytest.raises(InputError, match=r"^mixture must be audio of at least 2 channels"):
        (A >> {"harmonic": ADRess()}).stages(noise(300), 8000)


def test_channels_of_a_later_step_are_asked_for_before_the_first():
    steps = A >> {"harmonic": B >> {"percussive": ADRess()}}
    assert (steps.min_channels, steps.max_channels) == (2, 2)
    called = []
    for n_channels in (None, 1, 3):
        with pytest.raises(InputError, match=r"^mixture must be audio of at (least|most) 2 channels"):
            steps.separate(noise(300, "float64", n_channels), 8000, callback=called.append)
    assert not called
    assert (DEEP.min_channels, DEEP.max_channels) == (1, None)


# --- text ---


def test_repr_is_as_it_is_written():
    assert repr(A >> {"percussive": B} >> Regroup(x=["harmonic"])) == (
        f"{A!r} >> {{'percussive': {B!r}}} >> Regroup({{'x': ['harmonic']}})"
    )
    assert repr(Pipeline([A])) == f"Pipeline([{A!r}])"
    assert repr(Pipeline([A >> Regroup(x=["harmonic"]), {"x": C}])).startswith("Pipeline([HPSS(")


def test_it_prints_as_a_list_of_steps_and_of_what_is_not_default():
    steps = (
        HPSS() >> {"percussive": B >> {"residual": C}, "harmonic": Surprise()} >> Regroup(x=["percussive"])
    )
    assert str(steps).splitlines() == [
        "Pipeline",
        "  1. HPSS()",
        "  2. percussive: Pipeline",
        "       1. HPSS(stft=STFT(64), margin=2.0)",
        "       2. residual: HPSS(stft=STFT(32), mask='hard')",
        "       gives harmonic, percussive, residual/harmonic, residual/percussive, residual/residual",
        "     harmonic: Surprise()",
        "  3. x = percussive",
        "  gives what the data decide",
    ]


def test_notebooks_show_what_is_printed():
    shown = []
    for separator in (DEEP, Ensemble([A])):
        separator._repr_pretty_(SimpleNamespace(text=shown.append), cycle=False)
        assert shown.pop() == str(separator)
        separator._repr_pretty_(SimpleNamespace(text=shown.append), cycle=True)
        assert shown.pop() == f"{type(separator).__name__}(...)"


@pytest.mark.parametrize(
    "separator",
    [
        A
        >> {
            "harmonic": REPET(stft=STFT(64), period_seconds=0.02)
            >> {"foreground": NMF(n_components=2, n_iter=2)},
            "percussive": Ensemble([B, C]) >> {"residual": FT2D(stft=STFT(64))},
        }
        >> Regroup(rest=["harmonic", "percussive/residual"]),
        MidSide(stft=STFT(64)) >> {"center": FastICA(n_sources=2)},
    ],
)
@pytest.mark.filterwarnings("ignore::dspsep.DspsepWarning")
def test_stored_and_read_again_it_gives_the_same_bytes(separator):
    audio = noise(3000, "float32", 2)
    one, other = (s.separate(audio, 8000) for s in (separator, from_json(separator.to_json())))
    assert one.names == other.names
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)
