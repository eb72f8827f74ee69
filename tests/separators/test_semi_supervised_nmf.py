"""What keeps the rest from taking everything, examples in the plural, and real drums."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np
import pytest

from dspsep import STFT, InputError, SemiSupervisedNMF, Templates, learn_templates
from dspsep import nmf as nmf_of_arrays
from dspsep.data._resampling import at_rate
from dspsep.metrics import si_sdr
from dspsep.separators.nmf._core import prepare
from tests.cases import case_names, real_case
from tests.separators.test_supervised_nmf import (
    HIGH,
    LOW,
    N_FREQS,
    RATE,
    SEMI,
    SMALL,
    TONES,
    A,
    B,
    dictionary,
    planted,
    tones,
)
from tests.test_stft import noise


def test_coordinate_descent_has_no_continuity():
    with pytest.raises(InputError, match="unless beta is 2 and l2 and continuity are 0") as caught:
        SEMI.replace(solver="hals", beta=2)
    assert caught.value.name == "solver"
    assert SEMI.replace(solver="hals", beta=2, continuity=0).continuity == 0


def test_a_price_that_would_keep_nothing_is_refused():
    for settings, words in (
        ({"beta": -0.5}, "adaptation must be 0 for a beta below 0; got 0.25"),
        ({"adaptation": 1e-9}, "adaptation must be 0 or at least 0.001; got 1e-09"),
    ):
        with pytest.raises(InputError, match=words):
            SEMI.replace(**settings)
    assert SEMI.replace(beta=-0.5, adaptation=0).adaptation == 0


@pytest.mark.core
@pytest.mark.parametrize("solver", ["mu", "accelerated", "hals"])
@pytest.mark.parametrize("beta", [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_the_objective_never_rises(beta, solver):
    if solver == "hals" and beta != 2:
        return
    spectrogram = SMALL.forward(noise((4000,)), RATE)
    for continuity in (0.0, 0.3):
        for adaptation in (0.0, 0.1, 10.0) if beta >= 0 else (0.0,):
            if continuity and solver == "hals":
                continue
            nmf = SEMI.replace(beta=beta, solver=solver, continuity=continuity, adaptation=adaptation, tol=0)
            nmf = nmf.replace(templates={"a": dictionary(1, high=40), "b": B})
            losses = np.array(nmf.replace(l1=0.1).fit(spectrogram).losses)
            assert np.isfinite(losses).all()
            assert np.all(np.diff(losses) <= 1e-9 * np.abs(losses[0]))
            assert losses[-1] < losses[0]


@pytest.mark.core
@pytest.mark.parametrize(
    ("beta", "solver"), [(0.5, "mu"), (1, "mu"), (1.5, "mu"), (2, "mu"), (2, "hals"), (3, "mu")]
)
def test_what_is_known_counts_as_frames_in_which_it_is_heard_alone(beta, solver):
    # The oracle: these frames beside the mixture, in which activations are fixed, and no prior.
    spectrogram = SMALL.forward(noise((4000,)), RATE)
    V = spectrogram.magnitude()[0]
    each, level = 4, V.mean() * N_FREQS
    nmf = SEMI.replace(
        beta=beta, solver=solver, n_iter=10, tol=0, continuity=0, adaptation=V.shape[1] / (5 * each)
    )
    model = nmf.fit(spectrogram)
    known = np.concatenate([A.values.values, B.values.values], axis=1)
    begun = np.concatenate([known, nmf._components(prepare(V, beta))[0][5:].T], axis=1)
    alone = np.repeat(level * np.eye(8, 5), each, axis=1)
    H = np.concatenate([np.full((8, V.shape[1]), level / 8), alone], axis=1)
    fixed = np.zeros(H.shape, bool)
    fixed[:, V.shape[1] :] = True
    together = np.concatenate([V, begun @ alone], axis=1)
    W, H, losses = nmf_of_arrays(
        together, begun, H, beta=beta, solver=solver, n_iter=10, fixed_activations=fixed
    )
    np.testing.assert_allclose(model.templates, W, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.activations, H[:, : V.shape[1]], rtol=1e-5, atol=1e-6 * level)
    assert np.abs(W[:, :5] - known).max() > 1e-3
    np.testing.assert_allclose(
        np.array(model.losses) / model.losses[0], np.array(losses) / losses[0], rtol=1e-6
    )


@pytest.mark.core
def test_templates_adapt_to_the_mixture_as_readily_as_is_said():
    W, _, V = planted((A,), 200, 5)
    spectrogram = SMALL.forward(noise((1, 199 * 32)), RATE)
    spectrogram = dataclasses.replace(spectrogram, values=V * np.exp(1j * np.angle(spectrogram.values)))
    wrong = Templates(values=W * np.linspace(0.3, 3, N_FREQS)[:, None], sample_rate=RATE, stft=SMALL)
    nmf = SemiSupervisedNMF(templates={"a": wrong}, n_free=1, beta=1, n_iter=500)
    away = []
    for adaptation in (0, 0.01, 0.3, 100):
        found = nmf.replace(adaptation=adaptation).fit(spectrogram).templates[:, :2]
        away.append(np.abs(found / found.sum(axis=0) - W).sum())
    assert away[0] == pytest.approx(np.abs(wrong.values.values - W).sum())
    assert away[3] < away[2] < away[1] < away[0]
    assert away[3] < 0.2 * away[0]


@pytest.mark.core
def test_the_rest_sounds_on_and_what_is_known_may_jump():
    spectrogram = SMALL.forward(noise((8000,)), RATE)

    def jumps(continuity, components):
        model = SEMI.replace(continuity=continuity, n_iter=100).fit(spectrogram)
        heard = (model.templates.sum(axis=0)[:, None] * model.activations)[components]
        return np.abs(np.diff(heard)).sum() / heard.sum()

    rest, known = slice(5, 8), slice(0, 5)
    assert jumps(3.0, rest) < 0.2 * jumps(0.0, rest)
    assert jumps(3.0, known) > 0.8 * jumps(0.0, known)


@pytest.mark.core
def test_several_examples_are_learned_from_together():
    low, high = tones(LOW, 7), tones(HIGH, 8)
    settings = {"stft": TONES, "n_components": 6}
    known = learn_templates([low, 0 * low, 128 * high], RATE, **settings)
    for frequency in (*LOW, *HIGH):  # two notes may share a template, but none is missing
        peak = round(frequency * TONES.n_fft / RATE)
        assert known.values.values[peak - 1 : peak + 2].sum(axis=0).max() > 0.2
    # How loud an example is makes no difference, nor is one of them another than it alone.
    assert known == learn_templates((low, 16 * high), RATE, **settings)
    assert learn_templates([low], RATE, **settings) == learn_templates(low, RATE, **settings)
    assert learn_templates([0 * low, low], RATE, **settings) == learn_templates(low, RATE, **settings)
    assert not learn_templates([0 * low, 0 * low], RATE, **settings).values.values.any()
    with pytest.raises(InputError, match=r"audio must be an example or several; got \[\]"):
        learn_templates([], RATE)
    with pytest.raises(InputError) as caught:
        learn_templates([low, np.array([np.nan])], RATE)
    assert caught.value.name == "audio[1]"


@pytest.mark.core
def test_the_default_transform_has_frames_of_a_fifth_of_a_second():
    for rate, n_fft in ((8000, 2048), (22050, 4096), (44100, 8192), (48000, 8192), (96000, 16384), (1, 64)):
        assert learn_templates(np.ones(100), rate, n_components=1, n_iter=1).stft == STFT(n_fft, n_fft // 4)


def drums_of(name, rate):
    """Return the first 8 s of the drums of a case, at a rate."""
    case = real_case(name)
    drums = case.references["drums"][:, : 8 * case.sample_rate]
    return drums if case.sample_rate == rate else at_rate(drums, case.sample_rate, rate)


def test_drums_are_told_from_the_rest_by_those_of_another_recording():
    # Of every other recording, and of all others together: nothing is chosen knowing the result.
    gains, known = {}, lru_cache(lambda name, rate: learn_templates(drums_of(name, rate), rate))
    for name in case_names("b_"):
        case = real_case(name)
        rate = case.sample_rate
        mixture, reference = (x[:, : 8 * rate] for x in (case.mixture, case.references["drums"]))
        others = [other for other in case_names("b_") if other != name] or [name]
        sets = {other: known(other, rate) for other in others}
        together = np.concatenate([templates.values.values for templates in sets.values()], axis=1)
        sets["all"] = dataclasses.replace(sets[others[0]], values=together)
        for other, drums in sets.items():
            nmf = SemiSupervisedNMF(templates={"drums": drums}, n_iter=100)  # half of them, to save time
            estimate = nmf.separate(mixture, rate)["drums"]
            gain = float(np.mean(si_sdr(reference, estimate) - si_sdr(reference, mixture)))
            gains.setdefault("all" if other == "all" else "one", []).append(gain)
    assert np.mean(gains["one"]) > 3.5, gains
    assert np.mean(gains["all"]) > 4, gains
