"""Losses stay on the device, where nothing waits for them, until something depends on them."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep import _backend, nmf, nmfd

xp = pytest.importorskip("array_api_strict")
DEVICE = xp.Device("device1")


def exits_of(function, n_iter, shape=(3,), **settings):
    """Return how often a factorisation of `n_iter` iterations leaves the device."""
    rng = np.random.default_rng(0)
    arrays = (rng.exponential(size=size) + 0.1 for size in ((9, 20), (9, *shape), (3, 20)))
    V, W, H = (xp.asarray(array, device=DEVICE) for array in arrays)
    before = _backend.host_exits()
    losses = function(V, W, H, n_iter=n_iter, **settings)[2]
    assert len(losses) == n_iter + 1
    assert {type(loss) for loss in losses} == {float}
    return _backend.host_exits() - before


@pytest.mark.parametrize(
    ("function", "settings", "of_each"),
    [
        (nmf, {"solver": "mu"}, 0),
        (nmf, {"solver": "mu", "beta": 0.0, "l1": 0.1, "continuity": 0.1}, 0),
        (nmf, {"solver": "mu", "tol": 1e-9}, 0.1),  # every tenth
        (nmf, {"solver": "mu", "callback": lambda _: False}, 1),
        (nmf, {"solver": "accelerated"}, 1),  # decides whether a trial is taken
        (nmf, {"solver": "mu", "beta": 2.0}, 1),  # decides whether enough digits are left
        (nmf, {"solver": "hals", "beta": 2.0}, 1),
        (nmfd, {"shape": (3, 4)}, 0),
    ],
)
def test_exits_of_an_iteration(function, settings, of_each):
    counts = [exits_of(function, n_iter, **settings) for n_iter in (1, 31)]
    assert counts[1] - counts[0] == 30 * of_each
