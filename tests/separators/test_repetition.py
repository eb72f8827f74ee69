"""The REPET family: exact periods have exact backgrounds, what is odd has no NaN, real songs gain."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import dspsep
from dspsep import (
    KAM,
    REPET,
    STFT,
    AdaptiveREPET,
    InputError,
    REPETExtended,
    REPETSim,
    Spectrogram,
    beat_spectrum,
    load_model,
)
from dspsep.data import scenes
from dspsep.metrics import si_sdr
from dspsep.separators.repetition._period import repeating_period
from dspsep.separators.repetition.extended import weights_of
from dspsep.separators.repetition.repet import repeats_of_period, segments_of
from tests.cases import case_names, real_case
from tests.test_stft import noise

SMALL = STFT(128)  # hops of 32
RATE = 3200  # 100 frames a second
FAMILY = [
    REPET(stft=SMALL),
    REPETExtended(stft=SMALL),
    AdaptiveREPET(stft=SMALL),
    REPETSim(stft=SMALL),
    REPETSim(stft=SMALL, past_seconds=5.0),
]
PERIODIC = FAMILY[:3]


def named(separator):
    past = getattr(separator, "past_seconds", None)
    return type(separator).__name__ + ("" if past is None else "-past")


def spectrogram_of(values, stft=SMALL, rate=RATE):
    """Return a spectrogram of given magnitudes (n_freqs, n_frames), with phases of all kinds."""
    phases = np.exp(2j * np.pi * np.random.default_rng(0).uniform(size=values.shape))
    n_samples = (values.shape[1] - 1) * stft.hop_length
    return Spectrogram(
        values=(values * phases)[None], stft=stft, sample_rate=rate, n_samples=n_samples, mono=True
    )


def loop(period, n_frames, n_freqs=65, seed=0):
    segment = np.random.default_rng(seed).exponential(size=(n_freqs, period))
    return np.tile(segment, (1, -(-n_frames // period)))[:, :n_frames]


# --- known answers ---


@pytest.mark.core
@pytest.mark.parametrize("rate", [1600, 3200, 6400])
@pytest.mark.parametrize("separator", PERIODIC, ids=named)
def test_exact_periods(separator, rate):
    """20 periods of what repeats to the bit: they are found, and all of it is background."""
    per_second = rate // SMALL.hop_length
    n_frames = 12 * per_second
    longest = (10 * per_second) // 3 if separator != PERIODIC[0] else n_frames // 3
    for period in np.linspace(per_second, longest, 20).astype(int):
        spectrogram = spectrogram_of(loop(int(period), n_frames, seed=period), rate=rate)
        model = separator.fit(spectrogram)
        found = np.atleast_1d(getattr(model, "period", getattr(model, "periods", None)))
        np.testing.assert_allclose(found * per_second, period, err_msg=str(period))
        mask = model.masks(spectrogram)["background"]
        assert mask.min() > 1 - 1e-9


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
@pytest.mark.parametrize("seconds", [0.3, 0.77, 1.0, 1.33, 1.9])
def test_similar_frames_of_a_loop(seconds, rate):
    """Frames every 10 ms, or nearly."""
    stft = STFT(2 * (rate // 100), rate // 100, "hamming")
    per_second = rate / stft.hop_length
    spectrogram = spectrogram_of(loop(round(per_second * seconds), 1200, stft.n_freqs), stft, rate)
    model = REPETSim(stft=stft).fit(spectrogram)
    assert model.masks(spectrogram)["background"].mean() >= 0.999
    neighbors = np.asarray(model.neighbors)
    np.testing.assert_array_equal(neighbors[:, 0], np.arange(1200))  # each is most like itself
    gaps = np.diff(np.sort(np.where(neighbors < 0, 10**6 * np.arange(1, neighbors.shape[1] + 1), neighbors)))
    assert gaps.min() > round(per_second)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_of_a_longer_loop_most_frames_that_far_apart_are_no_repeats(rate):
    stft = STFT(2 * (rate // 100), rate // 100, "hamming")
    spectrogram = spectrogram_of(loop(510, 2040, stft.n_freqs), stft, rate)
    model = REPETSim(stft=stft).fit(spectrogram)
    neighbors = np.asarray(model.neighbors)
    repeats = (neighbors - np.arange(2040)[:, None]) % 510 == 0
    assert repeats[neighbors >= 0].mean() < 0.5
    assert model.masks(spectrogram)["background"][:, 3:].mean() < 0.95  # above the cutoff
    nearer = REPETSim(stft=stft, n_neighbors=4).fit(spectrogram).masks(spectrogram)["background"]
    assert nearer.mean() >= 0.999  # the frame and its three repeats, and no others


@pytest.mark.core
@pytest.mark.parametrize("separator", FAMILY, ids=named)
def test_what_is_heard_once_is_foreground(separator):
    """A loop, and bursts that come now and then: bursts are outliers of the median."""
    V = loop(110, 1200)
    bursts = np.zeros_like(V)
    rng = np.random.default_rng(5)
    for start in rng.choice(1100, 6, replace=False):
        bursts[20:40, start : start + 12] = 4
    model = separator.fit(spectrogram_of(V + bursts))
    masks = model.masks(spectrogram_of(V + bursts))
    there = bursts > 0
    foreground = masks["foreground"][0]
    assert foreground[~there].mean() < 0.02
    if separator in PERIODIC:
        # What is added is foreground, and nothing more. Frames with a burst are like others with one.
        assert np.abs(foreground[there] - (bursts / (V + bursts))[there]).mean() < 0.02
    assert foreground[there].mean() > 0.3


@pytest.mark.parametrize("period", [40, 55, 97])
def test_multiples_are_not_preferred(period):
    """Noise makes some multiple the highest lag; the period is still the period."""
    preferred = 0
    for seed in range(20):
        V = loop(period, 1000, seed=seed) + np.random.default_rng(seed).exponential(0.7, (65, 1000))
        spectrum = beat_spectrum(V)
        assert repeating_period(spectrum, 20, 333) == period
        preferred += 20 + int(np.argmax(spectrum[20:334])) != period
    assert preferred > 5  # what the highest lag would have said


@pytest.mark.core
@pytest.mark.parametrize("n_channels", [1, 2])
def test_the_beat_spectrum_is_the_autocorrelation_of_power(n_channels):
    V = np.abs(noise(n_channels * 7 * 50).reshape(n_channels, 7, 50)) + 0.1
    power = np.mean(V**2, axis=0)
    expected = [np.sum(power[:, : 50 - lag] * power[:, lag:]) / (50 - lag) for lag in range(50)]
    np.testing.assert_allclose(beat_spectrum(V), expected, rtol=1e-10)
    np.testing.assert_allclose(beat_spectrum(1e-30 * V) * 1e120, expected, rtol=1e-10)
    single = beat_spectrum(V.astype(np.float32))
    assert single.dtype == np.float64
    np.testing.assert_allclose(single, expected, rtol=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e-200, 1e-90, 1e90, 1e200])
def test_periods_of_magnitudes_at_the_ends_of_the_range(scale):
    V = loop(130, 1000)
    spectrum = beat_spectrum(V * scale)
    assert np.isfinite(spectrum).all()
    assert repeating_period(spectrum, 100, 333) == repeating_period(beat_spectrum(V), 100, 333) == 130


def test_frames_of_a_period():
    repeats = repeats_of_period(3, 7)
    np.testing.assert_array_equal(repeats.frames, [[0, 3, 6], [1, 4, -1], [2, 5, -1]])
    np.testing.assert_array_equal(repeats.of, [0, 1, 2, 0, 1, 2, 0])


def test_segments_cover_everything_and_weights_sum_to_one():
    cases = (1, 10, 5), (10, 10, 5), (11, 10, 5), (47, 10, 5), (100, 10, 10), (31, 8, 3)
    for n_frames, length, step in cases:
        segments = segments_of(n_frames, length, step)
        assert segments[0][0] == 0
        assert segments[-1][1] == n_frames
        total = np.zeros(n_frames)
        for (start, stop), weight in zip(segments, weights_of(segments), strict=True):
            assert stop - start < length + step
            total[start:stop] += weight
        np.testing.assert_allclose(total, 1)


def test_extended_and_adaptive_follow_a_change():
    V = np.concatenate([loop(120, 2000), loop(170, 2000, seed=1)], axis=1)
    spectrogram = spectrogram_of(V)
    whole = REPET(stft=SMALL).fit(spectrogram).masks(spectrogram)["background"]
    for separator in PERIODIC[1:]:
        model = separator.fit(spectrogram)
        periods = np.asarray(model.periods)
        assert periods[0] == pytest.approx(1.2)
        assert periods[-1] == pytest.approx(1.7)
        share = model.masks(spectrogram)["background"]
        assert share[..., :1000].mean() > 0.999
        assert share[..., -1000:].mean() > 0.999
        assert share.mean() > whole.mean() + 0.1


# --- similar frames of the past ---


@pytest.mark.core
@pytest.mark.parametrize("n_channels", [1, 2])
def test_online_is_causal_and_what_its_model_says(n_channels):
    separator = REPETSim(stft=SMALL, distance_seconds=0.1, past_seconds=1.0, threshold=0.2)
    scene = scenes.song(duration=4.0, sample_rate=RATE)
    audio = scene.mixture[:n_channels]
    sources = separator.separate(audio, RATE)
    assert separator.streams(RATE)
    assert not separator.replace(past_seconds=None).streams(RATE)
    neighbors = np.asarray(sources.model.neighbors)
    frames = np.arange(len(neighbors))[:, None]
    there = neighbors >= 0
    assert (np.where(there, neighbors, frames) <= frames).all()
    assert (np.where(there, neighbors, frames) >= frames - 100).all()
    assert there[200:].sum(axis=1).mean() > 3
    np.testing.assert_array_equal(neighbors[:, 0], frames[:, 0])
    # One after the other or all at once: the same frames are alike, and the masks are those of the model.
    spectrogram = SMALL.forward(audio, RATE)
    whole = separator.fit(spectrogram)
    assert np.mean(np.asarray(whole.neighbors) == neighbors) > 0.999
    mask = sources.model.masks(spectrogram)["background"]
    np.testing.assert_allclose(SMALL.inverse(spectrogram, mask=mask), sources["background"], atol=1e-6)
    # What is to come changes nothing.
    cut = separator.separate(audio[:, :8000], RATE)
    safe = 8000 - separator.stream(RATE).latency_samples
    for name in sources:
        np.testing.assert_array_equal(sources[name][:, :safe], cut[name][:, :safe])


def test_streams_remember_no_more_than_the_past():
    separator = REPETSim(stft=SMALL, past_seconds=0.5)
    stream = separator.stream(RATE)
    for _ in range(40):
        stream.push(noise(500))
    learner = stream._learner
    assert learner._stop - learner._first == 50
    assert learner._V.shape[1] <= 2 * (50 + 8)  # and the batch, twice: there is room before it is moved
    assert not learner.lists
    with pytest.raises(InputError, match="past_seconds must be set"):
        separator.replace(past_seconds=None).stream(RATE)


@pytest.mark.core
@pytest.mark.parametrize("n_channels", [1, 2])
def test_long_mixtures_are_the_same(monkeypatch, n_channels):
    """The way that holds no spectrum gives what the other gives."""
    audio = scenes.song(duration=5.0, sample_rate=RATE).mixture[:n_channels]
    separator = REPETSim(stft=SMALL, distance_seconds=0.2)
    expected = separator.separate(audio, RATE)
    monkeypatch.setattr("dspsep.separators.repetition.similarity._LARGE", 10)
    monkeypatch.setattr("dspsep.separators.repetition._frames._BATCH", 37)
    told = []
    found = separator.separate(audio, RATE, callback=told.append)
    assert told[-1].iteration == told[-1].n_iterations == SMALL.n_frames(audio.shape[1])
    np.testing.assert_array_equal(found.model.neighbors, expected.model.neighbors)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-6)


def test_some_rows_are_compared_at_once_however_long_the_mixture(monkeypatch):
    spectrogram = spectrogram_of(np.random.default_rng(0).exponential(size=(65, 500)))
    separator = REPETSim(stft=SMALL)
    expected = np.asarray(separator.fit(spectrogram).neighbors)
    monkeypatch.setattr("dspsep.separators.repetition.similarity._BLOCK", 1)
    told = []
    np.testing.assert_array_equal(separator.fit(spectrogram, callback=told.append).neighbors, expected)
    assert [progress.iteration for progress in told] == [128, 256, 384, 500]


# --- the rule of low frequencies ---


@pytest.mark.parametrize("separator", FAMILY, ids=named)
def test_what_lies_below_the_cutoff_is_background(separator):
    spectrogram = spectrogram_of(np.random.default_rng(1).exponential(size=(65, 600)))
    hertz = spectrogram.frequencies()
    for cutoff in (0.0, 100.0, 101.0, 1e6, None):
        mask = separator.replace(cutoff_hertz=cutoff).fit(spectrogram).masks(spectrogram)["background"][0]
        below = hertz <= (-1 if cutoff is None else cutoff)
        assert (mask[below] == 1).all()
        assert below.all() or mask[~below].mean() < 0.99


# --- what is odd ---


@pytest.mark.core
@pytest.mark.parametrize("separator", FAMILY, ids=named)
@pytest.mark.parametrize("what", ["silence", "constant", "one frame", "an impulse", "a gap"])
def test_odd_signals(separator, what):
    audio = {
        "silence": np.zeros(5 * RATE),
        "constant": np.full(5 * RATE, 0.5),
        "one frame": noise(20),
        "an impulse": np.eye(1, 5 * RATE, RATE)[0],
        "a gap": noise(5 * RATE) * (np.arange(5 * RATE) // RATE % 2),
    }[what]
    if what == "one frame" and separator in PERIODIC:
        with pytest.warns(dspsep.DspsepWarning, match="needs 300 frames to learn from"):
            sources = separator.separate(audio, RATE)
        np.testing.assert_array_equal(sources["background"], audio)
    else:
        sources = separator.separate(audio, RATE)
    assert all(np.isfinite(source).all() for source in sources.values())
    np.testing.assert_allclose(sum(sources.values()), audio, atol=1e-12)


# --- real songs ---


def gains(separator, case):
    """Return the gains of SI-SDR of foreground and background over the mixture."""
    front = next(name for name in case.references if name in ("vocals", "lead_guitar"))
    back = next(name for name in case.references if name != front)
    sources = separator.separate(case.mixture, case.sample_rate)
    pairs = ((front, "foreground"), (back, "background"))
    return [
        si_sdr(case.references[name], sources[found]) - si_sdr(case.references[name], case.mixture)
        for name, found in pairs
    ]


@pytest.mark.parametrize(
    ("separator", "floors"),
    [
        (REPET(), (3.5, 1.6)),
        (REPETExtended(), (2.2, 0.5)),
        (AdaptiveREPET(), (2.2, 0.5)),
        (REPETSim(), (3.4, 1.6)),
        (REPETSim(past_seconds=10.0), (1.0, 0.0)),
    ],
    ids=lambda value: named(value) if hasattr(value, "stft") else "",
)
def test_songs_gain_on_the_mean(separator, floors):
    found = np.mean([gains(separator, real_case(name)) for name in case_names("a_")], axis=0)
    assert found[0] > floors[0]
    assert found[1] > floors[1]


# --- models and settings ---


@pytest.mark.parametrize("separator", FAMILY, ids=named)
def test_models_are_saved_and_settings_are_values(separator, tmp_path):
    scene = scenes.song(duration=6.0, sample_rate=8000)
    sources = separator.separate(scene.mixture, 8000)
    model = sources.model
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    spectrogram = SMALL.forward(scene.mixture, 8000)
    for name, mask in model.masks(spectrogram).items():
        np.testing.assert_array_equal(again.masks(spectrogram)[name], mask)
    assert dspsep.from_json(separator.to_json()) == separator == pickle.loads(pickle.dumps(separator))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("separator", [*PERIODIC, KAM(stft=SMALL)], ids=named)
@pytest.mark.parametrize("n_frames", [2, 20, 25, 100, 101, 250])
def test_a_spectrogram_shorter_than_three_periods_can_be_learned_from(separator, n_frames):
    """`separate` says that it is too short; who calls `fit` gets a model of the shortest period."""
    spectrogram = spectrogram_of(np.random.default_rng(0).exponential(size=(65, n_frames)))
    model = separator.fit(spectrogram)
    masks = model.masks(spectrogram)
    np.testing.assert_allclose(sum(masks.values()), 1, atol=1e-12)


def test_a_period_can_be_given():
    spectrogram = spectrogram_of(loop(130, 1000))
    model = REPET(stft=SMALL, period_seconds=2.6).fit(spectrogram)
    assert model.period == pytest.approx(2.6)
    assert REPET(stft=SMALL, period_seconds=0.1).separate(noise(50), RATE)  # of any length


@pytest.mark.parametrize("separator", FAMILY[1:2] + FAMILY[3:4], ids=named)
def test_models_of_another_length_say_so(separator):
    model = separator.fit(spectrogram_of(loop(130, 1000)))
    with pytest.raises(InputError, match="spectrogram must be of 1000 frames; got 900"):
        model.masks(spectrogram_of(loop(130, 900)))


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (REPET, {"cutoff_hertz": -1}, "cutoff_hertz"),
        (REPET, {"min_period_seconds": 0}, "min_period_seconds"),
        (REPET, {"min_period_seconds": 3, "max_period_seconds": 2}, "max_period_seconds must be at least"),
        (REPET, {"period_seconds": 0}, "period_seconds"),
        (REPETExtended, {"segment_seconds": 0}, "segment_seconds"),
        (REPETExtended, {"step_seconds": 20}, "step_seconds must be at most segment_seconds, 10"),
        (AdaptiveREPET, {"step_seconds": 20}, "step_seconds must be at most window_seconds, 10"),
        (AdaptiveREPET, {"order": 4}, "order must be odd"),
        (AdaptiveREPET, {"order": 1}, "order must be an integer of at least 3"),
        (REPETSim, {"threshold": 2}, "threshold"),
        (REPETSim, {"distance_seconds": -1}, "distance_seconds"),
        (REPETSim, {"n_neighbors": 0}, "n_neighbors"),
        (REPETSim, {"past_seconds": 0}, "past_seconds"),
        (REPETSim, {"stft": 3}, "stft must be an STFT"),
    ],
)
def test_bad_settings(kind, settings, words):
    with pytest.raises(InputError, match=words):
        kind(**settings)
