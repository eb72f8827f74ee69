"""Correlations, projections and their energies against plain least squares on delayed copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dspsep
from dspsep.metrics import _correlations
from dspsep.metrics._correlations import block_length, correlations
from dspsep.metrics._projections import ENERGIES, energies, fit
from dspsep.metrics._signals import alike
from dspsep.metrics._stacks import Stack
from tests.metrics.test_toeplitz import delayed

RNG = np.random.default_rng(20121)


def stack(signals: np.ndarray, exponent: int = 0) -> Stack:
    """Return signals (n_signals, n_channels, n_samples) to be read."""
    return Stack(alike((f"signals[{i}]", signal) for i, signal in enumerate(signals)), exponent)


@pytest.mark.parametrize("n_samples", [1, 7, 100, 5000])
@pytest.mark.parametrize("n_delays", [1, 4, 9])
def test_correlations_are_sums_of_products(n_samples: int, n_delays: int) -> None:
    left, right = RNG.standard_normal((2, 2, n_samples)), RNG.standard_normal((1, 3, n_samples))
    found = correlations(stack(left), stack(right), (0, n_samples), n_delays)
    rows, columns = left.reshape(4, -1), right.reshape(3, -1)
    expected = np.zeros((n_delays, 4, 3))
    for p in range(min(n_delays, n_samples)):
        expected[p] = rows[:, : n_samples - p] @ columns[:, p:].T
    np.testing.assert_allclose(found, expected, atol=1e-12 * max(n_samples, 1) ** 0.5 * 10)


def test_correlations_of_a_part_see_nothing_else() -> None:
    signals = RNG.standard_normal((2, 1, 3000))
    whole = correlations(stack(signals), stack(signals), (700, 2100), 6)
    part = signals[:, :, 700:2100]
    np.testing.assert_allclose(whole, correlations(stack(part), stack(part), (0, 1400), 6), atol=1e-10)


def test_blocks_are_powers_of_two_and_no_longer_than_needed() -> None:
    assert block_length(10**6, 512) == 8192
    assert block_length(1000, 512) == 2048
    assert block_length(1, 1) == 2
    for n_samples in (1, 100, 8192 - 511, 8192 - 510, 10**7):
        length = block_length(n_samples, 512)
        assert length & (length - 1) == 0
        assert length > 511


def decomposition(references: Any, estimates: Any, windows: Any, n_taps: int, pairs: Any) -> np.ndarray:
    """Return the energies by plain least squares over the whole, filters applied to each window alone."""
    n_channels = references.shape[1]

    def columns(which: slice, span: slice) -> np.ndarray:
        rows = references[which, :, span]
        return delayed(rows.reshape(-1, rows.shape[-1]), n_taps)

    def padded(signal: np.ndarray, span: slice) -> np.ndarray:
        return np.pad(signal[:, span], ((0, 0), (0, n_taps - 1))).T

    everything = slice(None)
    found = np.zeros((len(windows), len(pairs), len(ENERGIES)))
    for p, (i, j) in enumerate(pairs):
        own = slice(i, i + 1)
        target = padded(estimates[j], everything)
        all_taps = np.linalg.lstsq(columns(everything, everything), target, rcond=None)[0]
        own_taps = np.linalg.lstsq(columns(own, everything), target, rcond=None)[0]
        for w, (start, stop) in enumerate(windows):
            span = slice(start, stop)
            s, x = padded(references[i], span), padded(estimates[j], span)
            P, Q = columns(everything, span) @ all_taps, columns(own, span) @ own_taps
            assert s.shape[1] == n_channels
            parts = (s, x, Q, P, x - s, Q - s, P - Q, x - P, x - Q)
            found[w, p] = [float((part**2).sum()) for part in parts]
    return found


@pytest.mark.parametrize(("n_sources", "n_channels"), [(1, 1), (1, 2), (2, 1), (3, 2)])
def test_energies_are_those_of_plain_least_squares(n_sources: int, n_channels: int) -> None:
    n_samples, n_taps = 1500, 5
    references = np.cumsum(RNG.standard_normal((n_sources, n_channels, n_samples)), axis=-1) * 0.1
    references += RNG.standard_normal(references.shape)
    estimates = references + 0.3 * references.sum(axis=0) + 0.2 * RNG.standard_normal(references.shape)
    pairs = [(i, j) for i in range(n_sources) for j in range(n_sources)]
    windows = [(0, 400), (200, 600), (0, 1500), (1499, 1500)]
    true, made = stack(references), stack(estimates)
    filters = fit(true, made, (0, n_samples), n_taps, pairs)
    found = energies(true, made, windows, filters, pairs)
    expected = decomposition(references, estimates, windows, n_taps, pairs)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_long_windows_are_taken_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    references = RNG.standard_normal((2, 1, 20_000))
    estimates = references[::-1] * 0.5 + references
    pairs = [(0, 0), (1, 1)]
    filters = fit(stack(references), stack(estimates), (0, 20_000), 3, pairs)
    assert block_length(20_000, 3) * 8 < 20_000  # or there would be one piece
    found = energies(stack(references), stack(estimates), [(0, 20_000)], filters, pairs)
    expected = decomposition(references, estimates, [(0, 20_000)], 3, pairs)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-7)
    monkeypatch.setattr(_correlations, "_TOGETHER", 3)
    again = fit(stack(references), stack(estimates), (0, 20_000), 3, pairs)
    np.testing.assert_allclose(again.everything, filters.everything, atol=1e-12)


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    references = RNG.standard_normal((2, 2, 30_000))
    estimates = references + 0.1 * references[::-1]
    windows = [(start, start + 5000) for start in range(0, 30_000, 5000)]
    found = []
    for n_threads in (1, 2, 5):
        with dspsep.num_threads(n_threads):
            filters = fit(stack(references), stack(estimates), (0, 30_000), 64, [(0, 0), (1, 1)])
            found.append(energies(stack(references), stack(estimates), windows, filters, [(0, 0), (1, 1)]))
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_stacks_read_zeros_outside_and_scale() -> None:
    signals = RNG.integers(-100, 100, (2, 2, 50)).astype(np.int16)
    read = stack(signals, exponent=3).read(-4, 30, (2, 20))
    expected = np.zeros((4, 34))
    expected[:, 6:24] = signals.reshape(4, 50)[:, 2:20] / 2**15 * 8
    np.testing.assert_array_equal(read, expected)
    assert not stack(signals).read(60, 70, (0, 50)).any()
    np.testing.assert_array_equal(
        stack(signals).summed("sum").array, signals.sum(axis=0, dtype=float) / 2**15
    )
