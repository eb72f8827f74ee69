"""The page: whole, harmless, true to the audio, and the same every time."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import os
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest
import soundfile
from PIL import Image

from dspsep import HPSS, STFT, InputError, Sources, __version__
from dspsep.display import _html, _sound, write_page
from dspsep.display._html import element, number, signed
from tests.cases import case_names, real_case

RATE = 8000

PAYLOADS = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "</pre></code><script>alert(1)</script>",
    "</p></bdi></h1><script src=//x.example/x.js></script>",
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "]]><script>alert(1)</script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<<script>alert(1);//<</script>",
    "<script\x00>alert(1)</script>",
    "<script\n>alert(1)</script\n>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror="alert(1)">',
    "<img/src='x'/onerror=alert(1)>",
    "<img src=https://x.example/p.png>",
    "<svg onload=alert(1)>",
    "<svg><script>alert&#40;1&#41;</script></svg>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)' autofocus='",
    '" onerror=alert(1) x="',
    "` onload=`alert(1)",
    '" src="https://x.example/x.mp3',
    '" style="background:url(https://x.example/x)',
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<form action=https://x.example><input name=x autofocus onfocus=alert(1)>",
    "<meta http-equiv=refresh content='0;url=https://x.example'>",
    "<base href=https://x.example/>",
    "<link rel=stylesheet href=https://x.example/x.css>",
    "<style>@import 'https://x.example/x.css';</style>",
    "<body onload=alert(1)>",
    "<video><source onerror=alert(1)></video>",
    "<template><script>alert(1)</script></template>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#60;script&#62;",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} <%= alert(1) %>",
    "\u202e<script>alert(1)</script>\u2066",
    "\ud800<script>alert(1)</script>",
]


class Parsed(HTMLParser):
    """The elements of a page in order, with the text inside each kind."""

    VOID = frozenset({"meta", "link", "img"})

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.strays: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        assert len(dict(attributes)) == len(attributes), f"an attribute twice in {tag}"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append((self.open[-1] if self.open else "", data))

    def handle_comment(self, data):
        self.strays.append(data)

    unknown_decl = handle_pi = handle_comment

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def content(self, *tags: str) -> str:
        return "".join(data for tag, data in self.text if not tags or tag in tags)


def noise(n_channels=2, n_samples=2000, level=0.2, seed=0):
    samples = np.random.default_rng(seed).uniform(-level, level, (n_channels, n_samples))
    return samples.astype(np.float32)


def page_of(folder, mixture=None, sources=None, **options):
    if sources is None:
        sources = {"low": noise(seed=1), "high": noise(seed=2, level=0.02)}
    if mixture is None:
        mixture = np.sum(list(sources.values()), axis=0)
    options = {"sample_rate": RATE, "title": "A title"} | options
    path = write_page(folder / "page.html", mixture=mixture, sources=sources, **options)
    return path.read_bytes().decode("utf-8")


def decoded(uri):
    """Return media type, samples (n_channels, n_samples) and rate of a data URI."""
    head, _, content = uri.partition(",")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(content, validate=True)), always_2d=True)
    return head, samples.T, rate


def sounds(page):
    return [decoded(audio["src"]) for audio in Parsed(page).all("audio")]


def pictures(page):
    return [
        Image.open(io.BytesIO(base64.b64decode(img["src"].partition(",")[2], validate=True)))
        for img in Parsed(page).all("img")
    ]


def lightness(picture):
    return float(np.asarray(picture.convert("L"), dtype=float).mean())


def test_structure_is_accessible(tmp_path):
    scores = {"low": {"SI-SDR before (dB)": 1.0, "Improvement (dB)": 2.0}, "high": {"Improvement (dB)": -1.0}}
    parsed = Parsed(page_of(tmp_path, scores=scores))
    assert parsed.open == []
    assert parsed.strays == []
    assert parsed.elements[0] == ("html", {"lang": "en"})
    headings = [tag for tag, _ in parsed.elements if tag in {"h1", "h2", "h3", "h4"}]
    assert headings == ["h1", "h2", "h3", "h3", "h3", "h2", "h2"]
    assert [audio["aria-label"] for audio in parsed.all("audio")] == [
        "Sound of Mixture",
        "Sound of low",
        "Sound of high",
    ]
    for audio in parsed.all("audio"):
        assert "controls" in audio
        assert audio["preload"] == "metadata"
    assert all(img["alt"].startswith("Spectrogram of ") for img in parsed.all("img"))
    assert [th["scope"] for th in parsed.all("th")] == ["col"] * 3 + ["row"] * 2
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in parsed.all("meta")
    style = parsed.content("style")
    assert "prefers-color-scheme: dark" in style
    assert "@media (max-width" in style


def test_policy_comes_first(tmp_path):
    page = page_of(tmp_path)
    assert page.startswith("<!DOCTYPE html>\n<html lang")
    assert [tag for tag, _ in Parsed(page).elements[:4]] == ["html", "head", "meta", "meta"]
    charset, policy = Parsed(page).all("meta")[:2]
    assert charset == {"charset": "utf-8"}
    assert policy["http-equiv"] == "Content-Security-Policy"
    rules = dict(rule.strip().split(" ", 1) for rule in policy["content"].split(";"))
    script = Parsed(page).content("script")
    for name in _html._SCRIPTS:
        assert resources.files("dspsep.display").joinpath(name).read_text(encoding="utf-8").strip() in script
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules.pop("script-src") == f"'sha256-{digest}'"
    rules["media-src"] = rules["media-src"].removesuffix(" blob:")
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "media-src": "data:",
        "style-src": "'unsafe-inline'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def assert_harmless(parsed):
    assert parsed.all("script") == [{}]  # that of the player, to which the policy holds
    for tag, attributes in parsed.elements:
        assert tag not in {
            "iframe",
            "object",
            "embed",
            "base",
            "form",
            "svg",
            "math",
            "template",
            "a",
        }
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
        assert not {"srcset", "srcdoc", "action", "data", "xlink:href", "poster"} & set(attributes)
        assert "url(" not in attributes.get("style", "")
    style = parsed.content("style")
    assert "url(" not in style
    assert "@import" not in style


def test_nothing_is_loaded_or_run(tmp_path):
    page = page_of(tmp_path, scores={"low": {"SI-SDR (dB)": 1.0}}, settings="HPSS()")
    assert_harmless(Parsed(page))
    script = Parsed(page).content("script")  # has the name of a namespace, which is no address
    page = page.replace(script, "")
    assert "http:" not in page
    assert "https:" not in page
    assert "file:" not in page
    assert "//" not in "".join(value for _, value in Parsed(page).text)


def hostile_page(folder, text):
    return Parsed(
        page_of(
            folder,
            sources={text: np.ones(1), f"b{text}": np.zeros(1)},
            title=text,
            intro=text,
            scores={text: {text: 1.0}},
            settings=text,
            version=text,
            reproduce=text,
        )
    )


def test_hostile_names_stay_text(tmp_path):
    tame = hostile_page(tmp_path, "tame")
    shape = [(tag, sorted(attributes)) for tag, attributes in tame.elements]
    assert len(PAYLOADS) >= 40
    for payload in PAYLOADS:
        parsed = hostile_page(tmp_path, payload)
        assert [(tag, sorted(attributes)) for tag, attributes in parsed.elements] == shape, payload
        assert parsed.strays == tame.strays == []
        assert_harmless(parsed)
        shown = "".join("\ufffd" if char in "\x00\u202e\u2066\ud800" else char for char in payload)
        assert parsed.content("title") == shown
        assert parsed.content("code") == 2 * shown
        assert parsed.content("bdi") == shown + "Mixture" + shown + "b" + shown + shown
        assert parsed.all("audio")[1]["aria-label"] == f"Sound of {shown}"


def test_only_elements_are_markup():
    inner = element("b", "<i>")
    assert (
        element("p", inner, "<i>", title='"<i>"')
        == '<p title="&quot;&lt;i&gt;&quot;"><b>&lt;i&gt;</b>&lt;i&gt;</p>'
    )
    assert (
        element("audio", controls=True, muted=False, aria_label="x")
        == '<audio controls aria-label="x"></audio>'
    )


@pytest.mark.parametrize("n_samples", [1, 2, 700, 70_000])  # the last is more than one block
@pytest.mark.parametrize("n_channels", [1, 2])
def test_sound_is_the_audio(tmp_path, n_channels, n_samples):
    signals = [noise(n_channels, n_samples, 0.3, seed) for seed in range(2)]
    sources = {str(index): signal for index, signal in enumerate(signals)}
    page = page_of(tmp_path, sources=sources)
    for expected, (head, samples, rate) in zip(
        [signals[0] + signals[1], *signals], sounds(page), strict=True
    ):
        assert head == "data:audio/flac;base64"
        assert rate == RATE
        assert samples.shape == expected.shape
        assert np.abs(samples - expected).max() <= 0.5 / 2**15 + 1e-9
    assert "lossless" in page
    assert "Levels are true" in page


def test_mono_without_a_channel_axis(tmp_path):
    mixture = noise(1)[0]
    page = page_of(tmp_path, mixture, {"all": mixture})
    assert sounds(page)[1][1].shape == (1, 2000)
    assert " mono " in page


def test_levels_are_true_and_one_gain_serves_all(tmp_path):
    loud = noise(level=0.3, seed=1)
    loud[0, 0] = 4.0
    sources = {"loud": loud, "quiet": noise(level=0.01, seed=2)}
    page = page_of(tmp_path, loud, sources)
    _, first, second = (samples for _, samples, _ in sounds(page))
    assert np.abs(first - loud / 4).max() <= 1.01 / 2**15
    assert np.abs(second - sources["quiet"] / 4).max() <= 0.51 / 2**15
    assert "12.04 dB quieter than the original" in page
    assert "Levels are true" not in Parsed(page).content("p")
    assert "The sources do not add up to the mixture" in page


@pytest.mark.parametrize("scale", [1, 8])
def test_long_sound_is_mp3_of_true_level_and_length(tmp_path, monkeypatch, scale):
    monkeypatch.setattr(_sound, "LOSSLESS_BYTES", 10_000)
    time = np.arange(30_001) / RATE
    tone = np.stack([0.5 * np.sin(2 * np.pi * 440 * time), 0.05 * np.sin(2 * np.pi * 660 * time)])
    sources = {"tone": scale * tone, "half": scale * 0.5 * tone}
    page = page_of(tmp_path, scale * tone, sources)
    tone *= scale / max(1.0, 0.5 * scale)  # as loud as can be without clipping
    (_, _, _), (head, whole, rate), (_, half, _) = sounds(page)
    assert head == "data:audio/mpeg;base64"
    assert rate == RATE
    assert whole.shape == tone.shape
    for heard, expected in ((whole, tone), (half, 0.5 * tone)):
        gain = np.sum(heard * expected, axis=1) / np.sum(expected**2, axis=1)
        np.testing.assert_allclose(gain, 1, atol=0.02)
        assert np.sum((heard - expected) ** 2) < 0.01 * np.sum(expected**2)
    assert "MP3 at 8 kHz" in page
    assert "lossless" not in page


@pytest.mark.parametrize("sample_rate", [3, 7999.5, 44_100.5, 250_000, 705_600])
@pytest.mark.parametrize("n_samples", [1, 3000])
def test_rates_that_browsers_do_not_play(tmp_path, sample_rate, n_samples):
    mixture = noise(1, n_samples)
    page = page_of(tmp_path, mixture, {"all": mixture}, sample_rate=sample_rate)
    for _, samples, rate in sounds(page):
        assert rate in {8000, 48000}
        assert samples.shape == (1, math.ceil(n_samples * rate / sample_rate))


def test_long_times_are_minutes(tmp_path):
    silence = np.zeros(130 * RATE, np.float32)
    parsed = Parsed(page_of(tmp_path, silence, {"nothing": silence}))
    assert parsed.content("p").startswith("2:10 min · 8 kHz · mono · 1 source · ")
    assert "0:30" in [data for tag, data in parsed.text if tag == "span"]


def test_of_many_channels_the_first_is_heard(tmp_path):
    mixture = noise(4)
    page = page_of(tmp_path, mixture, {"all": mixture})
    assert np.abs(sounds(page)[0][1] - mixture[:1]).max() < 1e-4
    assert "Of the channels, the first is heard" in page
    assert " 4 channels " in page


def test_pictures_share_one_scale(tmp_path):
    loud = noise(level=0.5)
    sources = {"loud": loud, "quiet": loud / 100, "quieter": loud / 1000, "silent": np.zeros_like(loud)}
    page = page_of(tmp_path, loud, sources)
    mixture, *others = pictures(page)
    assert {(picture.format, picture.size) for picture in [mixture, *others]} == {("WEBP", (1200, 320))}
    edge, inside = (
        float(np.asarray(mixture.convert("L"))[:, slice(*columns)].mean()) for columns in ((0, 1), (5, 9))
    )
    assert abs(edge - inside) < 20  # no frame is drawn
    light = [lightness(picture) for picture in others]
    assert light[0] == lightness(mixture) > 100
    assert light[0] > light[1] + 40 > light[2] + 80
    assert light[3] < 1
    assert [img["alt"].rpartition(" ")[2] for img in Parsed(page).all("img")][-1] == "silent."
    assert "40.0 dB below the mixture" in page
    assert "60.0 dB below the mixture" in page
    assert Parsed(page).content("p").count("Silent") == 1


def test_source_louder_than_the_mixture_is_not_saturated(tmp_path):
    loud = noise(level=0.5)
    page = page_of(tmp_path, 0.01 * loud, {"plus": loud, "minus": -0.99 * loud})
    mixture, plus, _ = pictures(page)
    assert lightness(mixture) < lightness(plus) - 40
    assert "40.0 dB above the mixture" in page


@pytest.mark.parametrize("n_samples", [1, 5000])
def test_silence(tmp_path, n_samples):
    silence = np.zeros((2, n_samples), np.float32)
    page = page_of(tmp_path, silence, {"nothing": silence})
    assert [lightness(picture) < 1 for picture in pictures(page)] == [True, True]
    assert all(not samples.any() for _, samples, _ in sounds(page))
    assert "The sources add up to the mixture exactly." in page


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_extreme_levels(tmp_path, scale):
    mixture = noise(level=0.5).astype(np.float64) * scale
    page = page_of(tmp_path, mixture, {"half": 0.5 * mixture, "rest": 0.5 * mixture})
    assert all(lightness(picture) > 100 for picture in pictures(page))
    assert page.count("6.0 dB below the mixture") == 2
    assert "nan" not in "".join(data for tag, data in Parsed(page).text if tag != "style").lower()


def test_size_and_sound_of_a_song(tmp_path):
    case = real_case(case_names("b_")[0])
    mixture = case.mixture[:, : 12 * case.sample_rate]
    sources = {"low": 0.5 * mixture, "middle": 0.3 * mixture, "high": 0.15 * mixture, "rest": 0.05 * mixture}
    path = write_page(
        tmp_path / "song.html", mixture=mixture, sources=sources, sample_rate=case.sample_rate, title="Song"
    )
    page = path.read_text(encoding="utf-8")
    assert path.stat().st_size <= 4e6
    assert max(len(img["src"]) for img in Parsed(page).all("img")) < 250_000
    for factor, (_, samples, rate) in zip((1, 0.5, 0.3, 0.15, 0.05), sounds(page), strict=True):
        assert rate == case.sample_rate
        assert samples.shape == mixture.shape
        gain = float(np.sum(samples * mixture) / np.sum(np.square(mixture, dtype=float)))
        assert 20 * math.log10(gain / factor) == pytest.approx(0, abs=0.1)


def test_a_whole_stereo_page_may_stay_lossless(tmp_path):
    signals = {str(index): noise(2, 100_000, 0.1, index) for index in range(2)}
    page = page_of(tmp_path, sources=signals)
    assert {head for head, _, _ in sounds(page)} == {"data:audio/flac;base64"}
    assert len(page) < 4e6


def test_same_arguments_give_the_same_bytes(tmp_path, monkeypatch):
    for limit in (_sound.LOSSLESS_BYTES, 100):  # FLAC, MP3
        monkeypatch.setattr(_sound, "LOSSLESS_BYTES", limit)
        options = {"scores": {"low": {"SI-SDR (dB)": 1.0}}, "settings": "HPSS()"}
        page = page_of(tmp_path, **options)
        assert ("audio/mpeg" in page) == (limit == 100)
        assert page_of(tmp_path, **options) == page


def test_arguments_are_left_alone(tmp_path):
    sources = {"a": noise(seed=1), "b": noise(seed=2)}
    mixture = sources["a"] + sources["b"]
    copies = [mixture.copy(), sources["a"].copy(), sources["b"].copy()]
    for array in (mixture, *sources.values()):
        array.flags.writeable = False
    page_of(tmp_path, mixture, sources)
    assert all(np.array_equal(*pair) for pair in zip([mixture, *sources.values()], copies, strict=True))


def test_scores(tmp_path):
    scores = {
        "low": {"SI-SDR (dB)": np.float32(-1.5), "Improvement (dB)": 3.0},
        "high": {"SI-SDR (dB)": math.inf, "Improvement (dB)": math.nan},
        "rest": {"SI-SDR (dB)": -math.inf},
    }
    page = page_of(tmp_path, scores=scores)
    parsed = Parsed(page)
    assert [data for tag, data in parsed.text if tag == "td"] == ["−1.50", "+3.00", "∞", "–", "−∞", "–"]
    assert [data for tag, data in parsed.text if tag == "th"] == ["Source", "SI-SDR (dB)", "Improvement (dB)"]
    assert "not defined" in page
    assert "nan" not in parsed.content("td")
    without = page_of(tmp_path, scores={"low": {"SI-SDR (dB)": 1.0}})
    assert "not defined" not in without
    assert Parsed(page_of(tmp_path)).all("table") == []


def test_numbers():
    assert [number(value) for value in (1.005, -0.001, -12, 0)] == ["1.00", "0.00", "−12.00", "0.00"]
    assert [signed(value) for value in (0.004, -0.004, 1, -1, math.inf)] == [
        "0.00",
        "0.00",
        "+1.00",
        "−1.00",
        "+∞",
    ]


def test_settings_come_from_the_sources(tmp_path):
    mixture = noise(2, 8000)
    separator = HPSS(stft=STFT(512))
    sources = separator.separate(mixture, RATE)
    parsed = Parsed(page_of(tmp_path, mixture, sources))
    code = parsed.content("code")
    assert code == (
        f"from dspsep import *\n\nseparator = {separator!r}\n"
        "sources = separator.separate(mixture, sample_rate)"
    )
    names = {"mixture": mixture, "sample_rate": RATE}
    exec(code, names)
    assert all(np.array_equal(names["sources"][name], sources[name]) for name in sources)
    assert f"dspsep {__version__}" in parsed.content("p")
    assert "The sources add up to the mixture: " in parsed.content("p")
    parsed = Parsed(page_of(tmp_path, mixture, sources, settings="S()", version="7.8", reproduce="do it"))
    assert parsed.content("code") == "S()do it"
    assert "dspsep 7.8" in parsed.content("p")


def test_a_page_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new folder" / "page.html"
    _html.write(path, "old")
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]
    plain = path.with_name("plain")
    plain.write_text("x")
    assert path.stat().st_mode == plain.stat().st_mode
    plain.unlink()

    def fail(handle):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        _html.write(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]


def test_what_cannot_be_shown_is_refused_before_writing(tmp_path):
    mixture = noise()
    good = {"a": mixture}
    nan = mixture.copy()
    nan[1, 7] = np.nan
    cases = [
        (mixture, {}, {}, "sources must be a mapping"),
        (mixture, [mixture], {}, "sources must be a mapping"),
        (mixture, {1: mixture}, {}, "a source's name must be a string"),
        (mixture, {"a": mixture[:, 1:]}, {}, r"sources\['a'\] must be of the mixture's shape \(2, 2000\)"),
        (mixture, {"a": mixture[0]}, {}, "of the mixture's shape"),
        (mixture, {"a": nan}, {}, r"sources\['a'\] must be finite"),
        (mixture[:1], {"a": mixture[0]}, {}, "of the mixture's shape"),
        (nan, good, {}, "mixture must be finite"),
        (mixture[:, :0], good, {}, "mixture must be at least one sample long"),
        (mixture, good, {"sample_rate": 0}, "sample_rate must be"),
        (mixture, good, {"title": None}, "title must be a string"),
        (mixture, good, {"intro": 3}, "intro must be a string"),
        (mixture, Sources.from_dict(good, 44100), {}, "sample_rate must be that of the sources, 44100 Hz"),
        (mixture, good, {"scores": {"a": 3.0}}, r"scores\['a'\] must be a mapping"),
        (mixture, good, {"scores": {"a": {"x": "high"}}}, r"scores\['a'\]\['x'\] must be a number"),
    ]
    for audio, sources, options, message in cases:
        with pytest.raises(InputError, match=message):
            page_of(tmp_path, audio, sources, **options)
    with pytest.raises(InputError, match="path must be the name of a file"):
        write_page(tmp_path, mixture=mixture, sources=good, sample_rate=RATE, title="T")
    assert list(tmp_path.iterdir()) == []
