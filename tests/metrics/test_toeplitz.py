"""Block-Toeplitz systems against dense ones, and where the signals depend on one another."""

from __future__ import annotations

import numpy as np
import pytest

from dspsep.metrics import _toeplitz
from dspsep.metrics._toeplitz import LOADING, BlockToeplitz

RNG = np.random.default_rng(20061)


def delayed(signals: np.ndarray, n_delays: int) -> np.ndarray:
    """Return all delayed copies as columns, (n_samples + n_delays - 1, n_delays · n_signals)."""
    n_signals, n_samples = signals.shape
    columns = np.zeros((n_samples + n_delays - 1, n_delays, n_signals))
    for p in range(n_delays):
        columns[p : p + n_samples, p] = signals.T
    return columns.reshape(len(columns), -1)


def blocks_of(signals: np.ndarray, n_delays: int) -> np.ndarray:
    """Return the first row of blocks, from its definition."""
    n = signals.shape[1]
    return np.stack([signals[:, m:] @ signals[:, : n - m].T for m in range(n_delays)])


def sides_of(signals: np.ndarray, targets: np.ndarray, n_delays: int) -> np.ndarray:
    padded = np.pad(targets, ((0, 0), (0, n_delays - 1)))
    return (delayed(signals, n_delays).T @ padded.T).reshape(n_delays, len(signals), len(targets))


@pytest.mark.parametrize(("n_signals", "n_delays"), [(1, 1), (1, 6), (3, 1), (2, 5), (4, 16)])
def test_filters_are_those_of_least_squares(n_signals: int, n_delays: int) -> None:
    signals = RNG.standard_normal((n_signals, 300)) * 10.0 ** np.arange(n_signals)[:, None]
    targets = RNG.standard_normal((2, 300))
    system = BlockToeplitz(blocks_of(signals, n_delays)[None])
    taps = system.solve(sides_of(signals, targets, n_delays)[None])[0]
    columns = delayed(signals, n_delays)
    padded = np.pad(targets, ((0, 0), (0, n_delays - 1)))
    expected = np.linalg.lstsq(columns, padded.T, rcond=None)[0].reshape(taps.shape)
    np.testing.assert_allclose(taps, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
    assert system.loading == LOADING


def test_the_factor_is_that_of_the_whole_matrix() -> None:
    signals = np.cumsum(RNG.standard_normal((3, 400)), axis=1)
    blocks = blocks_of(signals, 12)
    system = BlockToeplitz(blocks[None])
    columns = delayed(signals, 12)
    scales = np.tile(1 / np.sqrt(np.diagonal(blocks[0])), 12)
    whole = (columns.T @ columns) * scales[:, None] * scales + LOADING * np.eye(36)
    factor = system._factor[0]
    np.testing.assert_allclose(factor.T @ factor, whole, atol=1e-12)
    assert np.array_equal(factor, np.triu(factor))
    condition = np.linalg.cond(whole)
    assert condition / 5 < system.condition[0] < condition * 5


def test_systems_side_by_side_are_those_alone() -> None:
    pair = RNG.standard_normal((2, 2, 200))
    blocks = np.stack([blocks_of(signals, 8) for signals in pair])
    sides = np.stack([sides_of(signals, signals[:1] * 2, 8) for signals in pair])
    together = BlockToeplitz(blocks).solve(sides)
    for one, (block, side) in enumerate(zip(blocks, sides, strict=True)):
        np.testing.assert_allclose(together[one], BlockToeplitz(block[None]).solve(side[None])[0], atol=1e-12)


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0), (1.0, 0.25, 0.0), (1e-6, 1.0, 1e6)])
def test_signals_that_are_one_signal_are_projected_on(scales: tuple[float, ...]) -> None:
    source = RNG.standard_normal(2000)
    signals = np.array(scales)[:, None] * source
    target = np.convolve(source, [0.5, 0.25, -0.125])[:2000]
    system = BlockToeplitz(blocks_of(signals, 32)[None])
    taps = system.solve(sides_of(signals, target[None], 32)[None])[0]
    made = delayed(signals, 32) @ taps.reshape(-1)
    padded = np.pad(target, (0, 31))
    one = delayed(source[None], 32)
    expected = one @ np.linalg.lstsq(one, padded, rcond=None)[0]
    assert np.linalg.norm(made - expected) < 1e-6 * np.linalg.norm(expected)
    assert system.condition[0] > 1e10
    if 0.0 in scales:
        assert not taps[:, scales.index(0.0)].any()


def test_a_few_low_tones_are_loaded_until_the_matrix_is_definite() -> None:
    t = np.arange(60_000)
    signals = np.stack([np.sin(0.0005 * t), np.sin(0.0005 * t + 1), np.cos(0.0007 * t)])
    system = BlockToeplitz(blocks_of(signals, 512)[None])
    assert LOADING < system.loading < 1e-6
    assert np.isfinite(system.solve(sides_of(signals, signals[:1], 512)[None])).all()


def test_silence_has_filters_of_zeros() -> None:
    system = BlockToeplitz(np.zeros((1, 4, 2, 2)))
    assert not system.solve(np.ones((1, 4, 2, 1)) * 0).any()


def test_no_more_loading_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference that the loading makes grows with it, and not faster."""
    signals = np.cumsum(RNG.standard_normal((2, 500)), axis=1)
    sides = sides_of(signals, RNG.standard_normal((1, 500)), 8)[None]
    exact = BlockToeplitz(blocks_of(signals, 8)[None]).solve(sides)
    differences = []
    for loading in (1e-8, 1e-6):
        monkeypatch.setattr(_toeplitz, "LOADING", loading)
        loaded = BlockToeplitz(blocks_of(signals, 8)[None]).solve(sides)
        differences.append(np.abs(loaded - exact).max() / np.abs(exact).max())
    assert differences[0] < 1e-3
    assert 30 < differences[1] / differences[0] < 300
