"""SI-SDR and SDR: known answers, exact arithmetic, invariances, edges."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dspsep import _backend
from dspsep.errors import BackendError, InputError
from dspsep.metrics import _signals, sdr, si_sdr

Ratio = Callable[..., float]


def si_snr(reference: Any, estimate: Any) -> float:
    return si_sdr(reference, estimate, zero_mean=True)


RATIOS = [si_sdr, sdr]
ALL_ROADS = [*RATIOS, si_snr]

integers = st.integers(-50, 50)
#: Pairs of equally long signals of integers, on which everything can be worked out exactly.
pairs = st.lists(st.tuples(integers, integers), min_size=1, max_size=30).filter(
    lambda rows: any(s for s, _ in rows)
)


def _columns(rows: list[tuple[int, int]]) -> tuple[Any, Any]:
    s, x = zip(*rows, strict=True)
    return np.array(s, dtype=float), np.array(x, dtype=float)


def _noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape)


def _disjoint(error_db: float, n_samples: int = 4096) -> tuple[Any, Any]:
    """A source in the even samples, and an estimate with an error of known energy in the odd ones."""
    reference, error = np.zeros(n_samples), np.zeros(n_samples)
    reference[::2] = _noise(n_samples // 2)
    error[1::2] = _noise(n_samples // 2, seed=1)
    error *= math.sqrt((reference @ reference) / (error @ error)) * 10 ** (-error_db / 20)
    return reference, reference + error


# Known answers


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("error_db", [-120, -10, 0, 3, 20, 60, 150, 200, 280])
def test_orthogonal_error_of_known_energy(ratio: Ratio, error_db: float) -> None:
    assert ratio(*_disjoint(error_db)) == pytest.approx(error_db, abs=1e-9)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("error_db", [0, 60, 200])
def test_single_precision_is_summed_in_double(ratio: Ratio, error_db: float) -> None:
    # Rounding each sample to single precision moves the energy by 1e-8 of itself at most.
    pair = [signal.astype(np.float32) for signal in _disjoint(error_db)]
    assert ratio(*pair) == pytest.approx(error_db, abs=1e-6)


@given(pairs)
def test_both_against_exact_arithmetic(rows: list[tuple[int, int]]) -> None:
    energy = sum(s * s for s, _ in rows)
    alpha = Fraction(sum(s * x for s, x in rows), energy)
    scaled_error = sum((alpha * s - x) ** 2 for s, x in rows)
    plain_error = sum((s - x) ** 2 for s, x in rows)
    reference, estimate = _columns(rows)

    plain = math.inf if plain_error == 0 else 10 * math.log10(Fraction(energy, plain_error))
    assert sdr(reference, estimate) == pytest.approx(plain, abs=1e-9)
    if alpha == 0:
        assert si_sdr(reference, estimate) == -math.inf
    elif scaled_error == 0:  # alpha need not be a number of double precision
        assert si_sdr(reference, estimate) > 290
    else:
        exact = 10 * math.log10(alpha**2 * energy / scaled_error)
        assert si_sdr(reference, estimate) == pytest.approx(exact, abs=1e-9)


@given(pairs, st.floats(1e-6, 1e6), st.sampled_from([-1, 1]))
def test_si_sdr_does_not_see_the_scale_of_the_estimate(
    rows: list[tuple[int, int]], gain: float, sign: int
) -> None:
    reference, estimate = _columns(rows)
    expected = si_sdr(reference, estimate)
    scaled = si_sdr(reference, sign * gain * estimate)
    if abs(expected) > 250:
        assert abs(scaled) > 250  # what the rounding of the product leaves of nothing
        assert (scaled > 0) == (expected > 0)
    else:
        assert scaled == pytest.approx(expected, abs=1e-9)


@given(pairs)
def test_the_best_gain_ties_the_two_together(rows: list[tuple[int, int]]) -> None:
    # The SDR of the estimate at its best gain is 1 / (1 − c²), where the SI-SDR is c² / (1 − c²).
    reference, estimate = _columns(rows)
    expected = si_sdr(reference, estimate)
    assume(-200 < expected < 200)
    gain = (reference @ estimate) / (estimate @ estimate)
    best = 10 * math.log10(1 + 10 ** (expected / 10))
    assert sdr(reference, gain * estimate) == pytest.approx(best, abs=1e-9)


def test_channels_are_one_vector_with_one_scale() -> None:
    reference, estimate = _noise(3, 500), _noise(3, 500, seed=1) + _noise(3, 500)
    for ratio in RATIOS:
        assert ratio(reference, estimate) == pytest.approx(
            ratio(reference.ravel(), estimate.ravel()), abs=1e-9
        )
    # Right in each channel but for its level, hence wrong as an image: α = (1 + 3) / 2 for channels 1 and 3.
    image = np.ones((2, 64))
    assert si_sdr(image, image * [[1.0], [3.0]]) == pytest.approx(10 * math.log10(2**2 * 2 / 2), abs=1e-9)


def test_mean_stays_unless_asked_for() -> None:
    reference, estimate = _noise(2, 400), _noise(2, 400) + 0.1 * _noise(2, 400, seed=1)
    reference -= reference.mean(axis=1, keepdims=True)
    centred = estimate - estimate.mean(axis=1, keepdims=True)
    offset = np.array([[5.0], [-0.3]])
    plain = si_sdr(reference, centred)
    assert si_sdr(reference + 7 * offset, centred + offset, zero_mean=True) == pytest.approx(plain, abs=1e-9)
    assert si_sdr(reference, centred + offset) < plain - 10


# Edges


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_signals_score_infinity(dtype: type) -> None:
    reference = _noise(2, 200_001).astype(dtype)
    assert sdr(reference, reference.copy()) == math.inf
    assert si_sdr(reference, reference.copy()) == math.inf
    assert si_sdr(reference, -4 * reference) == math.inf
    assert sdr(reference, 2 * reference) == pytest.approx(0, abs=1e-12)


def test_silent_and_orthogonal_estimates() -> None:
    reference = np.array([1.0, 1.0, 0.0])
    assert si_sdr(reference, np.zeros(3)) == -math.inf
    assert si_sdr(reference, np.array([1.0, -1.0, 1.0])) == -math.inf
    assert sdr(reference, np.zeros(3)) == 0
    assert si_sdr(reference, np.full(3, 0.1), zero_mean=True) == -math.inf


@pytest.mark.parametrize("ratio", RATIOS)
def test_silent_reference_is_refused_by_name(ratio: Ratio) -> None:
    with pytest.raises(
        InputError, match=r"^reference must be audible; got silence\. .*leave this source out"
    ):
        ratio(np.zeros(8), np.ones(8))


@pytest.mark.parametrize("value", [0.1, -1e5, 1 / 3])
def test_constant_reference_has_nothing_left_without_its_mean(value: float) -> None:
    constant = np.full((2, 99_991), value)
    with pytest.raises(InputError, match="reference must be audible; got a constant"):
        si_sdr(constant, _noise(2, 99_991), zero_mean=True)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("culprit", ["reference", "estimate"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_with_its_place(ratio: Ratio, culprit: str, value: float) -> None:
    audio = {"reference": _noise(2, 150_000), "estimate": _noise(2, 150_000)}
    audio[culprit][1, 140_123] = value
    with pytest.raises(InputError, match=rf"^{culprit} must be finite; .* channel 1 at sample 140123\."):
        ratio(**audio)


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("shape", [(2, 10**9 - 1), (3, 10**9), (10**9,)])
def test_shapes_are_compared_before_any_sample_is_read(ratio: Ratio, shape: tuple[int, ...]) -> None:
    # Broadcast arrays hold a single number; reading a thousand million of them would take minutes.
    reference = np.broadcast_to(np.float32(np.nan), (2, 10**9))
    with pytest.raises(InputError, match=r"^estimate must be of the shape of reference, \(2, 1000000000\)"):
        ratio(reference, np.broadcast_to(np.float32(1), shape))


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (np.zeros((200, 2)), "pass its transpose"),
        (np.zeros(0), "at least one sample long"),
        (np.zeros((1, 2, 3)), "3 dimensions"),
        (np.ones(8, dtype=complex), "real floating-point audio"),
        ("song.wav", r"an array of numbers; got str\. .+dspsep\.load"),
    ],
)
def test_what_is_not_audio_is_refused(ratio: Ratio, audio: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ratio(audio, audio)


# Types, scales, layouts, blocks


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("dtype", ["int16", "int32", "uint8", "float16"])
def test_integers_are_fractions_of_full_scale(ratio: Ratio, dtype: str) -> None:
    full = {"int16": (0, 2.0**15), "int32": (0, 2.0**31), "uint8": (2.0**7, 2.0**7), "float16": (0, 1)}
    centre, scale = full[dtype]
    reference = (np.clip(_noise(2, 70_000) * 0.2, -0.9, 0.9) * scale + centre).astype(dtype)
    estimate = _noise(2, 70_000) * 0.3
    plain = (reference.astype(np.float64) - centre) / scale
    assert ratio(reference, estimate) == ratio(plain, estimate)
    assert ratio(estimate, reference) == ratio(estimate, plain)


@pytest.mark.parametrize("ratio", ALL_ROADS)
@pytest.mark.parametrize(
    ("dtype", "scale"),
    [("float32", 1e30), ("float32", 1e-30), ("float64", 1e30), ("float64", 1e-30), ("float64", 1e306),
     ("float64", 1e-300)],
)  # fmt: skip
def test_common_scale_changes_nothing(ratio: Ratio, dtype: str, scale: float) -> None:
    reference, estimate = 0.3 + _noise(2, 1000), _noise(2, 1000) + 0.1 * _noise(2, 1000, seed=1)
    scaled = ratio((reference * scale).astype(dtype), (estimate * scale).astype(dtype))
    assert scaled == pytest.approx(ratio(reference, estimate), abs=1e-5 if dtype == "float32" else 1e-9)


def test_scales_far_apart() -> None:
    reference, estimate = _noise(1000), _noise(1000, seed=1)
    expected = si_sdr(reference, estimate)
    assert si_sdr(reference * 1e-290, estimate * 1e290) == pytest.approx(expected, abs=1e-9)
    assert si_sdr(reference * 1e290, estimate * 1e-290) == pytest.approx(expected, abs=1e-9)
    energies = 10 * math.log10((reference @ reference) / (estimate @ estimate))
    assert sdr(reference * 1e-290, estimate * 1e290) == pytest.approx(energies - 20 * 580, abs=1e-9)
    assert sdr(reference * 1e290, estimate * 1e-290) == 0


@pytest.mark.parametrize("ratio", RATIOS)
def test_layout_does_not_matter_and_inputs_stay_untouched(ratio: Ratio) -> None:
    reference, estimate = _noise(2, 3000), _noise(2, 3000, seed=1)
    expected = ratio(reference, estimate)
    for remake in (
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[:, ::-1].copy()[:, ::-1],
    ):
        one, other = remake(reference), remake(estimate)
        for audio in (one, other):
            audio.setflags(write=False)
        assert ratio(one, other) == expected
    np.testing.assert_array_equal(reference, _noise(2, 3000))
    assert ratio(reference.tolist(), estimate.tolist()) == expected
    assert ratio(reference[0], estimate[0]) == ratio(reference[:1], estimate[:1])


@pytest.mark.parametrize("n_samples", [1, 6, 7, 8, 20, 21, 22])
@pytest.mark.parametrize("ratio", ALL_ROADS)
def test_blocks_join_without_a_seam(ratio: Ratio, n_samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = (2, n_samples + 1)
    reference, estimate = _noise(*shape), _noise(*shape, seed=1)
    expected = ratio(reference, estimate)
    monkeypatch.setattr(_signals, "BLOCK", 7)
    assert ratio(reference, estimate) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "int16", "int32"])
@pytest.mark.parametrize("ratio", ALL_ROADS)
def test_memory_does_not_grow_with_the_audio(ratio: Ratio, dtype: str) -> None:
    audio = (_noise(2, 1_500_000) * 1000).astype(dtype)  # 24 MB in double precision
    other = audio[:, ::-1]
    tracemalloc.start()
    try:
        ratio(audio, other)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4e6


# Other array libraries


@pytest.mark.parametrize("ratio", ALL_ROADS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_only_sums_leave_a_device(ratio: Ratio, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host = [(_noise(2, 100_000, seed=seed) * 100).astype(dtype) for seed in (0, 1)]
    device = [strict.asarray(audio, device=strict.Device("device1")) for audio in host]
    expected = ratio(*host)

    sizes: list[int] = []
    to_host = _backend.to_host

    def counting(array: Any) -> Any:
        moved = to_host(array)
        sizes.append(moved.size)
        return moved

    monkeypatch.setattr(_backend, "to_host", counting)
    assert ratio(*device) == pytest.approx(expected, abs=1e-9)
    n_blocks = 4
    assert sizes
    assert max(sizes) <= 2 * n_blocks


def test_not_finite_on_a_device_is_refused() -> None:
    audio = strict.asarray(np.array([1.0, np.nan]), device=strict.Device("device1"))
    with pytest.raises(InputError, match=r"reference must be finite; .* channel 0 at sample 1"):
        si_sdr(audio, audio)


@pytest.mark.parametrize("ratio", RATIOS)
def test_libraries_do_not_mix(ratio: Ratio) -> None:
    with pytest.raises(BackendError, match=r"numpy\.ndarray"):
        ratio(np.ones(4), strict.ones(4))
