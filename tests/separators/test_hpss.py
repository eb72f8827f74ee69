"""HPSS: known answers, the law, its units, and every way to ask for what it cannot do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dspsep import HPSS, STFT, HPSSModel, InputError, Progress, hpss_masks, load_model
from tests.test_stft import noise

SMALL = STFT(128)


@st.composite
def settings(draw):
    margins = st.floats(1, 20)
    return {
        "harmonic_frames": draw(st.integers(1, 40)),
        "percussive_bins": draw(st.integers(1, 40)),
        "mask": draw(st.sampled_from(["soft", "hard"])),
        "power": draw(st.floats(0.05, 30)),
        "margin": draw(st.one_of(st.just(1.0), margins, st.tuples(margins, margins))),
    }


@st.composite
def spectrograms(draw):
    n_freqs, n_frames = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    V = rng.exponential(size=(n_freqs, n_frames)) * 10.0 ** draw(st.integers(-30, 30))
    V[rng.uniform(size=V.shape) < draw(st.floats(0, 1))] = 0
    return V.astype(draw(st.sampled_from(["float32", "float64"])))


@pytest.mark.core
@given(spectrograms(), settings())
def test_masks_are_shares(V, settings):
    harmonic, percussive = hpss_masks(V, **settings)
    for mask in (harmonic, percussive):
        assert mask.shape == V.shape
        assert mask.dtype == V.dtype
        assert mask.min() >= 0
        assert mask.max() <= 1
    total = harmonic + percussive
    assert total.max() <= 1 + 1e-6
    if settings["mask"] == "soft" and settings["margin"] == 1:
        np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.core
@given(settings(), st.integers(1, 2000), st.sampled_from(["float32", "float64"]))
def test_masks_of_a_model_sum_to_one_and_sources_to_the_mixture(settings, n_samples, dtype):
    hpss = HPSS(stft=SMALL, **settings)
    audio = noise(n_samples, dtype, 2)
    sources = hpss.separate(audio, 8000)
    assert sources.names == hpss.source_names
    assert (
        np.abs(sources.mixture() - audio).max()
        <= (5e-6 if dtype == "float32" else 1e-12) * np.abs(audio).max()
    )
    masks = sources.model.masks(SMALL.forward(audio, 8000))
    assert tuple(masks) == hpss.source_names
    total = sum(masks.values())
    np.testing.assert_allclose(total, 1, atol=1e-6 if dtype == "float32" else 1e-12)
    for mask in masks.values():
        assert mask.min() >= 0
        assert mask.max() <= 1


@pytest.mark.core
@pytest.mark.parametrize("mask", ["soft", "hard"])
@pytest.mark.parametrize("margin", [1.0, 2.0])
def test_lines_are_harmonic_and_columns_percussive(mask, margin):
    V = np.full((100, 80), 1e-3)
    V[30], V[:, 50] = 1.0, 1.0
    harmonic, percussive = hpss_masks(V, 17, 17, mask=mask, margin=margin)
    others = np.arange(80) != 50
    assert harmonic[30, others].min() > 0.999
    assert percussive[30, others].max() < 0.001
    others = np.arange(100) != 30
    assert percussive[others, 50].min() > 0.999
    assert harmonic[others, 50].max() < 0.001


def test_a_tone_and_clicks_are_told_apart_in_audio():
    time = np.arange(16000) / 8000
    tone, clicks = 0.3 * np.sin(2 * np.pi * 440 * time), np.zeros(16000)
    clicks[1000::2000] = 1.0
    sources = HPSS(stft=STFT(512), harmonic_frames=17, percussive_bins=17).separate(tone + clicks, 8000)
    for name, reference in (("harmonic", tone), ("percussive", clicks)):
        inner = slice(800, -800)  # the tone itself begins and ends with a click
        error = np.sum((sources[name] - reference)[inner] ** 2) / np.sum(reference[inner] ** 2)
        assert 10 * np.log10(1 / error) > 12, name


@pytest.mark.core
def test_the_residual_is_what_settings_leave():
    two, three = ("harmonic", "percussive"), ("harmonic", "percussive", "residual")
    for names, options in (
        (two, {}), (two, {"power": 1.0}), (two, {"margin": (1.0, 1.0)}), (two, {"margin": 1}),
        (three, {"margin": 1.01}), (three, {"margin": (1.0, 2.0)}), (three, {"mask": "hard"}),
    ):  # fmt: skip
        hpss = HPSS(stft=SMALL, **options)
        assert hpss.source_names == names
        assert hpss.separate(noise(500), 8000).names == names


def test_a_larger_margin_leaves_more_over():
    audio = noise(8000)
    energies = [
        float(np.sum(HPSS(stft=SMALL, margin=margin).separate(audio, 8000)["residual"] ** 2))
        for margin in (1.1, 2.0, 5.0)
    ]
    assert energies == sorted(energies)
    assert energies[0] < 0.5 * energies[-1]


@pytest.mark.core
def test_channels_are_separated_one_by_one():
    audio = noise(3000, "float32", 3)
    together = HPSS(stft=SMALL, margin=1.5).separate(audio, 8000)
    for channel in range(3):
        alone = HPSS(stft=SMALL, margin=1.5).separate(audio[channel], 8000)
        for name in together:
            assert alone[name].tobytes() == together[name][channel].tobytes()
    V = np.abs(SMALL.forward(audio, 8000).values)
    stacked = hpss_masks(V, 5, 7)
    for channel in range(3):
        for mask, alone in zip(stacked, hpss_masks(V[channel], 5, 7), strict=True):
            assert np.array_equal(mask[channel], alone)


@pytest.mark.core
def test_shifting_by_whole_hops_shifts_the_sources():
    audio = noise(6000)
    shifted = np.r_[np.zeros(320), audio]
    hpss = HPSS(stft=SMALL, harmonic_frames=9)
    here, there = hpss.separate(audio, 8000), hpss.separate(shifted, 8000)
    for name in here:
        difference = np.abs(there[name][320:] - here[name])[1000:-1000]
        assert difference.max() <= 1e-12


# ---- units


@pytest.mark.core
@pytest.mark.parametrize("rate", [8000, 44100, 48000, 11025.5])
@pytest.mark.parametrize(("seconds", "hertz"), [(0.2, 500.0), (0.36, 700.0), (1e-9, 1e-9), (0.5, 3000)])
def test_seconds_and_hertz_are_frames_and_bins(rate, seconds, hertz):
    stft = STFT(512)
    spectrogram = stft.forward(noise(5000), rate)
    frames, bins = max(1, round(seconds * rate / 128)), max(1, round(hertz * 512 / rate))
    odd_frames, odd_bins = frames + (frames % 2 == 0), bins + (bins % 2 == 0)
    physical = HPSS(stft=stft, harmonic_seconds=seconds, percussive_hertz=hertz)
    for counted in (
        HPSS(stft=stft, harmonic_frames=frames, percussive_bins=bins),
        HPSS(stft=stft, harmonic_frames=odd_frames, percussive_bins=odd_bins),
    ):
        assert physical.fit(spectrogram) == counted.fit(spectrogram)
    assert physical.fit(spectrogram).harmonic_frames == odd_frames
    assert physical.fit(spectrogram).percussive_bins == odd_bins


def test_physical_lengths_give_the_same_audio():
    audio = noise(4000)
    counted = HPSS(stft=SMALL, harmonic_frames=25, percussive_bins=9).separate(audio, 8000)
    physical = HPSS(stft=SMALL, harmonic_seconds=0.1, percussive_hertz=562.5).separate(audio, 8000)
    for name in counted:
        assert counted[name].tobytes() == physical[name].tobytes()


@pytest.mark.core
def test_defaults_are_31_and_even_lengths_are_rounded_up():
    spectrogram = STFT().forward(noise(5000), 44100)
    assert HPSS().fit(spectrogram) == HPSSModel(
        harmonic_frames=31, percussive_bins=31, mask="soft", power=2.0, margin=1.0
    )
    V = np.abs(noise(600)).reshape(20, 30)
    for even, odd in zip(hpss_masks(V, 6, 8), hpss_masks(V, 7, 9), strict=True):
        assert np.array_equal(even, odd)


# ---- what cannot be asked for


@pytest.mark.core
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("harmonic_seconds and harmonic_frames", {"harmonic_seconds": 0.1, "harmonic_frames": 3}),
        ("percussive_hertz and percussive_bins", {"percussive_hertz": 100.0, "percussive_bins": 3}),
        *[("harmonic_seconds", {"harmonic_seconds": bad}) for bad in (0, -1.0, np.nan, np.inf, "1", True)],
        *[("percussive_hertz", {"percussive_hertz": bad}) for bad in (0, -1.0, np.nan, np.inf)],
        *[("harmonic_frames", {"harmonic_frames": bad}) for bad in (0, -3, 3.0, "3", True)],
        *[("percussive_bins", {"percussive_bins": bad}) for bad in (0, -3, 3.0)],
        *[("mask", {"mask": bad}) for bad in ("binary", None, "", ["soft"])],
        *[("power", {"power": bad}) for bad in (0, -2.0, np.nan, np.inf, "2", None, 1j)],
        *[
            ("margin", {"margin": bad})
            for bad in (0.99, 0, -1, np.nan, np.inf, "2", None, (2.0,), (1.0, 2.0, 3.0))
        ],
        *[("margin", {"margin": bad}) for bad in ((1.0, 0.5), (), [1.0, 0.2], (1.0, None))],
        *[("stft", {"stft": bad}) for bad in (2048, None, "hann")],
    ],
    ids=str,
)
def test_wrong_settings_are_refused_by_name(name, options):
    with pytest.raises(InputError, match=r" must be .+; got .+\.") as info:
        HPSS(**options)
    assert info.value.name == name
    if not {"stft", "harmonic_seconds", "percussive_hertz"} & set(options):
        with pytest.raises(InputError) as info:
            hpss_masks(np.ones((4, 4)), **options)
        assert info.value.name == name


def test_numbers_too_large_for_a_float_are_refused():
    for name in ("power", "margin", "harmonic_seconds"):
        with pytest.raises(InputError, match=rf"^{name} must be"):
            HPSS(**{name: 10**400})


def test_settings_are_keywords_only():
    with pytest.raises(TypeError):
        HPSS(SMALL)


@pytest.mark.core
@pytest.mark.parametrize(
    "V",
    [
        np.ones(4), np.ones((1, 1, 1, 1)), np.ones((0, 4)), np.ones((4, 0)), np.ones((4, 4), complex),
        np.array([[-1e-9, 1]]), np.array([[np.nan, 1]]), np.array([["a", "b"]]), np.array([[None, 1]],
        object),
        "V", None, [[1.0], [1.0, 2.0]],
    ],
    ids=lambda V: f"{type(V).__name__}-{getattr(V, 'shape', '')}-{getattr(V, 'dtype', '')}",
)  # fmt: skip
def test_what_is_no_spectrogram_is_refused(V):
    with pytest.raises(InputError, match=r"^V must be "):
        hpss_masks(V)


@pytest.mark.core
def test_infinite_magnitudes_are_refused_not_turned_into_nan():
    V = np.ones((9, 9))
    V[4, 2:7] = V[2:7, 4] = np.inf
    with pytest.raises(InputError, match=r"^V must be "):
        hpss_masks(V, 3, 3)


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", ["soft", "hard"])
def test_the_largest_magnitudes_and_margins_do_not_overflow(mask, dtype):
    V = np.full((9, 9), np.finfo(dtype).max / 2, dtype)
    for margin in (1.0, 4.0, 1e6):
        harmonic, percussive = hpss_masks(V, 3, 3, mask=mask, margin=margin)
        expected = 0.5 if mask == "soft" and margin == 1 else 1 / (1 + margin**2) if mask == "soft" else 0
        np.testing.assert_allclose(harmonic, expected, atol=1e-6)
        np.testing.assert_allclose(percussive, expected, atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        *[{"power": huge} for huge in (1e12, 1e39, 1e300)],
        *[{"margin": huge} for huge in (1e12, 1e39, 1e300)],
        {"harmonic_seconds": 1e308},
        {"percussive_hertz": 1e308},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_settings_give_finite_sources_or_an_error(dtype, options):
    try:
        sources = HPSS(stft=SMALL, **options).separate(np.r_[np.zeros(500), noise(500)].astype(dtype), 8000)
    except InputError:
        return
    assert all(np.isfinite(source).all() for source in sources.values())


# ---- models


@pytest.mark.core
@pytest.mark.parametrize("options", [{}, {"margin": (1.0, 2.5)}, {"mask": "hard"}, {"power": 0.7}], ids=str)
def test_models_are_stored_and_applied_to_other_audio(options, tmp_path):
    hpss = HPSS(stft=SMALL, harmonic_seconds=0.1, **options)
    model = hpss.separate(noise(2000), 8000).model
    model.save(tmp_path / "model.npz")
    stored = load_model(tmp_path / "model.npz")
    assert stored == model == pickle.loads(pickle.dumps(model))
    assert hash(stored) == hash(model)
    other = SMALL.forward(noise(3000, n_channels=2, seed=9), 8000)
    expected = hpss.fit(other).masks(other)
    masks = stored.masks(other)
    assert tuple(masks) == stored.source_names == hpss.source_names
    for name in masks:
        assert np.array_equal(masks[name], expected[name])


def test_masks_of_a_model_make_the_sources():
    audio = noise(3000)
    hpss = HPSS(stft=SMALL, margin=2.0)
    sources = hpss.separate(audio, 8000)
    spectrogram = SMALL.forward(audio, 8000)
    for name, mask in sources.model.masks(spectrogram).items():
        np.testing.assert_allclose(SMALL.inverse(spectrogram, mask=mask), sources[name], atol=1e-12)


@pytest.mark.core
def test_progress_is_told_in_order():
    seen = []
    HPSS(stft=SMALL, margin=2.0).separate(noise(500), 8000, callback=seen.append)
    assert [progress.stage for progress in seen] == ["transform", "fit", "harmonic", "percussive"]
    assert all(isinstance(progress, Progress) for progress in seen)
    assert isinstance(seen[-1].model, HPSSModel)
    assert [(p.iteration, p.n_iterations) for p in seen[2:]] == [(0, 2), (1, 2)]
