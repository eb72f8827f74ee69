"""Score-informed NMF: zeros stay zero, planted parts, what a start is made of, the contract, a real piano."""

from __future__ import annotations

import dataclasses
import json
import pickle
from itertools import pairwise

import array_api_strict
import numpy as np
import pytest

from dspsep import STFT, InputError, NMFModel, Note, ScoreInformedNMF, from_json, load_model, nmf, score_start
from dspsep.metrics import si_sdr
from dspsep.testing import contract
from tests.cases import data_folder, real_case
from tests.test_stft import noise

RATE = 8000
SMALL = STFT(512, 128)
#: Two parts that play together, apart, an octave apart, and a pitch of the other.
MELODY = [(0.1, 0.4, 69), (0.5, 0.4, 71), (0.9, 0.5, 76), (1.5, 0.4, 69)]
BASS = [(0.1, 0.8, 48), (0.1, 0.8, 55), (0.9, 0.9, 50), (1.2, 0.5, 69)]


def notes(events, part, shift=0.0):
    return [Note(pitch=p, onset=t + shift, duration=d, part=part) for t, d, p in events]


SCORE = notes(MELODY, "melody") + notes(BASS, "bass")
PLAIN = ScoreInformedNMF(stft=SMALL, notes=SCORE)
CONTRACT = {
    "score": (PLAIN, {"scale_tolerance": 1e-4}),
    "score-default": (ScoreInformedNMF(notes=SCORE, n_iter=3), {"scale_tolerance": 1e-4}),
    "score-euclidean": (
        PLAIN.replace(beta=2.0, exponent=1.0, attack=False, n_partials=5, solver="mu"),
        {"scale_tolerance": 1e-4, "precision_snr": 40},
    ),
    "score-itakura-saito": (
        PLAIN.replace(beta=0.0, stft=STFT(510, 170, "blackman"), n_iter=4),
        {"scale_tolerance": 1e-4, "precision_snr": 40},
    ),
    "score-nothing-heard": (PLAIN.replace(notes=notes(MELODY, "late", 100.0)), {}),
}


@pytest.mark.parametrize(
    "clause",
    [
        # The first settings belong to the core.
        pytest.param(clause, id=f"{name}-{clause!r}", marks=() if place else (pytest.mark.core,))
        for place, (name, (separator, options)) in enumerate(CONTRACT.items())
        for clause in contract(separator, sample_rate=RATE, **options)
    ],
)
def test_contract(clause):
    clause()


def tone(pitch, duration, rate=RATE, tuning=440.0):
    """Return a decaying tone of partials up to 0.45 of the rate, the m-th 1 / m as loud."""
    time = np.arange(round((duration + 0.1) * rate)) / rate
    f0 = tuning * 2 ** ((pitch - 69) / 12)
    partials = range(1, int(0.45 * rate / f0) + 1)
    sound = sum(np.sin(2 * np.pi * m * f0 * time + m * m) / m for m in partials)
    release = np.clip(1 - (time - duration) / 0.05, 0, 1)
    return sound * np.exp(-2 * time) * release * np.clip(time / 0.005, 0, 1)


def played(events, tuning=440.0, shift=0.0, n_samples=2 * RATE):
    track = np.zeros(n_samples)
    for onset, duration, pitch in events:
        sound = tone(pitch, duration, tuning=tuning)
        first = round((onset + shift) * RATE)
        sound = sound[max(0, -first) : max(0, n_samples - first)]
        track[max(0, first) : max(0, first) + sound.size] += sound
    return track


def gains(nmf, truth):
    mixture = np.sum(list(truth.values()), axis=0)
    sources = nmf.separate(mixture, RATE)
    return [si_sdr(audio, sources[name]) - si_sdr(audio, mixture) for name, audio in truth.items()]


TRUTH = {"melody": played(MELODY), "bass": 1.5 * played(BASS)}
FINE = ScoreInformedNMF(stft=STFT(1024, 256), notes=SCORE)


@pytest.mark.core
@pytest.mark.parametrize("solver", ["mu", "accelerated"])
@pytest.mark.parametrize(("beta", "exponent"), [(1.0, 2.0), (1.0, 1.0), (2.0, 1.0), (0.5, 2.0)])
def test_parts_are_told_apart(beta, exponent, solver):
    found = gains(FINE.replace(beta=beta, exponent=exponent, solver=solver), TRUTH)
    assert min(found) > 9, found


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["mu", "accelerated"])
@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0, 2.5])
def test_zeros_stay_zero_and_the_objective_never_rises(beta, solver, dtype):
    audio = noise((2, 2 * RATE), dtype=dtype)
    nmf = PLAIN.replace(beta=beta, exponent=1.0, solver=solver, n_iter=40, attack=False, n_partials=8)
    spectrogram = SMALL.forward(audio, RATE)
    model = nmf.fit(spectrogram)
    W, H, groups = score_start(
        SCORE, SMALL, RATE, spectrogram.n_frames, exponent=1.0, attack=False, n_partials=8
    )
    assert isinstance(model, NMFModel)
    assert model.templates.dtype == dtype
    assert model.groups == (*groups, ("residual", (W.shape[1],)))
    assert (W == 0).mean() > 0.3
    assert (H == 0).mean() > 0.3
    np.testing.assert_array_equal(model.templates[:, :-1][W == 0], 0)
    np.testing.assert_array_equal(model.activations[:-1][H == 0], 0)
    assert (model.templates[:, :-1] > 0).any(axis=0).all()
    assert (model.activations[:-1] > 0).any(axis=1).all()
    assert (model.templates[:, :-1][W > 0] != 0).mean() > 0.9
    assert all(after <= before for before, after in pairwise(model.losses))
    # Of beta 0 nearly all of the objective is in bins that nobody may have.
    assert beta == 0 or model.losses[-1] < 0.99 * model.losses[0]
    np.testing.assert_allclose(model.templates.sum(axis=0), 1, rtol=1e-5)


@pytest.mark.core
def test_it_is_nmf_from_that_start():
    spectrogram = SMALL.forward(noise((RATE,)), RATE)
    model = PLAIN.replace(n_iter=6).fit(spectrogram)
    V = spectrogram.magnitude()[0] ** 2
    W, H, _ = score_start(SCORE, SMALL, RATE, spectrogram.n_frames, exponent=2.0)
    H *= V.mean() / (W @ H).mean()
    W, H, losses = nmf(V, W, H, n_iter=6, solver="accelerated")
    np.testing.assert_allclose(np.divide(model.losses, model.losses[-1]), np.divide(losses, losses[-1]))
    expected = W @ H
    found = model.templates[:, :-1] @ model.activations[:-1]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * expected.max())
    residual = np.outer(model.templates[:, -1], model.activations[-1])
    np.testing.assert_allclose(residual, 2.0**-33 * V.mean(), rtol=1e-12)


@pytest.mark.core
def test_what_nobody_may_have_is_the_residual():
    score = [
        Note(pitch=69, onset=0.5, duration=0.5, part="a"),
        Note(pitch=81, onset=0.5, duration=0.2, part="b"),
    ]
    spectrogram = SMALL.forward(noise((2 * RATE,)), RATE)
    nmf = PLAIN.replace(notes=score, attack=False, n_partials=2)
    masks = nmf.fit(spectrogram).masks(spectrogram)
    assert tuple(masks) == ("a", "b", "residual")
    W, H, groups = score_start(score, SMALL, RATE, spectrogram.n_frames, attack=False, n_partials=2)
    nobodys = W @ H == 0
    assert 0.5 < nobodys.mean() < 1
    np.testing.assert_array_equal(masks["residual"][0][nobodys], 1)
    assert masks["residual"][0][~nobodys].max() < 1e-3
    for name, members in groups:
        absent = W[:, members] @ H[members, :] == 0
        np.testing.assert_array_equal(masks[name][0][absent], 0)
    np.testing.assert_allclose(sum(masks.values()), 1, atol=1e-12)


@pytest.mark.core
def test_partials_lie_where_the_pitch_says():
    stft = STFT(4096, 1024)
    bin_width = RATE / 4096
    for pitch, tuning, cents, n_partials in (
        (69, 440, 50, None),
        (33, 440, 20, 7),
        (50.5, 415, 0, 3),
        (100, 440, 90, None),
    ):
        score = [Note(pitch=pitch, onset=0, duration=1)]
        W, _, _ = score_start(
            score, stft, RATE, 4, tuning=tuning, pitch_tolerance=cents, n_partials=n_partials, attack=False
        )
        f0 = tuning * 2 ** ((pitch - 69) / 12)
        expected = np.zeros(stft.n_freqs)
        # By the definition, partial by partial, the lowest last: it has the bins that several reach.
        for m in reversed(range(1, 1 + (n_partials or int(RATE / f0)))):
            half = max(m * f0 * (2 ** (cents / 1200) - 1), 2 * bin_width)
            reached = np.abs(np.arange(stft.n_freqs) * bin_width - m * f0) <= half
            expected[reached] = 1 / m
        np.testing.assert_allclose(W[:, 0], expected)
        W2, _, _ = score_start(
            score, stft, RATE, 4, tuning=tuning, pitch_tolerance=cents, n_partials=n_partials, exponent=2.0
        )
        np.testing.assert_allclose(W2[:, 0], expected**2)
        np.testing.assert_allclose(W2[:, 1], 1e-4)


@pytest.mark.core
def test_activations_lie_where_the_notes_say():
    stft = STFT(1000, 100)  # a frame every 12.5 ms
    score = [
        Note(pitch=60, onset=0.5, duration=0.25),
        Note(pitch=60, onset=0.625, duration=0.5),  # struck again while it sounds
        Note(pitch=60, onset=-0.5, duration=0.25, part="early"),
        Note(pitch=60, onset=-0.5, duration=0.75, part="cut"),
        Note(pitch=62, onset=0.5, duration=0.0, part="other"),
        Note(pitch=60, onset=9.0, duration=1.0, part="late"),
    ]
    tolerances = {"onset_tolerance": 0.1, "offset_tolerance": 0.05}
    W, H, groups = score_start(score, stft, RATE, 100, **tolerances)
    assert groups == tuple(
        (n, (2 * k, 2 * k + 1)) for k, n in enumerate(("notes", "early", "cut", "other", "late"))
    )
    assert W.shape == (501, 10)

    def spans(row):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], H[row] > 0, [0]])))
        return [(a, b - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    assert spans(0) == [(32, 94)]  # 0.4 s to 0.625 + 0.5 + 0.05 s
    assert spans(1) == [(32, 62)]  # 0.4 s to 0.625 + 0.1 + 0.05 s
    assert spans(2) == spans(3) == spans(8) == spans(9) == []
    assert spans(4) == [(0, 24)]
    assert spans(6) == [(32, 44)]
    # They fade with two seconds, and with 0.2 s after their ends, but attacks do not.
    time = np.arange(100) / 80
    fading = np.exp(-np.maximum(time - 0.5, 0) / 2)
    np.testing.assert_allclose(H[0, 32:42], fading[32:42])
    np.testing.assert_array_equal(H[0, 42:51], 1)
    np.testing.assert_allclose(H[0, 50:91], np.exp(-(time[50:91] - 0.625) / 2))
    np.testing.assert_allclose(H[6, 40:45], np.exp(-(time[40:45] - 0.5) * (1 / 2 + 1 / 0.2)))
    assert set(H[1]) == {0.0, 1.0}
    _, squared, _ = score_start(score, stft, RATE, 100, exponent=2.0, **tolerances)
    np.testing.assert_allclose(squared, H**2)
    # It does not matter in which order notes are given.
    again = [Note(pitch=60, onset=onset, duration=0.5) for onset in (0.3, 0.1)]
    for start in (again, again[::-1]):
        assert score_start(start, stft, RATE, 100)[1][0, 24] == 1
    long = [Note(pitch=60, onset=-1000, duration=2000)]
    assert score_start(long, stft, RATE, 100)[1][0].min() == 0.03
    # Where no frame lies within, it is the nearest.
    brief = [Note(pitch=60, onset=0.504, duration=0.001)]
    _, H, _ = score_start(brief, stft, RATE, 100, onset_tolerance=0, offset_tolerance=0, attack=False)
    assert spans(0) == [(40, 40)]


@pytest.mark.core
def test_pitches_that_cannot_be_heard_are_silent():
    score = [*SCORE, Note(pitch=120, onset=0.1, duration=1.0, part="bats")]
    sources = PLAIN.replace(notes=score).separate(noise((RATE,)), RATE)
    assert sources.names == ("melody", "bass", "bats", "residual")
    assert not sources["bats"].any()
    just_above = [Note(pitch=69 + 12 * np.log2(4001 / 440), onset=0, duration=1)]
    W, _, _ = score_start(just_above, SMALL, RATE, 10)
    assert not W.any()
    plain = PLAIN.separate(noise((RATE,)), RATE)
    np.testing.assert_allclose(sources["bass"], plain["bass"], atol=1e-9)


@pytest.mark.core
def test_the_score_may_be_shorter_or_longer_than_the_mixture():
    audio = noise((RATE,))
    sources = PLAIN.replace(notes=notes(MELODY, "late", 100.0)).separate(audio, RATE)
    assert not sources["late"].any()
    np.testing.assert_allclose(sources["residual"], audio, atol=1e-12)
    # What follows the end makes no difference.
    more = [*SCORE, *notes(MELODY, "melody", 100.0), *notes(BASS, "bass", -100.0)]
    np.testing.assert_array_equal(
        PLAIN.replace(notes=more).separate(audio, RATE)["bass"], PLAIN.separate(audio, RATE)["bass"]
    )
    brief = PLAIN.replace(notes=[Note(pitch=69, onset=0.2, duration=0.1)], attack=False)
    sources = brief.separate(audio, RATE)
    # The last frame that hears it is centred at 0.5 s, and is 64 ms long.
    assert np.abs(sources["notes"][: round(0.11 * RATE)]).max() < 1e-12
    assert np.abs(sources["notes"][round(0.54 * RATE) :]).max() < 1e-12
    assert np.abs(sources["notes"][round(0.2 * RATE) : round(0.4 * RATE)]).max() > 0.1


@pytest.mark.core
def test_a_pitch_of_two_parts_at_once_is_shared():
    score = [Note(pitch=69, onset=0.1, duration=1.0, part=part) for part in "ab"]
    mixture = played([(0.1, 1.0, 69)])
    sources = PLAIN.replace(notes=score).separate(mixture, RATE)
    np.testing.assert_allclose(sources["a"], sources["b"], atol=1e-6)
    np.testing.assert_allclose(sources["a"][1000:8000], mixture[1000:8000] / 2, atol=5e-3)


@pytest.mark.core
def test_each_setting_has_an_effect():
    tuned = {
        name: scale * played(events, tuning=452.0)
        for name, events, scale in (("melody", MELODY, 1), ("bass", BASS, 1.5))
    }
    narrow = FINE.replace(pitch_tolerance=5.0)
    assert np.mean(gains(narrow.replace(tuning=452.0), tuned)) > np.mean(gains(narrow, tuned)) + 3
    late = {
        name: scale * played(events, shift=0.1)
        for name, events, scale in (("melody", MELODY, 1), ("bass", BASS, 1.5))
    }
    tight = FINE.replace(offset_tolerance=0.0)
    assert np.mean(gains(tight.replace(offset_tolerance=0.2), late)) > np.mean(gains(tight, late)) + 1
    early = {
        name: scale * played(events, shift=-0.1)
        for name, events, scale in (("melody", MELODY, 1), ("bass", BASS, 1.5))
    }
    assert np.mean(gains(FINE.replace(onset_tolerance=0.15), early)) > np.mean(gains(FINE, early)) + 1
    struck = {"melody": TRUTH["melody"] + click(MELODY), "bass": TRUTH["bass"]}
    with_attacks, without = (gains(FINE.replace(attack=attack), struck)[0] for attack in (True, False))
    assert with_attacks > without + 0.5
    ended = FINE.replace(n_iter=200, tol=0.01).fit(FINE.stft.forward(noise((RATE,)), RATE))
    assert len(ended.losses) < 100


def click(events):
    """Return a burst of noise at each onset."""
    track = np.zeros(2 * RATE)
    for onset, _, _ in events:
        first = round(onset * RATE)
        track[first : first + 200] += 1.5 * noise((200,)) * np.exp(-np.arange(200) / 50)
    return track


@pytest.mark.core
def test_it_works_on_other_devices():
    audio = noise((2, 4000))
    device = array_api_strict.Device("device1")
    here, there = (
        PLAIN.separate(audio, RATE),
        PLAIN.separate(array_api_strict.asarray(audio, device=device), RATE),
    )
    for name, source in there.items():
        assert source.device == device
        moved = array_api_strict.asarray(source, device=array_api_strict.Device("CPU_DEVICE"))
        np.testing.assert_allclose(np.asarray(moved), here[name], atol=1e-6)


@pytest.mark.core
def test_everything_can_be_stored(tmp_path):
    for value in (
        PLAIN,
        PLAIN.replace(notes=[Note(pitch=60.5, onset=1, duration=2, part="Ü/1")], n_partials=3),
    ):
        for twin in (from_json(value.to_json()), pickle.loads(pickle.dumps(value)), eval(repr(value))):
            assert twin == value
            assert hash(twin) == hash(value)
            assert repr(twin) == repr(value)
    model = PLAIN.separate(noise((4000,)), RATE).model
    model.save(tmp_path / "model.npz")
    np.testing.assert_array_equal(load_model(tmp_path / "model.npz").templates, model.templates)
    assert (PLAIN >> {"residual": PLAIN}).source_names == (
        "melody", "bass", "residual/melody", "residual/bass", "residual/residual",
    )  # fmt: skip


@pytest.mark.core
def test_settings_are_plain_values():
    given = Note(pitch=np.float64(60), onset=np.int64(1), duration=2, part="a")
    assert repr(given) == "Note(pitch=60, onset=1.0, duration=2.0, part='a')"
    assert given == Note(pitch=60, onset=1.0, duration=2.0, part="a")
    as_list = ScoreInformedNMF(stft=SMALL, notes=iter(SCORE), n_iter=np.int64(10), tuning=440)
    assert as_list == PLAIN
    assert repr(as_list) == repr(PLAIN)
    assert PLAIN.source_names == ("melody", "bass", "residual")
    assert ScoreInformedNMF(notes=SCORE).stft == STFT(4096, 1024)
    with pytest.raises(dataclasses.FrozenInstanceError):
        given.pitch = 61


@pytest.mark.core
def test_a_callback_sees_the_loss_fall_and_ends_the_iterations():
    seen = []

    def callback(progress):
        seen.append(progress)
        return progress.iteration == 7

    model = PLAIN.fit(SMALL.forward(noise((4000,)), RATE), callback=callback)
    assert [progress.iteration for progress in seen] == list(range(1, 8))
    assert tuple(progress.loss for progress in seen) == model.losses[1:]
    assert {(progress.stage, progress.n_iterations) for progress in seen} == {("fit", 10)}


BAD_NOTES = [
    ({"pitch": -1}, "pitch"),
    ({"pitch": 128}, "pitch"),
    ({"pitch": "A4"}, "pitch"),
    ({"pitch": np.nan}, "pitch"),
    ({"onset": np.inf}, "onset"),
    ({"onset": None}, "onset"),
    ({"onset": 1e7}, "onset"),
    ({"duration": -0.1}, "duration"),
    ({"part": ""}, "a source's name"),
    ({"part": 1}, "a source's name"),
    ({"part": "left\nhand"}, "a source's name"),
]


@pytest.mark.parametrize(("change", "name"), BAD_NOTES, ids=lambda value: str(value)[:40])
def test_bad_notes_are_refused(change, name):
    with pytest.raises(InputError) as caught:
        Note(**{"pitch": 60, "onset": 0, "duration": 1, **change})
    assert caught.value.name == name


def many(n):
    return [Note(pitch=k / n * 127, onset=0, duration=1) for k in range(n)]


BAD_SETTINGS = [
    ({"notes": []}, "notes"),
    ({"notes": None}, "notes"),
    ({"notes": SCORE[0]}, "notes"),
    ({"notes": [*SCORE, (0, 1, 60)]}, "notes[8]"),
    ({"notes": [Note(pitch=60, onset=0, duration=1, part="residual")]}, "notes[0]"),
    ({"notes": many(5000)}, "notes"),
    ({"notes": many(10_000), "attack": False}, "notes"),
    ({"notes": [SCORE[0]] * 100_001}, "notes"),
    ({"stft": 4096}, "stft"),
    ({"beta": 4}, "beta"),
    ({"exponent": 3}, "exponent"),
    ({"n_iter": 0}, "n_iter"),
    ({"tol": 2}, "tol"),
    ({"solver": "hals"}, "solver"),
    ({"solver": "auto"}, "solver"),
    ({"tuning": 4.4}, "tuning"),
    ({"tuning": "A"}, "tuning"),
    ({"n_partials": 0}, "n_partials"),
    ({"n_partials": 2.5}, "n_partials"),
    ({"pitch_tolerance": -1}, "pitch_tolerance"),
    ({"pitch_tolerance": 601}, "pitch_tolerance"),
    ({"onset_tolerance": -0.1}, "onset_tolerance"),
    ({"onset_tolerance": 61}, "onset_tolerance"),
    ({"offset_tolerance": np.nan}, "offset_tolerance"),
    ({"attack": 1}, "attack"),
]


@pytest.mark.parametrize(("change", "name"), BAD_SETTINGS, ids=lambda value: str(value)[:40])
def test_bad_settings_are_refused(change, name):
    with pytest.raises(InputError) as caught:
        PLAIN.replace(**change)
    assert caught.value.name == name
    start = {"notes": SCORE, "stft": SMALL, "sample_rate": RATE, "n_frames": 9, **change}
    if not set(change) & {"beta", "n_iter", "tol", "solver"}:
        with pytest.raises(InputError) as caught:
            score_start(**start)
        assert caught.value.name == name


@pytest.mark.parametrize(
    ("change", "name"), [({"sample_rate": 0}, "sample_rate"), ({"n_frames": 0}, "n_frames")]
)
def test_a_start_is_for_some_frames_of_some_rate(change, name):
    with pytest.raises(InputError) as caught:
        score_start(**{"notes": SCORE, "stft": SMALL, "sample_rate": RATE, "n_frames": 9, **change})
    assert caught.value.name == name
    with pytest.raises(InputError, match="spectrogram must be made by this transform"):
        PLAIN.fit(STFT(128, 64).forward(np.ones(1000), RATE))


@pytest.mark.skipif(data_folder() is None, reason="no recordings here")
class TestPiano:
    """The hands of a pianist, by a score that has the notes but neither pedal nor touch."""

    @staticmethod
    def gains(shift=0.0, **settings):
        case = real_case("e_piano_greensleeves")
        events = json.loads((data_folder() / case.name / "events.json").read_text())
        score = [note for hand in case.references for note in notes(events[hand], hand, shift)]
        sources = ScoreInformedNMF(notes=score, **settings).separate(case.mixture, case.sample_rate)
        return {
            hand: float(np.mean(si_sdr(reference, sources[hand]) - si_sdr(reference, case.mixture)))
            for hand, reference in case.references.items()
        }

    def test_both_hands_improve(self):
        found = self.gains()
        assert found["left_hand"] > 7, found
        assert np.mean(list(found.values())) > 9.7, found

    def test_a_score_that_is_a_little_early_will_do(self):
        found = self.gains(shift=-0.05)
        assert min(found.values()) > 5, found
