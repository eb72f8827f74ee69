"""HPSS against librosa's: masks, audio and quality, on real music and on a stored oracle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dspsep import HPSS, STFT, hpss_masks
from dspsep.metrics import si_sdr
from tests.cases import case_names, real_case
from tests.separators.oracles.make_hpss import SETTINGS, spectrogram

ORACLE = Path(__file__).parent / "oracles" / "hpss.npz"

#: SI-SDR of (harmonic, percussive) in dB under default settings, minus that of the mixture itself: what was
#: measured on the first five seconds, less 0.5 dB. Alone it is no measure of quality (references are whole
#: instruments, and drums ring); it says that nothing has become worse.
FLOORS = {
    "b_freedoom_dm28": (-2.72, -5.45),
    "b_greensleeves": (2.14, 9.69),
    "b_mdn_funk": (-3.43, 1.78),
    "b_rubidium": (-0.17, -9.88),
    "b_scene": (2.97, 5.72),
}


def ours(settings):
    """Translate librosa's settings."""
    settings = dict(settings)
    frames, bins = settings.pop("kernel_size", (31, 31))
    if settings.get("power") == np.inf:
        settings |= {"mask": "hard", "power": 2.0}
    return {"harmonic_frames": frames, "percussive_bins": bins, **settings}


@pytest.mark.core
@pytest.mark.parametrize("name", SETTINGS)
def test_masks_are_the_stored_ones(name):
    with np.load(ORACLE, allow_pickle=False) as stored:  # a missing file is a failure
        assert json.loads(str(stored["versions"]))["librosa"] >= "0.11"
        V = stored["V"]
        expected = stored[f"{name}_harmonic"], stored[f"{name}_percussive"]
    assert np.array_equal(V, spectrogram())
    for dtype in (np.float64, np.float32):
        for found, mask in zip(hpss_masks(V.astype(dtype), **ours(SETTINGS[name])), expected, strict=True):
            # A hard mask in single precision may fall on the other side where the medians are nearly equal.
            wrong = np.abs(found - mask) > 1e-6
            assert wrong.mean() <= (0.001 if "hard" in name and dtype == np.float32 else 0)


def excerpt(name, seconds):
    case = real_case(name)
    n_samples = round(seconds * case.sample_rate)
    references = {key: np.ascontiguousarray(value[:, :n_samples]) for key, value in case.references.items()}
    return np.ascontiguousarray(case.mixture[:, :n_samples]), references, case.sample_rate


def librosas(magnitudes, **settings):
    import librosa

    return librosa.decompose.hpss(magnitudes, mask=True, **settings)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_masks_are_librosas_on_real_music(settings):
    mixture, _, rate = excerpt(case_names("b_")[-1], 3)
    V = STFT().forward(mixture, rate).magnitude()
    for found, expected in zip(hpss_masks(V, **ours(settings)), librosas(V, **settings), strict=True):
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() <= 1e-6


@pytest.mark.parametrize("name", [*case_names("a_")[:2], *case_names("e_")])
def test_default_masks_are_librosas_on_other_music(name):
    mixture, _, rate = excerpt(name, 3)
    V = STFT().forward(mixture, rate).magnitude()
    for found, expected in zip(hpss_masks(V), librosas(V), strict=True):
        assert np.abs(found - expected).max() <= 1e-6


def test_even_lengths_are_rounded_up_where_librosa_shifts_by_half_a_bin():
    mixture, _, rate = excerpt(case_names("b_")[0], 1)
    V = STFT().forward(mixture, rate).magnitude()
    for found, expected in zip(hpss_masks(V, 16, 8), librosas(V, kernel_size=(17, 9)), strict=True):
        assert np.abs(found - expected).max() <= 1e-6
    for found, other in zip(hpss_masks(V, 16, 8), librosas(V, kernel_size=(16, 8)), strict=True):
        assert np.abs(found - other).max() > 0.1


@pytest.mark.parametrize("name", case_names("b_"))
def test_audio_and_scores_are_librosas(name):
    import librosa

    mixture, references, rate = excerpt(name, 5)
    sources = HPSS().separate(mixture, rate)
    theirs = dict(zip(("harmonic", "percussive"), librosa.effects.hpss(mixture), strict=True))
    peak = np.abs(mixture).max()
    for source, reference in (("harmonic", "harmonic"), ("percussive", "drums")):
        assert np.abs(sources[source] - theirs[source]).max() <= 1e-5 * peak
        score = si_sdr(references[reference], sources[source])
        other = si_sdr(references[reference], theirs[source])
        assert abs(score - other) <= 0.05


@pytest.mark.parametrize("name", sorted({*case_names("b_"), "b_scene"}))
def test_scores_stay_above_their_floors(name):
    mixture, references, rate = excerpt(name, 5)
    sources = HPSS().separate(mixture, rate)
    for source, reference, floor in zip(sources, ("harmonic", "drums"), FLOORS[name], strict=True):
        before = si_sdr(references[reference], mixture)
        after = si_sdr(references[reference], sources[source])
        assert after - before >= floor, (source, after - before)
