"""What `Sources.play` and the `Sources` of a notebook hold, as far as no browser is needed to see it."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from importlib import resources

import numpy as np
import pytest
import soundfile

from dspsep import InputError, Sources
from dspsep.display import StemPlayer, _figures, _html, _sound
from dspsep.display._html import document, element
from dspsep.display._player import Strip, player
from tests.display.test_page import Parsed, decoded, noise

RATE = 8000


def sources_of(n_sources=2, n_channels=2, n_samples=RATE, level=0.2):
    signals = {f"s{k}": noise(n_channels, n_samples, level, seed=k) for k in range(n_sources)}
    return Sources.from_dict(signals, RATE)


def strips(page):
    """Return role, what it is the reference of, and samples, of each strip."""
    parsed = Parsed(page)
    articles = parsed.all("article")
    audios = [decoded(audio["src"])[1] for audio in parsed.all("audio")]
    return [
        (article["data-role"], article.get("data-of"), audio)
        for article, audio in zip(articles, audios, strict=True)
    ]


def test_it_plays_the_mixture_the_sources_and_their_references():
    sources = sources_of()
    truth = noise(seed=9, n_samples=RATE)
    shown = sources.play(references={"s1": truth}, picture="waveform")
    assert isinstance(shown, StemPlayer)
    expected = [
        ("mixture", None, sources["s0"] + sources["s1"]),
        ("source", None, sources["s0"]),
        ("source", None, sources["s1"]),
        ("reference", "2", truth),
    ]
    for (role, of, audio), (expected_role, expected_of, signal) in zip(
        strips(shown.page), expected, strict=True
    ):
        assert (role, of) == (expected_role, expected_of)
        assert np.abs(audio - signal).max() <= 0.5 / 2**15 + 1e-8
    (section,) = [section for section in Parsed(shown.page).all("section") if "data-rate" in section]
    assert (section["data-rate"], section["data-samples"]) == ("8000", "8000")
    mine = sources.play(mixture=truth, picture="waveform").page
    assert np.abs(strips(mine)[0][2] - truth).max() <= 0.5 / 2**15 + 1e-8


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, slice(0, None)),
        ({"start": 0.25, "duration": 0.5}, slice(2000, 6000)),
        ({"start": 0.9, "duration": 5}, slice(7200, None)),
        ({"start": 0.5, "duration": None}, slice(4000, None)),
        ({"duration": 1e-9}, slice(0, 1)),
    ],
)
def test_a_part_of_it(options, part):
    sources = sources_of(n_channels=1)
    page = sources.play(**options, picture="waveform").page
    assert np.abs(strips(page)[1][2] - sources["s0"][:, part]).max() <= 0.5 / 2**15 + 1e-8
    assert ("plays other parts" in page) == (sources["s0"][:, part].shape[1] < RATE)


def test_levels_are_shared_by_all_and_what_was_done_is_said():
    sources = Sources.from_dict({"loud": noise(level=4.0), "quiet": noise(level=0.004, seed=1)}, RATE)
    page = sources.play(picture="waveform").page
    gain = 1 / np.abs(sources.mixture()).max()
    assert np.abs(strips(page)[2][2] - gain * sources["quiet"]).max() <= 0.51 / 2**15
    assert re.search(r"All sounds are 1[0-9]\.\d dB quieter than the arrays", page)
    assert "\u221260.0 dB re mixture" in page
    louder = Sources.from_dict({"a": np.full(100, 0.5), "b": np.full(100, -0.02)}, RATE)
    assert "+0.4 dB re mixture" in louder.play(picture="waveform").page
    four = Sources.from_dict({"a": noise(4)}, RATE).play(picture="waveform")
    assert "the first is heard" in four.page
    silent = Sources.from_dict({"a": np.zeros(100), "b": np.zeros(100)}, RATE).play(picture="waveform")
    assert silent.page.count("silent") >= 3
    assert "quieter" not in silent.page


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 1.0}, "start must be before the end, which is at 1 s"),
        ({"start": 1e308}, "start must be before the end, which is at 1 s"),
        ({"start": -0.1}, "start must be"),
        ({"duration": 0.0}, "duration must be"),
        ({"duration": np.nan}, "duration must be"),
        ({"picture": "photo"}, "picture must be"),
        ({"mixture": np.zeros((2, 7))}, "mixture must be of the sources' shape"),
        ({"mixture": np.full((2, RATE), np.nan)}, "mixture must be finite"),
        (
            {"references": {"s9": noise(n_samples=RATE)}},
            "references must be named as sources are: 's0', 's1'",
        ),
        ({"references": {"s0": noise(n_samples=7)}}, r"references\['s0'\] must be of the sources' shape"),
        ({"references": [noise()]}, "references must be a mapping"),
        (
            {"references": Sources.from_dict({"s0": noise(n_samples=RATE)}, 16000)},
            "references must be at the sources' 8000 Hz",
        ),
    ],
)
def test_what_cannot_be_played_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        sources_of().play(**options)


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        ({"a": np.zeros(8)}, np.nan, "sample_rate must be"),
        ({"a": np.zeros(8)}, 0, "sample_rate must be"),
        ({1: np.zeros(8)}, RATE, "a source's name must be a string; got 1"),
        ({str(k): np.full(8, 1e307) for k in range(20)}, RATE, "mixture must be"),
    ],
)
def test_sources_that_nobody_checked_are_refused(audio, rate, message):
    with np.errstate(over="ignore"), pytest.raises(InputError, match=message):
        Sources(audio, rate).play(picture="waveform")


@pytest.mark.parametrize("picture", ["spectrogram", "waveform"])
def test_levels_further_apart_than_numbers_have_room_for(monkeypatch, picture):
    monkeypatch.setattr(_figures.Spectrograms, "picture", lambda self, index: b"")
    sound = noise(1, 800).astype(np.float64)
    far = Sources.from_dict({"loud": 1e300 * sound, "quiet": 1e-300 * sound}, RATE)
    assert re.search(r"\u221212000(\.0)? decibels", far.play(picture=picture).page)


def test_what_a_notebook_shows_of_many_sources_is_short():
    short = noise(2, 60)
    sixty = Sources.from_dict({f"s{k}": short for k in range(60)}, RATE)
    assert "srcdoc" in sixty._repr_html_()
    more = Sources.from_dict({**sixty, "s60": short}, RATE)
    assert "More than 60 sources" in more._repr_html_()


def test_old_libraries_say_what_to_do(monkeypatch):
    monkeypatch.setattr(_sound, "LOSSLESS_BYTES", 100)
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "", "FLAC": ""})
    with pytest.raises(InputError, match=r"writes no MP3.*pip install -U soundfile"):
        sources_of().play(picture="waveform")
    shown = sources_of()._repr_html_()
    assert shown.startswith("<pre>Sources(s0, s1; ")
    assert "writes no MP3" in shown


def test_what_a_notebook_shows_of_long_sources_is_short():
    long = noise(2, 60 * 44100)  # noise, because nothing else is as long when it is encoded
    sources = Sources({f"s{k}": long for k in range(4)}, 44100)
    shown = sources._repr_html_()
    assert len(shown) < 4e6
    assert "0.0 s to 12.0 s of 60.0 s" in html.unescape(shown)


def test_a_notebook_shows_what_cannot_be_heard_as_text():
    broken = Sources({"<b>": np.full(80, np.nan)}, RATE)
    assert broken._repr_html_().startswith("<pre>Sources(&lt;b&gt;; mono, 80 samples at 8000 Hz)\n")


def test_the_frame_is_isolated():
    shown = sources_of().play(picture="waveform")
    parsed = Parsed(shown._repr_html_())
    assert [tag for tag, _ in parsed.elements] == ["style", "iframe"]
    frame = parsed.all("iframe")[0]
    assert frame["sandbox"] == "allow-scripts"
    assert frame["srcdoc"] == shown.page
    assert frame["title"] == "s0, s1"


def test_exactly_the_players_script_may_run():
    page = document("T", player([], duration=1.0, sample_rate=RATE, label="L"))
    policy = Parsed(page).all("meta")[1]["content"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    script = page.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules.pop("script-src") == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert set(rules) == {"default-src", "img-src", "media-src", "style-src", "base-uri", "form-action"}
    assert rules["media-src"] == rules["img-src"] == "data:"
    assert "script" not in document("T", element("p", '<section class="dspsep-player">'))


@pytest.mark.parametrize("name", [*_html._SCRIPTS, "player.css", "frame.css"])
def test_what_is_inlined_can_be(name):
    text = resources.files("dspsep.display").joinpath(name).read_text(encoding="utf-8")
    assert text.isascii()  # the same bytes, and so the same hash, in a page of any encoding
    assert "</" not in text
    assert "innerHTML" not in text
    for word in ("fetch(", "XMLHttpRequest", "import(", "eval(", "url(", "@import", "localStorage"):
        assert word not in text, word
    addresses = set(re.findall(r"https?://[^\s\"']+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # a namespace, which nobody loads


def test_references_find_their_sources_in_their_group_or_in_all():
    def strip(name, role, group=None, of=None):
        return Strip(name=name, audio="data:,", role=role, group=group, of=of)

    page = player(
        [
            strip("mixture", "mixture"),
            strip("a", "source", "one"),
            strip("a", "source", "two"),
            strip("b", "source", "two"),
            strip("true a", "reference", of="a"),
            strip("true b", "reference", "one", of="b"),
        ],
        duration=1.0,
        sample_rate=RATE,
        label="L",
    )
    articles = Parsed(page).all("article")
    assert [article.get("data-of") for article in articles] == [None, None, None, None, "1 2", None]
    headings = [tag for tag, _ in Parsed(page).elements if tag in {"h3", "h4"}]
    assert headings == ["h3", "h3", "h4", "h3", "h4", "h4", "h3", "h3", "h4"]
