"""Nothing leaves a device unseen, and how often something does depends on steps and blocks, not on the audio.

Every entry of the registry has a row here. `array_api_strict`'s second device stands in for a GPU.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import dspsep
from dspsep import _backend, _registry, metrics, oracle
from dspsep.separators.repetition.proximity import Horizontal, Vertical
from tests.devices import DEVICE, hidden_exits_refused, on_device
from tests.test_stft import noise

SMALL, COARSE = dspsep.STFT(64), dspsep.STFT(128)
RATE = 8000

#: For each method: settings, and how many exits there may be, whatever the length and the transform.
METHODS = {
    "HPSS": (dspsep.HPSS(), 1),
    "CascadedHPSS": (dspsep.CascadedHPSS(first=dspsep.HPSS(stft=COARSE), second=dspsep.HPSS(stft=SMALL)), 3),
    "IterativeHPSS": (dspsep.IterativeHPSS(n_iter=5), 5),
    "TwoStageHPSS": (dspsep.TwoStageHPSS(first=dspsep.HPSS(stft=COARSE), second=dspsep.HPSS(stft=SMALL)), 3),
    "NMF": (dspsep.NMF(n_components=2, n_iter=5, tol=0), 31),
    "NMFD": (dspsep.NMFD(start="random", n_iter=5, tol=0), 31),
    "OnlineNMF": (dspsep.OnlineNMF(n_components=2, n_iter=5, tol=0, batch_seconds=10), 31),
    "REPET": (dspsep.REPET(min_period_seconds=0.02), 10),
    "REPETExtended": (dspsep.REPETExtended(min_period_seconds=0.02, segment_seconds=10, step_seconds=5), 10),
    "AdaptiveREPET": (
        dspsep.AdaptiveREPET(min_period_seconds=0.02, window_seconds=10, step_seconds=5, order=3),
        10,
    ),
    "REPETSim": (dspsep.REPETSim(distance_seconds=0.02), 10),
    "NearestNeighborMedian": (dspsep.NearestNeighborMedian(distance_seconds=0.02, n_neighbors=5), 10),
    "KAM": (
        dspsep.KAM(sources={"accompaniment": [Horizontal(frames=3)], "vocals": [Vertical(bins=3)]}, n_iter=2),
        10,
    ),
    "RPCA": (dspsep.RPCA(n_iter=5, tol=0), 50),
    "FT2D": (dspsep.FT2D(), 10),
    "ADRess": (dspsep.ADRess(n_sources=2), 10),
    "DUET": (dspsep.DUET(n_sources=2), 10),
    "MidSide": (dspsep.MidSide(), 1),
    "PROJET": (dspsep.PROJET(n_angles=5, n_projections=4, n_iter=5), 10),
    "FastICA": (dspsep.FastICA(n_iter=5), 20),
    "Infomax": (dspsep.Infomax(n_iter=5), 20),
    "Picard": (dspsep.Picard(n_iter=5), 20),
    "JADE": (dspsep.JADE(), 20),
    "SOBI": (dspsep.SOBI(), 20),
    "FastMNMF2": (dspsep.FastMNMF2(n_components=2, n_iter=3, init="random"), 30),
    "CACGMM": (dspsep.CACGMM(n_sources=2, n_iter=3), 25),
    "AuxIVA": (dspsep.AuxIVA(n_iter=3), 20),
    "OverIVA": (dspsep.OverIVA(n_iter=3), 20),
    "ILRMA": (dspsep.ILRMA(n_iter=3), 20),
    "FDICA": (dspsep.FDICA(n_iter=3), 20),
    "MixtureAsEstimate": (dspsep.MixtureAsEstimate(), 1),
    "HighLowPass": (dspsep.HighLowPass(), 1),
}


@pytest.fixture
def exits():
    """Return a function that tells how often data went to the host since the last call."""
    before = _backend.host_exits()

    def since():
        nonlocal before
        count, before = _backend.host_exits() - before, _backend.host_exits()
        return count

    with hidden_exits_refused(), warnings.catch_warnings():
        warnings.simplefilter("ignore", dspsep.DspsepWarning)
        yield since


def mixture(n_samples, n_channels):
    rng = np.random.default_rng(1)
    sources = rng.laplace(size=(3, n_samples)) * (1.2 + np.sin(np.arange(n_samples) / [[90], [201], [313]]))
    return (rng.standard_normal((n_channels, 3)) @ sources)[:n_channels]


SIZES = ((3000, 64), (9000, 64), (3000, 256))


def check(separator_of, audio_of, most, exits):
    """Check that a separator takes at most so many exits, however long or fine it is, and gives the same."""
    counts = {}
    for n_samples, n_fft in SIZES:
        separator, audio = separator_of(n_samples, dspsep.STFT(n_fft, n_fft // 4)), audio_of(n_samples)
        there = on_device(audio)
        exits()
        sources = separator.separate(there, RATE)
        counts[n_samples, n_fft] = exits()
        assert all(source.device == DEVICE for source in sources.values())
    assert max(counts.values()) <= most, counts
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DSPSEP_KERNELS", "generic")  # which spares compiling for a comparison
        here = separator.separate(audio, RATE)
    for name, expected in here.items():
        found = _backend.to_host(sources[name])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(audio).max(), err_msg=name)
    model, stft = sources.model, getattr(separator, "stft", None)
    if isinstance(model, dspsep.MaskModel) and stft is not None:
        spectrogram = stft.forward(there, RATE)
        exits()
        assert all(mask.device == DEVICE for mask in model.masks(spectrogram).values())
        assert exits() <= most


@pytest.mark.parametrize("name", _registry.METHODS)
def test_methods(name, exits):
    separator, most = METHODS[name]

    def separator_of(_, stft):
        return separator.replace(stft=stft) if hasattr(separator, "stft") else separator

    check(separator_of, lambda n_samples: mixture(n_samples, 3 if name == "OverIVA" else 2), most, exits)


#: Each makes a separator of a transform and the references, and says how many exits there may be.
COMPOSED = {
    "Wiener": (lambda stft, _: dspsep.HPSS(stft=stft) >> dspsep.Wiener(stft=stft, n_iter=2), 12),
    "ConsistentWiener": (
        lambda stft, _: dspsep.HPSS(stft=stft) >> dspsep.ConsistentWiener(stft=stft, n_iter=2), 30,
    ),
    "MISI": (lambda stft, _: dspsep.HPSS(stft=stft) >> dspsep.MISI(stft=stft, n_iter=2), 30),
    "Regroup": (lambda stft, _: dspsep.HPSS(stft=stft) >> dspsep.Regroup(all=["harmonic", "percussive"]), 2),
    "Split": (lambda stft, _: dspsep.HPSS(stft=stft) >> {"harmonic": dspsep.HPSS(stft=SMALL)}, 2),
    "Pipeline": (lambda stft, _: dspsep.HPSS(stft=stft) >> {"percussive": dspsep.MidSide(stft=stft)}, 2),
    "Ensemble": (
        lambda stft, _: dspsep.Ensemble(
            [dspsep.HPSS(stft=stft), dspsep.HPSS(stft=COARSE)], method="log-opinion", stft=stft
        ),
        6,
    ),
    "SupervisedNMF": (lambda stft, _: dspsep.SupervisedNMF(templates=known(stft), n_iter=3, tol=0), 31),
    "SemiSupervisedNMF": (
        lambda stft, _: dspsep.SemiSupervisedNMF(templates=known(stft), n_free=1, n_iter=3, tol=0), 31,
    ),
    "ScoreInformedNMF": (
        lambda stft, _: dspsep.ScoreInformedNMF(
            notes=[dspsep.Note(pitch=69, onset=0.0, duration=0.2)], stft=stft, n_iter=3
        ),
        31,
    ),
    "IBM": (lambda stft, true: oracle.IBM(references=true, stft=stft), 10),
    "IRM": (lambda stft, true: oracle.IRM(references=true, stft=stft), 10),
    "IWM": (lambda stft, true: oracle.IWM(references=true, stft=stft), 10),
    "PSM": (lambda stft, true: oracle.PSM(references=true, stft=stft), 10),
    "MWF": (lambda stft, true: oracle.MWF(references=true, stft=stft), 10),
}  # fmt: skip


def known(stft):
    values = np.abs(noise(stft.n_freqs * 2)).reshape(stft.n_freqs, 2)
    return {"one": dspsep.Templates(values=values, sample_rate=RATE, stft=stft)}


@pytest.mark.parametrize("name", COMPOSED)
def test_compositions_refiners_and_oracles(name, exits):
    build, most = COMPOSED[name]

    def parts_of(n_samples):
        audio = mixture(n_samples, 2)
        return {"one": 0.3 * audio, "two": 0.6 * audio[::-1]}

    check(
        lambda n_samples, stft: build(stft, parts_of(n_samples)),
        lambda n_samples: sum(parts_of(n_samples).values()),
        most,
        exits,
    )


def test_every_entry_has_a_row():
    assert set(METHODS) == set(_registry.METHODS)
    not_separators = {"Note", "Templates", "OracleModel"}
    entries = {
        *_registry.REFINERS, *_registry._COMPOSITIONS, *_registry._SUPERVISED, *_registry._ORACLES
    }  # fmt: skip
    assert set(COMPOSED) == entries - not_separators
    assert set(FUNCTIONS) | NOT_OF_ARRAYS == {name for name in _registry.PUBLIC if name.islower()}
    assert set(METRICS) == set(metrics.__all__) - NO_METRICS


#: Each makes a separator of a transform, and says how many exits there may be for each second of audio: a
#: stream looks at every block before it takes it, and some learn from batches or work in segments.
STREAMS = {
    "HPSS": (lambda stft: dspsep.HPSS(stft=stft), 2),
    "REPETSim": (lambda stft: dspsep.REPETSim(stft=stft, distance_seconds=0.01, past_seconds=0.1), 2),
    "OnlineNMF": (
        lambda stft: dspsep.OnlineNMF(stft=stft, n_components=2, n_iter=2, tol=0, batch_seconds=0.1), 100,
    ),
    "Pipeline": (
        lambda stft: (
            dspsep.HPSS(stft=stft) >> {"harmonic": dspsep.HPSS(stft=SMALL)} >> dspsep.Wiener(stft=stft)
        ),
        15,
    ),
    "Ensemble": (lambda stft: dspsep.Ensemble([dspsep.HPSS(stft=stft), dspsep.HPSS(stft=COARSE)]), 2),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name, exits):
    build, per_second = STREAMS[name]
    for n_samples, n_fft in ((3000, 64), (6000, 64), (3000, 256)):
        stream = build(dspsep.STFT(n_fft, n_fft // 4)).stream(RATE, 2)
        blocks = [on_device(block) for block in np.split(mixture(n_samples, 2), 3, axis=1)]
        exits()
        parts = [*(stream.push(block) for block in blocks), stream.flush()]
        count = exits()
        assert all(source.device == DEVICE for part in parts for source in part.values())
        assert count <= len(blocks) + per_second * (n_samples / RATE + 1), (n_samples, n_fft, count)


def spectra(n_frames, n_freqs, n_channels=2):
    shape = (n_channels, n_freqs, n_frames)
    return (noise(int(np.prod(shape))) + 1j * noise(int(np.prod(shape)), seed=1)).reshape(shape)


def magnitudes(n_frames, n_freqs):
    return on_device(np.abs(spectra(n_frames, n_freqs, 1)[0]))


def uniform(*shape):
    return on_device(np.random.default_rng(0).uniform(0.1, 1, shape))


def there(n_frames, n_freqs, n_channels=2):
    return on_device(spectra(n_frames, n_freqs, n_channels))


def spectrogram_of(n_frames, n_freqs):
    stft = dspsep.STFT(2 * (n_freqs - 1))
    return stft.forward(on_device(mixture(n_frames * stft.hop_length, 2)), RATE)


def whitened(n_frames):
    return dspsep.whiten(on_device(mixture(40 * n_frames, 2)))[0]


def nothing(_):
    """Return no arrays: what this function gives is small, and on the host."""
    return []


#: Each is given numbers of frames and bins, and says how many exits there may be.
FUNCTIONS = {
    "adress_nulls": (lambda t, f: dspsep.adress_nulls(*(there(t, f)[c, ...] for c in (0, 1))), 2),
    "alpha_wiener": (lambda t, f: [dspsep.alpha_wiener(uniform(3, 2, f, t), there(t, f))], 5),
    "align_permutation": (lambda t, f: [dspsep.align_permutation(uniform(2, f, t))], 40),
    "auxiva": (lambda t, f: dspsep.auxiva(there(t, f), n_iter=2)[:1], 20),
    "beat_spectrum": (lambda t, f: [dspsep.beat_spectrum(magnitudes(t, f))], 3),
    "center_mask": (lambda t, f: [dspsep.center_mask(*(there(t, f)[c, ...] for c in (0, 1)))], 1),
    "consistent_wiener": (
        lambda t, f: dspsep.consistent_wiener(
            x := spectrogram_of(t, f), uniform(2, *x.values.shape), n_iter=2
        )[:1],
        30,
    ),
    "duet_histogram": (
        lambda t, f: nothing(
            dspsep.duet_histogram(
                *(there(t, f)[c, ...] for c in (0, 1)), np.arange(f) / f, max_delay=2.0
            )
        ),
        5,
    ),
    "fastica": (lambda t, f: nothing(dspsep.fastica(whitened(t), n_iter=2)), 20),
    "cacgmm": (lambda t, f: dspsep.cacgmm(there(t, f), 2, n_iter=2)[:2], 30),
    "fastmnmf2": (lambda t, f: dspsep.fastmnmf2(there(t, f), 2, n_components=2, n_iter=2)[:4], 30),
    "fdica": (lambda t, f: dspsep.fdica(there(t, f), n_iter=2)[:1], 50),
    "ft2d": (lambda t, f: dspsep.ft2d(magnitudes(t, f)), 3),
    "griffin_lim": (
        lambda t, f: dspsep.griffin_lim(uniform(1, f, t), dspsep.STFT(2 * (f - 1)), n_iter=2)[:1], 30,
    ),
    "hpss_masks": (lambda t, f: dspsep.hpss_masks(magnitudes(t, f), 5, 5), 1),
    "infomax": (lambda t, f: nothing(dspsep.infomax(whitened(t), n_iter=2)), 20),
    "ilrma": (lambda t, f: dspsep.ilrma(there(t, f), n_iter=2)[:3], 20),
    "iterative_hpss": (lambda t, f: dspsep.iterative_hpss(magnitudes(t, f), n_iter=3)[:2], 6),
    "kam": (lambda t, f: dspsep.kam(magnitudes(t, f), [[Horizontal(frames=3)], [Vertical(bins=3)]]), 3),
    "jade": (lambda t, f: nothing(dspsep.jade(whitened(t))), 20),
    "learn_templates": (
        lambda t, f: nothing(
            dspsep.learn_templates(
                on_device(mixture(20 * t, 1)), RATE, stft=dspsep.STFT(2 * (f - 1)), n_components=2, n_iter=2
            )
        ),
        30,
    ),
    "misi": (
        lambda t, f: dspsep.misi(x := spectrogram_of(t, f), uniform(2, *x.values.shape), n_iter=2)[:1], 30,
    ),
    "log_opinion_pool": (lambda t, f: [dspsep.log_opinion_pool([uniform(2, f, t), uniform(2, f, t)])], 3),
    "nmf": (lambda t, f: dspsep.nmf(magnitudes(t, f), uniform(f, 2), uniform(2, t), n_iter=2)[:2], 15),
    "nmfd": (lambda t, f: dspsep.nmfd(magnitudes(t, f), uniform(f, 2, 3), uniform(2, t), n_iter=2)[:2], 15),
    "projet": (
        lambda t, f: dspsep.projet(uniform(f * t, 3), uniform(3, 4), uniform(4, 2), n_iter=2)[:2], 10,
    ),
    "picard": (lambda t, f: nothing(dspsep.picard(whitened(t), n_iter=2)), 20),
    "overiva": (lambda t, f: dspsep.overiva(there(t, f, 3), 2, n_iter=2)[:1], 20),
    "projection_back": (lambda t, f: [dspsep.projection_back(there(2, 2, f))], 2),
    "rpca": (lambda t, f: dspsep.rpca(magnitudes(t, f), n_iter=3)[:2], 50),
    "sobi": (lambda t, f: nothing(dspsep.sobi(whitened(t), n_lags=5)), 20),
    "whiten": (lambda t, f: [dspsep.whiten(on_device(mixture(40 * t, 2)))[0]], 8),
    "wiener_em": (lambda t, f: [dspsep.wiener_em(
            on_device(np.stack([spectra(t, f), 2 * spectra(t, f)])), there(t, f)
        )], 30),
}  # fmt: skip
#: Public functions that are given no arrays, or files.
NOT_OF_ARRAYS = {
    "cite", "describe", "evaluate_folders", "from_json", "get_num_threads", "load", "load_model",
    "num_threads", "read_midi", "run_benchmark", "save", "score_start", "separate_file", "set_num_threads",
    "warmup", "write_comparison", "write_report",
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name, exits):
    function, most = FUNCTIONS[name]
    counts = {}
    for n_frames, n_freqs in ((60, 33), (150, 33), (60, 65)):
        exits()
        for array in function(n_frames, n_freqs):
            assert array.device == DEVICE
        counts[n_frames, n_freqs] = exits()
    assert max(counts.values()) <= most, counts


def pair(n_samples):
    true = {"a": mixture(n_samples, 2), "b": mixture(n_samples, 2)[:, ::-1] ** 3}
    made = {name: on_device(audio + 0.1 * audio[::-1]) for name, audio in true.items()}
    return {name: on_device(audio) for name, audio in true.items()}, made


#: Each is given references and estimates.
METRICS = {
    "MDX": (lambda true, made: metrics.evaluate(true, made, RATE, metrics.MDX()), 10),
    "MIREX": (lambda true, made: metrics.evaluate(true, made, RATE, metrics.MIREX(n_taps=8)), 10),
    "BSSEval": (lambda true, made: metrics.evaluate(true, made, RATE, metrics.BSSEval(n_taps=8)), 10),
    "ScaleInvariant": (lambda true, made: metrics.evaluate(true, made, RATE, metrics.ScaleInvariant()), 10),
    "evaluate": (lambda true, made: metrics.evaluate(true, made, RATE), 10),
    "best_permutation": (metrics.best_permutation, 12),
    "sdr": (lambda true, made: metrics.sdr(true["a"], made["a"]), 10),
    "si_sdr": (lambda true, made: metrics.si_sdr(true["a"], made["a"]), 10),
    "amari_index": (lambda true, made: metrics.amari_index(uniform(2, 2), uniform(2, 2)), 2),
}
#: What these are given is scores, or files.
NO_METRICS = {"Permutation", "Protocol", "Scores", "Summary", "TrackScores", "score"}


@pytest.mark.parametrize("name", METRICS)
def test_metrics(name, exits):
    metric, most = METRICS[name]
    counts = {}
    for n_samples in (4000, 12000):
        signals = pair(n_samples)
        exits()
        metric(*signals)
        counts[n_samples] = exits()
    assert max(counts.values()) <= most, counts


def test_a_hidden_exit_is_seen(exits):
    with pytest.raises(AssertionError, match="__float__"):
        float(on_device(np.asarray(1.0)))
    with pytest.raises(AssertionError, match="__bool__"):
        bool(on_device(np.asarray(1.0)) > 0)
