"""Reports: what they say is what was computed, whatever it is called, and nothing else runs."""

from __future__ import annotations

import inspect
import os
import re
import warnings

import numpy as np
import pytest

import dspsep
from dspsep import HPSS, STFT, DspsepWarning, InputError, Sources, write_comparison, write_report
from dspsep.display import _figures
from dspsep.display._html import number
from dspsep.metrics import evaluate
from dspsep.reports._compose import mark_of
from dspsep.reports._passage import loudest_second, passage_of, usual_duration
from tests.display.test_page import PAYLOADS, Parsed, assert_harmless, noise, sounds

RATE = 8000
SMALL = HPSS(stft=STFT(256))


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch, request):
    """Draw nothing, which would be most of the time of these tests."""
    if "with_pictures" not in request.fixturenames:
        monkeypatch.setattr(_figures.Spectrograms, "picture", lambda self, index: b"picture")


@pytest.fixture
def with_pictures():
    """Draw."""


@pytest.fixture(scope="module")
def song():
    mixture = noise(2, 6000)
    return mixture, SMALL.separate(mixture, RATE)


def references_of(mixture, names=("harmonic", "percussive")):
    return {name: noise(2, mixture.shape[1], 0.1, seed) for seed, name in enumerate(names, start=5)}


def read(path):
    return path.read_text(encoding="utf-8")


def rows_of(page):
    """Return the rows of the page's table as texts."""
    rows = re.findall(r"<tr[ >].*?</tr>", page)
    return [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[hd][ >].*?</t[hd]>", row)] for row in rows]


def test_everything_is_there(song, tmp_path):
    mixture, sources = song
    given = DspsepWarning("W_SHORT", "It is short.")
    path = sources.report(tmp_path / "a" / "page.html", title="My piece", warnings=[given])
    page = read(path)
    parsed = Parsed(page)
    assert_harmless(parsed)
    assert parsed.content("title") == "My piece"
    assert parsed.content("p").startswith("0.75 s · 8 kHz · stereo · 2 sources · dspsep ")
    assert len(parsed.all("audio")) == len(parsed.all("img")) == 3
    assert parsed.content("h2") == "ListenHow it was madeTo cite"
    assert parsed.content("li").startswith("[W_SHORT] It is short.")
    assert "The sources add up to the mixture" in page
    assert "FitzGerald, 2010" in parsed.content("blockquote")
    assert "10.1109" in parsed.content("code") or "@inproceedings{fitzgerald2010" in parsed.content("code")
    assert f"dspsep {dspsep.__version__} with Python" in page
    assert f"numpy {np.__version__}" in page
    assert "excerpt" not in "".join(data for tag, data in parsed.text if tag == "p")
    assert mark_of(path) == ""
    for (_, heard, _), expected in zip(sounds(page), [mixture, *sources.values()], strict=True):
        assert np.abs(heard - expected).max() <= 0.51 / 2**15


def test_the_code_gives_the_same_sources(song, tmp_path):
    mixture, _ = song
    pipeline = SMALL >> {"percussive": HPSS(stft=STFT(128), margin=2.0)} >> dspsep.Wiener(stft=STFT(256))
    sources = pipeline.separate(mixture, RATE)
    page = Parsed(read(sources.report(tmp_path / "page.html")))
    program = page.content("code").partition("@")[0]
    names = {"mixture": mixture, "sample_rate": RATE}
    exec(program, names)
    assert names["separator"] == pipeline
    assert names["sources"].names == sources.names
    for name, audio in sources.items():
        np.testing.assert_array_equal(names["sources"][name], audio)


def test_the_table_has_the_scores(song, tmp_path):
    mixture, sources = song
    references = references_of(mixture)
    scores = evaluate(references, sources, RATE, "scale_invariant")
    path = sources.report(tmp_path / "page.html", references=references, protocol="scale_invariant")
    head, *rows = rows_of(read(path))
    assert head == ["Source", *(f"{metric} (dB)" for metric in scores.metrics)]
    assert rows == [
        [name, *(number(scores[name, metric]) for metric in scores.metrics)] for name in references
    ]
    page = Parsed(read(path))
    assert page.content("h2") == "ListenScoresHow it was madeTo cite"
    assert "Le Roux" in page.content("blockquote")  # who scored is cited, too
    assert [audio["aria-label"] for audio in page.all("audio")][1:3] == [
        "Sound of harmonic, reference",
        "Sound of percussive, reference",
    ]


def test_windows_that_do_not_count_are_told(tmp_path):
    signal = noise(1, 4 * RATE)
    references = {"a": signal.copy(), "b": noise(1, 4 * RATE, seed=3)}
    references["a"][:, : 2 * RATE] = 0
    sources = Sources.from_dict({"a": 0.9 * signal, "b": references["b"]}, RATE)
    page = read(sources.report(tmp_path / "page.html", references=references))
    scores = evaluate(references, sources, RATE)
    row = rows_of(page)[1]
    assert row == ["a", *(number(scores["a", metric]) for metric in scores.metrics), "2 of 4"]
    assert "do not count" in page


def test_a_reference_of_another_name(song, tmp_path):
    mixture, sources = song
    references = references_of(mixture, ("tones", "drums"))
    mapping = {"tones": "harmonic", "drums": "percussive"}
    path = write_report(
        tmp_path / "page.html", sources, references=references, mapping=mapping, protocol="scale_invariant"
    )
    page = read(path)
    assert [row[0] for row in rows_of(page)[1:]] == ["tones ← harmonic", "drums ← percussive"]
    assert [strip.get("data-of") for strip in Parsed(page).all("article")] == [None, "3", "4", None, None]


def test_methods_side_by_side(song, tmp_path):
    mixture, sources = song
    other = Sources.from_dict(
        {"low": sources["harmonic"] / 2, "high": mixture - sources["harmonic"] / 2}, RATE
    )
    references = references_of(mixture)
    mapping = {"other": {"harmonic": "low", "percussive": "high"}}
    scores = [
        evaluate(references, each, RATE, "scale_invariant", mapping=mapping.get(name))
        for name, each in {"HPSS": sources, "other": other}.items()
    ]
    path = write_comparison(
        tmp_path / "page.html", {"HPSS": sources, "other": other}, references=references, mapping=mapping,
        protocol="scale_invariant", warnings={"HPSS": [], "other": ["Careful."]},
    )  # fmt: skip
    page = read(path)
    parsed = Parsed(page)
    metrics = scores[0].metrics
    rows = rows_of(page)
    assert rows[0][:2] == ["Source", "Method"]
    for index, source in enumerate(references):
        first, second = rows[1 + 2 * index : 3 + 2 * index]
        assert first == [source, "HPSS", *(number(scores[0][source, metric]) for metric in metrics)]
        estimate = mapping["other"][source]
        assert second == [f"other ← {estimate}", *(number(scores[1][source, metric]) for metric in metrics)]
    best = [
        number(max(each[source, metric] for each in scores)) for source in references for metric in metrics
    ]
    bold = re.findall(r"<b>(.*?)</b>", page)
    assert set(bold) == set(best)
    assert len(bold) >= len(best)
    assert page.count("<h3><bdi>HPSS</bdi></h3>") == 2  # in the player, and where it is said how it was made
    assert "Called low by this method" in page
    references_of_both = [
        strip["data-of"] for strip in parsed.all("article") if strip["data-role"] == "reference"
    ]
    assert references_of_both == ["3 5", "4 6"]
    assert "Nothing was warned of." in page
    assert "Careful." in parsed.content("li")


def test_the_method_takes_what_the_function_takes():
    function, method = (inspect.signature(one).parameters for one in (write_report, Sources.report))
    assert {n: p.default for n, p in function.items() if n != "sources"} == {
        n: p.default for n, p in method.items() if n != "self"
    }


def paired(page):
    """Return what each source of a page is called, and the reference that it is switched to."""
    articles = re.findall(r"<article .*?</article>", page)
    names = [re.search("<bdi>(.*?)</bdi>", one)[1] for one in articles]
    found = []
    for index, name in enumerate(names):
        if 'data-role="source"' in articles[index]:
            of = [re.search('data-of="(.*?)"', one) for one in articles]
            truths = [k for k, one in enumerate(of) if one and str(index) in one[1].split()]
            found.append((name, [names[k] for k in truths]))
    return found


def test_sources_are_switched_to_what_they_are_scored_by(tmp_path):
    true = references_of(noise(2, 6000), ("a", "b"))
    swapped = Sources.from_dict({"a": true["b"], "b": true["a"]}, RATE)
    straight = Sources.from_dict(true, RATE)
    options = {"references": true, "permutation": True, "protocol": "scale_invariant"}
    page = read(write_comparison(tmp_path / "x.html", {"one": swapped, "two": straight}, **options))
    assert paired(page) == [("b", ["b"]), ("a", ["a"]), ("a", ["a"]), ("b", ["b"])]
    assert "Called a by this method" in page
    page = read(swapped.report(tmp_path / "x.html", **options))
    assert paired(page) == [("a", ["b"]), ("b", ["a"])]

    # Of what is scored by a sum there is no one source, and none that only has its name.
    options = {"references": true, "mapping": {"a": ["a", "b"], "b": "a"}, "protocol": "scale_invariant"}
    page = read(swapped.report(tmp_path / "x.html", **options))
    assert paired(page) == [("a", ["b"]), ("b", [])]
    page = read(write_comparison(tmp_path / "x.html", {"one": swapped}, **options))
    assert paired(page) == [("b", ["b"]), ("b (one)", [])]


def hostile_page(folder, name):
    """Return a report and a comparison in which everything that has a name is called so."""
    audio = noise(1, 80)
    sources = Sources(
        {name: audio, f"b{name}": audio / 2},
        RATE,
        provenance=dspsep.Provenance(version=name, settings=name),
    )
    given = {"references": {name: audio}, "protocol": "scale_invariant", "title": name, "intro": name}
    one = write_report(folder / "one.html", sources, warnings=[name], **given)
    both = {name: sources, f"c{name}": sources}
    two = write_comparison(folder / "two.html", both, warnings={name: [name]}, **given)
    return [Parsed(read(one)), Parsed(read(two))]


def test_hostile_names_stay_text(tmp_path):
    tame = hostile_page(tmp_path, "tame")
    assert len(PAYLOADS) >= 40
    for payload in PAYLOADS:
        for parsed, like in zip(hostile_page(tmp_path, payload), tame, strict=True):
            shape = [(tag, sorted(attributes)) for tag, attributes in parsed.elements]
            assert shape == [(tag, sorted(attributes)) for tag, attributes in like.elements], payload
            assert parsed.strays == like.strays == []
            assert_harmless(parsed)
            shown = "".join("\ufffd" if char in "\x00\u202e\u2066\ud800" else char for char in payload)
            assert parsed.content("title") == shown
            assert parsed.content("li").startswith(shown)
            assert parsed.content("code") == like.content("code").replace("tame", shown)


@pytest.mark.usefixtures("with_pictures")
def test_the_same_bytes_again(song, tmp_path):
    mixture, sources = song
    one, two = (
        sources.report(tmp_path / name, references=references_of(mixture), protocol="scale_invariant")
        for name in ("one.html", "two.html")
    )
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.usefixtures("with_pictures")
def test_thirty_seconds_of_four_stems_have_four_megabytes(tmp_path):
    """Noise of which no coder finds much to leave out, in stereo at 44.1 kHz."""
    rate = 44_100
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((2, 30 * rate)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(spectrum.shape[1])))).astype(np.float32)
    pink *= 0.1 / pink.std()
    sources = Sources.from_dict({f"stem {k}": np.roll(pink, k * rate, axis=1) for k in range(4)}, rate)
    path = sources.report(tmp_path / "page.html")
    assert path.stat().st_size <= 4e6
    page = read(path)
    assert "MP3" in page
    for _, samples, heard_rate in sounds(page):
        assert (samples.shape[1], heard_rate) == (30 * rate, rate)


def test_of_long_sound_the_loudest_part_is_shown(tmp_path):
    rate = 100
    quiet = noise(1, 90 * rate, 0.01)
    quiet[:, 40 * rate : 70 * rate] *= 20
    sources = Sources.from_dict({"all": quiet}, rate)
    page = read(sources.report(tmp_path / "page.html"))
    assert "from 40 to 70 s of 90 s, the loudest 30 s" in page
    (_, heard, _), _ = sounds(page)
    assert heard.shape[1] == 30 * 8000
    chosen = read(sources.report(tmp_path / "page.html", start=5, duration=1.5))
    assert "from 5 to 6.5 s of 90 s." in chosen
    assert sounds(chosen)[0][1].shape[1] == 12_000
    last = read(sources.report(tmp_path / "page.html", start=89))
    assert "from 89 to 90 s of 90 s." in last


def test_scores_are_of_all_and_the_rest_of_the_excerpt(tmp_path):
    signal = noise(1, 8 * RATE)
    sources = Sources.from_dict({"a": 0.5 * signal, "b": 0.5 * signal[:, ::-1].copy()}, RATE)
    references = {"a": signal, "b": noise(1, 8 * RATE, seed=2)}
    page = read(
        sources.report(
            tmp_path / "page.html", references=references, protocol="scale_invariant", duration=2, start=0
        )
    )
    scores = evaluate(references, sources, RATE, "scale_invariant")
    assert rows_of(page)[1][1] == number(scores["a", scores.metrics[0]])
    assert "not of the excerpt" in page
    assert sounds(page)[0][1].shape[1] == 2 * RATE


@pytest.mark.parametrize("n_blocks", [1, 3, 50])
def test_the_loudest_part(n_blocks):
    signal = np.zeros((2, 1000))
    signal[:, 425:590] = 0.5
    blocks = np.array_split(signal, n_blocks, axis=1)
    assert loudest_second(blocks, 50, 3) == 9  # from 8.5 to 11.8 it is loud
    assert loudest_second([np.zeros((1, 400))], 50, 3) == 0
    assert loudest_second([np.ones((1, 1000)) / 3], 50, 3) == 0


def test_passages():
    def passage(n_samples, n_sounds=5, start=None, duration=None):
        signal = np.ones((1, n_samples))
        found = passage_of([signal], n_samples, 10, n_sounds, start, duration)
        return found.start, found.stop, found.why

    assert passage(300) == (0, 300, "all")
    assert passage(301) == (0, 300, "loudest")
    assert passage(1) == (0, 1, "all")
    assert passage(300, n_sounds=15) == (0, 100, "loudest")
    assert passage(300, duration=1e9) == (0, 300, "all")
    assert passage(300, start=29.9) == (299, 300, "asked")
    assert passage(300, start=0, duration=30) == (0, 300, "all")
    assert passage(300, duration=1e-9) == (0, 1, "loudest")
    assert [usual_duration(n) for n in (2, 5, 6, 10, 15, 200)] == [30, 30, 25, 15, 10, 10]


def test_recorded_warnings(song, tmp_path):
    _, sources = song
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("Twice.", UserWarning, stacklevel=1)
        warnings.warn("Twice.", UserWarning, stacklevel=1)
    page = Parsed(read(sources.report(tmp_path / "page.html", warnings=caught)))
    assert page.content("li").startswith("Twice.")
    assert page.content("li").count("Twice.") == 1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "Separated by dspsep"),
        ("Mine(depth=3)", "too much one's own"),
        ("HPSS(margin=array([1., ...]))", "too long"),
        ("HPSS(", "too long"),
    ],
)
def test_settings_that_are_no_program(tmp_path, settings, said):
    audio = noise(1, 80)
    provenance = dspsep.Provenance(version="0.0.7", settings=settings)
    page = Parsed(read(Sources({"a": audio}, RATE, provenance=provenance).report(tmp_path / "page.html")))
    assert said in page.content("p")
    assert "from dspsep import" not in page.content("code")
    assert "Separated by dspsep 0.0.7." in page.content("p")
    assert ("FitzGerald" in page.content("blockquote")) == ("array" in settings)
    assert ("with dspsep 0.0.7." in page.content("blockquote")) == ("array" in settings)
    assert ("Version 0.0.7" in page.content("code")) == ("array" in settings)


def test_what_is_there_stays_if_something_fails(song, tmp_path, monkeypatch):
    _, sources = song
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail(*_):
        raise OSError

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError):
        sources.report(path)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mixture": np.zeros((2, 5))}, "mixture must be of the sources' shape"),
        ({"mixture": np.full((2, 6000), np.nan)}, "mixture must be finite"),
        ({"references": {"harmonic": np.ones((2, 6000))}, "mapping": {"harmonic": "x"}}, "'x'"),
        ({"references": {"drums": np.ones((2, 6000))}}, "drums"),
        ({"references": {"harmonic": np.ones((2, 60))}}, "harmonic"),
        ({"references": {}}, "references must be"),
        ({"references": Sources.from_dict({"harmonic": np.ones((2, 6000))}, 9000)}, "references must be at"),
        ({"mapping": {"a": "b"}}, "mapping must be left out without references"),
        ({"permutation": True}, "permutation must be left out"),
        ({"protocol": "best"}, "protocol must be one of"),
        ({"start": -1}, "start must be"),
        ({"start": 1}, "start must be before the end, at 0.75 s"),
        ({"start": 1e308}, "start must be before the end, at 0.75 s"),
        ({"duration": 0}, "duration must be"),
        ({"duration": float("nan")}, "duration must be"),
        ({"warnings": "one"}, "warnings must be"),
        ({"warnings": [3]}, "warnings must be"),
        ({"title": 3}, "title must be a string"),
        ({"intro": b""}, "intro must be a string"),
    ],
)
def test_nonsense_is_refused_before_any_work(song, tmp_path, monkeypatch, settings, said):
    _, sources = song
    monkeypatch.setattr("dspsep.reports._writing.evaluate", None)
    monkeypatch.setattr("dspsep.reports._writing.composed", None)
    with pytest.raises(InputError, match=re.escape(said)):
        sources.report(tmp_path / "new" / "page.html", **settings)
    assert list(tmp_path.iterdir()) == []


def test_paths_that_cannot_be_written(song, tmp_path, monkeypatch):
    _, sources = song
    monkeypatch.setattr("dspsep.reports._writing.composed", None)
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "file" / "page.html", tmp_path / "pipe", "", "\0", 3, None):
        with pytest.raises(InputError, match="path must be"):
            write_report(path, sources)


def test_comparisons_that_make_no_sense(song, tmp_path):
    mixture, sources = song
    shorter = Sources.from_dict({"a": mixture[:, :-1]}, RATE)
    faster = Sources.from_dict({"a": mixture}, RATE + 1)
    for separations, said in (
        ({}, "separations must be a mapping of at least one"),
        ([sources], "separations must be"),
        ({"a": {"x": mixture}}, "separations['a'] must be Sources"),
        ({3: sources}, "a method's name must be"),
        ({"": sources}, "a method's name must be"),
        ({"a": sources, "b": shorter}, "separations['b'] must be of the others' shape"),
        ({"a": sources, "b": faster}, "separations['b'] must be at the rate of the others"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            write_comparison(tmp_path / "page.html", separations)
    both = {"a": sources, "b": Sources.from_dict({"x": mixture}, RATE)}
    for settings, said in (
        ({"references": references_of(mixture)}, "(b)"),
        ({"warnings": {"c": []}}, "warnings must be for methods among 'a', 'b'"),
        ({"mapping": {"c": {"a": "b"}}, "references": references_of(mixture)}, "mapping must be for methods"),
        ({"warnings": ["x"]}, "warnings must be a mapping"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            write_comparison(tmp_path / "page.html", both, **settings)
    assert list(tmp_path.iterdir()) == []


def test_inputs_are_left_alone(song, tmp_path):
    mixture, sources = song
    before = [array.copy() for array in (mixture, *sources.values())]
    sources.report(tmp_path / "page.html", mixture=mixture)
    for array, old in zip((mixture, *sources.values()), before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_marks_are_those_of_reports(song, tmp_path):
    _, sources = song
    assert mark_of(sources.report(tmp_path / "page.html", title='<main data-report="00">')) == ""
    (tmp_path / "other.html").write_text("<main>")
    assert mark_of(tmp_path / "other.html") is None
    assert mark_of(tmp_path / "nothing.html") is None
    (tmp_path / "bytes.html").write_bytes(b"\xff\xfe")
    assert mark_of(tmp_path / "bytes.html") is None
    assert mark_of(tmp_path) is None
