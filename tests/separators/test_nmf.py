"""NMF: scikit-learn's trajectory, an objective that never rises, exact factors, starts, groups, settings."""

from __future__ import annotations

import tracemalloc
import warnings
from itertools import pairwise

import numpy as np
import pytest
from sklearn.decomposition import NMF as Reference
from sklearn.decomposition._nmf import _beta_divergence, _initialize_nmf

from dspsep import NMF, STFT, FrozenArray, InputError, NMFModel, _parallel, load_model, nmf
from dspsep.data import scenes
from dspsep.separators.nmf._core import FLOOR, prepare
from dspsep.separators.nmf._penalties import Penalties
from dspsep.separators.nmf._starts import start
from dspsep.separators.nmf._updates import Objective
from tests.test_stft import noise

BETAS = [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0]
SMALL = NMF(stft=STFT(256), n_components=3, n_iter=15)


def spectrogram(dtype="float64", n_freqs=129, n_frames=200):
    """Return magnitudes of a synthetic song."""
    scene = scenes.song(duration=2.0, sample_rate=8000)
    return STFT(256, 64).forward(scene.mixture, 8000).magnitude()[0, :n_freqs, :n_frames].astype(dtype)


def factors(V, n_components, seed=0):
    rng = np.random.default_rng(seed)
    scale = np.sqrt(V.mean() / n_components) if V.any() else 1.0
    shapes = (V.shape[0], n_components), (n_components, V.shape[1])
    return tuple((scale * np.abs(rng.standard_normal(shape))).astype(V.dtype) for shape in shapes)


def divergence(V, model, beta):
    """Return the sum of beta-divergences from their definition."""
    if beta == 2:
        return 0.5 * np.sum((V - model) ** 2)
    if beta == 1:
        return np.sum(np.where(V > 0, V * np.log(np.where(V > 0, V, 1) / model), 0) - V + model)
    if beta == 0:
        return np.sum(V / model - np.log(V / model) - 1)
    return np.sum((V**beta + (beta - 1) * model**beta - beta * V * model ** (beta - 1)) / (beta * (beta - 1)))


def objective(V, W, H, beta, l1=0.0, l2=0.0, continuity=0.0):
    """Return the objective from its definition: with templates that sum to one, penalties in units of V."""
    mean = V.mean()
    lifted = np.maximum(V, FLOOR * mean) if beta <= 0 else V
    mean = lifted.mean()
    total = divergence(lifted, W @ H + (0 if beta == 2 else FLOOR * mean), beta)
    scaled = H * W.sum(axis=0)[:, None]
    total += l1 * mean ** (beta - 1) * scaled.sum()
    total += l2 / 2 * mean ** (beta - 2) * np.sum(scaled**2)
    return total + continuity / 2 * mean ** (beta - 2) * np.sum(np.diff(scaled, axis=1) ** 2)


def with_holes(V):
    """Return V with silent rows, columns and bins."""
    V = V.copy()
    V[5:9] = 0
    V[:, 20:24] = 0
    V[np.random.default_rng(1).uniform(size=V.shape) < 0.1] = 0
    return V


@pytest.mark.core
def test_exponents_are_those_of_majorisation():
    wanted = {-1.0: 1 / 3, 0.0: 1 / 2, 0.5: 2 / 3, 1.0: 1, 1.5: 1, 2.0: 1, 3.0: 1 / 2}
    squares = {-1.0: 1 / 4, 0.0: 1 / 3, 0.5: 2 / 5, 1.0: 1 / 2, 1.5: 2 / 3, 2.0: 1, 3.0: 1 / 2}
    for beta in BETAS:
        assert Objective(beta=beta, floor=0.0).exponent == pytest.approx(wanted[beta])
        assert Objective(beta=beta, floor=0.0, penalties=Penalties(l1=1.0)).exponent == pytest.approx(
            wanted[beta]
        )
        for penalty in (Penalties(l2=1.0), Penalties(continuity=1.0)):
            assert Objective(beta=beta, floor=0.0, penalties=penalty).exponent == pytest.approx(squares[beta])


@pytest.mark.core
@pytest.mark.parametrize("n_components", [3, 10])
@pytest.mark.parametrize(
    ("beta", "dtype"), [(2.0, "float64"), (1.0, "float64"), (0.0, "float64"), (1.0, "float32")]
)
def test_the_trajectory_is_scikit_learns(beta, dtype, n_components):
    V = spectrogram(dtype)
    V = np.maximum(V, 1e-3 * V.mean())  # its own epsilon is absolute, and would show
    W, H = factors(V, n_components)
    model = Reference(n_components, init="custom", solver="mu", beta_loss=beta, max_iter=100, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = model.fit_transform(V, W=W.copy(), H=H.copy())
    found_w, found_h, losses = nmf(V, W, H, beta=beta, n_iter=100, solver="mu")
    assert len(losses) == 101
    assert found_w.dtype == found_h.dtype == V.dtype
    expected = _beta_divergence(V.astype(float), theirs.astype(float), model.components_.astype(float), beta)
    assert abs(losses[-1] / expected - 1) < 1e-4
    tolerance = 1e-6 if dtype == "float64" else 1e-2
    np.testing.assert_allclose(found_w @ found_h, theirs @ model.components_, atol=tolerance * V.mean())


@pytest.mark.core
@pytest.mark.parametrize("solver", ["mu", "accelerated", "hals"])
@pytest.mark.parametrize("beta", BETAS)
def test_the_objective_never_rises(beta, solver):
    if solver == "hals" and beta != 2:
        pytest.skip("for beta 2 alone")
    V = with_holes(spectrogram(n_freqs=60, n_frames=80))
    W, H = factors(V, 4)
    W[:, 3], H[1, 10:30] = 0, 0
    *found, losses = nmf(V, W, H, beta=beta, n_iter=40, solver=solver)
    assert losses[-1] < 0.8 * losses[0]
    assert all(after <= before * (1 + 1e-9) for before, after in pairwise(losses))
    assert all(np.isfinite(factor).all() and factor.min() >= 0 for factor in found)
    assert losses[0] == pytest.approx(objective(V, W, H, beta), rel=1e-9)
    assert losses[-1] == pytest.approx(objective(V, *found, beta), rel=1e-9)
    if solver != "hals":  # zeros stay zero
        assert not found[0][:, 3].any()
        assert not found[1][1, 10:30].any()


@pytest.mark.core
@pytest.mark.parametrize(
    "penalty", [{"l1": 0.3}, {"l2": 0.1}, {"continuity": 2.0}, {"l1": 0.1, "continuity": 1.0}], ids=str
)
@pytest.mark.parametrize("beta", BETAS)
def test_penalties_are_in_the_objective_which_never_rises(beta, penalty):
    V = with_holes(spectrogram(n_freqs=60, n_frames=80))
    W, H = factors(V, 4)
    for solver in ("mu", "accelerated", *(["hals"] if beta == 2 and set(penalty) == {"l1"} else [])):
        *found, losses = nmf(V, W, H, beta=beta, n_iter=25, solver=solver, **penalty)
        assert losses[-1] < losses[0]
        assert all(after <= before * (1 + 1e-9) for before, after in pairwise(losses))
        assert losses[0] == pytest.approx(objective(V, W, H, beta, **penalty), rel=1e-9)
        assert losses[-1] == pytest.approx(objective(V, *found, beta, **penalty), rel=1e-9)
    # No escape by rescaling: the objective and what comes of it are the same.
    again = nmf(
        V,
        W * [8, 0.5, 4, 2],
        H / np.array([[8], [0.5], [4], [2]]),
        beta=beta,
        n_iter=25,
        solver="mu",
        **penalty,
    )
    plain = nmf(V, W, H, beta=beta, n_iter=25, solver="mu", **penalty)
    np.testing.assert_allclose(again[2], plain[2], rtol=1e-9)
    # They do not depend on the scale of V either.
    louder = nmf(8 * V, W, 8 * H, beta=beta, n_iter=25, solver="mu", **penalty)
    np.testing.assert_allclose(np.array(louder[2]) / 8.0**beta, plain[2], rtol=1e-9)


@pytest.mark.core
def test_penalties_do_what_they_are_for():
    V = spectrogram(n_freqs=60, n_frames=80)
    W, H = factors(V, 6)

    def scaled(**penalty):
        found = nmf(V, W, H, n_iter=100, **penalty)
        return found[1] * found[0].sum(axis=0)[:, None]

    plain = scaled()
    assert scaled(l1=0.5).sum() < 0.9 * plain.sum()
    smooth = scaled(continuity=0.1)
    assert np.sum(np.diff(smooth) ** 2) / np.sum(smooth**2) < 0.7 * np.sum(np.diff(plain) ** 2) / np.sum(
        plain**2
    )
    assert np.sum(scaled(l2=0.1) ** 2) < 0.9 * np.sum(plain**2)


@pytest.mark.core
@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_an_exact_factorisation_is_found(beta):
    rng = np.random.default_rng(3)
    W, H = rng.exponential(size=(40, 3)) ** 3, rng.exponential(size=(3, 50)) ** 3
    V = W @ H
    found_w, _, losses = nmf(V, *factors(V, 3, seed=1), beta=beta, n_iter=3000)
    assert losses[-1] < 1e-8 * losses[0]
    found_w, W = found_w / found_w.sum(axis=0), W / W.sum(axis=0)
    match = np.abs(found_w[:, :, None] - W[:, None, :]).sum(axis=0)
    assert sorted(match.argmin(axis=0)) == [0, 1, 2]
    assert match.min(axis=0).max() < 1e-2


@pytest.mark.core
@pytest.mark.parametrize("init", ["nndsvd", "nndsvda", "nndsvdar"])
@pytest.mark.parametrize("shape", [(129, 200), (129, 40)])
def test_nndsvd_is_scikit_learns(init, shape):
    V = spectrogram()[:, : shape[1]]
    V *= 0.75 / V.mean()  # no scale to undo
    prepared = prepare(V, 1.0)
    assert prepared.exponent == 0
    W, H = start(init, prepared.values, 5, seed=0)
    expected = _initialize_nmf(V, 5, init=init, random_state=0)
    bare = _initialize_nmf(V, 5, init="nndsvd", random_state=0)
    for found, wanted, plain in zip((W.T, H.T), expected, bare, strict=True):
        if init == "nndsvdar":  # the random numbers are others: of the same size
            assert 0.5 < found[plain == 0].mean() / wanted[plain == 0].mean() < 2
            assert (found > 0).all()
        sure = plain > 0 if init == "nndsvdar" else slice(None)
        found, wanted = found[sure], wanted[sure]  # noqa: PLW2901
        np.testing.assert_allclose(found, wanted, atol=1e-5 * wanted.max())


@pytest.mark.core
def test_random_starts_follow_the_seed_and_have_the_mean_of_the_data():
    V = prepare(spectrogram(), 1.0).values
    W, H = start("random", V, 6, seed=4)
    assert (
        W.tobytes()
        == start("random", V, 6, seed=4)[0].tobytes()
        != start("random", V, 6, seed=5)[0].tobytes()
    )
    assert (H @ W).mean() == pytest.approx(2 / np.pi * V.mean(), rel=0.1)


@pytest.mark.core
@pytest.mark.parametrize("solver", ["mu", "accelerated", "hals"])
def test_what_is_fixed_stays(solver):
    V = spectrogram(n_freqs=60, n_frames=80)
    W, H = factors(V, 4)
    for beta in (0.0, 1.0, 2.0):
        if solver == "hals" and beta != 2:
            continue
        options = {"beta": beta, "solver": solver, "n_iter": 10}
        columns = np.array([True, False, True, False])
        found_w, found_h, _ = nmf(V, W, H, fixed_templates=columns, fixed_activations=~columns, **options)
        assert np.array_equal(found_w[:, columns], W[:, columns])
        assert not (found_w[:, ~columns] == W[:, ~columns]).any(axis=0).all()
        np.testing.assert_allclose(found_h[~columns], H[~columns], rtol=1e-15)
        assert not np.allclose(found_h[columns], H[columns])
        entries = np.random.default_rng(0).uniform(size=W.shape) < 0.5
        times = np.random.default_rng(0).uniform(size=H.shape) < 0.5
        found_w, found_h, losses = nmf(V, W, H, fixed_templates=entries, fixed_activations=times, **options)
        assert np.array_equal(found_w[entries], W[entries])
        assert np.array_equal(found_h[times], H[times])
        assert np.mean(found_w[~entries] == W[~entries]) < 0.1
        assert all(after <= before * (1 + 1e-9) for before, after in pairwise(losses))


@pytest.mark.core
def test_the_accelerated_solver_needs_half_the_iterations():
    V = spectrogram()
    for beta in (1.0, 0.0, 1.5):
        W, H = factors(V, 8)
        slow = nmf(V, W, H, beta=beta, n_iter=100, solver="mu")[2]
        fast = nmf(V, W, H, beta=beta, n_iter=100)[2]
        assert sum(loss > slow[-1] for loss in fast) <= 50


@pytest.mark.core
@pytest.mark.parametrize("beta", [0.0, 1.0, 1.5, 2.0])
def test_threads_do_not_change_a_byte(beta):
    V = spectrogram("float32")
    W, H = factors(V, 5)
    outcomes = set()
    for n_threads in (1, 2, 4):
        with _parallel.num_threads(n_threads):
            found = nmf(V, W, H, beta=beta, n_iter=5)
            outcomes.add(found[0].tobytes() + found[1].tobytes())
    assert len(outcomes) == 1


def peak_of(call):
    """Return how many bytes the arrays take that exist at once during a call, beyond those before it."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_peak_is_one_copy_of_the_spectrogram_and_blocks(beta, dtype):
    V = np.random.default_rng(0).uniform(0.1, 1, (513, 12_000)).astype(dtype)
    W, H = factors(V, 5)
    nmf(V[:, :100], W, H[:, :100], beta=beta, n_iter=1)  # what is imported and compiled on first use
    peak = peak_of(lambda: nmf(V, W, H, beta=beta, n_iter=2))
    block = 2**20
    assert V.nbytes < peak < V.nbytes + 6 * block + 8 * (W.nbytes + H.nbytes)


@pytest.mark.core
@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_silence_single_frames_and_extreme_levels_are_finite(beta, dtype):
    V = spectrogram(dtype, n_freqs=20, n_frames=30)
    scale = 2.0**60
    for values in (np.zeros_like(V), V[:, :1], V[:1], V * scale, V / scale, np.eye(20, dtype=dtype)):
        W, H = factors(values, 2)
        found_w, found_h, losses = nmf(values, W, H, beta=beta, n_iter=10)
        assert np.isfinite(found_w).all()
        assert np.isfinite(found_h).all()
        assert np.isfinite(losses).all()
        # One frame is fitted exactly, and then rounding is all there is.
        rounding = 100 * float(np.finfo(dtype).eps)
        assert all(
            after <= before * (1 + rounding) + rounding * losses[0] for before, after in pairwise(losses)
        )
    assert not nmf(np.zeros_like(V), *factors(V, 2), beta=beta)[1].any()


@pytest.mark.core
def test_tolerance_and_callbacks_end_it():
    V = spectrogram(n_freqs=60, n_frames=80)
    W, H = factors(V, 3)
    losses = nmf(V, W, H, n_iter=500, tol=1e-4, solver="mu")[2]
    assert len(losses) % 10 == 1
    assert losses[-11] - losses[-1] < 1e-4 * losses[0]
    assert losses[-21] - losses[-11] >= 1e-4 * losses[0]
    seen = []
    ended = nmf(V, W, H, n_iter=20, callback=lambda told: seen.append(told) or told.iteration == 7)
    assert [told.iteration for told in seen] == list(range(1, 8))
    assert [told.loss for told in seen] == list(ended[2][1:])
    assert {told.n_iterations for told in seen} == {20}
    assert ended[0].tobytes() == nmf(V, W, H, n_iter=7)[0].tobytes()


@pytest.mark.core
def test_inputs_are_not_changed_and_any_layout_will_do():
    V = spectrogram("float32")
    W, H = factors(V, 3)
    before = [array.tobytes() for array in (V, W, H)]
    expected = nmf(V, W, H, n_iter=3)
    assert [array.tobytes() for array in (V, W, H)] == before
    turned = nmf(*(np.asfortranarray(array) for array in (V, W, H)), n_iter=3)
    assert all(one.tobytes() == other.tobytes() for one, other in zip(expected[:2], turned[:2], strict=True))


@pytest.mark.core
@pytest.mark.parametrize("beta", [-1.0, 0.0, 1.0, 2.0])
def test_what_arrives_on_a_device_stays_there(beta):
    xp = pytest.importorskip("array_api_strict")
    device, host = xp.Device("device1"), xp.Device("CPU_DEVICE")
    V = with_holes(spectrogram(n_freqs=30, n_frames=40))
    W, H = factors(V, 3)
    penalties = {} if beta == 2 else {"l1": 0.1, "continuity": 0.1}
    fixed = np.array([True, False, False])
    there = [xp.asarray(array, device=device) for array in (V, W, H, fixed)]
    *found, losses = nmf(*there[:3], beta=beta, n_iter=8, fixed_templates=there[3], **penalties)
    *expected, host_losses = nmf(V, W, H, beta=beta, n_iter=8, fixed_templates=fixed, **penalties)
    np.testing.assert_allclose(losses, host_losses, rtol=1e-9)
    for one, other in zip(found, expected, strict=True):
        assert one.device == device
        np.testing.assert_allclose(np.asarray(xp.asarray(one, device=host)), other, rtol=1e-5, atol=1e-9)


# ---- the separator


@pytest.mark.core
def test_masks_are_shares_of_the_model_and_channels_have_them_in_common():
    mixture = noise(4000, n_channels=2)
    separator = SMALL.replace(groups={"low": [0], "high": (2,)})
    spectra = separator.stft.forward(mixture, 8000)
    model = separator.fit(spectra)
    assert model.source_names == ("low", "high", "residual") == separator.source_names
    masks = model.masks(spectra)
    whole = model.templates @ model.activations
    for name, k in (("low", 0), ("high", 2), ("residual", 1)):
        expected = model.templates[:, k : k + 1] @ model.activations[k : k + 1] / whole
        assert masks[name].shape == (1, *whole.shape)
        np.testing.assert_allclose(masks[name][0], expected, atol=1e-12)
    # What is factorised is the root of the mean square over channels.
    V = np.sqrt(np.mean(spectra.magnitude() ** 2, axis=0))
    W, H = start("random", prepare(V, 1.0).values, 3, 0)
    H = prepare(V, 1.0).restored(H)
    *found, losses = nmf(V, W.T, H.T, n_iter=15, tol=1e-4)
    np.testing.assert_allclose(model.templates @ model.activations, found[0] @ found[1], atol=1e-12 * V.max())
    assert len(model.losses) == len(losses)


@pytest.mark.core
def test_given_factors_are_where_it_begins(tmp_path):
    spectra = SMALL.stft.forward(noise(2000), 8000)
    model = SMALL.fit(spectra)
    again = SMALL.replace(templates=model.templates, activations=model.activations, n_iter=1)
    assert isinstance(again.templates, FrozenArray)
    assert again.fit(spectra).losses[0] == pytest.approx(model.losses[-1], rel=1e-9)
    warm = SMALL.replace(templates=model.templates, n_iter=20).fit(spectra)
    assert warm.losses[-1] < model.losses[0]
    with pytest.raises(InputError, match=r"^activations must be for \d+ frames"):
        again.fit(SMALL.stft.forward(noise(9000), 8000))
    with pytest.raises(InputError, match=r"^spectrogram must be of 129 bins"):
        model.masks(SMALL.stft.forward(noise(9000), 8000))
    model.save(tmp_path / "model.npz")
    stored = load_model(tmp_path / "model.npz")
    assert stored.groups == model.groups
    assert stored.losses == model.losses
    assert np.array_equal(stored.templates, model.templates)


@pytest.mark.core
def test_timbre_and_functions_group_components():
    rate = 8000
    time = np.arange(2 * rate) / rate
    low = np.sin(2 * np.pi * 200 * time) * (np.sin(2 * np.pi * 2 * time) > 0)
    low += np.sin(2 * np.pi * 260 * time) * (np.sin(2 * np.pi * 2 * time) <= 0)
    hiss = np.diff(noise(len(time) + 1), n=1) * (np.sin(2 * np.pi * 3 * time) > 0.3)
    separator = NMF(stft=STFT(512), n_components=4, groups="timbre", n_iter=60, seed=1)
    assert separator.source_names == ("group_0", "group_1")
    model = separator.fit(separator.stft.forward(low + 0.2 * hiss, rate))
    centroids = (np.arange(257) @ model.templates) / model.templates.sum(axis=0)
    members = [set(group) for _, group in model.groups]
    assert {k for k in range(4) if centroids[k] > 40} in members
    assert sorted(set.union(*members)) == [0, 1, 2, 3]

    def bright(templates, activations, sample_rate):
        assert templates.shape[1] == activations.shape[0] == 4
        assert sample_rate == rate
        return {"bright": np.flatnonzero(centroids > 40)}

    separator = separator.replace(groups=bright)
    assert separator.source_names is None
    sources = separator.separate(low + 0.2 * hiss, rate)
    assert list(sources) == ["bright", "residual"]
    assert np.sum((sources["bright"] - 0.2 * hiss) ** 2) < 0.1 * np.sum((0.2 * hiss) ** 2)


@pytest.mark.core
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *[("n_components", {"n_components": bad}) for bad in (0, -1, 2.0, None, True, 10**6)],
        *[("beta", {"beta": bad}) for bad in (-1.1, 3.1, np.nan, None, "1")],
        *[("exponent", {"exponent": bad}) for bad in (0, 2.1, None)],
        *[("n_iter", {"n_iter": bad}) for bad in (0, 1.5, None)],
        *[("tol", {"tol": bad}) for bad in (-1, 2, np.nan)],
        *[("solver", {"solver": bad}) for bad in ("cd", None, "hals")],
        ("solver", {"solver": "hals", "beta": 2, "l2": 0.1}),
        *[("init", {"init": bad}) for bad in ("zeros", None)],
        *[("seed", {"seed": bad}) for bad in (-1, 0.5, None)],
        *[(key, {key: bad}) for key in ("l1", "l2", "continuity") for bad in (-1, np.inf, None)],
        *[
            ("templates", {"templates": bad})
            for bad in (np.ones((3, 8)), -np.ones((1025, 8)), "W", np.ones(3))
        ],
        ("activations", {"activations": np.ones((3, 8))}),
        *[
            ("groups", {"groups": bad})
            for bad in ("pitch", 3, {}, {"a": [8]}, {"a": [0], "b": [0]}, {"residual": [0]})
        ],
        ("n_groups", {"n_groups": 9}),
        ("stft", {"stft": None}),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_by_name(name, options):
    with pytest.raises(InputError, match=r" must be .+; got .+\.") as info:
        NMF(**options)
    assert info.value.name == name


@pytest.mark.core
@pytest.mark.parametrize(
    ("name", "change"),
    [
        *[
            ("V", {"V": bad})
            for bad in (np.ones(4), np.ones((0, 4)), -np.ones((5, 4)), np.full((5, 4), np.nan), "V")
        ],
        *[("W", {"W": bad}) for bad in (np.ones((4, 2)), np.full((5, 2), np.inf))],
        *[("H", {"H": bad}) for bad in (np.ones((3, 4)), np.ones((2, 5)), -np.ones((2, 4)))],
        *[("fixed_templates", {"fixed_templates": bad}) for bad in (np.ones(2), np.ones(5, bool))],
        ("fixed_activations", {"fixed_activations": np.ones((4, 2), bool)}),
        ("l1", {"l1": -1}),
        ("n_iter", {"n_iter": 0}),
        ("beta", {"beta": 4}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_arrays_are_refused_by_name(name, change):
    arguments = {"V": np.ones((5, 4)), "W": np.ones((5, 2)), "H": np.ones((2, 4)), **change}
    with pytest.raises(InputError) as info:
        nmf(**arguments)
    assert info.value.name == name


@pytest.mark.core
def test_models_from_a_file_are_checked():
    good = {
        "templates": np.ones((5, 2)), "activations": np.ones((2, 4)), "losses": (2.0, 1.0),
        "groups": (("a", (0,)), ("b", (1,))), "exponent": 1.0,
    }  # fmt: skip
    NMFModel(**good)
    for name, bad in (
        ("templates", np.ones(5)), ("activations", np.ones((3, 4))), ("losses", ()), ("losses", (np.nan,)),
        ("groups", (("a", (2,)),)), ("exponent", 3.0),
    ):  # fmt: skip
        with pytest.raises(InputError) as info:
            NMFModel(**{**good, name: bad})
        assert info.value.name == name


@pytest.mark.parametrize("n_iter", [1, 7, 20, 30])
@pytest.mark.parametrize(("solver", "beta"), [("mu", 1.0), ("accelerated", 1.0), ("hals", 2.0)])
def test_no_tolerance_makes_more_iterations_than_asked_for(solver: str, beta: float, n_iter: int) -> None:
    rng = np.random.default_rng(7)
    V, W, H = rng.random((30, 40)), rng.random((30, 3)), rng.random((3, 40))
    *_, losses = nmf(V, W, H, beta=beta, n_iter=n_iter, tol=1e-12, solver=solver)
    assert len(losses) == n_iter + 1


def test_a_tolerance_ends_what_no_longer_falls() -> None:
    rng = np.random.default_rng(7)
    V, W, H = rng.random((30, 40)), rng.random((30, 3)), rng.random((3, 40))
    *_, losses = nmf(V, W, H, beta=1.0, n_iter=3000, tol=1e-3, solver="mu")
    assert 10 < len(losses) < 1000
