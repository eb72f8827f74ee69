"""The GPU kernels of factorisations, run on the host: they equal the array expressions."""

from __future__ import annotations

import numpy as np
import pytest

import dspsep
from dspsep import kernels
from dspsep.kernels import generic, gpu
from dspsep.kernels.gpu import factors
from dspsep.separators.nmf._solvers import Task, solve
from dspsep.separators.nmf._updates import Objective, blocks
from tests.kernels.test_compiled_equals_generic import SNR, calls, result_of, snr

pytestmark = pytest.mark.usefixtures("on_host")
NAMES = [
    "activation_terms",
    "coordinate_sweeps",
    "divergence_terms",
    "extrapolated",
    "multiplied",
    "template_terms",
]


def block(n_frames, n_freqs, n_components, beta, dtype="float32", seed=0):
    """Return values, templates and activations; for beta above 0 a tenth of the values are zero."""
    rng = np.random.default_rng(seed)
    values = rng.exponential(size=(n_frames, n_freqs)) + 0.01
    if beta > 0:
        values[rng.uniform(size=values.shape) < 0.1] = 0
    sizes = (n_components, n_freqs), (n_frames, n_components)
    arrays = tuple(array.astype(dtype) for array in (values, *(rng.exponential(size=size) for size in sizes)))
    if n_components > 3:
        arrays[1][1], arrays[2][:, 2] = 0, 0
    return arrays


def terms_of(which, arrays, floor, beta, with_loss=True):
    """Return all terms of a block, and its divergence."""
    numerator, denominator, loss = which.template_terms(*arrays, floor, beta, with_loss)
    return *which.activation_terms(*arrays, floor, beta), numerator, denominator, loss


def assert_equal(found, expected, dtype, size):
    tolerance = 32 * np.finfo(dtype).eps
    *arrays, losses = zip(found, expected, strict=True)
    for ours, true in arrays:
        assert (ours is None) == (true is None)
        if true is not None:
            assert (ours.dtype, ours.shape) == (true.dtype, true.shape)
            np.testing.assert_allclose(ours, true, rtol=tolerance, atol=tolerance * np.abs(true).max())
    assert (losses[0].shape, losses[0].dtype) == ((), np.float64)
    assert abs(losses[0] - losses[1]) <= tolerance * (size + abs(losses[1]))


SIZES = {
    "usual": {},
    "one sample": {"n_samples": 1},
    "two points": {"n_fft": 2, "hop_length": 1, "n_samples": 40},
    "odd": {"n_fft": 63, "hop_length": 13, "n_samples": 301},
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_kernels_equal_generic(name, size):
    arguments = calls("float32", **SIZES[size])[name]
    expected, found = result_of(generic, name, arguments), result_of(gpu, name, arguments)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert snr(expected, found) >= SNR["float32"]


@pytest.mark.parametrize("name", ["coordinate_sweeps", "extrapolated", "multiplied"])
def test_double_precision(name):
    arguments = calls("float64")[name]
    assert snr(result_of(generic, name, arguments), result_of(gpu, name, arguments)) >= SNR["float64"]


@pytest.mark.parametrize("beta", [-1.0, 0.0, 0.5, 1.0, 2.0, 2.5])
@pytest.mark.parametrize("shape", [(1, 1, 1), (130, 33, 5), (7, 129, 8), (300, 64, 3)])
def test_terms_without_a_model_in_memory(shape, beta):
    arrays = block(*shape, beta)
    for floor in (1e-3, 2.0**-33):
        found, expected = (terms_of(which, arrays, floor, beta) for which in (gpu, generic))
        if floor < 1e-3 and beta < 1:  # where the model is next to nothing, the rest drowns in it
            found, expected = ((*terms[:4], np.asarray(0.0)) for terms in (found, expected))
        assert_equal(found, expected, "float32", arrays[0].size)


@pytest.mark.parametrize("n_components", [1, 33, 64, 65, 130])
def test_any_number_of_components(n_components):
    arrays = block(70, 40, n_components, 1.0)
    found, expected = (terms_of(which, arrays, 1e-3, 1.0) for which in (gpu, generic))
    assert_equal(found, expected, "float32", n_components * arrays[0].size)


def test_sums_of_denominators_with_the_most_components():
    arrays = block(130, 65, 64, 0.0)
    found, expected = (terms_of(which, arrays, 1e-3, 0.0) for which in (gpu, generic))
    assert_equal(found, expected, "float32", 64 * arrays[0].size)


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_terms_in_double_precision(beta):
    arrays = block(40, 33, 5, beta, "float64")
    found, expected = (terms_of(which, arrays, 1e-3, beta) for which in (gpu, generic))
    assert_equal(found, expected, "float64", arrays[0].size)


def test_which_terms_come_from_one_kernel(monkeypatch):
    asked = []
    composed = factors._COMPOSED
    monkeypatch.setattr(
        factors,
        "_COMPOSED",
        composed._replace(activation_terms=lambda *a: asked.append(1) or composed.activation_terms(*a)),
    )
    for n_components, dtype, n_composed in ((64, "float32", 0), (65, "float32", 1), (8, "float64", 2)):
        gpu.activation_terms(*block(3, 5, n_components, 1.0, dtype), 1e-3, 1.0)
        assert len(asked) == n_composed


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_no_loss_where_none_is_wanted(beta):
    arrays = block(70, 33, 5, beta)
    for kernel, arguments in (
        (gpu.template_terms, (*arrays, 1e-3, beta)),
        (gpu.divergence_terms, (arrays[0], arrays[2] @ arrays[1], 1e-3, beta)),
    ):
        with_it, without = kernel(*arguments, True), kernel(*arguments, False)
        assert with_it[2] != 0 == without[2]
        for ours, theirs in zip(with_it[:2], without[:2], strict=True):
            assert (ours is theirs is None) or ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("scale", [1e-15, 1e15])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_quiet_and_loud_values(beta, scale):
    values, templates, activations = block(40, 33, 5, beta)
    arrays = (values * np.float32(scale), templates * np.float32(scale), activations)
    found, expected = (terms_of(which, arrays, 1e-3 * scale, beta) for which in (gpu, generic))
    assert_equal(found, expected, "float32", values.size * max(scale, 1) ** beta)


def test_silence_has_no_logarithm():
    values, templates, activations = block(40, 33, 5, 1.0)
    tiny = np.float32(1e-45)  # the quotient by any model is zero
    for value in (np.zeros_like(values), np.full_like(values, tiny)):
        for arrays in ((value, templates, activations), (value, 0 * templates, activations)):
            terms = terms_of(gpu, arrays, 1e-3, 1.0)
            assert all(np.isfinite(term).all() for term in terms if term is not None)
    assert gpu.divergence_terms(0 * values, 0 * values, 0.5, 1.0, True)[2] == pytest.approx(0.5 * values.size)


def test_empty_blocks():
    for t, f, k in ((0, 4, 2), (3, 0, 2), (3, 4, 0)):
        arrays = [np.zeros(size, np.float32) for size in ((t, f), (k, f), (t, k))]
        both = (terms_of(which, arrays, 1.0, 1.0) for which in (gpu, generic))
        for ours, theirs in zip(*both, strict=True):
            assert (ours is theirs is None) or np.array_equal(ours, theirs)
    assert gpu.coordinate_sweeps(np.ones((2, 0)), np.eye(2), np.ones((2, 0)), None, 1).shape == (2, 0)
    none = np.ones((0, 3))
    assert gpu.multiplied(none, none, np.ones((1, 3)), 1.0, None).shape == (0, 3)
    assert gpu.extrapolated(none, none, 0.5).shape == (0, 3)


def test_small_losses_keep_their_digits():
    # Near the values the terms of a divergence cancel; what is left is a square.
    _, templates, activations = block(64, 43, 6, 1.0)
    rng = np.random.default_rng(1)
    model = activations.astype(float) @ templates + 1e-6
    values = (model * (1 + 1e-2 * rng.standard_normal(model.shape))).astype("float32")
    exact = np.sum(values * np.log(values / model) - values + model)
    loss = gpu.template_terms(values, templates, activations, 1e-6, 1.0, True)[2]
    assert abs(loss / exact - 1) < 1e-4


@pytest.mark.parametrize("kept", [None, "rows", "columns", "all"])
@pytest.mark.parametrize("denominator", ["rows", "columns", "all"])
def test_multiplied(denominator, kept):
    rng = np.random.default_rng(0)
    which = {"rows": np.s_[:, :1], "columns": np.s_[:1], "all": np.s_[:]}
    factor, numerator, below = (rng.exponential(size=(9, 70)).astype("float32") for _ in range(3))
    factor[2, 3], below[3], below[:, 5], below[0, 0] = 0, 0, 1e-45, 0
    stays = None if kept is None else (rng.uniform(size=factor.shape) < 0.3)[which[kept]]
    for exponent in (1.0, 0.5):
        arguments = factor, numerator, below[which[denominator]], exponent, stays
        found, expected = (kernel.multiplied(*arguments) for kernel in (gpu, generic))
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert found[2, 3] == 0


def test_extrapolated():
    limits = np.finfo("float32")
    levels = np.array([0, 1e-45, limits.tiny, 1e-20, 1, 1.5, 1e15], "float32")
    new, last = np.meshgrid(levels, levels)
    found, expected = (kernel.extrapolated(new, last, 0.7) for kernel in (gpu, generic))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.all(found[new == 0] == 0)


@pytest.mark.parametrize("n_components", [1, 13, 129])
def test_coordinates(n_components):
    rng = np.random.default_rng(0)
    W = rng.exponential(size=(n_components, n_components + 9)).astype("float32")
    gram, factor = W @ W.T, rng.exponential(size=(n_components, 70)).astype("float32")
    if n_components > 5:
        gram[4], gram[:, 4] = 0, 0
    numerator = gram @ rng.exponential(size=factor.shape).astype("float32") - 1
    for kept in (None, rng.uniform(size=factor.shape) < 0.3):
        arguments = numerator, gram, factor, kept, 2
        found, expected = (kernel.coordinate_sweeps(*arguments) for kernel in (gpu, generic))
        assert snr(expected, found) > 90
        assert found.min() >= 0
        assert n_components < 5 or np.array_equal(found[4], factor[4])
        assert kept is None or np.array_equal(found[kept], factor[kept])


def test_layouts_and_inputs():
    arrays = block(40, 33, 5, 0.0)
    expected = terms_of(gpu, arrays, 1e-3, 0.0)
    before = [array.tobytes() for array in arrays]
    strided = [np.asfortranarray(array) for array in arrays]
    for ours, theirs in zip(terms_of(gpu, strided, 1e-3, 0.0), expected, strict=True):
        assert ours.tobytes() == theirs.tobytes()
    assert [array.tobytes() for array in arrays] == before


def test_parts_are_summed_in_their_order(monkeypatch):
    arrays = block(700, 33, 5, 1.0)
    sums = terms_of(gpu, arrays, 1e-3, 1.0)
    assert factors._split(1, 700)[1] == 6
    for ours, theirs in zip(terms_of(gpu, arrays, 1e-3, 1.0), sums, strict=True):
        assert (ours is theirs is None) or ours.tobytes() == theirs.tobytes()
    monkeypatch.setattr(factors, "_LEAST_TILES", 100)
    assert factors._split(1, 700)[1] == 1
    assert_equal(terms_of(gpu, arrays, 1e-3, 1.0), sums, "float32", arrays[0].size)


@pytest.mark.parametrize("n_other", [1, 32, 129, 1025, 26000, 10**7])
@pytest.mark.parametrize("n_rows", [1, 9, 204, 4000, 10**6])
def test_grids(n_rows, n_other):
    n_tiles, n_parts = factors._split(n_rows, n_other)
    assert (n_parts - 1) * n_tiles * factors.N_OTHER < n_other <= n_parts * n_tiles * factors.N_OTHER
    assert n_parts < 65536
    assert n_parts == 1 or n_rows * n_parts <= 1.2 * factors._N_BLOCKS


@pytest.fixture
def as_if_on_a_device(monkeypatch):
    """Have all of a factorisation use the kernels of devices, and blocks of frames as there."""
    monkeypatch.setattr(kernels, "level_for", lambda array=None: "gpu")
    monkeypatch.setattr("dspsep.separators.nmf._updates._BLOCK_BYTES", 2**28)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_the_objective_never_rises(beta, as_if_on_a_device):
    V, W, H = block(40, 33, 4, beta, seed=3)
    W, H = W + 0.01, H + 0.01
    task = Task(objective=Objective(beta=beta, floor=1e-9), solver="mu", n_iter=30)
    losses = np.array(solve(task, V, W, H).losses)
    assert len(losses) == 31
    assert np.all(np.diff(losses) <= 1e-6 * losses[:-1])
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    ("solver", "beta", "settings"),
    [("accelerated", 1.0, {}), ("accelerated", 0.0, {}), ("mu", 1.0, {"l1": 0.1}), ("hals", 2.0, {})],
)
def test_a_factorisation_from_end_to_end(solver, beta, settings, request):
    rng = np.random.default_rng(5)
    V = (rng.exponential(size=(33, 3)) @ rng.exponential(size=(3, 60)) + 0.1).astype("float32")
    W, H = (rng.exponential(size=size).astype("float32") for size in ((33, 3), (3, 60)))
    settings = {"solver": solver, "beta": beta, "n_iter": 12, **settings}
    settings["fixed_templates"] = np.array([False, False, True])
    expected = dspsep.nmf(V, W, H, **settings)
    request.getfixturevalue("as_if_on_a_device")
    assert len(blocks(V.T)) == 1
    found = dspsep.nmf(V, W, H, **settings)
    assert snr(expected[0] @ expected[1], found[0] @ found[1]) > 60
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-3)
    assert np.array_equal(found[0][:, 2], W[:, 2])
