"""Scenes: known sources that sum to the mixture, made alike by the same seed, and fit to test methods on."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dspsep.data.scenes import Scene, _tones, drum_loop, instantaneous, panned, reverberant, song
from dspsep.errors import InputError

MAKERS: list[Callable[..., Scene]] = [song, drum_loop, instantaneous, panned, reverberant]
RATES = (8000, 16000, 22050, 44100, 48000)

every_scene = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


@pytest.fixture(scope="module")
def long_song() -> Scene:
    return song(sample_rate=22050)


def level(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-30))


# What every scene promises


@every_scene
def test_the_same_seed_gives_the_same_bytes(make: Callable[..., Scene]) -> None:
    first, again, other = (make(duration=1.0, sample_rate=8000, seed=seed) for seed in (3, 3, 4))
    assert first.mixture.tobytes() == again.mixture.tobytes()
    for name in first.sources:
        assert first.sources[name].tobytes() == again.sources[name].tobytes()
        assert first.sources[name].tobytes() != other.sources[name].tobytes()


def test_bytes_do_not_depend_on_the_process() -> None:
    code = (
        "import hashlib, sys; from dspsep.data.scenes import song; "
        "sys.stdout.write(hashlib.sha256(song(duration=2.5, sample_rate=8000).mixture.tobytes()).hexdigest())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)
    }
    assert len(runs) == 1
    assert len(runs.pop()) == 64


@every_scene
@pytest.mark.parametrize("rate", RATES)
def test_sources_sum_to_a_mixture_of_known_peak(make: Callable[..., Scene], rate: int) -> None:
    scene = make(duration=2.0, sample_rate=rate)
    assert scene.sample_rate == scene.sources.sample_rate == rate
    assert scene.mixture.dtype == np.float32
    assert scene.mixture.flags.c_contiguous
    assert scene.mixture.shape[-1] == 2 * rate
    for source in scene.sources.values():
        assert source.dtype == np.float32
        assert source.flags.c_contiguous
        assert source.shape == scene.mixture.shape
    assert np.isfinite(scene.mixture).all()
    peak = np.abs(scene.mixture).max()
    assert peak == pytest.approx(0.9, rel=1e-5)
    total = np.sum([source.astype(float) for source in scene.sources.values()], axis=0)
    # One rounding for each sum of single-precision numbers.
    assert np.abs(total - scene.mixture).max() <= (len(scene.sources) - 1) * np.spacing(np.float32(peak))


@every_scene
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_source_is_heard_and_has_no_offset(make: Callable[..., Scene], rate: int, seed: int) -> None:
    scene = make(duration=4.0, sample_rate=rate, seed=seed)
    overall = level(scene.mixture)
    assert -26 < overall < -10
    for name, source in scene.sources.items():
        assert overall - 20 < level(source) < overall + 1, name
        assert abs(np.mean(source, dtype=float)) < 2e-3 * 10 ** (level(source) / 20), name


@every_scene
@settings(max_examples=15, deadline=None)
@given(
    n_samples=st.integers(1, 3000), rate=st.sampled_from([2000, 8000, 11025.5]), seed=st.integers(0, 2**40)
)
def test_any_length_from_one_sample(
    make: Callable[..., Scene], n_samples: int, rate: float, seed: int
) -> None:
    scene = make(duration=n_samples / rate, sample_rate=rate, seed=seed)
    assert scene.mixture.shape[-1] == n_samples
    assert np.isfinite(scene.mixture).all()
    assert np.abs(scene.mixture).max() <= 0.9001
    np.testing.assert_array_equal(scene.sources.mixture(), scene.mixture)


def test_a_duration_below_one_sample_still_gives_one() -> None:
    assert song(duration=1e-9, sample_rate=8000).mixture.shape == (2, 1)


@every_scene
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("duration", 0),
        ("duration", -1.0),
        ("duration", float("inf")),
        ("duration", "12"),
        ("sample_rate", 1999),
        ("sample_rate", float("nan")),
        ("seed", -1),
        ("seed", 0.5),
        ("seed", None),
    ],
)
def test_settings_out_of_range_are_refused_by_name(
    make: Callable[..., Scene], setting: str, value: Any
) -> None:
    with pytest.raises(InputError, match=f"^{setting} must be"):
        make(**{setting: value})


@pytest.mark.parametrize(
    ("make", "setting", "value"),
    [
        (instantaneous, "n_sources", 0),
        (instantaneous, "n_channels", 0),
        (instantaneous, "n_channels", 65),
        (panned, "n_sources", 1.5),
        (reverberant, "n_sources", True),
        (reverberant, "n_channels", 0),
        (reverberant, "rt60", 0.01),
        (reverberant, "rt60", 1.01),
        (reverberant, "rt60", "short"),
    ],
)
def test_numbers_of_things_are_checked(make: Callable[..., Scene], setting: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"^{setting} must be"):
        make(**{setting: value})


def test_a_scene_prints_pickles_and_guards_what_is_known() -> None:
    scene = instantaneous(duration=0.1)
    copy = pickle.loads(pickle.dumps(scene))
    assert repr(copy) == repr(scene) == "Scene(source_1, source_2; 2 channels, 1600 samples at 16000 Hz)"
    np.testing.assert_array_equal(copy.mixture, scene.mixture)
    for known in (scene.mixing, scene.dry, copy.mixing, copy.dry):
        assert known is not None
        with pytest.raises(ValueError, match="read-only"):
            known[0, 0] = 1
    with pytest.raises(TypeError):
        scene.facts["tempo_bpm"] = 60  # type: ignore[index]
    with pytest.raises(AttributeError):
        scene.mixture = scene.mixture  # type: ignore[misc]


def test_a_scene_leaves_its_makers_array_writeable() -> None:
    scene = panned(duration=0.1)
    own = np.ones((2, 3))
    Scene(mixture=scene.mixture, sources=scene.sources, sample_rate=44100, mixing=own)
    assert own.flags.writeable


def test_scenes_need_numpy_alone() -> None:
    code = (
        "import sys; from dspsep.data.scenes import song, reverberant; song(duration=0.5, sample_rate=8000); "
        "reverberant(duration=0.2); "
        "heavy = {'scipy', 'librosa', 'matplotlib', 'soundfile', 'sklearn', 'numba'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# The song and the drums


@pytest.mark.parametrize("make", [song, drum_loop])
def test_a_longer_piece_begins_with_the_shorter(make: Callable[..., Scene]) -> None:
    short, long = (make(duration=seconds, sample_rate=8000) for seconds in (3.3, 9.0))
    for name, source in short.sources.items():
        beginning = long.sources[name][..., : source.shape[-1]]
        gain = np.abs(source).max() / np.abs(beginning).max()
        np.testing.assert_allclose(beginning * gain, source, atol=2e-6, err_msg=name)


def test_the_song_goes_on_and_differs(long_song: Scene) -> None:
    """Loops come round again alike, not the same; the melody does not come round at all."""
    rate = long_song.sample_rate
    period = round(long_song.facts["period_seconds"] * rate)
    for name, source in long_song.sources.items():
        first, second = source[:, :period], source[:, period : 2 * period]
        assert level(second) > level(first) - 6, name
        # Where the same chord and the same drums return, with nothing but that chord still sounding.
        again = slice(round(1.45 * rate), round(1.9 * rate))
        assert not np.allclose(first[:, again], second[:, again], atol=0.02 * np.abs(first).max()), name
    held = [(note[1], note[3]) for note in long_song.facts["notes"] if note[0] == "chords"]
    loops = [{pitch for at, pitch in held if loop <= at < loop + 4} for loop in (0, 4, 8)]
    assert loops[0] == loops[1] == loops[2]
    assert len(set(long_song.facts["chords"])) == 4
    sung = [note for note in long_song.facts["notes"] if note[0] == "vocals"]
    phrases = [[note[3] for note in sung if start <= note[1] < start + 4.0] for start in (0.0, 4.0, 8.0)]
    assert len({tuple(phrase) for phrase in phrases}) == 3


def test_the_accompaniment_repeats_after_the_stated_period(long_song: Scene) -> None:
    """The beat spectrum of REPET (Rafii & Pardo 2013) peaks there, and is flat for the voice."""
    rate, hop = long_song.sample_rate, 512
    period = round(long_song.facts["period_seconds"] * rate / hop)
    other = round(0.83 * long_song.facts["period_seconds"] * rate / hop)

    def likeness(samples: np.ndarray, lag: int) -> float:
        power = np.log1p(1e3 * spectrogram(samples.mean(axis=0), 1024, hop) ** 2)
        power -= power.mean(axis=1, keepdims=True)
        a, b = power[:, lag:], power[:, :-lag]
        return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))

    voice = long_song.sources["vocals"]
    accompaniment = long_song.mixture - voice
    assert likeness(accompaniment, period) > 0.6
    assert likeness(accompaniment, period) > likeness(accompaniment, other) + 0.4
    assert likeness(voice, period) < 0.5 * likeness(accompaniment, period)


def test_the_song_is_panned_as_told(long_song: Scene) -> None:
    balance = {name: level(right) - level(left) for name, (left, right) in long_song.sources.items()}
    assert balance["kick"] == balance["bass"] == 0
    assert abs(balance["vocals"]) < 1.5
    assert balance["hihat"] > 3
    assert balance["chords"] < -3
    for name in ("chords", "vocals"):
        left, right = long_song.sources[name]
        assert np.linalg.matrix_rank(np.stack([left, right]), tol=1e-3 * np.linalg.norm(left)) == 2


@pytest.mark.parametrize("seed", range(4))
def test_notes_and_hits_are_where_the_facts_say(seed: int) -> None:
    scene = song(duration=4.0, sample_rate=16000, seed=seed)
    rate = scene.sample_rate
    for name, onset, velocity in scene.facts["hits"]:
        track = scene.sources[name].mean(axis=0)
        at = round(onset * rate)
        after, before = track[at : at + 240], track[max(0, at - 240) : at]
        assert 0 < velocity <= 1.25
        if at > 240 and len(after) == 240 and velocity > 0.5:
            assert level(after) > level(before) + 3, (name, onset)
    for name, onset, duration, pitch in scene.facts["notes"]:
        assert 0 <= onset < 4.0
        assert duration > 0
        if name == "bass" and onset + duration < 4.0:
            start, stop = round((onset + 0.05) * rate), round((onset + duration) * rate)
            tone = scene.sources["bass"][0, start:stop]
            spectrum = np.abs(np.fft.rfft(tone * np.hanning(len(tone)), 1 << 16))
            found = np.argmax(spectrum[: round(200 / rate * (1 << 16))]) * rate / (1 << 16)
            assert found == pytest.approx(440 * 2 ** ((pitch - 69) / 12), rel=0.03)


def test_the_chords_are_the_chords_named() -> None:
    scene = song(duration=4.0, sample_rate=8000)
    names = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
    for index, chord in enumerate(scene.facts["chords"]):
        root = names.index(chord.removesuffix("m"))
        third = 3 if chord.endswith("m") else 4
        played = {
            round(pitch) % 12
            for name, onset, _, pitch in scene.facts["notes"]
            if name == "chords" and index <= onset < index + 0.5
        }
        assert played == {root, (root + third) % 12, (root + 7) % 12}
        below = [
            note for note in scene.facts["notes"] if note[0] == "bass" and index <= note[1] < index + 0.9
        ]
        assert round(below[0][3]) % 12 == root


def test_one_instrument_does_not_change_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams are separate: with a singer who draws more, every other stem keeps its bytes up to the gain."""
    from dspsep.data.scenes import _song

    before = song(duration=2.0, sample_rate=8000)
    melody = _song._melody

    def longer_thought(harmony: Any, phrase: int, rng: np.random.Generator) -> Any:
        rng.standard_normal(7)
        return melody(harmony, phrase, rng)

    monkeypatch.setattr(_song, "_melody", longer_thought)
    after = song(duration=2.0, sample_rate=8000)
    for name in before.sources:
        a, b = (s.sources[name] / np.abs(s.sources["kick"]).max() for s in (before, after))
        assert np.allclose(a, b, atol=1e-6) == (name != "vocals")


def spectrogram(samples: np.ndarray, n_fft: int, hop: int) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop] * np.hanning(n_fft)
    return np.abs(np.fft.rfft(frames)).T


@pytest.mark.parametrize("seed", [0, 1])
def test_chords_are_harmonic_and_drums_percussive(seed: int) -> None:
    """A median over time keeps what is steady: most of the chords' energy, little of the hi-hat's."""
    scene = song(duration=6.0, sample_rate=22050, seed=seed)
    kept = {}
    for name in ("chords", "hihat", "snare"):
        magnitude = spectrogram(scene.sources[name].mean(axis=0), 1024, 256)
        windows = np.lib.stride_tricks.sliding_window_view(magnitude, 17, axis=1)
        steady = np.minimum(np.median(windows, axis=-1), magnitude[:, 8:-8])
        kept[name] = float((steady**2).sum() / (magnitude[:, 8:-8] ** 2).sum())
    assert kept["chords"] > 0.75
    assert kept["hihat"] < 0.25
    assert kept["snare"] < 0.25


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_hihat_fills_the_top_of_the_band_there_is(rate: int) -> None:
    hits = drum_loop(duration=2.0, sample_rate=rate).sources["hihat"].astype(float)
    share = np.cumsum(np.abs(np.fft.rfft(hits)) ** 2)
    low, high = np.searchsorted(share / share[-1], [0.1, 0.9]) / len(share)
    assert 0.25 < low < 0.75
    assert high - low > 0.2


def test_the_voice_moves_as_voices_do(long_song: Scene) -> None:
    """Held notes swing at five to six hertz by less than a semitone."""
    rate = long_song.sample_rate
    held = max((n for n in long_song.facts["notes"] if n[0] == "vocals"), key=lambda note: note[2])
    _, onset, duration, pitch = held
    voice = long_song.sources["vocals"].mean(axis=0).astype(float)
    tone = voice[round((onset + 0.4) * rate) : round((onset + duration - 0.1) * rate)]
    # The fundamental alone, as an analytic signal: its phase's slope is the pitch.
    f0 = 440 * 2 ** ((pitch - 69) / 12)
    n = len(tone)
    spectrum = np.fft.fft(tone)
    frequency = np.fft.fftfreq(n, 1 / rate)
    spectrum[np.abs(frequency - f0) > 0.25 * f0] = 0
    analytic = np.fft.ifft(spectrum)
    cents = 1200 * np.log2(np.diff(np.unwrap(np.angle(analytic))) * rate / (2 * np.pi) / f0)
    cents = cents[n // 20 : -n // 20]
    assert abs(np.median(cents)) < 25
    assert 15 < np.std(cents) < 60
    swing = np.abs(np.fft.rfft((cents - cents.mean()) * np.hanning(len(cents)), 1 << 18)) ** 2
    rates = np.arange(len(swing)) * rate / (1 << 18)
    band = (rates > 4.0) & (rates < 8.0)
    assert 4.5 < rates[band][np.argmax(swing[band])] < 6.5
    assert swing[band].sum() > 0.6 * swing[rates > 2.0].sum()


# Nothing aliases


@pytest.mark.parametrize("f0", [311.1, 1234.5, 2900.0, 4500.0])
def test_oscillators_hold_nothing_but_their_partials(f0: float) -> None:
    rate, n = 8000, 16000
    steady = np.full(n, f0)
    tones = {
        "plucked": _tones.plucked(f0, n, rate, damping=0.0, brightness=5000.0),
        "pulses": _tones.pulses(steady, rate, brightness=5000.0),
    }
    window = np.blackman(n)
    frequency = np.fft.rfftfreq(n, 1 / rate)
    partials = np.arange(1, int(rate / 2 / f0) + 1) * f0
    away = np.ones(len(frequency), bool)
    for partial in partials:
        away &= np.abs(frequency - partial) > 20
    for name, tone in tones.items():
        power = np.abs(np.fft.rfft(tone * window)) ** 2
        if f0 > rate / 2:
            assert not power.any(), name
        else:
            assert power[away].sum() < 1e-9 * max(power.sum(), 1e-9), name


def test_a_rising_pitch_sheds_partials_without_a_click() -> None:
    rate, n, brightness = 8000, 16000, 3000.0
    frequency = np.linspace(600, 900, n)
    phase = np.cumsum(2 * np.pi * frequency / rate)
    alone = sum(
        # The same sum written out, each partial faded by its distance from the limit.
        np.clip(_tones.BAND_LIMIT * rate / frequency - k, 0, 1)
        * np.exp(-k * frequency / brightness)
        * np.sin(k * phase)
        for k in range(1, 8)
    )
    np.testing.assert_allclose(_tones.pulses(frequency, rate, brightness=brightness), alone, atol=1e-9)


def test_a_plucked_tone_is_the_sum_of_its_partials() -> None:
    rate, n, f0, damping, brightness = 16000, 700, 400.0, 9.0, 900.0
    t = np.arange(n) / rate
    expected = sum(
        np.exp(-k * (f0 / brightness + damping * t)) * np.sin(2 * np.pi * k * f0 * t)
        for k in range(1, int(_tones.BAND_LIMIT * rate / f0) + 1)
    )
    tone = _tones.plucked(f0, n, rate, damping=damping, brightness=brightness)
    np.testing.assert_allclose(tone, expected, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(n_samples=st.integers(1, 400), n_taps=st.integers(1, 90), seed=st.integers(0, 999))
def test_convolution_in_blocks_is_convolution(n_samples: int, n_taps: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    signal, responses = rng.standard_normal(n_samples), rng.standard_normal((2, n_taps))
    expected = [np.convolve(signal, response)[:n_samples] for response in responses]
    np.testing.assert_allclose(_tones.convolve(signal, responses), expected, atol=1e-10)


# Mixtures through gains


@pytest.mark.parametrize(("n_sources", "n_channels"), [(1, 1), (2, None), (3, 2), (2, 5), (4, 1), (8, 8)])
def test_instantaneous_images_are_gains_times_sources(n_sources: int, n_channels: int | None) -> None:
    scene = instantaneous(n_sources=n_sources, n_channels=n_channels, duration=1.5)
    assert scene.mixing is not None
    assert scene.dry is not None
    channels = n_sources if n_channels is None else n_channels
    assert scene.mixing.shape == (channels, n_sources)
    assert scene.mixing.dtype == scene.dry.dtype == np.float32
    assert list(scene.sources) == [f"source_{index + 1}" for index in range(n_sources)]
    for index, image in enumerate(scene.sources.values()):
        np.testing.assert_array_equal(image, np.outer(scene.mixing[:, index], scene.dry[index]))
        assert np.linalg.matrix_rank(image.astype(float), tol=1e-4 * np.linalg.norm(image)) == 1
    rank = np.linalg.matrix_rank(scene.mixture.astype(float), tol=1e-4 * np.linalg.norm(scene.mixture))
    assert rank == min(channels, n_sources)


@pytest.mark.parametrize("n_sources", [2, 3, 8])
@pytest.mark.parametrize("seed", range(5))
def test_mixing_can_be_undone(n_sources: int, seed: int) -> None:
    scene = instantaneous(n_sources=n_sources, duration=0.01, seed=seed)
    assert scene.mixing is not None
    assert np.linalg.cond(scene.mixing) <= 3 * np.sqrt(n_sources)
    np.testing.assert_allclose(np.linalg.norm(scene.mixing, axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_sources_are_independent_and_not_gaussian(seed: int) -> None:
    dry = instantaneous(n_sources=4, seed=seed).dry
    assert dry is not None
    unit = dry / dry.std(axis=1, keepdims=True)
    assert (np.mean(unit**4, axis=1) - 3 > 0.8).all()
    likeness = np.corrcoef(dry) - np.eye(4)
    assert np.abs(likeness).max() < 0.06
    loudness = np.sqrt(np.mean((unit**2).reshape(4, -1, 800), axis=-1))
    assert np.abs(np.corrcoef(loudness) - np.eye(4)).max() < 0.5


@pytest.mark.parametrize("n_sources", [1, 2, 3, 7])
def test_panned_gains_are_of_constant_power_and_in_order(n_sources: int) -> None:
    scene = panned(n_sources=n_sources, duration=1.0, sample_rate=8000, seed=2)
    assert scene.mixing is not None
    assert scene.mixing.shape == (2, n_sources)
    assert scene.mixture.shape == (2, 8000)
    np.testing.assert_allclose(np.sum(scene.mixing**2, axis=0), 1, atol=1e-6)
    angles = np.degrees(np.arctan2(scene.mixing[1], scene.mixing[0]))
    np.testing.assert_allclose(angles, scene.facts["angles_degrees"], atol=1e-4)
    assert (np.diff(angles) > 0.5 * 90 / n_sources).all()
    for index, (left, right) in enumerate(scene.sources.values()):
        heard = level(right) - level(left)
        assert heard == pytest.approx(20 * np.log10(np.tan(np.radians(angles[index]))), abs=1e-3)


# Rooms


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_the_direct_sound_arrives_when_it_should(rate: int) -> None:
    scene = reverberant(n_sources=3, n_channels=4, duration=0.1, sample_rate=rate)
    assert scene.mixing is not None
    assert scene.mixing.shape[:2] == (4, 3)
    distances = np.array(scene.facts["distances"])
    places = np.array(scene.facts["microphones"])[:, None] - np.array(scene.facts["sources"])
    np.testing.assert_allclose(distances, np.linalg.norm(places, axis=-1), rtol=1e-12)
    delays = distances / scene.facts["speed_of_sound"] * rate
    responses = np.abs(scene.mixing)
    assert np.abs(responses.argmax(axis=-1) - delays).max() <= 0.51
    # Fractional delays: the phase slope of the direct sound alone, to a fiftieth of a sample.
    for c, s in np.ndindex(4, 3):
        at = int(delays[c, s])
        alone = np.zeros(256)
        window = slice(at - 8, at + 10)
        alone[: window.stop - window.start] = scene.mixing[c, s, window]
        phase = np.unwrap(np.angle(np.fft.rfft(alone)))[8:64]
        slope = np.polyfit(np.arange(8, 64) * 2 * np.pi / 256, phase, 1)[0]
        assert -slope + at - 8 == pytest.approx(delays[c, s], abs=0.06)


def decay_time(response: np.ndarray, rate: float) -> float:
    """Return the time of a decay by 60 dB, from −5 to −35 dB of what follows the direct sound."""
    start = np.abs(response).argmax() + round(0.0025 * rate)
    left = np.cumsum(response[start:][::-1].astype(float) ** 2)[::-1]
    decibels = 10 * np.log10(left / left[0] + 1e-15)
    inside = np.flatnonzero((decibels <= -5) & (decibels >= -35))
    return float(-60 / np.polyfit(inside / rate, decibels[inside], 1)[0])


@pytest.mark.parametrize("rt60", [0.05, 0.1, 0.15, 0.3, 0.6])
@pytest.mark.parametrize("rate", [2000, 8000, 16000])
def test_the_room_decays_in_the_time_asked_for(rt60: float, rate: int) -> None:
    scene = reverberant(duration=0.1, sample_rate=rate, rt60=rt60, seed=1)
    assert scene.mixing is not None
    for response in scene.mixing.reshape(-1, scene.mixing.shape[-1]):
        assert decay_time(response, rate) == pytest.approx(rt60, rel=0.3)


def test_the_room_agrees_with_the_image_method_written_out() -> None:
    """Every image of Allen & Berkley's sum, one by one, at low frequencies where both are exact."""
    from dspsep.data.scenes._rooms import ROOM, SPEED_OF_SOUND

    rate = 8000
    scene = reverberant(n_sources=1, n_channels=1, duration=0.05, sample_rate=rate, rt60=0.1)
    assert scene.mixing is not None
    source, microphone = np.array(scene.facts["sources"][0]), np.array(scene.facts["microphones"][0])
    n_taps = scene.mixing.shape[-1]
    reach = (n_taps - 32) * SPEED_OF_SOUND / rate
    omega = 2 * np.pi * np.fft.rfftfreq(n_taps)[: n_taps // 4]
    expected = np.zeros(len(omega), complex)
    for n in np.ndindex(21, 21, 31):
        cell = np.array(n) - (10, 10, 15)
        for q in np.ndindex(2, 2, 2):
            image = (1 - 2 * np.array(q)) * source + 2 * cell * ROOM
            distance = np.linalg.norm(image - microphone)
            if distance < reach:
                order = int(np.abs(cell - q).sum() + np.abs(cell).sum())
                gain = (-scene.facts["reflection"]) ** order / distance
                expected += gain * np.exp(-1j * omega * distance / SPEED_OF_SOUND * rate)
    found = np.fft.rfft(scene.mixing[0, 0])[: len(omega)]
    assert np.linalg.norm(found - expected) < 0.01 * np.linalg.norm(expected)


def test_reverberant_images_are_convolutions() -> None:
    scene = reverberant(n_sources=2, n_channels=3, duration=1.0, rt60=0.1)
    assert scene.mixing is not None
    assert scene.dry is not None
    for index, image in enumerate(scene.sources.values()):
        for channel in range(3):
            expected = np.convolve(scene.dry[index].astype(float), scene.mixing[channel, index])[:16000]
            np.testing.assert_allclose(image[channel], expected, atol=1e-6)


def test_talkers_differ_in_pitch() -> None:
    dry = reverberant(n_sources=2, duration=4.0).dry
    assert dry is not None

    def pitch(voice: np.ndarray) -> float:
        found = []
        for start in range(0, 60000, 1000):
            frame = voice[start : start + 1024].astype(float) * np.hanning(1024)
            correlation = np.fft.irfft(np.abs(np.fft.rfft(frame, 2048)) ** 2)[:200]
            lag = 50 + int(np.argmax(correlation[50:200]))
            if correlation[lag] > 0.5 * correlation[0] and level(frame) > level(voice) - 15:
                found.append(16000 / lag)
        return float(np.median(found))

    low, high = pitch(dry[0]), pitch(dry[1])
    assert 90 < low < 160
    assert 170 < high < 300
