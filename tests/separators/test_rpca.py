"""Robust PCA: planted parts, an independent solver, masks of two kinds, odd spectrograms, real voices."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.expressions import rpca_full_svd
from dspsep import RPCA, STFT, InputError, RPCAModel, from_json, load_model, rpca
from dspsep.metrics import sdr, si_sdr
from dspsep.separators.lowrank import _core
from tests.cases import case_names, real_case
from tests.test_stft import noise

RATE = 8000
SMALL = STFT(256)
BACKGROUND, FOREGROUND = "background", "foreground"


def planted(n_freqs, n_frames, rank, seed=0, density=0.05):
    """Return a matrix of low rank and a sparse one, none negative."""
    rng = np.random.default_rng(seed)
    low = rng.random((n_freqs, rank)) @ rng.random((rank, n_frames))
    return low, (rng.random((n_freqs, n_frames)) < density) * rng.exponential(2.0, (n_freqs, n_frames))


def error(found, true):
    return np.linalg.norm(found - true) / np.linalg.norm(true)


@pytest.mark.core
@pytest.mark.parametrize(
    ("shape", "rank"), [((60, 80), 1), ((200, 300), 5), ((300, 200), 8), ((600, 80), 3), ((400, 500), 20)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_planted_parts_are_recovered(shape, rank, dtype):
    low, sparse = planted(*shape, rank)
    V = (low + sparse).astype(dtype)
    before = V.copy()
    L, S, residuals = rpca(V)
    assert L.dtype == S.dtype == V.dtype
    assert error(L, low) < 1e-4
    assert error(S, sparse) < 1e-4
    assert np.linalg.matrix_rank(L, tol=1e-4 * np.linalg.norm(L, 2)) == rank
    assert ((np.abs(S) > 1e-3) == (sparse > 1e-3)).all()
    assert residuals[-1] <= (1e-7 if dtype == "float64" else 1e-6)
    assert len(residuals) < 50
    np.testing.assert_array_equal(V, before)


@pytest.mark.core
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sparsity", [0.7, 1.5])
def test_it_finds_what_full_factorisations_find(sparsity, weighted):
    """Not an easy matrix: singular values of all sizes, and no zeros."""
    rng = np.random.default_rng(1)
    V = np.abs(
        rng.standard_normal((150, 20)) @ (rng.standard_normal((20, 220)) * 0.7 ** np.arange(20)[:, None])
    )
    V += rng.exponential(0.2, V.shape) ** 2
    weights = np.linspace(0.5, 2, 150) if weighted else np.ones(150)
    L, _, _ = rpca(V, sparsity=sparsity, weights=weights if weighted else None)
    costs = sparsity * weights[:, None] / np.sqrt(220)
    expected, _, _ = rpca_full_svd(V, costs)

    def objective(low):
        return np.linalg.norm(low, "nuc") + np.sum(costs * np.abs(V - low))

    assert error(L, expected) < 0.01
    assert objective(L) <= objective(expected) * 1.001
    assert objective(L) < 0.999 * min(objective(V), objective(0 * V))


def test_a_limit_on_the_rank_keeps_to_it_and_costs_little():
    rng = np.random.default_rng(2)
    V = rng.exponential(1.0, (200, 150))
    whole, _, _ = rpca(V)
    L, S, residuals = rpca(V, max_rank=10)
    assert np.linalg.matrix_rank(whole) > 20
    assert np.linalg.matrix_rank(L, tol=1e-6 * np.linalg.norm(L, 2)) == 10
    assert residuals[-1] <= 1e-7
    assert error(L + S, V) < 1e-6


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "V",
    [
        np.zeros((5, 7)),
        np.ones((5, 7)),
        np.ones((300, 40)),
        np.ones((300, 1)),
        np.ones((1, 300)),
        np.ones((1, 1)),
        np.eye(70),
        np.tile(np.random.default_rng(0).random((120, 6)), (1, 30)),
        np.pad(np.ones((1, 1)), 40),
        np.random.default_rng(0).random((100, 100)) * 1e-30,
        np.random.default_rng(0).random((100, 100)) * 1e30,
        np.full((30, 30), 1e-42),
    ],
    ids=lambda V: f"{V.shape}-{V.max():.0e}",
)
def test_odd_spectrograms(V, dtype):
    V = V.astype(dtype)
    L, S, residuals = rpca(V)
    assert np.isfinite(L).all()
    assert np.isfinite(S).all()
    assert np.isfinite(residuals).all()
    largest = V.max()
    if largest > np.finfo(dtype).tiny:
        assert np.abs(L / largest + S / largest - V / largest).max() < 1e-4
    else:
        assert not L.any()
        assert not S.any()


def test_a_constant_is_background():
    L, S, _ = rpca(np.ones((5, 7)))
    assert np.abs(L - 1).max() < 1e-6
    assert np.abs(S).max() < 1e-6


def test_scales_change_nothing():
    low, sparse = planted(80, 90, 3)
    L, S, residuals = rpca(low + sparse)
    for scale in (2.0**-40, 2.0**30):
        scaled = rpca((low + sparse) * scale)
        np.testing.assert_array_equal(scaled[0], L * scale)
        np.testing.assert_array_equal(scaled[1], S * scale)
        assert scaled[2] == residuals


def test_the_same_seed_gives_the_same_bytes_and_others_the_same_parts():
    V = np.sum(planted(200, 250, 6), axis=0)
    np.random.seed(0)  # noqa: NPY002 - to see that it is left alone
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again, other = (rpca(V, seed=seed)[0] for seed in (0, 0, 7))
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    np.testing.assert_array_equal(first, again)
    assert 0 < error(other, first) < 1e-5


def test_residuals_are_told_and_end_it():
    V = np.sum(planted(60, 80, 2), axis=0)
    told = []
    _, _, residuals = rpca(V, callback=lambda *news: told.append(news))
    assert told == list(enumerate(residuals, 1))
    assert residuals[-1] < 1e-7 < residuals[-2]
    _, _, few = rpca(V, callback=lambda iteration, _: iteration == 3)
    assert few == residuals[:3]
    assert len(rpca(V, n_iter=4)[2]) == 4


@pytest.mark.core
def test_masks_are_shares_or_decisions():
    audio = noise(4000, "float64", 2)
    spectrogram = SMALL.forward(audio, RATE)
    soft = RPCA(stft=SMALL, cutoff_hertz=None, weights=None)
    model = soft.fit(spectrogram)
    V = np.sqrt(np.mean(spectrogram.magnitude() ** 2, axis=0))
    L, _, residuals = rpca(V, max_rank=256)
    np.testing.assert_allclose(model.low_rank, L, atol=1e-9 * V.max())
    np.testing.assert_allclose(model.residuals, residuals, rtol=1e-5)
    S = V - model.low_rank
    for gain in (1.0, 2.0):
        found = soft.replace(gain=gain).fit(spectrogram).masks(spectrogram)
        parts = np.abs(S), np.abs(gain * model.low_rank)
        np.testing.assert_allclose(found[FOREGROUND][0], parts[0] / (parts[0] + parts[1]), atol=1e-9)
        energies = soft.replace(gain=gain, power=2).fit(spectrogram).masks(spectrogram)
        shares = parts[0] ** 2 / (parts[0] ** 2 + parts[1] ** 2)
        np.testing.assert_allclose(energies[FOREGROUND][0], shares, atol=1e-9)
        binary = soft.replace(gain=gain, mask="binary").fit(spectrogram).masks(spectrogram)
        np.testing.assert_array_equal(binary[FOREGROUND][0], np.abs(S) > gain * np.abs(model.low_rank))
        assert found[FOREGROUND].shape[0] == 1
        assert np.abs(found[FOREGROUND] - binary[FOREGROUND]).mean() > 0.01


def test_low_frequencies_are_background_unless_told_otherwise():
    audio = noise(4000)
    spectrogram = SMALL.forward(audio, RATE)
    ruled, free = (RPCA(stft=SMALL, cutoff_hertz=c).fit(spectrogram).masks(spectrogram) for c in (100, None))
    assert (ruled[BACKGROUND][:, :4] == 1).all()  # 0, 31, 62 and 94 Hz
    assert (free[BACKGROUND][:, :4] < 1).any()
    np.testing.assert_array_equal(ruled[BACKGROUND][:, 4:], free[BACKGROUND][:, 4:])


def test_weights_move_frequencies_between_the_parts():
    spectrogram = SMALL.forward(noise(4000), RATE)
    weights = np.where(np.arange(129) < 60, 0.05, 5.0)
    separator = RPCA(stft=SMALL, weights=weights, power=2, cutoff_hertz=None)
    foreground = separator.fit(spectrogram).masks(spectrogram)[FOREGROUND]
    assert foreground[:, :60].mean() > 0.7
    assert foreground[:, 60:].mean() < 0.1


def test_voices_are_cheap_where_they_are():
    """The foreground costs 1 from 200 Hz to 5 kHz, and four times more with each octave beyond."""
    stft, rate = STFT(512), 16000
    spectrogram = stft.forward(noise(8000), rate)
    hertz = np.maximum(np.arange(257) * rate / 512, 20)
    weights = np.where(hertz < 200, (200 / hertz) ** 2, np.where(hertz > 5000, (hertz / 5000) ** 2, 1.0))
    np.testing.assert_allclose(weights[[0, 8, 80, 256]], [100, 1, 1, 2.56])
    found, expected, flat = (
        RPCA(stft=stft, weights=w).fit(spectrogram).low_rank for w in ("voice", weights, None)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * found.max())
    assert error(found, flat) > 0.01


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sparsity_from_the_signal_lets_both_parts_cost_the_same(dtype):
    V = np.random.default_rng(3).exponential(1.0, (70, 90)).astype(dtype) ** 2
    k = np.linalg.norm(V.astype(float), "nuc") / V.sum(dtype=float) * np.sqrt(90)
    assert 0.5 < k < 2
    for matrix in (V, V.T):
        found, expected = rpca(matrix, sparsity="auto")[0], rpca(matrix, sparsity=float(k))[0]
        assert error(found, expected) < 1e-5
    for scale in (2.0**-40, 2.0**30):
        np.testing.assert_array_equal(
            rpca(V * V.dtype.type(scale), sparsity="auto")[0],
            rpca(V, sparsity="auto")[0] * V.dtype.type(scale),
        )
    assert error(rpca(V, sparsity="auto")[0], rpca(V)[0]) > 0.01


def test_sparsity_from_the_signal_of_odd_spectrograms():
    """A constant would be cheap as a sparse part too; what is nearly empty is not all foreground."""
    L, S, _ = rpca(np.ones((50, 70)), sparsity="auto")
    assert np.abs(L - 1).max() < 1e-6
    assert np.abs(S).max() < 1e-6
    for V in (np.zeros((5, 7)), np.pad(np.ones((1, 1)), 40), np.eye(70)):
        L, S, _ = rpca(V, sparsity="auto")
        np.testing.assert_allclose(L + S, V, atol=1e-6)
    with pytest.raises(InputError, match=r"^V must be finite"):
        rpca(np.full((3, 3), np.inf), sparsity="auto")
    silent = SMALL.forward(np.zeros(2000), RATE)
    assert RPCA(stft=SMALL, sparsity="auto").fit(silent).sparsity == 1
    # Of planted parts, both are found: 5 % of the bins are sparse.
    low, sparse = planted(200, 300, 5)
    assert error(rpca(low + sparse, sparsity="auto")[0], low) < 1e-3
    spectrogram = SMALL.forward(noise(4000), RATE)
    model = RPCA(stft=SMALL, sparsity="auto").fit(spectrogram)
    assert 0.5 <= model.sparsity <= 2
    assert model.sparsity != 1
    assert RPCA(stft=SMALL, sparsity=1.5).fit(spectrogram).sparsity == 1.5


@pytest.mark.parametrize("max_rank", [None, 12])
def test_single_precision_at_first_changes_nothing_that_counts(max_rank, monkeypatch):
    """Double precision only, and single down to a residual, end at the same parts with the same objective."""
    V = np.random.default_rng(4).exponential(1.0, (120, 90)) ** 2
    L, S, residuals = rpca(V, max_rank=max_rank)
    monkeypatch.setattr(_core, "_ROUGH", np.inf)
    exact, _, all_double = rpca(V, max_rank=max_rank)
    assert L.dtype == S.dtype == np.float64
    assert residuals[-1] <= 1e-7
    assert abs(len(residuals) - len(all_double)) <= 1
    assert error(L + S, V) < 1.5e-7
    assert 0 < error(L, exact) < 1e-4
    # Ended early, it is in the precision of V as well.
    for array in rpca(V, n_iter=2)[:2]:
        assert array.dtype == np.float64


def test_silence_is_background():
    audio = np.concatenate([noise(2000), np.zeros(2000)])
    spectrogram = SMALL.forward(audio, RATE)
    masks = RPCA(stft=SMALL, cutoff_hertz=None).fit(spectrogram).masks(spectrogram)
    silent = SMALL.forward(np.zeros(2000), RATE)
    model = RPCA(stft=SMALL).fit(silent)
    assert model.rank == 0
    assert (model.masks(silent)[BACKGROUND] == 1).all()
    assert all(np.isfinite(mask).all() for mask in masks.values())


def test_progress_and_the_model_hold_no_spectrogram(tmp_path):
    separator = RPCA(stft=SMALL, max_rank=5)
    told = []
    sources = separator.separate(noise(20000), RATE, callback=told.append)
    model = sources.model
    fits = [news for news in told if news.stage == "fit"]
    assert [news.loss for news in fits] == list(model.residuals)
    assert [news.iteration for news in fits] == list(range(1, len(fits) + 1))
    assert model.spectra.shape == (129, 5)
    assert model.rank == 5
    arrays = [value for value in vars(model).values() if isinstance(value, np.ndarray)]
    assert sum(array.size for array in arrays) == 5 * (129 + model.activations.shape[1])
    assert np.abs(model.spectra.T @ model.spectra - np.eye(5)).max() < 1e-6
    model.save(tmp_path / "model.npz")
    stored = load_model(tmp_path / "model.npz")
    assert isinstance(stored, RPCAModel)
    np.testing.assert_array_equal(stored.low_rank, model.low_rank)
    early = separator.separate(noise(20000), RATE, callback=lambda news: news.iteration == 2)
    assert len(early.model.residuals) == 2


def test_settings_are_values():
    separator = RPCA(weights=np.full(1025, 2), sparsity=1, max_rank=np.int64(3))
    for settings in (separator, RPCA(), RPCA(weights=None, sparsity="auto", power=2)):
        assert from_json(settings.to_json()) == settings
    assert hash(separator) == hash(separator.replace())
    assert repr(separator.sparsity) == "1.0"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"sparsity": 0}, "sparsity"),
        ({"sparsity": np.nan}, "sparsity"),
        ({"sparsity": "best"}, "sparsity"),
        ({"power": 0}, "power"),
        ({"weights": "drums"}, "weights"),
        ({"mask": "hard"}, "mask"),
        ({"gain": 0}, "gain"),
        ({"max_rank": 0}, "max_rank"),
        ({"n_iter": 0}, "n_iter"),
        ({"tol": -1}, "tol"),
        ({"seed": -1}, "seed"),
        ({"cutoff_hertz": -1}, "cutoff_hertz"),
        ({"weights": np.ones(7)}, "weights"),
        ({"weights": np.zeros(1025)}, "weights"),
        ({"weights": np.full(1025, np.nan)}, "weights"),
    ],
)
def test_settings_out_of_range(settings, name):
    with pytest.raises(InputError, match=f"^{name} must be"):
        RPCA(**settings)


@pytest.mark.parametrize(
    "V", [np.ones(5), np.ones((2, 3, 4)), np.ones((0, 5)), -np.ones((3, 3)), np.full((3, 3), np.nan)]
)
def test_matrices_out_of_range(V):
    with pytest.raises(InputError, match=r"^V must be"):
        rpca(V)
    with pytest.raises(InputError, match=r"^weights must be"):
        rpca(np.ones((3, 4)), weights=np.ones(4))


def test_models_refuse_what_is_not_theirs():
    spectrogram = SMALL.forward(noise(4000), RATE)
    model = RPCA(stft=SMALL).fit(spectrogram)
    with pytest.raises(InputError, match=r"^spectrogram must be of 129 bins and 63 frames"):
        model.masks(SMALL.forward(noise(8000), RATE))
    for changes, name in (
        ({"spectra": model.spectra[:, :1]}, "activations"),
        ({"spectra": model.spectra * np.nan}, "spectra"),
        ({"residuals": (-1.0,)}, "residuals"),
        ({"mask": "hard"}, "mask"),
        ({"gain": -1}, "gain"),
        ({"power": -1}, "power"),
        ({"sparsity": 0}, "sparsity"),
    ):
        with pytest.raises(InputError, match=f"^{name} must be"):
            dataclasses.replace(model, **changes)


#: Mean gains over the mixture on real cases, SDR and SI-SDR in dB: half a decibel below what is measured.
FLOORS = {"soft": ((5.4, 2.7), (1.5, 0.9)), "binary": ((4.1, 0.6), (0.2, -0.8))}


def lead_and_backing(case):
    lead = next(name for name in case.references if name in ("vocals", "lead_guitar"))
    backing = next(name for name in case.references if name != lead)
    return {FOREGROUND: case.references[lead], BACKGROUND: case.references[backing]}


def test_voices_are_nearer_to_the_truth_and_shares_are_better_than_decisions():
    gains = {"soft": [], "binary": []}
    for name in case_names("a_"):
        case = real_case(name)
        spectrogram = STFT().forward(case.mixture, case.sample_rate)
        model = RPCA().fit(spectrogram)
        truth = lead_and_backing(case)
        before = np.array(
            [[sdr(audio, case.mixture), si_sdr(audio, case.mixture)] for audio in truth.values()]
        )
        for mask, found in gains.items():
            changed = dataclasses.replace(model, mask=mask)
            background = STFT().inverse(spectrogram, mask=next(changed.iter_masks(spectrogram)))
            parts = {BACKGROUND: background, FOREGROUND: case.mixture - background}
            after = [[sdr(truth[part], parts[part]), si_sdr(truth[part], parts[part])] for part in truth]
            found.append(after - before)
    soft, binary = (np.mean(gains[mask], axis=0) for mask in ("soft", "binary"))
    assert (soft > binary).all(), (soft, binary)
    if real_case(case_names("a_")[0]).real:
        assert (soft > np.array(FLOORS["soft"])).all(), soft
        assert (binary > np.array(FLOORS["binary"])).all(), binary
        assert (soft > 0).all(), soft


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("exponent", [-100, -70, 70, 100])
def test_channels_are_one_at_any_scale(exponent):
    """Of single precision, squares of 2**70 are too large, and those of 2**-80 nothing."""
    samples = np.stack([noise(RATE), noise(RATE)[::-1]]).astype(np.float32)
    separator = RPCA(stft=SMALL, n_iter=5)
    plain = SMALL.forward(samples, RATE)
    scaled = SMALL.forward(np.ldexp(samples, exponent), RATE)
    expected = separator.fit(plain).masks(plain)
    for name, mask in separator.fit(scaled).masks(scaled).items():
        np.testing.assert_allclose(mask, expected[name], atol=1e-5)
