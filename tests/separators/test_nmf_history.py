"""What is remembered of batches that are gone: a majoriser of their divergence, exact where it touches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dspsep.separators.nmf._core import prepare
from dspsep.separators.nmf._history import History
from dspsep.separators.nmf._updates import Objective, collect, multiplied
from tests.separators.test_nmf import BETAS, divergence

RNG = np.random.default_rng(3)


def batch(seed=0, n_frames=30, n_freqs=12, n_components=4):
    """Return V, W and H, frame-major, in double precision."""
    rng = np.random.default_rng(seed)
    V, W, H = (
        rng.gamma(1.0, size=shape)
        for shape in ((n_frames, n_freqs), (n_components, n_freqs), (n_frames, n_components))
    )
    return V, W, H


def remembered(beta, V, W, H, memory=np.inf, history=None):
    moments = collect(Objective(beta=beta, floor=0.0), V, W, H)
    history = History.of_nothing(W, beta) if history is None else history
    return history.after(W, moments.numerator, moments.denominator, len(V), memory)


def without_age(history):
    """Return a history that counts as it does for ever: it has been heard without end."""
    return replace(history, heard=1e15 * history.heard)


@pytest.mark.core
@pytest.mark.parametrize("beta", BETAS)
def test_it_majorises_and_touches(beta):
    V, W, H = batch()
    history = remembered(beta, V, W, H)
    here, above = divergence(V, H @ W, beta), history.value(W)
    for spread in (1e-4, 0.1, 1.0, 3.0):
        other = W * np.exp(spread * RNG.standard_normal(W.shape))
        rise = divergence(V, H @ other, beta) - here
        bound = history.value(other) - above
        assert rise <= bound + 1e-9 * max(here, above)
    # Of first order it is the divergence itself: where it touches, the slopes are equal.
    direction = W * RNG.standard_normal(W.shape)
    step = 1e-6
    slopes = [
        (f(W + step * direction) - f(W - step * direction)) / (2 * step)
        for f in (history.value, lambda other: divergence(V, H @ other, beta))
    ]
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-5, abs=1e-5 * here)


@pytest.mark.core
@pytest.mark.parametrize("beta", BETAS)
def test_gains_are_the_slope_of_the_value(beta):
    history = remembered(beta, *batch())
    other = RNG.gamma(1.0, size=(4, 12))
    pull, push = history.gains(other)
    for k, f in ((0, 0), (2, 7), (3, 11)):
        step = np.zeros_like(other)
        step[k, f] = 1e-3 * other[k, f]  # a smaller one drowns in the rounding of the sum
        slope = (history.value(other + step) - history.value(other - step)) / (2 * step[k, f])
        assert slope == pytest.approx(push[k, f] - pull[k, f], rel=1e-4, abs=1e-4)


@pytest.mark.core
@pytest.mark.parametrize("beta", BETAS)
def test_it_is_least_at_the_templates_an_update_leads_to(beta):
    V, W, H = batch()
    moments = collect(Objective(beta=beta, floor=0.0), V, W, H)
    history = remembered(beta, V, W, H)
    best = multiplied(W, moments.numerator, moments.denominator, Objective(beta=beta, floor=0.0).exponent)
    assert history.value(best) == pytest.approx(0, abs=1e-9)
    for _ in range(20):
        assert history.value(best * np.exp(0.1 * RNG.standard_normal(W.shape))) > 1e-6


@pytest.mark.core
@pytest.mark.parametrize("beta", BETAS)
def test_several_batches_add_up(beta):
    first, second = batch(1), batch(2)
    both = remembered(beta, *second, history=without_age(remembered(beta, *first)))
    others = [RNG.gamma(1.0, size=(4, 12)) for _ in range(2)]
    differences = [
        sum(h.value(others[0]) - h.value(others[1]) for h in pair)
        for pair in ([both], [remembered(beta, *first), remembered(beta, *second)])
    ]
    assert differences[0] == pytest.approx(differences[1], rel=1e-9)


@pytest.mark.parametrize("beta", BETAS)
def test_a_scale_is_a_scale(beta):
    V, W, H = batch()
    history = remembered(beta, V, W, H)
    louder = remembered(beta, 2.0**10 * V, W, 2.0**10 * H)
    np.testing.assert_allclose(louder.pull, history.scaled(10).pull, rtol=1e-12)
    np.testing.assert_allclose(louder.push, history.scaled(10).push, rtol=1e-12)
    np.testing.assert_allclose(louder.heard, history.scaled(10).heard, rtol=1e-12)
    np.testing.assert_allclose(louder.loudest, history.scaled(10).loudest, rtol=1e-12)


@pytest.mark.parametrize("beta", BETAS)
def test_what_is_forgotten(beta):
    V, W, H = batch()
    once, history = remembered(beta, V, W, H), None
    for _ in range(300):
        history = remembered(beta, V, W, H, memory=900.0, history=history)
    # Batches of 30 frames, all alike: thirty of them are remembered, but for the steps that they come in.
    np.testing.assert_allclose(history.pull, 30 * once.pull, rtol=0.03)
    np.testing.assert_allclose(history.push, 30 * once.push, rtol=0.03)
    # What nothing is heard of is not forgotten; what is heard anew counts as much as it does.
    quiet = H.copy()
    quiet[:, 1:] = 0
    later = history
    for _ in range(20):
        later = remembered(beta, V, W, quiet, memory=900.0, history=later)
    np.testing.assert_allclose(later.pull[1:], history.pull[1:], rtol=1e-9)
    assert not np.allclose(later.pull[0], history.pull[0], rtol=1e-3)


@pytest.mark.parametrize("beta", BETAS)
def test_first_impressions_count_less(beta):
    """Without an end of memory, a batch weighs with the fourth power of how many there had been."""
    V, W, H = batch()
    history = None
    for k in range(9):
        # Only the second batch pulls another way.
        history = remembered(beta, 2 * V if k == 1 else V, W, H, history=history)
    once, twice = remembered(beta, V, W, H), remembered(beta, 2 * V, W, H)
    weights = (np.arange(1, 10) / 9) ** 4
    expected = weights.sum() * once.pull + weights[1] * (twice.pull - once.pull)
    np.testing.assert_allclose(history.pull, expected, rtol=1e-9)


@pytest.mark.parametrize("beta", BETAS)
def test_templates_can_be_taken_as_heard(beta):
    V, W, H = batch()
    denominator = collect(Objective(beta=beta, floor=0.0), V, W, H).denominator
    known = History.of_nothing(W, beta).as_if_heard(W, denominator, 30, 900.0)
    assert known.value(W) == pytest.approx(0, abs=1e-9 * np.abs(known.given_pull).sum())
    # They count as thirty such batches, and go on counting so.
    once = remembered(beta, V, W, H)
    np.testing.assert_allclose(known.given_push, 30 * once.push, rtol=1e-9)
    following = remembered(beta, V, W, H, memory=900.0, history=known)
    np.testing.assert_allclose(following.push + following.given_push, known.given_push, rtol=0.03)
    # Where it gets louder they count as if they had been so loud; what was heard does not.
    louder = following.raised(8.0)
    np.testing.assert_allclose(louder.given_push, 8 * following.given_push)
    np.testing.assert_allclose(louder.push, following.push)
    np.testing.assert_allclose(louder.heard, 8 * following.heard)
    np.testing.assert_allclose(once.raised(8.0).heard, once.heard)


@pytest.mark.parametrize("beta", BETAS)
def test_zeros_and_tiny_templates(beta):
    V, W, H = batch()
    W[1, 3:5], W[2] = 0, 0
    V, W, H = (array.astype(np.float32) for array in (V, W, H))
    history = remembered(beta, V, W, H)
    for other in (W, W * np.float32(1e-30), np.zeros_like(W), W * np.float32(1e20)):
        pull, push = history.gains(other)
        assert np.isfinite(pull).all()
        assert np.isfinite(push).all()
        assert (pull >= 0).all()
        assert (push >= 0).all()
        assert not np.isnan(history.value(other))
        assert not multiplied(other, pull, push, 1.0)[2].any()


def test_it_weighs_in_the_factorisation_of_a_batch():
    """With an endless past, templates stay; without any, they are those of the batch."""
    V, W, H = batch()
    prepared = prepare(V.T, 1.0)
    found = []
    for weight in (0.0, 1.0, 1e9):
        history = remembered(1.0, *batch(5))
        history = replace(history, pull=weight * history.pull, push=weight * history.push)
        moments = collect(prepared.objective(1.0, history=history), prepared.values, W, H)
        found.append(multiplied(W, moments.numerator, moments.denominator, 1.0))
    alone = collect(prepared.objective(1.0), prepared.values, W, H)
    np.testing.assert_allclose(found[0], multiplied(W, alone.numerator, alone.denominator, 1.0))
    assert np.abs(found[2] - history.pull / history.push).max() < 1e-6
    assert np.abs(found[1] - found[0]).max() > 1e-2
    assert np.abs(found[1] - found[2]).max() > 1e-2
