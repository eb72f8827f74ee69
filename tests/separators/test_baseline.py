"""The trivial baselines: shares of the mixture, and two registers."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import STFT, HighLowPass, HighLowPassModel, InputError, MixtureAsEstimate, load_model, oracle
from dspsep.data import scenes
from dspsep.metrics import score, sdr


def test_every_source_has_an_equal_share():
    mixture = np.arange(8.0).reshape(2, 4)
    sources = MixtureAsEstimate(source_names=["a", "b", "c", "d"]).separate(mixture, 8000)
    assert sources.names == ("a", "b", "c", "d")
    for share in sources.values():
        np.testing.assert_array_equal(share, mixture / 4)


def test_a_stream_may_end_where_a_segment_does():
    stream = MixtureAsEstimate().stream(8000)
    assert stream.latency_samples == 8000  # a segment, and no reach
    mixture = np.arange(16000.0)
    parts = [stream.push(mixture), stream.flush()]
    np.testing.assert_array_equal(np.concatenate([part["vocals"] for part in parts]), mixture / 2)


def test_si_sdr_of_a_share_is_that_of_the_mixture():
    scene = scenes.song(duration=1.0)
    names = tuple(scene.sources)
    shares = MixtureAsEstimate(source_names=names).separate(scene.mixture, scene.sample_rate)
    assert score(scene.sources, shares) == pytest.approx(
        score(scene.sources, dict.fromkeys(names, scene.mixture)), abs=1e-6
    )


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "source_names must be a tuple of at least one name; got \\(\\)"),
        ("vocals", "source_names must be a tuple of at least one name; got 'vocals'"),
        (None, "source_names must be a tuple"),
        (("a", "a"), "source_names must be different names; got \\('a', 'a'\\)"),
        (("a", ""), "a source's name must be"),
        ((1,), "a source's name must be"),
    ],
)
def test_bad_names_are_refused(names, words):
    with pytest.raises(InputError, match=f"^{words}"):
        MixtureAsEstimate(source_names=names)


def _gain(hertz, cutoff, name):
    rate = 16000
    tone = np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
    part = HighLowPass(cutoff_hertz=cutoff).separate(tone, rate)[name]
    middle = slice(4000, 12000)
    return float(part[middle] @ tone[middle] / (tone[middle] @ tone[middle])), part[middle], tone[middle]


@pytest.mark.parametrize("cutoff", [300.0, 303.0, 1234.5])
def test_half_of_the_amplitude_at_the_cutoff_and_zero_phase(cutoff):
    for name in ("accompaniment", "vocals"):
        gain, part, tone = _gain(cutoff, cutoff, name)
        assert gain == pytest.approx(0.5, abs=0.05)
        assert np.abs(part - gain * tone).max() < 0.15  # in phase, but for what frames do differently


def test_registers_are_parted_within_a_few_bins():
    bins = 16000 / 2048
    for name, sign in (("accompaniment", -1), ("vocals", 1)):
        assert _gain(800 + sign * 4 * bins, 800.0, name)[0] > 0.999
        assert abs(_gain(800 - sign * 4 * bins, 800.0, name)[0]) < 0.001


def test_the_cutoff_is_not_rounded_to_a_bin():
    rate = 8000
    spectrogram = STFT(16).forward(np.ones(100), rate)  # bins of 500 Hz
    shares = {
        cutoff: next(HighLowPassModel(cutoff_hertz=cutoff, low="l", high="h").iter_masks(spectrogram))[
            0, :, 0
        ]
        for cutoff in (1000.0, 1100.0, 1250.0)
    }
    np.testing.assert_allclose(shares[1000.0], [1, 1, 0.5, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(shares[1100.0], [1, 1, 0.7, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(shares[1250.0], [1, 1, 1, 0, 0, 0, 0, 0, 0])


def test_bass_and_voice_are_better_than_the_mixture():
    scene = scenes.song(duration=4.0)
    sources = HighLowPass(cutoff_hertz=150.0, low="bass", high="rest").separate(
        scene.mixture, scene.sample_rate
    )
    bass = scene.sources["bass"]
    assert sdr(bass, sources["bass"]) > sdr(bass, scene.mixture) + 3


def test_a_stored_model_is_the_same(tmp_path):
    model = HighLowPass().separate(np.ones(5000), 8000).model
    model.save(tmp_path / "model.npz")
    assert load_model(tmp_path / "model.npz") == model
    for bad in ({"cutoff_hertz": -1.0}, {"low": "vocals"}, {"high": 3}):
        with pytest.raises(InputError):
            HighLowPassModel(**{"cutoff_hertz": 1.0, "low": "low", "high": "vocals", **bad})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cutoff_hertz": 0}, "cutoff_hertz must be a number above 0"),
        ({"cutoff_hertz": 2e6}, "cutoff_hertz must be"),
        ({"low": "x", "high": "x"}, "high must be another name than that of low; got 'x'"),
        ({"low": ""}, "a source's name must be"),
        ({"stft": None}, "stft must be an STFT"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(InputError, match=f"^{words}"):
        HighLowPass(**settings)


def test_the_oracle_module_has_all_bounds():
    assert oracle.MixtureAsEstimate is MixtureAsEstimate
    assert oracle.HighLowPass is HighLowPass
    assert set(oracle.__all__) == {
        "IBM",
        "IRM",
        "IWM",
        "MWF",
        "PSM",
        "HighLowPass",
        "MixtureAsEstimate",
        "OracleModel",
    }
