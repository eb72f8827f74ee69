"""What all oracles promise: the law of the sum, values, finite results, words for bad input."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from dspsep import STFT, FrozenArray, InputError, Separator, Sources, _audio, from_json
from dspsep.metrics import sdr
from dspsep.oracle import IBM, IRM, IWM, MWF, PSM
from dspsep.testing import contract

KINDS = (IBM, IRM, IWM, PSM, MWF)
SMALL = STFT(128, 32)


def references_and_mixture(n_sources=2, n_samples=1500, n_channels=2, noise=0.0, dtype=np.float64):
    """Return sources at different places that overlap in time and frequency, and their noisy mixture."""
    rng = np.random.default_rng(5)
    shape = (n_samples,) if n_channels is None else (n_channels, n_samples)
    time = np.arange(n_samples)
    references = {}
    for name in "abcdefgh"[:n_sources]:
        tone = np.sin(rng.uniform(0.05, 1.0) * time) * (1 + np.sin(rng.uniform(0.001, 0.01) * time))
        places = rng.uniform(0.2, 1.0, (*shape[:-1], 1)) if n_channels else 1.0
        references[name] = (0.3 * places * tone + 0.05 * rng.standard_normal(shape)).astype(dtype)
    extra = noise * rng.standard_normal(shape)
    return references, (sum(references.values()) + extra).astype(dtype)


@dataclass(frozen=True, kw_only=True)
class OfTheMixture(Separator):
    """An oracle whose references are made from the mixture: what is smooth in it, and the rest."""

    kind: type
    stft: STFT = SMALL

    @property
    def source_names(self):
        return ("smooth", "rest", "residual")

    def separate(self, mixture, sample_rate, *, callback=None):
        samples = _audio.samples_of("mixture", mixture)
        if not np.isfinite(samples).all():
            raise InputError("mixture", "finite", "NaN or infinity")
        smooth = 0.45 * (samples + np.roll(samples, 1, axis=-1))
        if samples.ndim == 2:
            smooth = smooth * np.linspace(1, 0.5, samples.shape[0], dtype=samples.dtype)[:, None]
        oracle = self.kind(references={"smooth": smooth, "rest": samples - smooth}, stft=self.stft)
        return oracle.separate(mixture, sample_rate, callback=callback)


@pytest.mark.core
@pytest.mark.parametrize(
    "clause",
    [
        pytest.param(clause, id=f"{kind.__name__}-{clause!r}")
        for kind in KINDS
        # A binary mask and a limit decide otherwise for a bin where rounding does.
        for clause in contract(OfTheMixture(kind=kind), precision_snr=40 if kind is IBM else 60)
    ],
)
def test_contract(clause):
    clause()


@pytest.mark.core
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_channels", [None, 1, 2, 3])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_sources_sum_to_the_mixture(kind, dtype, n_channels, noise):
    references, mixture = references_and_mixture(3, n_channels=n_channels, noise=noise, dtype=dtype)
    sources = kind(references=references, stft=SMALL).separate(mixture, 8000)
    assert sources.names == ("a", "b", "c", "residual")
    for source in sources.values():
        assert source.shape == mixture.shape
        assert source.dtype == dtype
    np.testing.assert_allclose(sources.mixture(), mixture, atol=5e-6 if dtype is np.float32 else 1e-12)


@pytest.mark.parametrize("kind", [IRM, IWM, MWF])
@pytest.mark.parametrize("n_channels", [None, 2, 3])
def test_nothing_is_left_where_the_references_sum_to_the_mixture(kind, n_channels):
    references, mixture = references_and_mixture(3, n_channels=n_channels)
    residual = kind(references=references, stft=SMALL).separate(mixture, 8000)["residual"]
    assert np.abs(residual).max() < 1e-12


@pytest.mark.parametrize("kind", [IRM, IWM, MWF])
def test_noise_without_a_reference_is_the_residual(kind):
    references, mixture = references_and_mixture(2, n_samples=6000, noise=0.3)
    noise = mixture - sum(references.values())
    sources = kind(references=references, stft=SMALL).separate(mixture, 8000)
    assert sdr(noise, sources["residual"]) > 5
    for name, reference in references.items():
        assert sdr(reference, sources[name]) > sdr(reference, mixture) + 3


@pytest.mark.parametrize("kind", KINDS)
def test_one_reference_leaves_the_rest_to_the_residual(kind):
    references, mixture = references_and_mixture(2, n_samples=6000)
    sources = kind(references={"a": references["a"]}, stft=SMALL).separate(mixture, 8000)
    assert sources.names == ("a", "residual")
    assert sdr(references["b"], sources["residual"]) > sdr(references["b"], mixture) + 3


@pytest.mark.parametrize("kind", KINDS)
def test_awkward_references_give_finite_sources(kind):
    references, mixture = references_and_mixture(2)
    a, b = references.values()
    mono = np.broadcast_to(a[0], a.shape)
    one_side = a * np.array([[1.0], [0.0]])
    gap = b.copy()
    gap[:, 300:1100] = 0
    cases = {
        "a silent reference": ({"a": a, "b": 0 * a}, a),
        "silence": ({"a": 0 * a, "b": 0 * a}, 0 * a),
        "a silent mixture of loud references": ({"a": a, "b": -a}, 0 * a),
        "silent references of a loud mixture": ({"a": 0 * a}, a),
        "mono saved as stereo": ({"a": mono, "b": np.broadcast_to(b[0], b.shape)}, mono + b[0]),
        "one channel": ({"a": one_side, "b": 0.5 * one_side[::-1]}, one_side + 0.5 * one_side[::-1]),
        "one channel for all": ({"a": one_side, "b": 2 * one_side}, 3 * one_side),
        "the same twice": ({"a": a, "b": a}, 2 * a),
        "a gap in all": ({"b": gap}, gap),
        "the wrong references": ({"a": a, "b": b}, a[:, ::-1].copy()),
        "one sample": ({"a": a[:, :1], "b": b[:, :1]}, a[:, :1] + b[:, :1]),
        "references of a peak of 1e200": ({"a": a * 1e200, "b": b * 1e200}, mixture),
        "a mixture of a peak of 1e200": ({"a": a, "b": b}, mixture * 1e200),
        "a mixture of a peak of 1e-200": ({"a": a, "b": b * 1e-200}, mixture * 1e-200),
        "one reference of a peak of 1e-300": ({"a": a, "b": b * 1e-300}, a),
        "silence in single precision beside 1e-300": (
            {"a": a * 1e-300, "b": np.zeros_like(b, np.float32)},
            a * 1e-300,
        ),
        "an impulse": (
            {"a": np.eye(2, 1500, 700), "b": np.eye(2, 1500)},
            np.eye(2, 1500, 700) + np.eye(2, 1500),
        ),
    }
    for what, (given, audio) in cases.items():
        for dtype in (np.float64, np.float32):
            if np.abs(audio).max() > np.finfo(dtype).max / 16:
                continue
            mixture_ = audio.astype(dtype)
            sources = kind(references=given, stft=SMALL).separate(mixture_, 8000)
            peak = max(float(np.abs(mixture_).max()), np.finfo(dtype).smallest_normal)
            for name, source in sources.items():
                assert np.isfinite(source).all(), (what, name)
                assert np.abs(source).max() <= 4 * peak, (what, name)
            assert np.abs(sources.mixture() - mixture_).max() <= 5e-6 * peak, what


@pytest.mark.parametrize("kind", KINDS)
def test_mixture_and_references_scale_together(kind):
    references, mixture = references_and_mixture(2, noise=0.1)
    expected = kind(references=references, stft=SMALL).separate(mixture, 8000)
    for factor in (-1.0, 2.0**-60, 2.0**60, 2.0**-600, 2.0**600):
        scaled = {name: audio * factor for name, audio in references.items()}
        sources = kind(references=scaled, stft=SMALL).separate(mixture * factor, 8000)
        for name in expected:
            np.testing.assert_allclose(sources[name] / factor, expected[name], atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_pcm_is_read_alike_in_mixture_and_references(kind):
    references, _ = references_and_mixture(2)
    pcm = {name: np.rint(audio * 8000).astype(np.int16) for name, audio in references.items()}
    floating = {name: (audio / 2**15).astype(np.float32) for name, audio in pcm.items()}
    expected = kind(references=floating, stft=SMALL).separate(sum(floating.values()), 8000)
    sources = kind(references=pcm, stft=SMALL).separate(sum(pcm.values()), 8000)
    for name in expected:
        np.testing.assert_array_equal(sources[name], expected[name])


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_a_value(kind):
    references, mixture = references_and_mixture(2)
    oracle = kind(references=references, stft=SMALL)
    twins = (
        kind(references=Sources.from_dict(references, 8000), stft=SMALL),
        kind(references=tuple(references.items()), stft=SMALL),
        pickle.loads(pickle.dumps(oracle)),
        from_json(oracle.to_json()),
        oracle.replace(),
    )
    for twin in twins:
        assert twin == oracle
        assert hash(twin) == hash(oracle)
        assert repr(twin) == repr(oracle)
    assert oracle.replace(stft=STFT(64)) != oracle
    assert oracle.replace(references={"a": references["a"], "b": -references["b"]}) != oracle
    assert isinstance(oracle.references[0][1], FrozenArray)
    references["a"][:] = 0  # what it was made of is the caller's to change
    assert oracle == twins[0]
    assert oracle.separate(mixture, 8000).provenance.settings == repr(oracle)


def test_a_short_oracle_prints_as_what_makes_it():
    oracle = IRM(references={"a": np.array([1.0, -1.0])})
    names = {"IRM": IRM, "FrozenArray": FrozenArray, "STFT": STFT}
    assert eval(repr(oracle), names) == oracle


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_are_left_as_they_are(kind):
    references, mixture = references_and_mixture(2)
    kept = {name: audio.copy() for name, audio in references.items()}, mixture.copy()
    sources = kind(references=references, stft=SMALL).separate(mixture, 8000)
    np.testing.assert_array_equal(mixture, kept[1])
    for name, audio in references.items():
        np.testing.assert_array_equal(audio, kept[0][name])
        assert not np.shares_memory(sources[name], audio)
    assert not np.shares_memory(sources["residual"], mixture)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("references", "words"),
    [
        (None, "references must be a mapping from the name of each source to its true audio; got None"),
        ({}, "references must be a mapping from .*; got {}"),
        ([1.0, 2.0], "references must be a mapping"),
        ({"": np.ones(9)}, "a source's name must be a printable string"),
        (
            {"residual": np.ones(9)},
            "references must be named otherwise than what they leave over; got 'residual'",
        ),
        (
            {"a": np.ones(9), "b": np.ones(8)},
            r"references\['b'\] must be of the shape of references\['a'\], \(9,\)",
        ),
        ({"a": np.full(9, np.nan)}, r"references\['a'\] must be finite; got 9 NaN"),
        ({"a": np.ones((2, 0))}, r"references\['a'\] must be at least one sample long"),
        ({"a": np.ones((1, 2, 3))}, r"references\['a'\] must be an array \(n_samples,\)"),
        ({"a": "voice.wav"}, r"references\['a'\] must be an array of numbers; got str"),
        ({"a": np.ones(9, complex)}, r"references\['a'\] must be real floating-point audio"),
    ],
)
def test_bad_references_are_refused(kind, references, words):
    with pytest.raises(InputError, match=f"^{words}"):
        kind(references=references)


@pytest.mark.parametrize("kind", KINDS)
def test_bad_mixtures_are_refused(kind):
    references, mixture = references_and_mixture(2)
    oracle = kind(references=references)
    for bad in (mixture[:, :-1], mixture[0], mixture[:1], np.concatenate([mixture, mixture])):
        with pytest.raises(
            InputError, match=r"^mixture must be of the shape of the references, \(2, 1500\); got \("
        ):
            oracle.separate(bad, 8000)
    with pytest.raises(InputError, match=r"^mixture must be finite"):
        oracle.separate(mixture * np.nan, 8000)
    with pytest.raises(InputError, match=r"^sample_rate must be"):
        oracle.separate(mixture, 0)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        *((kind, {"stft": 2048}, "stft must be an STFT; got 2048") for kind in KINDS),
        (IBM, {"threshold": 0}, "threshold must be a number above 0"),
        (IBM, {"threshold": 2e6}, "threshold must be"),
        (IBM, {"exponent": 0}, "exponent must be a number above 0"),
        (IRM, {"exponent": 1001}, "exponent must be a number above 0 and at most 1000"),
        (IWM, {"exponent": "2"}, "exponent must be"),
        (PSM, {"lowest": float("nan")}, "lowest must be"),
        (PSM, {"highest": 2e6}, "highest must be"),
        (PSM, {"lowest": 1.0}, "lowest must be below highest, 1; got 1"),
        (MWF, {"regularisation": 0}, "regularisation must be a number of at least 1e-12"),
        (MWF, {"regularisation": 2}, "regularisation must be"),
    ],
)
def test_bad_settings_are_refused(kind, settings, words):
    with pytest.raises(InputError, match=f"^{words}"):
        kind(references={"a": np.ones(9)}, **settings)


def test_a_reference_keeps_its_precision():
    given = {
        "a": np.ones(9, np.float32),
        "b": np.ones(9),
        "c": np.ones(9, np.float16),
        "d": np.ones(9, np.int32),
    }
    kept = dict(IRM(references=given).references)
    assert [kept[name].values.dtype.name for name in given] == ["float32", "float64", "float32", "float64"]
    again = IRM(references=tuple(kept.items()))
    assert dict(again.references)["a"] is kept["a"]
