"""The terms of factorisations: those of the definition, at every size and on other machines."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")
from dspsep import _parallel
from dspsep.kernels import cpu, generic, simd
from dspsep.kernels.simd import factors
from dspsep.kernels.simd._tiles import ROWS, WIDTH

ROOT = Path(__file__).resolve().parents[2]


def block(n_frames, n_freqs, n_components, beta, dtype="float32", seed=0):
    """Return values, templates and activations; for beta above 0 a tenth of the values are zero."""
    rng = np.random.default_rng(seed)
    values = rng.exponential(size=(n_frames, n_freqs)) + 0.01
    if beta > 0:
        values[rng.uniform(size=values.shape) < 0.1] = 0
    sizes = (n_components, n_freqs), (n_frames, n_components)
    return tuple(array.astype(dtype) for array in (values, *(rng.exponential(size=size) for size in sizes)))


def expected(values, templates, activations, floor, beta):
    """Return all terms in double precision, from their definition."""
    values, templates, activations = (array.astype(float) for array in (values, templates, activations))
    model = activations @ templates + floor
    weighted, plain = values * model ** (beta - 2), model ** (beta - 1)
    if beta == 1:
        ratio = np.where(values > 0, values / model, 1)
        loss = np.sum(values * np.log(ratio) - values + model)
        return weighted @ templates.T, None, activations.T @ weighted, None, loss
    loss = np.sum(values / model - np.log(values / model) - 1) if beta == 0 else None
    terms = weighted @ templates.T, plain @ templates.T, activations.T @ weighted, activations.T @ plain
    return (*terms, loss)


def found(kernels, arrays, floor, beta):
    numerator, denominator, loss = kernels.template_terms(*arrays, floor, beta, True)
    return (*kernels.activation_terms(*arrays, floor, beta), numerator, denominator, loss)


def assert_equal(found_, expected_, dtype, size):
    tolerance = 32 * np.finfo(dtype).eps
    *arrays, loss = zip(found_, expected_, strict=True)
    for ours, true in arrays:
        assert (ours is None) == (true is None)
        if true is not None:
            assert ours.dtype == dtype
            assert ours.shape == true.shape
            np.testing.assert_allclose(ours, true, rtol=tolerance, atol=tolerance * np.abs(true).max())
    assert loss[0].shape == ()
    assert loss[0].dtype == np.float64
    if loss[1] is not None:
        assert abs(float(loss[0]) - loss[1]) <= tolerance * (size + loss[1])


@pytest.mark.core
@pytest.mark.parametrize("kernels", [cpu, simd, generic], ids=["cpu", "simd", "generic"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("beta", [0.0, 1.0])
@given(
    n_frames=st.integers(1, 5 * ROWS),
    n_freqs=st.one_of(
        st.sampled_from([WIDTH - 1, WIDTH, WIDTH + 1, WIDTH + 8, WIDTH + 9, 8 * WIDTH, 17 * WIDTH + 1]),
        st.integers(1, 2 * WIDTH + 20),
    ),
    n_components=st.integers(1, 20),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_terms_are_those_of_the_definition(kernels, dtype, beta, n_frames, n_freqs, n_components, seed):
    arrays = block(n_frames, n_freqs, n_components, beta, dtype, seed)
    terms = found(kernels, arrays, 1e-3, beta)
    assert_equal(terms, expected(*arrays, 1e-3, beta), dtype, arrays[0].size)


@pytest.mark.core
@pytest.mark.parametrize("beta", [0.0, 1.0])
@pytest.mark.parametrize("n_freqs", [WIDTH + 1, 2 * WIDTH + 20])
def test_a_block_without_a_loss_has_the_same_terms(beta, n_freqs):
    arrays = block(3 * ROWS + 1, n_freqs, 5, beta)
    *with_it, loss = simd.template_terms(*arrays, 1e-3, beta, True)
    *without, none = simd.template_terms(*arrays, 1e-3, beta, False)
    assert none == 0 != loss
    for ours, theirs in zip(with_it, without, strict=True):
        assert (ours is theirs is None) or ours.tobytes() == theirs.tobytes()


@pytest.mark.core
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_small_losses_keep_their_digits(beta):
    # Near the values the terms of a divergence cancel; what is left is a square.
    _, templates, activations = block(64, 4 * WIDTH + 3, 6, beta)
    rng = np.random.default_rng(1)
    model = activations.astype(float) @ templates + 1e-6
    values = (model * (1 + 1e-2 * rng.standard_normal(model.shape))).astype("float32")
    arrays = values, templates, activations
    true = expected(*arrays, 1e-6, beta)[-1]
    assert abs(float(simd.template_terms(*arrays, 1e-6, beta, True)[2]) / true - 1) < 1e-4


@pytest.mark.core
def test_zeros_of_templates_and_activations_are_no_trouble():
    values, templates, activations = block(9, WIDTH + 12, 4, 1.0)
    templates[1], activations[:, 2], activations[3] = 0, 0, 0
    terms = found(simd, (values, templates, activations), 1e-3, 1.0)
    assert_equal(terms, expected(values, templates, activations, 1e-3, 1.0), "float32", 1e4 * values.size)


@pytest.mark.core
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_threads_do_not_change_a_byte(beta):
    arrays = block(600, 17 * WIDTH + 20, 5, beta)
    outcomes = set()
    for n_threads in (1, 2, 3):
        with _parallel.num_threads(n_threads):
            terms = found(simd, arrays, 1e-3, beta)
        outcomes.add(b"".join(np.asarray(term).tobytes() for term in terms if term is not None))
    assert len(outcomes) == 1


@pytest.mark.core
def test_tiles_serve_single_precision_and_beta_1_and_0_and_not_too_many_components(monkeypatch):
    def forbidden(*_):
        raise AssertionError

    monkeypatch.setattr(factors, "_COMPOSED", factors._COMPOSED._replace(activation_terms=forbidden))
    assert simd.activation_terms(*block(8, 40, 3, 1.0), 1e-3, 1.0)[0].shape == (8, 3)
    for arrays, beta in (
        (block(8, 40, 3, 1.0, "float64"), 1.0),
        (block(8, 40, 3, 0.5), 0.5),
        (block(8, 40, 300, 1.0), 1.0),
        (block(3, 40, 3, 1.0), 1.0),
    ):
        with pytest.raises(AssertionError):
            simd.activation_terms(*arrays, 1e-3, beta)


TERMS = """
    import numpy as np
    from dspsep.kernels.simd import _vectors
    from tests.kernels.test_factors import assert_equal, block, expected, found, simd
    for beta in (0.0, 1.0):
        for n_freqs in (_vectors.LANES, 165):
            arrays = block(13, n_freqs, 5, beta)
            terms = found(simd, arrays, 1e-3, beta)
            assert_equal(terms, expected(*arrays, 1e-3, beta), "float32", arrays[0].size)
    print(_vectors.LANES)
"""
AS_IF = """
    import numba.core.codegen as codegen
    real, codegen.get_host_cpu_features = codegen.get_host_cpu_features, lambda: "+avx"
    import dspsep.kernels.simd._vectors
    codegen.get_host_cpu_features = real
"""


@pytest.mark.parametrize(
    ("environment", "before", "lanes"),
    [({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}, "", 4), ({}, AS_IF, 8)],
)
def test_other_widths_give_the_same(environment, before, lanes, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(before) + textwrap.dedent(TERMS)],
        cwd=ROOT,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "DSPSEP_KERNELS": "simd", **environment},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(lanes)]
