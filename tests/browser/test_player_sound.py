"""What is heard after real clicks and real keys: the player's own signal against the arrays that went in."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from dspsep.display import _sound
from dspsep.display._html import document
from dspsep.display._player import Strip, player
from tests.browser.harness import LIVE, RATE, noise, page_of, stems

pytestmark = pytest.mark.browser

SOURCES, REFERENCES = stems()
ONE, TWO, THREE = SOURCES.values()
TRUE_ONE, TRUE_TWO = REFERENCES.values()
SILENCE = np.zeros_like(ONE)

#: Chromium divides positive 16-bit samples by 32767, negative ones by 32768: 0.0003 dB.
RTOL = 3.1e-5
ATOL = 2e-5  # of at most 0.5


@pytest.fixture
def shown(browser, tmp_path):
    browser.show(tmp_path, page_of(SOURCES, REFERENCES))
    return browser


def button(label):
    return f'button[aria-label="{label}"]'


def choose(text):
    return f".dspsep-choices button:text-is('{text}')"


def assert_heard(browser, expected, **options):
    np.testing.assert_allclose(browser.render(**options), expected, rtol=0, atol=ATOL)


def test_all_sources_at_first_at_true_levels(shown):
    assert_heard(shown, ONE + TWO + THREE)
    assert [strip["gain"] for strip in shown.state()["strips"]] == [0, 1, 1, 1, 0, 0]
    shown.assert_clean()


def test_quiet_sources_stay_quiet(browser, tmp_path):
    quiet = noise(1, level=0.001)
    browser.show(tmp_path, page_of({"loud": ONE, "quiet": quiet}))
    browser.press("2")
    assert_heard(browser, quiet)
    browser.assert_clean()


@pytest.mark.parametrize(("rate", "n_channels"), [(8000, 1), (22050, 2), (44100, 2)])
def test_lossless_sound_is_decoded_exactly(browser, tmp_path, rate, n_channels):
    sources, references = stems(n_channels, rate // 2 + 1)
    browser.show(tmp_path, page_of(sources, references, rate=rate))
    for index, signal in enumerate([*sources.values(), *references.values()], start=1):
        decoded = browser.evaluate(
            f"{LIVE}.ready().then(() => {{ const one = {LIVE}.buffers()[{index}];"
            "return [one.length, one.sampleRate, one.numberOfChannels,"
            "...one.getChannelData(0).slice(-500)]; })"
        )
        assert decoded[:3] == [signal.shape[1], rate, n_channels]
        np.testing.assert_allclose(decoded[3:], signal[0, -500:], rtol=RTOL, atol=0)
    browser.assert_clean()


@pytest.mark.parametrize("rate", [8000, 44100, 96000])  # the last is resampled
def test_lossy_sound_has_its_length_and_its_place(browser, tmp_path, monkeypatch, rate):
    monkeypatch.setattr(_sound, "LOSSLESS_BYTES", 1000)
    n_samples = rate // 2 + 1
    seconds = np.arange(n_samples) / rate
    tones = {f"{f} Hz": 0.3 * np.sin(2 * np.pi * f * seconds)[None] for f in (300, 1234)}
    browser.show(tmp_path, page_of(tones, rate=rate))
    target = min(rate, 48000)
    n_decoded = -(-n_samples * target // rate)
    assert browser.evaluate(f"{LIVE}.ready().then(() => {LIVE}.buffers().map(one => one.length))") == 3 * [
        n_decoded
    ]
    frames = np.arange(n_decoded) / target
    for key, f in (("1", 300), ("2", 1234)):
        browser.press(key)
        heard = browser.render()[0]
        expected = 0.3 * np.sin(2 * np.pi * f * frames)
        inner = slice(n_decoded // 8, -n_decoded // 8)
        assert np.abs(heard - expected)[inner].max() < 0.03  # a sample of delay would be 0.28 at 8 kHz
        browser.press(key)
    browser.assert_clean()


UNTRIMMED = """DspsepMixer.decode(document.querySelectorAll("audio")[1].src, 8000, LENGTH).then((one) => {
  const plain = BaseAudioContext.prototype.decodeAudioData;
  BaseAudioContext.prototype.decodeAudioData = async function (bytes) {
    const sound = await plain.call(this, bytes);
    const longer = this.createBuffer(1, sound.length + 1105 + 700, 8000);
    longer.copyToChannel(sound.getChannelData(0), 0, 1105);
    return longer;
  };
  return DspsepMixer.decode(document.querySelectorAll("audio")[1].src, 8000, LENGTH).then((other) => {
    const [a, b] = [one, other].map((each) => each.getChannelData(0));
    return [a.length, b.length, a.every((value, index) => value === b[index])];
  });
})"""


def test_decoders_that_leave_the_padding_of_mp3(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(_sound, "LOSSLESS_BYTES", 1000)
    browser.show(tmp_path, page_of(SOURCES))
    length = ONE.shape[1]
    assert browser.evaluate(UNTRIMMED.replace("LENGTH", str(length))) == [length, length, True]
    browser.assert_clean()


def test_solo_by_clicks(shown):
    shown.click(button("Solo source 1"))
    assert_heard(shown, TWO)
    shown.click(button("Solo source 2"))
    assert_heard(shown, TWO + THREE)
    shown.click(button("Solo source 1"))
    assert_heard(shown, THREE)
    shown.click(button("Solo source 2"))
    assert_heard(shown, ONE + TWO + THREE)
    shown.assert_clean()


def test_mute_by_clicks_and_what_it_does_to_solo(shown):
    shown.click(button("Mute source 0"))
    assert_heard(shown, TWO + THREE)
    shown.click(button("Solo source 0"))  # who solos wants to hear it
    assert_heard(shown, ONE)
    shown.click(button("Mute source 0"))
    assert_heard(shown, TWO + THREE)
    shown.click(button("Mute source 1"))
    shown.click(button("Mute source 2"))
    assert_heard(shown, SILENCE)
    shown.assert_clean()


def test_keys_do_the_same(shown):
    shown.press("2")
    assert_heard(shown, TWO)
    shown.press("2", "Shift+Digit1")
    assert_heard(shown, TWO + THREE)
    shown.press("b")
    assert_heard(shown, TRUE_TWO + THREE)
    shown.press("Shift+Digit1")
    assert_heard(shown, TRUE_ONE + TRUE_TWO + THREE)
    shown.press("b")
    assert_heard(shown, ONE + TWO + THREE)
    shown.press("0")
    assert_heard(shown, ONE + TWO + THREE)
    assert [strip["gain"] for strip in shown.state()["strips"]] == [1, 0, 0, 0, 0, 0]
    shown.press("Shift+Digit3", "r")
    assert_heard(shown, ONE + TWO + THREE)
    assert [strip["gain"] for strip in shown.state()["strips"]] == [0, 1, 1, 1, 0, 0]
    shown.press("9")  # there is no ninth source
    assert_heard(shown, ONE + TWO + THREE)
    shown.assert_clean()


def test_volume(shown):
    shown.focus('input[aria-label="Volume of source 1"]')
    shown.press(*12 * ["ArrowLeft"])
    assert shown.strip(2)["db"] == -6
    assert_heard(shown, ONE + 10 ** (-6 / 20) * TWO + THREE)
    shown.press("End")
    assert_heard(shown, ONE + 10 ** (6 / 20) * TWO + THREE)
    shown.press("Home")
    assert_heard(shown, ONE + THREE)
    level = "document.querySelectorAll('.dspsep-db')[1].textContent"
    assert shown.evaluate(level) == "\u2212\u221e dB"
    shown("dblclick", selector='input[aria-label="Volume of source 1"]')
    assert shown.evaluate(level) == "0.0 dB"
    assert_heard(shown, ONE + TWO + THREE)
    shown.assert_clean()


def test_a_b_takes_the_reference_at_the_level_of_its_source(shown):
    ab = button("Reference of source 0 instead")
    shown.click(ab)
    assert_heard(shown, TRUE_ONE + TWO + THREE)
    shown.focus('input[aria-label="Volume of source 0"]')
    shown.press(*20 * ["ArrowLeft"])
    shown.press("1")
    assert_heard(shown, 10 ** (-10 / 20) * TRUE_ONE)
    shown.click(ab)
    assert_heard(shown, 10 ** (-10 / 20) * ONE)
    shown.click(choose("Reset"))
    shown.click(choose("References"))
    assert_heard(shown, TRUE_ONE + TRUE_TWO + THREE)
    shown.click(choose("Sources"))
    assert_heard(shown, ONE + TWO + THREE)
    shown.assert_clean()


def test_the_mixture_is_heard_instead_of_the_sources(browser, tmp_path):
    page = page_of({"a": ONE, "b": SILENCE})  # were both heard, it would be twice as loud
    browser.show(tmp_path, page)
    browser.click(choose("Mixture"))
    assert_heard(browser, ONE)
    browser.click(button("Mute a"))
    assert_heard(browser, SILENCE)
    browser.click(button("Listen to Mixture alone"))
    assert_heard(browser, ONE)
    browser.click(button("Solo b"))
    assert_heard(browser, SILENCE)
    browser.assert_clean()


def test_seeking(shown):
    shown("click", selector=".dspsep-over >> nth=1", position={"x": 100, "y": 20})
    width = shown.evaluate("document.querySelector('.dspsep-over').clientWidth")
    at = shown.state()["position"]
    assert at == pytest.approx(2 * 100 / width, abs=2 * 1.5 / width)
    start = round(at * RATE)
    assert start == pytest.approx(at * RATE, abs=1e-6)  # a whole sample: no interpolation
    assert_heard(shown, (ONE + TWO + THREE)[:, start:])
    shown.press("Home", "ArrowRight")
    assert shown.state()["position"] == 1
    shown.press("ArrowLeft", "ArrowLeft")
    assert shown.state()["position"] == 0
    shown.press("Shift+ArrowRight")
    assert shown.state()["position"] == 2
    shown.click(button("To the start"))
    assert shown.state()["position"] == 0
    shown.focus(".dspsep-seek")
    shown.press("ArrowRight")
    assert shown.state()["position"] == 1
    shown.assert_clean()


def test_a_stroke_over_a_picture_is_a_loop(shown):
    shown("drag", selector=".dspsep-over", **{"from": 0.25, "to": 0.5})
    state = shown.state()
    assert state["loop"]
    assert (state["from"], state["to"]) == pytest.approx((0.5, 1.0), abs=0.01)
    assert state["position"] == state["from"]
    first, last = round(state["from"] * RATE), round(state["to"] * RATE)
    looped = np.tile((ONE + TWO + THREE)[:, first:last], 4)[:, : 3 * RATE // 2]
    assert_heard(shown, looped, seconds=1.5)
    shown.press("l")
    assert not shown.state()["loop"]
    assert_heard(shown, (ONE + TWO + THREE)[:, first:])
    shown.press("r", "Home", "ArrowRight", "i")  # from here to the end
    assert_heard(shown, np.tile((ONE + TWO + THREE)[:, RATE:], 2), seconds=2)
    shown.press("r", "Home", "ArrowRight", "o")  # from the beginning to here
    assert_heard(shown, np.tile((ONE + TWO + THREE)[:, :RATE], 3), **{"from": 0, "seconds": 3})
    shown.assert_clean()


CAPTURE = f"""(async () => {{
  const {{ context, output }} = {LIVE}.live();
  const tap = context.createScriptProcessor(1024, 1, 1);
  window.heard = [];
  tap.onaudioprocess = (event) => {{ window.heard.push(Array.from(event.inputBuffer.getChannelData(0))); }};
  output.connect(tap);
  tap.connect(context.destination);
}})()"""


def captured(browser, n_blocks):
    """Return blocks of 1024 samples that went to the sound card, from now on."""
    browser.evaluate("window.heard.length = 0")
    deadline = time.monotonic() + 15
    while browser.evaluate("window.heard.length") < n_blocks:
        assert time.monotonic() < deadline, "nothing plays"
        time.sleep(0.05)
    return np.array(json.loads(browser.evaluate("JSON.stringify(window.heard)")))


def assert_captured(blocks, signal):
    """Assert that blocks are pieces of a signal that is played in a circle.

    A machine with much else to do loses blocks between the sound card and the page, or the half of one: most
    must be whole, where of another signal none is.
    """
    circle = np.tile(signal[0], 2)
    windows = np.lib.stride_tricks.sliding_window_view(circle, blocks.shape[1])
    whole = 0
    for block in blocks:
        place = int(np.argmin(np.abs(windows[:, :32] - block[:32]).max(axis=1)))
        whole += bool(np.abs(windows[place] - block).max() < ATOL)
    assert whole >= 0.6 * len(blocks)


def start_capturing(browser):
    browser.evaluate(f"{LIVE}.ready()")
    deadline = time.monotonic() + 15
    while not browser.state()["playing"]:
        assert time.monotonic() < deadline, "it does not play"
        time.sleep(0.05)
    browser.evaluate(CAPTURE)


def test_the_sound_card_gets_it_while_it_plays(shown):
    shown.press("l")
    shown.click(button("Play"))
    start_capturing(shown)
    for key, expected in (("", ONE + TWO + THREE), ("1", ONE), ("b", TRUE_ONE), ("0", ONE + TWO + THREE)):
        if key:
            shown.press(key)
        captured(shown, 3)  # the ramp, and what lay in buffers
        assert_captured(captured(shown, 5), expected)
    shown.press(" ")  # the button has the focus
    assert not shown.state()["playing"]
    captured(shown, 3)
    assert not captured(shown, 2).any()
    shown.assert_clean()


def test_the_loop_that_plays_is_the_loop_that_is_set(shown):
    shown("drag", selector=".dspsep-over", **{"from": 0.5, "to": 0.6})
    state = shown.state()
    part = (ONE + TWO + THREE)[:, round(state["from"] * RATE) : round(state["to"] * RATE)]
    shown.press(" ")
    start_capturing(shown)
    captured(shown, 3)
    assert_captured(captured(shown, 8), np.tile(part, 3))  # blocks are not much shorter than the loop
    assert state["from"] <= shown.state()["position"] <= state["to"]
    shown.press("r")  # goes on, without the loop
    now = shown.state()
    assert now["playing"] or now["position"] == 2
    assert not now["loop"]
    shown.assert_clean()


def test_it_stops_at_the_end_and_begins_again(browser, tmp_path):
    short = {name: signal[:, : RATE // 4] for name, signal in SOURCES.items()}
    browser.show(tmp_path, page_of(short))
    for _ in range(2):
        browser.press(" ")
        browser.evaluate(f"{LIVE}.ready()")
        deadline = time.monotonic() + 8
        while browser.state()["playing"] or browser.state()["position"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert browser.state()["position"] == 0.25
        assert browser.evaluate("document.querySelector('.dspsep-main').getAttribute('aria-label')") == "Play"
    browser.assert_clean()


def test_methods_are_compared_at_one_place(browser, tmp_path):
    signals = {("A", "voice"): ONE, ("A", "rest"): TWO, ("B", "voice"): THREE, ("B", "rest"): TRUE_TWO}
    uris = _sound.encode([*signals.values(), TRUE_ONE], RATE).uris
    strips = [
        Strip(name=name, audio=uri, role="source", group=group)
        for (group, name), uri in zip(signals, uris[:-1], strict=True)
    ]
    strips.append(Strip(name="voice", audio=uris[-1], role="reference", of="voice"))
    browser.show(tmp_path, document("T", player(strips, duration=2.0, sample_rate=RATE, label="T")))
    assert_heard(browser, ONE + TWO)
    browser.click(".dspsep-choices bdi:text-is('B')")
    assert_heard(browser, THREE + TRUE_TWO)
    browser.press("1")
    assert_heard(browser, THREE)
    browser.press("g")  # the same source of the next method
    assert_heard(browser, ONE)
    browser.press("b")
    assert_heard(browser, TRUE_ONE)
    browser.press("g")
    assert_heard(browser, TRUE_ONE)
    browser.press("b")
    assert_heard(browser, THREE)
    browser.assert_clean()
