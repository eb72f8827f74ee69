"""GPU kernels of demixing matrices: equal to `generic`, and whole methods that run on them."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep.kernels import generic, gpu
from dspsep.kernels.gpu import _launch
from dspsep.kernels.gpu._matrices import MOST_CHANNELS
from dspsep.kernels.gpu.demixing import sum_of_parts
from tests.kernels.test_compiled_equals_generic import SIZES as CALLS
from tests.kernels.test_compiled_equals_generic import calls

pytestmark = pytest.mark.usefixtures("on_host", "unwritten")

KERNELS = [
    "bin_covariances",
    "contrast_step",
    "demixed_powers",
    "fastmnmf_covariances",
    "fastmnmf_sweep",
    "gaussian_estimates",
    "gaussian_model",
    "gaussian_step",
    "low_rank_covariances",
    "low_rank_terms",
    "pair_projection",
    "projection_sweep",
    "steering_sweep",
    "weighted_covariances",
]

SNR = {"float32": 100.0, "float64": 250.0}
# Channels, sources, and the precision of the spectra: one to five, few of them, as each has to be compiled.
OF_FRAMES = [(1, 1, "float32"), (2, 2, "float64"), (4, 4, "float32"), (5, 5, "float64")]
OF_BINS = [(2, 2, "float64"), (5, 4, "float32")]
OF_EACH_BIN = [(2, 2, "float32"), (3, 2, "float64")]
PROJECTIONS, STEERINGS, PAIRS = [(1, 1), (2, 2), (3, 2), (5, 5)], [2, 5], [2, 4]


@pytest.fixture
def unwritten(monkeypatch):
    """Have arrays whose values are to come hold NaN until they do."""
    empty = np.empty

    def of_nan(shape, dtype=float, **options):
        array = empty(shape, dtype, **options)
        if array.dtype.kind in "fc":
            array.fill(np.nan)
        return array

    monkeypatch.setattr(np, "empty", of_nan)


@pytest.fixture
def no_launches(monkeypatch):
    def refused(_, name):
        raise AssertionError(f"{name} is launched")

    monkeypatch.setattr(_launch, "_compiled", refused)


def snr(expected, found):
    noise = np.sum(np.abs(np.asarray(found, complex) - expected) ** 2)
    return np.inf if noise == 0 else 10 * np.log10(np.sum(np.abs(np.asarray(expected, complex)) ** 2) / noise)


def assert_equal(expected, found, least):
    expected, found = (each if isinstance(each, tuple) else (each,) for each in (expected, found))
    assert len(expected) == len(found)
    for one, other in zip(expected, found, strict=True):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        # Logarithms may all be near 0: as numbers, not as ratios.
        shift = 10.0 if one.ndim < 2 else 0.0
        assert snr(one + shift, other + shift) >= least


def spectra_of(n_channels, dtype, n_freqs=19, n_frames=130, seed=0):
    return np.random.default_rng(seed).standard_normal((n_freqs, n_channels, 2, n_frames)).astype(dtype)


def matrices(*shape, seed=1):
    parts = np.random.default_rng(seed).standard_normal((2, *shape))
    return parts[0] + 1j * parts[1]


def covariances_of(n_freqs, n_sources, n_channels, spread=1.0, seed=2):
    """Return Hermitian matrices whose eigenvalues are from 1 to `spread`."""
    values, _ = np.linalg.qr(matrices(n_freqs, n_sources, n_channels, n_channels, seed=seed))
    levels = np.geomspace(1.0, spread, n_channels)
    V = (values * levels) @ values.conj().swapaxes(-1, -2)
    return (V + V.conj().swapaxes(-1, -2)) / 2


@pytest.mark.parametrize("size", ["usual", "one frame"])
@pytest.mark.parametrize("name", KERNELS)
def test_equal_to_generic(name, size):
    arguments = calls("float32", **CALLS[size])[name]
    before = [each.tobytes() if isinstance(each, np.ndarray) else each for each in arguments]
    assert_equal(getattr(generic, name)(*arguments), getattr(gpu, name)(*arguments), 100)
    assert [each.tobytes() if isinstance(each, np.ndarray) else each for each in arguments] == before


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize(("n_channels", "n_sources", "dtype"), OF_FRAMES)
def test_covariances(n_channels, n_sources, dtype, ridge):
    x = spectra_of(n_channels, dtype)
    weights = np.random.default_rng(3).exponential(size=(n_sources, x.shape[3])) + 0.01
    expected, found = (each.weighted_covariances(x, weights, ridge) for each in (generic, gpu))
    assert_equal(expected, found, SNR[dtype])


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize(("n_channels", "n_sources", "dtype"), OF_BINS)
def test_powers(n_channels, n_sources, dtype, ridge):
    x = spectra_of(n_channels, dtype)
    W = matrices(x.shape[0], n_sources, n_channels)
    expected, found = (each.demixed_powers(x, W, ridge) for each in (generic, gpu))
    assert_equal(expected, found, SNR[dtype])


@pytest.mark.parametrize(("n_freqs", "n_frames"), [(1, 1), (16, 128), (17, 129), (0, 5)])
def test_sizes_beside_those_of_blocks(n_freqs, n_frames):
    x = spectra_of(2, "float32", n_freqs, n_frames)
    weights, W = np.ones((2, n_frames), np.float32), matrices(n_freqs, 2, 2)
    exact = x.astype(float)
    exact = exact[:, :, 0] + 1j * exact[:, :, 1]
    found = gpu.weighted_covariances(x, weights, 0.0)
    assert_equal(exact[:, None] @ exact[:, None].conj().swapaxes(2, 3) / n_frames + 0 * found, found, 120)
    powers = gpu.demixed_powers(x, W, 0.0)
    assert_equal(np.sum(np.abs(W @ exact) ** 2, axis=0), powers, 120)


def test_long_recordings_are_added_up_in_pieces():
    x = np.ones((1, 1, 2, 70_000), np.float32)
    x[..., ::2] = 1e-3
    found = gpu.weighted_covariances(x, np.ones((1, 70_000)), 0.0)
    assert_equal(np.full((1, 1, 1, 1), 1 + 1e-6 + 0j), found, 150)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize(("n_channels", "n_sources", "dtype"), OF_EACH_BIN)
def test_covariances_with_weights_of_each_bin(n_channels, n_sources, dtype, ridge):
    x = spectra_of(n_channels, dtype)
    W = matrices(x.shape[0], n_sources, n_channels)
    expected, found = (each.bin_covariances(x, W, ridge) for each in (generic, gpu))
    assert_equal(expected, found, SNR[dtype])


@pytest.mark.parametrize(("n_channels", "n_sources"), PROJECTIONS)
@pytest.mark.parametrize(("spread", "least"), [(10.0, 250.0), (1e8, 120.0)])
def test_projections(n_channels, n_sources, spread, least):
    W = matrices(37, n_sources, n_channels)
    V = covariances_of(37, n_sources, n_channels, spread)
    assert_equal(generic.projection_sweep(W, V), gpu.projection_sweep(W, V), least)


@pytest.mark.parametrize("n_channels", STEERINGS)
@pytest.mark.parametrize(("spread", "least"), [(10.0, 250.0), (1e8, 120.0)])
def test_steering(n_channels, spread, least):
    W, V = matrices(37, n_channels, n_channels), covariances_of(37, n_channels, n_channels, spread)
    assert_equal(generic.steering_sweep(W, V), gpu.steering_sweep(W, V), least)


@pytest.mark.parametrize("n_channels", PAIRS)
@pytest.mark.parametrize(("spread", "least"), [(10.0, 250.0), (1e8, 100.0)])
def test_pairs(n_channels, spread, least):
    W, V = matrices(37, n_channels, n_channels), covariances_of(37, 2, n_channels, spread)
    for pair in ((0, 1), (n_channels - 1, 0)):
        expected, found = (each.pair_projection(W, V, *pair) for each in (generic, gpu))
        assert_equal(expected, found, least)


def test_matrices_that_are_all_but_singular():
    """As `cpu`, which puts rounding in place of pivots that are none: all that comes of it are numbers."""
    W, V = matrices(5, 2, 2), covariances_of(5, 2, 2, 1e25)
    for name, arguments in {"projection_sweep": (), "steering_sweep": (), "pair_projection": (0, 1)}.items():
        for result in getattr(gpu, name)(W, V, *arguments):
            assert np.isfinite(result).all()


@pytest.mark.parametrize("steers", [False, True])
def test_a_step_is_its_parts(steers):
    x, W = spectra_of(2, "float32"), matrices(19, 2, 2)
    weights = np.random.default_rng(3).exponential(size=(2, x.shape[3])) + 0.01
    expected, found = (each.contrast_step(x, weights, W, 0.1, steers) for each in (generic, gpu))
    assert_equal(expected, found, 100)


def test_many_parts_are_added_up():
    parts = np.random.default_rng(8).standard_normal((21, 3, 33)).astype(np.float32)
    assert_equal(parts.sum(axis=0, dtype=float), sum_of_parts(parts), 280)


@pytest.mark.usefixtures("no_launches")
def test_more_channels_run_through_generic():
    n = MOST_CHANNELS + 1
    x, W = spectra_of(n, "float32", 2, 50), matrices(2, n, n)
    V, weights = covariances_of(2, n, n), np.ones((n, 50))
    calls = {
        "weighted_covariances": (x, weights, 0.1),
        "demixed_powers": (x, W, 0.1),
        "bin_covariances": (x, W, 0.1),
        "projection_sweep": (W, V),
        "steering_sweep": (W, V),
        "pair_projection": (W, V[:, :2], 0, 1),
    }
    for name, arguments in calls.items():
        expected, found = (getattr(each, name)(*arguments) for each in (generic, gpu))
        assert_equal(expected, found, 250)


def test_the_same_input_gives_the_same_bytes_in_any_layout():
    x, W = spectra_of(2, "float32"), matrices(19, 2, 2)
    expected = gpu.demixed_powers(x, W, 0.1)
    turned = np.ascontiguousarray(x.swapaxes(2, 3)).swapaxes(2, 3), np.asfortranarray(W)
    assert gpu.demixed_powers(*turned, 0.1).tobytes() == expected.tobytes()
