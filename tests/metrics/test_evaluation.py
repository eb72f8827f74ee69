"""What `evaluate` does with names, lengths, silence and everything else that tracks come with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import dspsep
from dspsep import BackendError, InputError
from dspsep.metrics import (
    MDX,
    MIREX,
    BSSEval,
    Protocol,
    ScaleInvariant,
    Scores,
    evaluate,
    sdr,
    si_sdr,
)
from dspsep.metrics.protocols import in_windows

RATE = 800
NAMED = ("bss_eval_v4", "bss_eval_v3_images", "bss_eval_v3_sources", "scale_invariant", "mdx", "mirex")
SHORT = {"n_taps": 8}


def tracks(n_sources: int = 2, n_channels: int = 2, seconds: float = 4.0) -> tuple[Any, Any]:
    """Return named references and estimates that leak, of different levels."""
    rng = np.random.default_rng(15)
    shape = (n_sources, n_channels, int(seconds * RATE))
    references = rng.standard_normal(shape) * (0.1 / (1 + np.arange(n_sources)))[:, None, None]
    estimates = references + 0.3 * references.sum(axis=0) + 0.01 * rng.standard_normal(shape)
    names = ("vocals", "drums", "bass", "other")[:n_sources]
    return dict(zip(names, references, strict=True)), dict(zip(names, estimates, strict=True))


def short(version: str = "v4", **settings: Any) -> BSSEval:
    return BSSEval(version=version, **{**SHORT, **settings})  # type: ignore[arg-type]


PROTOCOLS = [
    short(),
    short("v3_images"),
    short("v3_sources"),
    short("v3_images", window_seconds=1),
    ScaleInvariant(),
    ScaleInvariant(window_seconds=1),
    MDX(),
    MIREX(n_taps=8),
]


def named(protocol: Protocol) -> str:
    return f"{protocol.name}-{getattr(protocol, 'window_seconds', None)}"


@pytest.mark.core
@pytest.mark.parametrize("protocol", NAMED)
def test_protocols_have_names(protocol: str) -> None:
    references, estimates = tracks(n_channels=1)
    scores = evaluate(references, estimates, RATE, protocol, track="Song")
    assert isinstance(scores, Scores)
    track = scores.tracks[0]
    assert (track.track, track.sources, track.estimates) == ("Song", ("vocals", "drums"), ("vocals", "drums"))
    assert track.protocol["name"] == protocol
    assert tuple(track.protocol["sources"]) == track.sources
    assert track.details["sample_rate"] == RATE
    assert track.duration == 4
    assert np.isfinite(track.values).all()
    assert track.n_windows == (4 if protocol == "bss_eval_v4" else 1)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
def test_what_does_not_matter_does_not_matter(protocol: Protocol) -> None:
    """The order of names, the layout and writability of arrays; and a single channel needs no axis."""
    references, estimates = tracks()
    expected = evaluate(references, estimates, RATE, protocol)
    other = evaluate(
        dict(reversed(references.items())), {"residual": estimates["vocals"], **estimates}, RATE, protocol
    )
    frozen = {}
    for name, audio in estimates.items():
        frozen[name] = np.asfortranarray(audio)
        frozen[name].setflags(write=False)
    again = evaluate({k: v[:, ::-1][:, ::-1] for k, v in references.items()}, frozen, RATE, protocol)
    for name in references:
        for metric in protocol.metrics:
            assert other[name, metric] == pytest.approx(expected[name, metric], abs=1e-9)
            assert again[name, metric] == expected[name, metric]
    single = [{name: audio[:1] for name, audio in each.items()} for each in (references, estimates)]
    mono = [{name: audio[0] for name, audio in each.items()} for each in (references, estimates)]
    of_mono, of_single = (evaluate(*pair, RATE, protocol) for pair in (mono, single))
    assert of_mono["drums"] == of_single["drums"]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
@pytest.mark.parametrize("factor", [-1.0, 2.0**-40, 1e-150, 1e150])
def test_the_unit_of_the_samples_does_not_matter(protocol: Protocol, factor: float) -> None:
    if protocol.name == "mdx" and factor != -1.0:
        return  # which has a constant: tested below
    references, estimates = tracks()
    expected = evaluate(references, estimates, RATE, protocol).tracks[0].values
    scaled = [{name: audio * factor for name, audio in each.items()} for each in (references, estimates)]
    found = evaluate(*scaled, RATE, protocol).tracks[0].values
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
def test_integers_are_fractions_of_full_scale_and_nothing_is_changed(protocol: Protocol) -> None:
    references, estimates = (
        {name: np.round(audio * 2**15).astype(np.int16) for name, audio in each.items()} for each in tracks()
    )
    before = {name: audio.copy() for name, audio in estimates.items()}
    found = evaluate(references, estimates, RATE, protocol)
    as_floats = [{name: audio / 2**15 for name, audio in each.items()} for each in (references, estimates)]
    expected = evaluate(*as_floats, RATE, protocol)
    np.testing.assert_array_equal(found.tracks[0].values, expected.tracks[0].values)
    for name, audio in estimates.items():
        np.testing.assert_array_equal(audio, before[name])


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
def test_single_precision_is_computed_in_double(protocol: Protocol) -> None:
    references, estimates = (
        {name: audio.astype(np.float32) for name, audio in each.items()} for each in tracks()
    )
    doubles = [
        {name: audio.astype(float) for name, audio in each.items()} for each in (references, estimates)
    ]
    found = evaluate(references, estimates, RATE, protocol).tracks[0].values
    np.testing.assert_array_equal(found, evaluate(*doubles, RATE, protocol).tracks[0].values)


def test_global_numbers_are_those_of_the_functions() -> None:
    references, estimates = tracks()
    family = evaluate(references, estimates, RATE, ScaleInvariant())
    challenge = evaluate(references, estimates, RATE, "mdx")
    images = evaluate(references, estimates, RATE, short(window_seconds="whole"))
    for name, reference in references.items():
        assert family[name, "SI-SDR"] == pytest.approx(si_sdr(reference, estimates[name]), abs=1e-9)
        assert family[name, "SNR"] == pytest.approx(sdr(reference, estimates[name]), abs=1e-9)
        assert images[name, "SDR"] == pytest.approx(sdr(reference, estimates[name]), abs=1e-9)
        assert challenge[name, "uSDR"] == pytest.approx(sdr(reference, estimates[name]), abs=1e-3)


# Matching


def test_permutation_is_found_and_told() -> None:
    references, estimates = tracks(3)
    noise = np.random.default_rng(8).standard_normal((2, 4 * RATE))
    shuffled = {"a": estimates["bass"], "b": estimates["vocals"], "c": noise,
                "d": estimates["drums"]}  # fmt: skip
    for protocol in PROTOCOLS:
        straight = evaluate(references, estimates, RATE, protocol)
        found = evaluate(references, shuffled, RATE, protocol, permutation=True)
        assert found.tracks[0].estimates == ("b", "d", "a")
        assert found.protocol["permutation"] is True
        if protocol.name != "mirex":  # the same filters, from a longer list of right-hand sides
            np.testing.assert_allclose(found.tracks[0].values, straight.tracks[0].values, atol=1e-8)


def test_a_permutation_is_one_for_the_whole_track() -> None:
    """Estimates that swap in the middle are not followed: no window has an order of its own."""
    references, _ = tracks(2, 1)
    half = 2 * RATE
    one, other = references.values()
    swapped = [np.concatenate([one[:, :half], other[:, half:]], axis=1),
               np.concatenate([other[:, :half], one[:, half:]], axis=1)]  # fmt: skip
    noise = np.random.default_rng(1).standard_normal((2, 1, 4 * RATE)) * 1e-3
    scores = evaluate(references, [x + n for x, n in zip(swapped, noise, strict=True)], RATE, short(),
                      permutation=True)  # fmt: skip
    windows = scores.windows("vocals", "SDR")
    assert max(windows) > 20
    assert min(windows) < 6


def test_an_estimate_that_nobody_gets_may_be_silent() -> None:
    references, estimates = tracks()
    for protocol in PROTOCOLS:
        straight = evaluate(references, estimates, RATE, protocol)
        for silent in (slice(None), slice(0, RATE)):
            other = 1e-3 * np.random.default_rng(3).standard_normal((2, 4 * RATE))
            other[:, silent] = 0
            found = evaluate(references, {"silent": other, **estimates}, RATE, protocol, permutation=True)
            assert found.tracks[0].estimates == ("vocals", "drums")
            np.testing.assert_allclose(found.tracks[0].values, straight.tracks[0].values, atol=1e-8)


def test_a_silent_estimate_that_is_needed_is_refused() -> None:
    references, estimates = tracks()
    both = [np.zeros((2, 4 * RATE)), estimates["drums"]]
    for protocol in (short(), ScaleInvariant()):
        with pytest.raises(InputError, match="silence throughout") as error:
            evaluate(references, both, RATE, protocol, permutation=True)
        assert error.value.name == "estimates['0']"
        strict = evaluate(references, both, RATE, protocol.replace(silence="strict"), permutation=True)
        assert strict.tracks[0].estimates == ("0", "1")


def test_windows_in_which_a_source_rests_do_not_decide() -> None:
    """The drums sound in one window, where "a" has them; elsewhere "b" is louder, and that means nothing."""
    rng = np.random.default_rng(6)
    one, other = rng.standard_normal((2, 1, 4 * RATE))
    other[:, : 3 * RATE] = 0
    a = 0.3 * other + 1e-3 * rng.standard_normal((1, 4 * RATE))
    b = 1e-3 * rng.standard_normal((1, 4 * RATE)) - 0.05 * other
    references = {"vocals": one, "drums": other}
    for protocol in (short(silence="strict"), ScaleInvariant(window_seconds=1, silence="strict")):
        made = {"c": one + 0.1 * other, "b": b, "a": a}
        scores = evaluate(references, made, RATE, protocol, permutation=True)
        assert scores.tracks[0].estimates == ("c", "a")


def test_names_are_strings() -> None:
    references, estimates = tracks()
    for argument, given in (
        ("references", {1: references["vocals"], "drums": references["drums"]}),
        ("estimates", {"vocals": estimates["vocals"], None: estimates["drums"]}),
    ):
        arguments = {"references": references, "estimates": estimates, argument: given}
        with pytest.raises(InputError) as error:
            evaluate(**arguments, sample_rate=RATE)
        assert error.value.name == argument


def test_a_mapping_says_which_estimate_is_whose() -> None:
    references, estimates = tracks()
    renamed = {"voice": estimates["vocals"], "drums": estimates["drums"]}
    scores = evaluate(references, renamed, RATE, short(), mapping={"vocals": "voice"})
    assert scores.tracks[0].estimates == ("voice", "drums")
    expected = evaluate(references, estimates, RATE, short())
    np.testing.assert_array_equal(scores.tracks[0].values, expected.tracks[0].values)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"mapping": {"vocal": "voice"}}, "mapping"),
        ({"mapping": {"vocals": "voice"}}, "estimates"),
        ({"mapping": "vocals=voice"}, "mapping"),
        ({"mapping": {"vocals": "drums"}, "permutation": True}, "mapping"),
        ({"protocol": "bss_eval"}, "protocol"),
        ({"protocol": None}, "protocol"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"track": 3}, "track"),
        ({"mixture": np.zeros(7)}, "mixture"),
        ({"estimates": {}}, "estimates"),
        ({"references": "vocals.wav"}, "references"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], name: str) -> None:
    references, estimates = tracks()
    given = {"references": references, "estimates": estimates, "sample_rate": RATE, "protocol": short()}
    with pytest.raises(InputError) as error:
        evaluate(**{**given, **arguments})
    assert error.value.name == name


def test_fewer_estimates_than_references_cannot_be_permuted() -> None:
    references, estimates = tracks()
    with pytest.raises(InputError, match="at least as many as the 2 references"):
        evaluate(references, {"vocals": estimates["vocals"]}, RATE, permutation=True)
    with pytest.raises(InputError, match=r"none called 'drums', but 'vocals'.*permutation=True"):
        evaluate(references, {"vocals": estimates["vocals"]}, RATE)


def test_arrays_of_two_libraries_are_refused() -> None:
    strict = pytest.importorskip("array_api_strict")
    references, estimates = tracks()
    with pytest.raises(BackendError):
        evaluate(references, {name: strict.asarray(audio) for name, audio in estimates.items()}, RATE)


def test_the_estimate_of_a_single_source_is_found() -> None:
    rng = np.random.default_rng(11)
    voice, noise = rng.standard_normal((2, 4 * RATE))
    made = {"junk": noise, "good": voice + 0.01 * noise}
    for protocol in PROTOCOLS:
        mixture = voice + noise
        scores = evaluate({"voice": voice}, made, RATE, protocol, permutation=True, mixture=mixture)
        assert scores.tracks[0].estimates == ("good",)


def test_estimates_add_up() -> None:
    references, estimates = tracks()
    halves = {
        "vocals": estimates["vocals"],
        "one": 0.25 * estimates["drums"],
        "two": 0.75 * estimates["drums"],
    }
    expected = evaluate(references, estimates, RATE, short())
    for mapping in ({"drums": ["one", "two"]}, {"drums": ("two", "one"), "vocals": "vocals"}):
        found = evaluate(references, halves, RATE, short(), mapping=mapping)
        np.testing.assert_allclose(found.tracks[0].values, expected.tracks[0].values, atol=1e-9)
    assert found.tracks[0].estimates == ("vocals", "two + one")
    mono = [{name: audio[0] for name, audio in each.items()} for each in (references, halves)]
    assert np.isfinite(evaluate(*mono, RATE, MDX(), mapping={"drums": ["one", "two"]})["drums", "uSDR"])
    short_one = {**halves, "one": halves["one"][:, :-7]}
    fitted = evaluate(references, short_one, RATE, MDX(), mapping={"drums": ["one", "two"]}, pad=True)
    assert dict(fitted.tracks[0].details["padded"]) == {"one": 7}
    with pytest.raises(InputError) as error:
        evaluate(references, short_one, RATE, MDX(), mapping={"drums": ["two", "one"]})
    assert error.value.name == "estimates['one']"
    for wrong in ({"drums": []}, {"drums": 3}, {"drums": ["one", 2]}):
        with pytest.raises(InputError) as error:
            evaluate(references, halves, RATE, mapping=wrong)
        assert error.value.name == "mapping"
    with pytest.raises(InputError, match="none called 'three'"):
        evaluate(references, halves, RATE, mapping={"drums": ["one", "three"]})


def test_one_array_is_not_several_sources() -> None:
    references, estimates = tracks()
    with pytest.raises(InputError, match=r"got an array of shape \(2, 3200\).*as {'name': audio}") as error:
        evaluate(references["vocals"], estimates["vocals"], RATE)
    assert error.value.name == "references"
    with pytest.raises(InputError, match=r"shape \(3200,\)"):
        evaluate(list(references.values()), estimates["vocals"][0], RATE)
    stacked = [np.stack(list(each.values())) for each in (references, estimates)]
    assert evaluate(*stacked, RATE, MDX()).sources == ("0", "1")


def test_flags_are_flags() -> None:
    references, estimates = tracks()
    for name in ("permutation", "pad"):
        with pytest.raises(InputError) as error:
            evaluate(references, estimates, RATE, **{name: "no"})
        assert error.value.name == name
    with pytest.raises(InputError, match=r"the class BSSEval. Make one: BSSEval\(\)"):
        evaluate(references, estimates, RATE, BSSEval)  # type: ignore[arg-type]


def test_more_than_memory_holds_is_refused_before_it_is_asked_for() -> None:
    channels = np.ones((70, 2, 50)) * np.arange(1, 71)[:, None, None]
    with pytest.raises(
        InputError, match="at most 64 channels in all for filters of 512 taps; got 140"
    ) as error:
        evaluate(channels, channels, RATE)
    assert error.value.name == "references"


# Shapes: what peers pad until memory ends, or compare without a word


@pytest.mark.parametrize("protocol", [*NAMED, *PROTOCOLS], ids=str)
def test_shapes_that_differ_are_an_error_before_anything_is_allocated(protocol: Any) -> None:
    references, estimates = tracks()
    for wrong in (estimates["drums"].T, estimates["drums"][:, :-1], estimates["drums"][:1]):
        with pytest.raises(InputError) as error:
            evaluate(references, {**estimates, "drums": wrong}, RATE, protocol)
        assert error.value.name == "estimates['drums']"
        assert str(wrong.shape[0]) in str(error.value)


def test_swapped_axes_are_said_to_be_that() -> None:
    """A padding to the length of the other axis is the 380 TB that others ask for."""
    references, estimates = tracks()
    with pytest.raises(InputError, match=r"Transpose|transpose"):
        evaluate(references, {name: audio.T for name, audio in estimates.items()}, RATE, pad=True)
    # Long and thin: a view that costs nothing, and would cost everything if it were padded.
    thin = np.lib.stride_tricks.as_strided(np.zeros(1), (10**12, 2), (0, 0))
    with pytest.raises(InputError):
        evaluate(references, {**estimates, "drums": thin}, RATE, pad=True)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_padding_is_asked_for(dtype: type) -> None:
    scale = 2**15 if dtype is np.int16 else 1
    references, estimates = (
        {name: (audio * scale).astype(dtype) for name, audio in each.items()} for each in tracks()
    )
    shorter = {name: audio[:, :-100] for name, audio in estimates.items()}
    zeros = np.zeros((2, 100), dtype)
    longer = {name: np.concatenate([audio, zeros + 1], axis=1) for name, audio in estimates.items()}
    padded = {name: np.concatenate([audio, zeros], axis=1) for name, audio in shorter.items()}
    found = evaluate(references, shorter, RATE, short(), pad=True).tracks[0]
    np.testing.assert_array_equal(found.values, evaluate(references, padded, RATE, short()).tracks[0].values)
    assert dict(found.details["padded"]) == {"vocals": 100, "drums": 100}
    cut = evaluate(references, longer, RATE, short(), pad=True).tracks[0]
    plain = evaluate(references, estimates, RATE, short(), pad=True).tracks[0]
    np.testing.assert_array_equal(cut.values, plain.values)
    assert dict(cut.details["padded"]) == {"vocals": -100, "drums": -100}
    assert "padded" not in plain.details


def test_padding_is_silence_in_every_type() -> None:
    references, estimates = (
        {name: np.round(audio * 100 + 128).astype(np.uint8) for name, audio in each.items()}
        for each in tracks()
    )
    shorter = {name: audio[:, :-300] for name, audio in estimates.items()}
    by_hand = {
        name: np.pad(audio, ((0, 0), (0, 300)), constant_values=128) for name, audio in shorter.items()
    }
    found = evaluate(references, shorter, RATE, MDX(), pad=True).tracks[0].values
    np.testing.assert_array_equal(found, evaluate(references, by_hand, RATE, MDX()).tracks[0].values)


def test_padding_of_a_single_channel_without_axis() -> None:
    references, estimates = ({name: audio[0] for name, audio in each.items()} for each in tracks())
    for n_samples in (1, 3100, 3300):
        fitted = {name: np.resize(audio, n_samples) for name, audio in estimates.items()}
        expected = {name: np.pad(audio, (0, 200))[:3200] for name, audio in fitted.items()}
        found = evaluate(references, fitted, RATE, MDX(), pad=True)
        if n_samples > 1:
            plain = evaluate(references, expected, RATE, MDX())
            np.testing.assert_array_equal(found.tracks[0].values, plain.tracks[0].values)
    with pytest.raises(InputError):  # another number of axes is not a matter of length
        evaluate(references, {**estimates, "drums": estimates["drums"][None, :-3]}, RATE, MDX(), pad=True)


# Silence


def gated() -> tuple[Any, Any]:
    """Return references of which the drums rest in the second window, and vocals cut off in the third."""
    references, estimates = tracks()
    references["drums"][:, RATE : 2 * RATE] = 0
    estimates["vocals"][:, 2 * RATE : 3 * RATE] = 0
    return references, estimates


@pytest.mark.parametrize(
    "protocol",
    [short(), short("v3_images", window_seconds=1), ScaleInvariant(window_seconds=1)],
    ids=named,
)
def test_a_silent_window_counts_for_nobody_or_only_where_nothing_is_to_be_heard(protocol: Any) -> None:
    references, estimates = gated()
    scores = evaluate(references, estimates, RATE, protocol)
    undefined = np.isnan(scores.tracks[0].values)
    assert (undefined == np.array([False, True, True, False])).all()
    strict = evaluate(references, estimates, RATE, protocol.replace(silence="strict"))
    first = strict.tracks[0].values[:, 0]
    np.testing.assert_array_equal(np.isnan(first), [[False] * 4, [False, True, False, False]])
    rows = [row for row in strict.summary().records() if row["metric"] == protocol.metrics[0]]
    dropped = {row["source"]: row["n_dropped"] for row in rows}
    assert dropped == {"vocals": 0, "drums": 1}
    assert {row["n_dropped"] for row in scores.summary().records()} == {2}
    assert "dropped" in str(scores)


def test_gating_is_rewarded_by_the_campaigns_policy_alone() -> None:
    """What deletes the difficult windows raises a median, unless an estimate may not delete any."""
    rng = np.random.default_rng(4)
    references, estimates = tracks(seconds=9)
    for window in range(0, 9, 2):  # every second one is badly separated
        span = slice(window * RATE, (window + 1) * RATE)
        estimates["vocals"][:, span] += 0.3 * rng.standard_normal((2, RATE))
    cut = {**estimates, "vocals": estimates["vocals"].copy()}
    for window in range(0, 9, 2):
        cut["vocals"][:, window * RATE : (window + 1) * RATE] = 0
    fair, unfair = short(silence="strict"), short()
    honest, hiding = (evaluate(references, made, RATE, unfair) for made in (estimates, cut))
    assert hiding["vocals", "SDR"] > honest["vocals", "SDR"] + 5
    assert evaluate(references, cut, RATE, fair)["vocals", "SDR"] == 0  # what silence scores
    assert evaluate(references, cut, RATE, fair).summary().records()[0]["n_dropped"] == 0


@pytest.mark.parametrize("which", ["references", "estimates"])
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
def test_silence_throughout_is_refused_or_scored(which: str, protocol: Any) -> None:
    references, estimates = tracks()
    silent = references if which == "references" else estimates
    silent["drums"] = np.zeros_like(silent["drums"])
    if protocol.name == "mdx":
        found = evaluate(references, estimates, RATE, protocol)["drums", "uSDR"]
        assert found == pytest.approx(0, abs=1e-4) if which == "estimates" else found < -20
        return
    with pytest.raises(InputError, match="silence throughout") as error:
        evaluate(references, estimates, RATE, protocol)
    assert error.value.name == f"{which}['drums']"
    if protocol.name == "mirex":
        return
    strict = evaluate(references, estimates, RATE, protocol.replace(silence="strict"))
    drums, vocals = strict.tracks[0].values[1], strict.tracks[0].values[0]
    assert not np.isnan(vocals).any()
    if which == "references":
        assert np.isnan(drums).all()
    elif protocol.name == "bss_eval_v4":
        # Nothing is 0 dB of image, as far from the source as it is loud, with nothing to interfere.
        np.testing.assert_allclose(drums[:2], 0, atol=1e-9)
        assert (drums[2:] == -math.inf).all()
    elif protocol.name == "scale_invariant":
        assert (drums[4] == 0).all()
        assert (drums[:4] == -math.inf).all()  # as `si_sdr` has it


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
def test_what_is_not_finite_is_refused(protocol: Protocol) -> None:
    references, estimates = tracks()
    for bad in (np.nan, np.inf):
        estimates["drums"][1, 1234] = bad
        with pytest.raises(InputError, match=r"estimates\['drums'\].*channel 1 at sample 1234"):
            evaluate(references, estimates, RATE, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
def test_perfect_and_identical_estimates(protocol: Protocol) -> None:
    references, _ = tracks()
    perfect = evaluate(references, references, RATE, protocol)
    for name in references:
        assert all(value > 60 for value in perfect[name].values())
        if "SDR" in perfect[name] and "sources" not in protocol.name and protocol.name != "mirex":
            assert perfect[name, "SDR"] == math.inf
    mixture = sum(references.values())
    alike = evaluate(references, {"vocals": mixture, "drums": mixture}, RATE, protocol)
    values = alike.tracks[0].values
    assert not np.isnan(values).any()
    assert (values[:, protocol.metrics.index(protocol.decides)] < 10).all()


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=named)
@pytest.mark.parametrize("n_samples", [1, 2, 7, 30])
def test_tracks_shorter_than_a_filter(protocol: Protocol, n_samples: int) -> None:
    references, estimates = tracks(seconds=n_samples / RATE)
    with np.errstate(all="raise"):
        values = evaluate(references, estimates, RATE, protocol).tracks[0].values
    assert values.shape == (2, len(protocol.metrics), 1)
    assert not np.isnan(values).any()


def test_one_source_has_no_interference() -> None:
    references, estimates = tracks(1)
    for version in ("v4", "v3_images", "v3_sources"):
        track = evaluate(references, estimates, RATE, short(version)).tracks[0]
        assert (track.windows("vocals", "SIR") == math.inf).all()
        assert np.isfinite(track.windows("vocals", "SAR")).all()


def test_a_source_beside_silence_has_no_interference() -> None:
    """Not even of rounding: where all others are silent throughout, there is nothing that could interfere."""
    references, estimates = tracks()
    references["drums"] = np.zeros_like(references["drums"])
    for version in ("v4", "v3_images", "v3_sources"):
        scores = evaluate(references, estimates, RATE, short(version, silence="strict"))
        assert scores["vocals", "SIR"] == math.inf
        assert 0 < scores["vocals", "SAR"] < 60


@pytest.mark.parametrize("window", [None, 1.0])
def test_a_constant_is_silence_without_its_mean(window: Any) -> None:
    references, estimates = tracks()
    references["drums"] = np.full_like(references["drums"], 0.1)
    protocol = ScaleInvariant(zero_mean=True, window_seconds=window)
    with pytest.raises(InputError, match="silence throughout") as error:
        evaluate(references, estimates, RATE, protocol)
    assert error.value.name == "references['drums']"
    strict = evaluate(references, estimates, RATE, protocol.replace(silence="strict")).tracks[0]
    assert np.isnan(strict.values[1]).all()
    assert not np.isnan(strict.values[0]).any()
    # With its mean it is a sound like any other.
    assert evaluate(references, estimates, RATE, ScaleInvariant())["drums", "SNR"] > -20


def test_a_part_that_is_constant_does_not_count_either() -> None:
    references, estimates = tracks()
    references["drums"][:, RATE : 2 * RATE] = 0.1
    protocol = ScaleInvariant(zero_mean=True, window_seconds=1, silence="strict")
    values = evaluate(references, estimates, RATE, protocol).windows("drums", "SI-SDR")
    np.testing.assert_array_equal(np.isnan(values), [False, True, False, False])


def test_one_source_is_all_that_a_projection_has() -> None:
    references, estimates = tracks(1)
    scores = evaluate(references, estimates, RATE, "scale_invariant")["vocals"]
    assert scores["SI-SIR"] == math.inf
    assert scores["SI-SAR"] == scores["SI-SDR"]


def test_levels_that_no_number_holds_are_refused() -> None:
    references, estimates = tracks()
    references["drums"] = references["drums"] * 1e-170
    for protocol in (short(), ScaleInvariant(), MDX()):
        with pytest.raises(InputError, match="within 2400 dB") as error:
            evaluate(references, estimates, RATE, protocol)
        assert error.value.name == "references['drums']"


def test_a_mixture_that_is_silent_is_refused() -> None:
    voice = np.random.default_rng(0).standard_normal(4 * RATE)
    for references, mixture in (([voice, -voice], None), ([voice, 0.5 * voice], np.zeros(4 * RATE))):
        with pytest.raises(InputError, match="silence throughout") as error:
            evaluate(references, references, RATE, MIREX(n_taps=8), mixture=mixture)
        assert error.value.name == "mixture"


# Windows


def test_windows_are_whole_ones() -> None:
    assert in_windows(4000, 800, 1.0, None) == [
        (0, 800),
        (800, 1600),
        (1600, 2400),
        (2400, 3200),
        (3200, 4000),
    ]
    assert in_windows(3999, 800, 1.0, None)[-1] == (2400, 3200)
    assert in_windows(2000, 800, 1.0, 0.5) == [(0, 800), (400, 1200), (800, 1600), (1200, 2000)]
    assert in_windows(500, 800, 1.0, 0.5) == [(0, 500)]
    assert in_windows(800, 800, 1.0, 0.5) == [(0, 800)]
    assert in_windows(500, 800, "whole", None) == [(0, 500)]
    assert in_windows(10, 44100, 1 / 44100, None) == [(i, i + 1) for i in range(10)]
    assert in_windows(10, 44100, 1e305, 1e305) == [(0, 10)]
    assert in_windows(10, 44100, 1e-4, 1e305) == [(0, 4)]
    for window, hop, name in ((1e-12, None, "window_seconds"), (1e-4, 1e-12, "hop_seconds")):
        with pytest.raises(InputError) as error:
            in_windows(10, 44100, window, hop)
        assert error.value.name == name
    assert in_windows(33600 * 2, 48000, 0.7, None) == [(0, 33600), (33600, 67200)]


def test_times_are_in_seconds() -> None:
    references, estimates = tracks()
    track = evaluate(references, estimates, RATE, short(window_seconds=1.5, hop_seconds=0.5)).tracks[0]
    np.testing.assert_array_equal(track.starts, [0, 0.5, 1, 1.5, 2, 2.5])
    np.testing.assert_array_equal(track.durations, [1.5] * 6)
    assert track.protocol["window_seconds"] == 1.5


def test_filters_are_fitted_once_or_to_each_window() -> None:
    references, estimates = tracks()
    whole = evaluate(references, estimates, RATE, short("v3_images")).tracks[0].values[:, :, 0]
    once = evaluate(references, estimates, RATE, short(window_seconds="whole")).tracks[0].values[:, :, 0]
    np.testing.assert_array_equal(whole, once)
    part = [
        {name: audio[:, RATE : 2 * RATE] for name, audio in each.items()} for each in (references, estimates)
    ]
    anew = evaluate(references, estimates, RATE, short("v3_images", window_seconds=1)).tracks[0].values
    alone = evaluate(*part, RATE, short("v3_images")).tracks[0].values
    np.testing.assert_allclose(anew[:, :, 1], alone[:, :, 0], atol=1e-9)
    common = evaluate(references, estimates, RATE, short()).tracks[0].values
    assert (common[:, 3] < anew[:, 3]).all()  # fitted to fewer samples, the artifacts are always fewer


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"version": "v5"}, "version"),
        ({"silence": "loud"}, "silence"),
        ({"window_seconds": 0}, "window_seconds"),
        ({"window_seconds": "half"}, "window_seconds"),
        ({"window_seconds": 1, "hop_seconds": -1}, "hop_seconds"),
        ({"hop_seconds": 0.5}, "hop_seconds"),
        ({"window_seconds": "whole", "hop_seconds": 0.5}, "hop_seconds"),
        ({"n_taps": 0}, "n_taps"),
        ({"n_taps": 2.5}, "n_taps"),
        ({"n_taps": 10**6}, "n_taps"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError) as error:
        BSSEval(**settings)
    assert error.value.name == name


def test_protocols_are_values() -> None:
    assert BSSEval() == BSSEval(version="v4")
    assert len({BSSEval(), BSSEval(), ScaleInvariant()}) == 2
    assert eval(repr(BSSEval(window_seconds=2)), {"BSSEval": BSSEval}) == BSSEval(window_seconds=2.0)
    with pytest.raises(AttributeError):
        BSSEval().n_taps = 3  # type: ignore[misc]
    for protocol in PROTOCOLS:
        assert protocol.describe()["name"] == protocol.name
        assert protocol.replace() == protocol


def test_windows_are_stored_as_they_are_and_not_as_they_were_given() -> None:
    described = [
        (protocol.describe()["window_seconds"], protocol.describe()["hop_seconds"])
        for protocol in (
            BSSEval(),
            BSSEval(window_seconds=2),
            BSSEval(window_seconds="whole"),
            BSSEval(version="v3_images"),
            BSSEval(version="v3_images", window_seconds=30, hop_seconds=15),
            ScaleInvariant(),
            ScaleInvariant(window_seconds=1),
        )
    ]
    whole = ("whole", None)
    assert described == [(1.0, 1.0), (2.0, 2.0), whole, whole, (30.0, 15.0), whole, (1.0, 1.0)]
    references, estimates = tracks()
    Scores.join(
        evaluate(references, estimates, RATE, short(window_seconds=window), track=str(window))
        for window in (None, 1.0)
    )


def test_scores_of_other_stems_or_ways_do_not_mix() -> None:
    two, made = tracks(2)
    four, all_made = tracks(4)
    scores = evaluate(two, made, RATE, short(), track="a")
    for other in (
        evaluate(four, all_made, RATE, short(), track="b"),
        evaluate(two, made, RATE, short(silence="strict"), track="b"),
        evaluate(two, made, RATE, short(), track="b", permutation=True),
    ):
        with pytest.raises(InputError):
            Scores.join([scores, other])
    assert Scores.join([scores, evaluate(two, made, RATE, short(), track="b")]).n_tracks == 2


# The challenges


def test_the_constant_of_the_challenge_is_of_full_scale_one() -> None:
    references, estimates = tracks()
    found = evaluate(references, estimates, RATE, "mdx")
    for factor in (1e-4, 2.0**-250, 2.0**250):
        scaled = [{name: audio * factor for name, audio in each.items()} for each in (references, estimates)]
        for name, reference in scaled[0].items():
            energy, error = (reference**2).sum(), ((reference - scaled[1][name]) ** 2).sum()
            with np.errstate(under="ignore"):
                expected = 10 * np.log10((energy + 1e-7) / (error + 1e-7))
            assert evaluate(*scaled, RATE, "mdx")[name, "uSDR"] == pytest.approx(expected, abs=1e-6)
    assert found.protocol["over_tracks"] == "mean"


def test_nsdr_is_what_is_better_than_the_mixture() -> None:
    references, estimates = tracks(2, 1)
    mixture = sum(references.values()) + 0.01
    gains = evaluate(references, estimates, RATE, MIREX(n_taps=8), mixture=mixture)
    after = evaluate(references, estimates, RATE, short("v3_sources"))
    before = evaluate(references, {"vocals": mixture, "drums": mixture}, RATE, short("v3_sources"))
    for name in references:
        for metric in ("SDR", "SIR", "SAR"):
            assert gains[name, metric] == pytest.approx(after[name, metric], abs=1e-9)
        expected = after[name, "SDR"] - before[name, "SDR"]
        assert gains[name, "NSDR"] == pytest.approx(expected, abs=1e-9)
    given = evaluate(references, estimates, RATE, MIREX(n_taps=8), mixture=sum(references.values()))
    assert evaluate(references, estimates, RATE, MIREX(n_taps=8)).tracks[0].values == pytest.approx(
        given.tracks[0].values, abs=1e-9
    )


def test_gnsdr_is_weighted_by_length() -> None:
    scores = []
    for name, seconds in (("short", 1.0), ("long", 4.0)):
        references, estimates = tracks(2, 1, seconds)
        estimates["vocals"] += (0.05 if name == "long" else 0) * references["drums"]
        scores.append(evaluate(references, estimates, RATE, MIREX(n_taps=8), track=name))
    both = Scores.join(scores)
    parts = [each["vocals", "NSDR"] for each in scores]
    assert both["vocals", "NSDR"] == pytest.approx((parts[0] + 4 * parts[1]) / 5, abs=1e-12)


# The family


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("zero_mean", [False, True])
def test_the_family_by_plain_least_squares(n_channels: int, zero_mean: bool) -> None:
    references, estimates = tracks(3, n_channels)
    references, estimates = (  # a constant, for the means to find
        {name: audio + 0.02 for name, audio in each.items()} for each in (references, estimates)
    )
    protocol = ScaleInvariant(window_seconds=1, hop_seconds=0.75, zero_mean=zero_mean)
    track = evaluate(references, estimates, RATE, protocol).tracks[0]
    for w, start in enumerate(range(0, track.n_windows * 600, 600)):

        def vector(audio: Any, start: int = start) -> Any:
            part = audio[:, start : start + RATE]
            return (part - part.mean(axis=1, keepdims=True) if zero_mean else part).ravel()

        columns = np.stack([vector(audio) for audio in references.values()], axis=1)
        for row, name in enumerate(references):
            s, x = columns[:, row], vector(estimates[name])
            target = (s @ x) / (s @ s) * s
            projection = columns @ np.linalg.lstsq(columns, x, rcond=None)[0]
            pairs = ((target, target - x), (target, projection - target), (target, x - projection),
                     (target, s - x), (s, s - x))  # fmt: skip
            expected = [10 * np.log10((signal @ signal) / (error @ error)) for signal, error in pairs]
            np.testing.assert_allclose(track.values[row, :, w], expected, atol=1e-8)


def test_parts_of_the_error_add_up() -> None:
    references, estimates = tracks(3)
    scores = evaluate(references, estimates, RATE, "scale_invariant")
    for name in references:
        error = sum(10 ** (-scores[name, metric] / 10) for metric in ("SI-SIR", "SI-SAR"))
        assert -10 * math.log10(error) == pytest.approx(scores[name, "SI-SDR"], abs=1e-9)


def test_dependent_references_are_no_trouble_to_the_family() -> None:
    references, estimates = tracks(3)
    references["bass"] = 0.5 * references["drums"]
    values = evaluate(references, estimates, RATE, "scale_invariant").tracks[0].values
    assert np.isfinite(values).all()


def test_threads_and_states_are_left_alone() -> None:
    references, estimates = tracks()
    np.random.seed(5)  # noqa: NPY002 - it is the global state that is looked at
    expected = np.random.RandomState(5).uniform()
    before = np.geterr()
    found = []
    for n_threads in (1, 2):
        with dspsep.num_threads(n_threads):
            found.append(evaluate(references, estimates, RATE, short()).tracks[0].values.tobytes())
    assert found[0] == found[1]
    assert np.geterr() == before
    assert np.random.uniform() == expected  # noqa: NPY002
