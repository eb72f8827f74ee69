"""Every implementation of the kernels gives the same, whatever the layout and the number of threads."""

from __future__ import annotations

import inspect
from functools import lru_cache

import numpy as np
import pytest

from dspsep import _parallel
from dspsep._windows import overlap, window_values
from dspsep.kernels import Kernels, generic

cpu = pytest.importorskip("dspsep.kernels.cpu")
simd = pytest.importorskip("dspsep.kernels.simd")
COMPILED = {"cpu": cpu, "simd": simd}
NAMES = [
    "activation_terms",
    "bin_covariances",
    "contrast_step",
    "coordinate_sweeps",
    "cross_spectra",
    "demixed_powers",
    "diffusion_step",
    "divergence_terms",
    "extrapolated",
    "fastmnmf_covariances",
    "fastmnmf_sweep",
    "filter_spectra",
    "gaussian_estimates",
    "gaussian_model",
    "gaussian_step",
    "istft",
    "low_rank_covariances",
    "low_rank_terms",
    "median_of_frames",
    "median_over_frequency",
    "median_over_time",
    "multiplied",
    "pair_projection",
    "product",
    "product_with_transposed",
    "projection_sweep",
    "similar_frames",
    "soft_mask",
    "steering_sweep",
    "stft",
    "template_terms",
    "weighted_covariances",
]
SNR = {"float32": 100.0, "float64": 250.0}


def snr(expected, found):
    noise = np.sum(np.abs(np.asarray(found, complex) - expected) ** 2)
    return np.inf if noise == 0 else 10 * np.log10(np.sum(np.abs(np.asarray(expected, complex)) ** 2) / noise)


def result_of(kernels, name, arguments):
    """Return the array that a kernel makes, without the number that may come with it."""
    result = getattr(kernels, name)(*arguments)
    return result[0] if isinstance(result, tuple) else result


@lru_cache(maxsize=24)  # a few more than are asked for: making them takes longer than most kernels do
def calls(dtype, n_channels=2, n_samples=3000, n_fft=64, hop_length=16, length=9):
    """Return arguments for each kernel. All tests share them, as no kernel changes its inputs."""
    rng = np.random.default_rng(1)
    window = window_values("hann", n_fft).astype(dtype)
    n_frames = 1 + n_samples // hop_length
    samples = rng.standard_normal((n_channels, n_samples)).astype(dtype)
    spectra = np.fft.rfft(rng.standard_normal((n_channels, n_frames, n_fft)))
    spectra = spectra.astype("complex64" if dtype == "float32" else "complex128")
    values, rival = np.abs(spectra), rng.exponential(size=spectra.shape).astype(dtype)
    values[:, :2] = 0
    rival[:, 1:3] = 0
    weight = overlap("hann", n_fft, hop_length).weight(n_samples, n_frames, dtype)
    mask = rng.uniform(size=(1, *spectra.shape[1:])).astype(dtype)
    whole = rng.exponential(size=spectra.shape).astype(dtype)
    templates = rng.exponential(size=(5, 40)).astype(dtype)
    numerator = (templates @ rng.exponential(size=(40, 12 * n_frames))).astype(dtype)
    factor = rng.exponential(size=numerator.shape).astype(dtype)
    n_components, n_freqs = 7, whole.shape[2]
    block = [rng.exponential(size=size) for size in ((n_components, n_freqs), (n_frames, n_components))]
    block = [whole[0] + 1e-3, *(array.astype(dtype) for array in block)]
    parts = rng.standard_normal((n_freqs, 4, n_frames)).astype(dtype)
    powers = rng.exponential(size=(3, n_freqs, n_frames)).astype(dtype)
    matrices = rng.standard_normal((n_freqs, 4, 3, 3)) + 1j * rng.standard_normal((n_freqs, 4, 3, 3))
    definite = matrices[:, 1:] @ matrices[:, 1:].conj().swapaxes(2, 3) + np.eye(3)
    split = np.stack([spectra.real, spectra.imag], axis=2).transpose(3, 0, 2, 1)
    split = split + rng.standard_normal(split.shape).astype(dtype)  # never singular
    n_sources = n_channels
    weights = rng.exponential(size=(n_sources, n_frames)) + 0.1
    demixing = rng.standard_normal((2, split.shape[0], n_sources, n_channels))
    demixing = demixing[0] + 1j * demixing[1]
    model = [rng.exponential(size=size) + 0.1 for size in ((split.shape[0], 3), (3, n_frames))]
    model = [np.stack([part.astype(dtype)] * n_sources) for part in model]
    covariances = generic.weighted_covariances(split, weights, 0.1)
    twice = demixing if n_channels > 1 else np.concatenate([demixing, demixing[::-1]], axis=1)[:, :, [0, 0]]
    twice = twice + 8 * np.eye(2)
    pair = twice[:, None] @ np.swapaxes(twice.conj(), 1, 2)[:, None] + 9 * np.eye(2)
    pair = pair * np.array([1.0, 3.0])[:, None, None] + np.diag([0.5, 0.0])
    loud = rng.exponential(size=(3, *spectra.shape[1:])).astype(dtype)
    places = np.stack([generic.gaussian_model(part * spectra, 0.5)[1] for part in loud])
    places[:, :, 0, 0] += 0.5  # away from one point
    return {
        "gaussian_model": (spectra, 0.5),
        "gaussian_step": (spectra, loud, places, 0.5, 1e-3, False, True),
        "gaussian_estimates": (spectra, loud, places, 1e-3, None),
        "weighted_covariances": (split, weights, 0.1),
        "demixed_powers": (split, demixing, 0.1),
        "contrast_step": (split, weights, demixing, 2.0, False),
        "bin_covariances": (split, demixing, 0.1),
        "low_rank_covariances": (split, *model, 0.1),
        "low_rank_terms": (split, demixing, *model, 0.1),
        "projection_sweep": (demixing, covariances),
        "steering_sweep": (demixing, covariances),
        "pair_projection": (twice, pair + np.array([np.zeros((2, 2)), [[0, 1], [1, 4]]]), 0, 1),
        "product": (factor[:, :31].T, numerator),
        "product_with_transposed": (whole[0], rival[0, ::-1][:7] + 1),
        "activation_terms": (*block, 1e-6, 1.0),
        "coordinate_sweeps": (numerator, templates @ templates.T, factor, factor < 0.2, 2),
        "multiplied": (factor, numerator, factor[:, :1], 0.5, factor < 0.2),
        "extrapolated": (factor, numerator, 0.7),
        "template_terms": (*block, 1e-6, 0.0, True),
        "divergence_terms": (whole[0], rival[0] + mask[0], 1e-6, 0.5, True),
        "cross_spectra": (spectra, np.concatenate([spectra[::-1], 2 * spectra])),
        "filter_spectra": (np.swapaxes(spectra, 0, 1)[:5], spectra),
        "fastmnmf_covariances": (parts, powers),
        "fastmnmf_sweep": (0.2 * matrices[:, 0] + np.eye(3), definite),
        "stft": (samples, window, hop_length, n_frames),
        "istft": (spectra, mask, window, hop_length, weight),
        "median_of_frames": (values, rng.integers(-1, n_frames, (n_frames // 2 + 1, length))),
        "median_over_time": (values, length),
        "median_over_frequency": (values, length),
        "similar_frames": (whole[0], 0.3, length // 2, 7),
        "soft_mask": (values, rival, 1.5, 2.0, 0.5),
        "diffusion_step": (whole, (whole * rng.uniform(size=whole.shape)).astype(dtype), 0.3),
    }


SIZES = {
    "usual": {},
    "one frame": {"n_samples": 5, "hop_length": 16},
    "one sample": {"n_samples": 1},
    "two points": {"n_fft": 2, "hop_length": 1, "n_samples": 40},
    "odd": {"n_fft": 63, "hop_length": 13, "n_samples": 1001},
    "short hop": {"n_fft": 64, "hop_length": 3, "n_samples": 501},
    "long windows": {"n_samples": 100, "length": 401},
    "many chunks": {"n_channels": 1, "n_samples": 70_000, "n_fft": 256, "hop_length": 64},
    "little overlap": {"n_fft": 32, "hop_length": 23, "n_samples": 700},
    "long frames": {"n_fft": 4096, "hop_length": 1024, "n_samples": 9000},
}


@pytest.mark.core
@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_the_protocols(name):
    def shape(function, skip):
        parameters = list(inspect.signature(function).parameters.values())[skip:]
        return [(p.name, p.kind, p.default) for p in parameters]

    expected = shape(getattr(Kernels, name), 1)
    assert shape(getattr(generic, name), 0) == expected
    for kernels in COMPILED.values():
        assert shape(getattr(kernels, name), 0) == expected


@pytest.mark.core
def test_every_kernel_of_the_protocol_is_compared():
    members = {name for name in vars(Kernels) if not name.startswith("_")}
    assert members == set(NAMES) == set(cpu.__all__) == set(generic.__all__) == set(simd.__all__)


@pytest.mark.core
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", COMPILED)
def test_compiled_equals_generic(which, name, dtype, size):
    arguments = calls(dtype, **SIZES[size])[name]
    expected, found = result_of(generic, name, arguments), result_of(COMPILED[which], name, arguments)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if name.startswith("median") or name == "similar_frames":
        np.testing.assert_array_equal(found, expected)
    else:
        assert snr(expected, found) >= SNR[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n_masks", [None, 1, 2])
@pytest.mark.parametrize("which", COMPILED)
def test_inverse_with_and_without_masks(which, dtype, n_masks):
    spectra, mask, *rest = calls(dtype)["istft"]
    mask = None if n_masks is None else np.concatenate([mask, mask**2])[:n_masks]
    found = COMPILED[which].istft(spectra, mask, *rest)
    assert snr(generic.istft(spectra, mask, *rest), found) >= SNR[dtype]


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("power", [0.3, 1.0, 2.0, 3.5, 40.0, 1e3])
@pytest.mark.parametrize("margin", [1.0, 2.0, 1e6])
@pytest.mark.parametrize("tie", [0.0, 0.5])
def test_soft_masks_over_the_range_of_numbers(dtype, power, margin, tie):
    limits = np.finfo(dtype)
    levels = np.array(
        [0, limits.smallest_subnormal, limits.tiny, 1e-20, 1, 1.5, 1e20, limits.max / 1e7], dtype
    )
    values, rival = (grid.copy()[None] for grid in np.meshgrid(levels, levels))
    expected = generic.soft_mask(values, rival, margin, power, tie)
    found = cpu.soft_mask(values, rival, margin, power, tie)
    for mask in (expected, found):
        assert np.isfinite(mask).all()
        assert mask.min() >= 0
        assert mask.max() <= 1
    # The larger the power, the more a difference in the last bit of the ratio counts.
    np.testing.assert_allclose(found, expected, atol=4 * max(1, power) * limits.eps)


@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("which", ["generic", "cpu"])
def test_the_largest_power_is_a_hard_mask_and_equals_stay_equal(which, dtype):
    rng = np.random.default_rng(0)
    values = rng.exponential(size=(1, 200, 200)).astype(dtype)
    rival = np.where(rng.uniform(size=values.shape) < 0.2, values, rng.exponential(size=values.shape)).astype(
        dtype
    )
    mask = {"generic": generic, "cpu": cpu}[which].soft_mask(values, rival, 1.0, 1e3, 0.5)
    assert np.array_equal(mask[values == rival], np.full(np.sum(values == rival), 0.5, dtype))
    apart = np.abs(np.log(values / rival)) > 0.02
    np.testing.assert_allclose(mask[apart], (values > rival)[apart], atol=1e-6)


@pytest.mark.core
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", COMPILED)
def test_inputs_of_any_layout(which, name):
    def layouts(array):
        if not isinstance(array, np.ndarray):
            return [array] * 3
        frozen = array.copy()
        frozen.setflags(write=False)
        strided = np.repeat(array, 2, axis=-1)[..., ::2]
        swapped = np.ascontiguousarray(array.swapaxes(-1, array.ndim - 2)).swapaxes(-1, array.ndim - 2)
        return [frozen, strided, swapped]

    arguments = calls("float32")[name]
    expected = result_of(COMPILED[which], name, arguments)
    for variant in zip(*map(layouts, arguments), strict=True):
        assert result_of(COMPILED[which], name, variant).tobytes() == expected.tobytes()


@pytest.mark.core
@pytest.mark.parametrize("which", ["generic", "cpu", "simd"])
@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_not_changed(which, name):
    arguments = calls("float64")[name]
    before = [a.tobytes() if isinstance(a, np.ndarray) else a for a in arguments]
    result = result_of({"generic": generic, **COMPILED}[which], name, arguments)
    assert [a.tobytes() if isinstance(a, np.ndarray) else a for a in arguments] == before
    assert not any(np.shares_memory(result, a) for a in arguments if isinstance(a, np.ndarray))


@pytest.mark.core
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", COMPILED)
def test_threads_do_not_change_a_byte(which, name):
    # Long enough that each kernel has several jobs: its chunks, tiles and blocks.
    arguments = calls("float32", n_samples=600_000, n_fft=64, hop_length=32)[name]
    outcomes = set()
    for n_threads in (1, 2, 4):
        with _parallel.num_threads(n_threads):
            outcomes.add(result_of(COMPILED[which], name, arguments).tobytes())
    assert len(outcomes) == 1


@pytest.mark.core
@pytest.mark.parametrize("which", COMPILED)
def test_frames_are_added_in_their_order_wherever_tiles_begin(which):
    spectra, _, window, hop_length, weight = calls("float32")["istft"]
    weight, inverse = np.ones_like(weight), COMPILED[which].istft
    for first in (1, 5, 8, 13):
        later = spectra.copy()
        later[:, :first] = 0
        whole = inverse(later, None, window, hop_length, weight)[:, first * hop_length :]
        alone = inverse(spectra[:, first:], None, window, hop_length, weight[first * hop_length :])
        assert whole.tobytes() == alone.tobytes()


@pytest.mark.core
@pytest.mark.parametrize("which", COMPILED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_the_objective_of_diffusion(which, dtype, size):
    whole, harmonic, weight = calls(dtype, **SIZES[size])["diffusion_step"]
    found, expected = (
        kernels.diffusion_step(whole, harmonic, weight)[1] for kernels in (COMPILED[which], generic)
    )
    exact = weight * np.sum(np.diff(harmonic.astype(float), axis=1) ** 2)
    exact += (1 - weight) * np.sum(np.diff((whole - harmonic).astype(float), axis=2) ** 2)
    for loss in (found, expected):
        assert loss.shape == ()
        assert loss.dtype == np.float64
        assert abs(float(loss) - exact) <= 4 * np.finfo(dtype).eps * exact
