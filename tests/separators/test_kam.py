"""Kernel additive modelling: the paper written out, known answers, what is odd, real songs."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from scipy.ndimage import median_filter

import dspsep
from dspsep import (
    KAM,
    REPET,
    STFT,
    Cross,
    Horizontal,
    InputError,
    Pattern,
    Periodic,
    Vertical,
    hpss_masks,
    kam,
    load_model,
)
from dspsep.data import scenes
from dspsep.metrics import si_sdr
from dspsep.separators.repetition._period import repeating_period, repeating_periods
from dspsep.separators.repetition.proximity import ProximityKernel
from tests.cases import case_names, real_case
from tests.separators.test_repetition import RATE, SMALL, loop, spectrogram_of
from tests.test_stft import noise

GLIDES = np.eye(5) + np.eye(5)[::-1] - np.diag([0, 0, 1, 0, 0])
KERNELS = [
    Horizontal(frames=9),
    Vertical(bins=7),
    Cross(frames=7, bins=3),
    Cross(frames=3, bins=9),
    Pattern(values=GLIDES),
]
STREAMING = KAM(
    stft=SMALL,
    sources={
        "notes": Horizontal(seconds=0.09),
        "strokes": Vertical(bins=9),
        "glides": Pattern(values=GLIDES),
    },
    n_iter=3,
)
# With lengths that other tests have, too: each is compiled once.
VOCALS = KAM(
    stft=SMALL,
    sources={
        "accompaniment": [Periodic(), Horizontal(frames=31), Vertical(bins=9)],
        "vocals": Cross(frames=7, bins=3),
    },
)


def footprint(kernel):
    """Return what is near as a picture (n_bins, n_frames)."""
    if isinstance(kernel, Pattern):
        return np.asarray(kernel.values)
    frames, bins = getattr(kernel, "frames", 1), getattr(kernel, "bins", 1)
    rows, columns = np.arange(bins)[:, None], np.arange(frames)[None, :]
    return (rows == bins // 2) | (columns == frames // 2)


def medians(kernel, V):
    """Return the medians of a kernel of V (n_freqs, n_frames)."""
    return kernel.medians(np.ascontiguousarray(V.T)[None])[0].T


def frames_of(period, n_repeats, n_frames, t):
    near = t + period * np.arange(-(n_repeats // 2), n_repeats // 2 + 1)
    return near[(near >= 0) & (near < n_frames)]


def paper(x, kernels, exponent, n_iter):
    """Return masks as the paper's algorithm has them for one channel, in powers of magnitudes."""

    def fitted(kernel, power):
        if isinstance(kernel, Periodic):
            n_frames = power.shape[1]
            lists = [frames_of(kernel.period_frames, kernel.n_repeats, n_frames, t) for t in range(n_frames)]
            return np.stack([np.median(power[:, near], axis=1) for near in lists], axis=1)
        return median_filter(power, footprint=footprint(kernel), mode="reflect")

    models = [np.abs(x) ** exponent / len(kernels)] * len(kernels)
    for _ in range(n_iter):
        estimates = [x * model / sum(models) for model in models]
        models = [fitted(k, np.abs(y) ** exponent) for k, y in zip(kernels, estimates, strict=True)]
    return [model / sum(models) for model in models]


# --- medians over what is near ---


@pytest.mark.core
@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
@pytest.mark.parametrize("shape", [(1, 1), (2, 40), (40, 2), (33, 50), (65, 70)])
def test_medians_are_scipys(kernel, shape, monkeypatch):
    for block in (1, 400, 2**21):
        monkeypatch.setattr("dspsep.separators.repetition._backfitting._BLOCK", block)
        for dtype in (np.float32, np.float64):
            V = np.random.default_rng(0).exponential(size=shape).astype(dtype)
            found = medians(kernel, V)
            assert found.dtype == dtype
            np.testing.assert_array_equal(
                found, median_filter(V, footprint=footprint(kernel), mode="reflect")
            )


def test_memory_of_patterns_is_bounded(monkeypatch):
    """Only what is near is laid side by side: a large cross is two bars, and not all that is around them."""
    sizes = []

    class Spy:
        def median_of_frames(self, values, lists):
            sizes.append(values.size)
            assert 0 <= lists.min() <= lists.max() < values.shape[1]
            return np.median(values[:, lists, :], axis=2)

    monkeypatch.setattr("dspsep.separators.repetition._backfitting.kernels_for", lambda _: Spy())
    monkeypatch.setattr("dspsep.separators.repetition._backfitting._BLOCK", 10_000)
    V = np.random.default_rng(0).exponential(size=(1, 40, 65))
    for kernel in (Cross(frames=401, bins=401), Pattern(values=np.eye(401))):
        # SciPy's are wrong where the edges are mirrored more than once.
        padded = np.pad(V[0].T, 200, mode="symmetric")
        bins, frames = np.nonzero(footprint(kernel))
        expected = [[np.median(padded[f + bins, t + frames]) for t in range(40)] for f in range(65)]
        np.testing.assert_array_equal(kernel.medians(V)[0].T, expected)
    assert max(sizes) < 65 * 1000
    far = np.zeros((2047, 4095))
    far[:, [0, -1]] = 1
    with pytest.raises(
        InputError, match=r"values must be of rows that span 16380 frames in sum, at most; got 8382465"
    ):
        Pattern(values=far)
    with pytest.raises(InputError, match="of at most 4095 bins and frames"):
        Pattern(values=np.eye(1, 4097))


def test_pictures_may_be_of_booleans():
    assert Pattern(values=GLIDES == 1) == Pattern(values=GLIDES) == Pattern(values=(GLIDES == 1).tolist())
    with pytest.raises(InputError, match="rectangular"):
        Pattern(values=[[1], [1, 1]])


def test_patterns_have_a_direction_and_may_be_even():
    V = np.random.default_rng(0).exponential(size=(20, 30))
    up = np.zeros((3, 5))
    up[2, 4] = up[1, 1] = 1
    found = medians(Pattern(values=up), V)
    # One bin higher and two frames later, and one frame before.
    assert found[7, 9] == pytest.approx((V[8, 11] + V[7, 8]) / 2)


@pytest.mark.parametrize(("period", "n_repeats"), [(1, 3), (7, 5), (25, 9), (90, 3)])
def test_medians_of_periods(period, n_repeats):
    V = np.random.default_rng(0).exponential(size=(17, 60))
    found = medians(Periodic(period_frames=period, n_repeats=n_repeats), V)
    for t in range(60):
        near = frames_of(period, n_repeats, 60, t)
        np.testing.assert_allclose(found[:, t], np.median(V[:, near], axis=1), rtol=1e-12)
    every = medians(Periodic(period_frames=period, n_repeats=None), V)
    for t in range(60):
        np.testing.assert_allclose(every[:, t], np.median(V[:, t % period :: period], axis=1), rtol=1e-12)


@pytest.mark.core
def test_kernels_are_counted_in_frames_and_bins():
    stft = STFT(1024, 256)
    for kernel, expected in [
        (Horizontal(seconds=0.5), Horizontal(frames=31)),
        (Horizontal(frames=8), Horizontal(frames=9)),
        (Vertical(hertz=300.0), Vertical(bins=19)),
        (Cross(seconds=0.1, bins=4), Cross(frames=7, bins=5)),
        (Periodic(period_seconds=2.0, n_repeats=3), Periodic(period_frames=125, n_repeats=3)),
        (Periodic(), Periodic()),
        (Pattern(values=GLIDES), Pattern(values=GLIDES.astype(int).tolist())),
    ]:
        assert kernel.counted(stft, 16_000) == expected
    assert [k.reach() for k in KERNELS] == [4, 0, 3, 1, 2]
    assert Periodic(period_frames=10, n_repeats=7).reach() == 30
    assert Periodic(period_frames=10, n_repeats=None).reach() is None


# --- the algorithm ---


@pytest.mark.core
@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0, 3.3])
@pytest.mark.parametrize("n_iter", [1, 2, 6])
def test_it_is_the_papers_algorithm(exponent, n_iter):
    rng = np.random.default_rng(3)
    V = rng.exponential(size=(40, 60)) + 0.01
    kernels = [*KERNELS[:3], KERNELS[4], Horizontal(frames=17)]
    expected = paper(V * np.exp(2j * np.pi * rng.uniform(size=V.shape)), kernels, exponent, n_iter)
    before = V.copy()
    found = kam(V, kernels, exponent=exponent, n_iter=n_iter)
    np.testing.assert_array_equal(V, before)
    for mask, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(mask, other, atol=1e-9)
    # Parts of a source are summed, and masks do not see a factor.
    grouped = kam(V * 3e-7, [kernels[:2], kernels[2:]], exponent=exponent, n_iter=n_iter)
    np.testing.assert_allclose(grouped[0], expected[0] + expected[1], atol=1e-9)
    np.testing.assert_allclose(sum(grouped), 1, atol=1e-12)


def test_it_is_the_papers_algorithm_with_periods():
    V = np.random.default_rng(3).exponential(size=(20, 90)) + 0.01
    # Of two magnitudes in the middle, the mean is not the root of the mean of powers: but for 1.
    kernels = [Periodic(period_frames=11), Cross(frames=5, bins=3)]
    for mask, other in zip(kam(V, kernels, n_iter=4), paper(V, kernels, 1, 4), strict=True):
        np.testing.assert_allclose(mask, other, atol=1e-9)


@pytest.mark.core
@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_one_round_of_two_kernels_is_hpss(exponent):
    V = np.random.default_rng(0).exponential(size=(65, 80))
    found = kam(V, [Horizontal(frames=17), Vertical(bins=9)], exponent=exponent, n_iter=1)
    for mask, expected in zip(found, hpss_masks(V, 17, 9, power=exponent), strict=True):
        np.testing.assert_allclose(mask, expected, atol=1e-12)


@pytest.mark.core
def test_a_tone_and_a_click():
    tone = np.sin(2 * np.pi * 500 * np.arange(RATE * 3) / RATE)
    click = np.zeros(RATE * 3)
    click[RATE * 3 // 2] = 20
    sources = {"tone": Horizontal(frames=17), "click": Vertical(bins=31)}
    found = KAM(stft=STFT(256), sources=sources, exponent=2.0).separate(tone + click, RATE)
    assert si_sdr(tone, found["tone"]) > 25
    assert si_sdr(click, found["click"]) > 15
    once = KAM(stft=STFT(256), sources=sources, exponent=2.0, n_iter=1).separate(tone + click, RATE)
    assert si_sdr(click, found["click"]) > si_sdr(click, once["click"])


@pytest.mark.core
@pytest.mark.parametrize("n_repeats", [5, None])
def test_an_exact_loop_is_periodic(n_repeats):
    """What is loud in a bin here and there, over and over, is near to itself only a period away."""
    for period in (103, 160, 217):
        V = (
            loop(period, 1000)
            * np.tile(np.random.default_rng(1).uniform(size=(65, period)) < 0.05, (1, 10))[:, :1000]
        )
        sources = {"loop": Periodic(n_repeats=n_repeats), "rest": Cross(seconds=0.05, hertz=200.0)}
        model = KAM(stft=SMALL, sources=sources).fit(spectrogram_of(V))
        assert model.periods == (period,)
        mask = model.masks(spectrogram_of(V))["loop"][0]
        assert mask[V > 0].mean() > 0.999


def test_all_repeats_of_one_round_are_the_medians_of_repet():
    spectrogram = spectrogram_of(loop(130, 1000) + np.random.default_rng(4).exponential(size=(65, 1000)))
    repet = REPET(stft=SMALL, period_seconds=1.3, cutoff_hertz=None).fit(spectrogram)
    share = repet.masks(spectrogram)["background"][0]
    V = spectrogram.magnitude()[0]
    np.testing.assert_allclose(
        np.minimum(medians(Periodic(period_frames=130, n_repeats=None), V), V), share * V, atol=1e-9
    )


def test_several_periods():
    V = np.concatenate([loop(120, 1500), loop(170, 1500, seed=1)], axis=1)
    sources = {"loops": [Periodic(), Periodic(period_frames=99), Periodic()], "rest": Cross(frames=5, bins=3)}
    model = KAM(stft=SMALL, sources=sources).fit(spectrogram_of(V))
    first, given, second = model.periods
    assert given == 99
    spectrum = np.asarray(model.beat_spectrum)
    assert [first, second] == repeating_periods(spectrum, 100, 1000, 2)
    assert first == repeating_period(spectrum, 100, 1000)
    assert abs(first - second) > 4
    # Where nothing else stands out, the best serves again.
    silent = KAM(stft=SMALL, sources=sources).fit(spectrogram_of(np.zeros((65, 1000))))
    assert silent.periods == (100, 99, 100)


# --- low frequencies, channels, rounds ---


def test_what_lies_below_the_cutoff():
    spectrogram = spectrogram_of(np.random.default_rng(1).exponential(size=(65, 600)))
    hertz = spectrogram.frequencies()
    named = {"one": Cross(frames=3, bins=3), "background": Vertical(bins=5)}
    for cutoff in (0.0, 100.0, 101.0, 1e6, None):
        separators = (
            (VOCALS.replace(cutoff_hertz=cutoff), "accompaniment"),
            (KAM(stft=SMALL, sources=named, cutoff_hertz=cutoff), "background"),
            (KAM(stft=SMALL, sources=named, cutoff_hertz=cutoff, low="one"), "one"),
        )
        below = hertz <= (-1 if cutoff is None else cutoff)
        for separator, low in separators:
            masks = separator.fit(spectrogram).masks(spectrogram)
            assert (masks[low][0][below] == 1).all()
            assert below.all() or masks[low][0][~below].mean() < 0.99
            np.testing.assert_allclose(sum(masks.values()), 1, atol=1e-12)
    free = {"one": Cross(frames=3, bins=3), "two": Vertical(bins=5)}
    assert KAM(stft=SMALL, sources=free).fit(spectrogram).masks(spectrogram)["one"][0][0].max() < 1


def test_channels_have_masks_in_common():
    audio = noise(2 * RATE)
    one = STREAMING.separate(audio, RATE)
    two = STREAMING.separate(np.stack([audio, -0.5 * audio]), RATE)
    for name in one:
        np.testing.assert_allclose(two[name][0], one[name], atol=1e-10)
        np.testing.assert_allclose(two[name][1], -0.5 * one[name], atol=1e-10)


def test_channels_count_by_their_powers():
    spectrogram = SMALL.forward(np.stack([noise(2 * RATE), 3 * noise(2 * RATE, "float64")[::-1]]), RATE)
    model = STREAMING.fit(spectrogram)
    kernels = [parts for _, parts in model.sources]
    root = np.sqrt(np.mean(spectrogram.magnitude() ** 2, axis=0))
    for mask, expected in zip(model.iter_masks(spectrogram), kam(root, kernels, n_iter=3), strict=True):
        assert mask.shape[0] == 1
        np.testing.assert_allclose(mask[0], expected, atol=1e-6)


@pytest.mark.core
def test_rounds_are_told_of_and_can_be_ended():
    audio = noise(2 * RATE)
    told = []
    separator = STREAMING.replace(n_iter=5)
    separator.separate(audio, RATE, callback=told.append)
    rounds = [progress.iteration for progress in told if progress.stage == "fit"]
    assert rounds == [1, 2, 3, 4, 5]
    ended = separator.separate(audio, RATE, callback=lambda p: p.stage == "fit" and p.iteration == 2)
    assert ended.model.n_iter == 2
    expected = separator.replace(n_iter=2).separate(audio, RATE)
    spectrogram = SMALL.forward(audio, RATE)
    for name, mask in ended.model.masks(spectrogram).items():
        np.testing.assert_array_equal(ended[name], expected[name])
        np.testing.assert_allclose(SMALL.inverse(spectrogram, mask=mask), ended[name], atol=1e-10)


def test_what_streams():
    assert STREAMING.reach(RATE).samples == 128 + 3 * 4 * 32
    assert not KAM().streams(44100)
    given = {"loop": Periodic(period_seconds=0.5, n_repeats=3), "rest": Cross(frames=3, bins=3)}
    assert KAM(stft=SMALL, sources=given).reach(RATE).samples == 128 + 5 * 50 * 32
    every = {"loop": Periodic(period_seconds=0.5, n_repeats=None), "rest": Cross(frames=3, bins=3)}
    assert KAM(stft=SMALL, sources=every).reach(RATE) is None


# --- what is odd ---


@pytest.mark.core
@pytest.mark.parametrize("separator", [VOCALS, VOCALS.replace(exponent=4.0), STREAMING])
@pytest.mark.parametrize("what", ["silence", "constant", "one frame", "an impulse", "a gap"])
def test_odd_signals(separator, what):
    audio = {
        "silence": np.zeros(5 * RATE),
        "constant": np.full(5 * RATE, 0.5),
        "one frame": noise(20),
        "an impulse": np.eye(1, 5 * RATE, RATE)[0],
        "a gap": noise(5 * RATE) * (np.arange(5 * RATE) // RATE % 2),
    }[what]
    if what == "one frame" and separator is not STREAMING:
        with pytest.warns(dspsep.DspsepWarning, match="needs 300 frames to learn from"):
            sources = separator.separate(audio, RATE)
        np.testing.assert_array_equal(sources["accompaniment"], audio)
    else:
        sources = separator.separate(audio, RATE)
    assert all(np.isfinite(source).all() for source in sources.values())
    np.testing.assert_allclose(sum(sources.values()), audio, atol=1e-12)


@pytest.mark.parametrize(
    ("names", "low", "expected"),
    [
        (("vocals", "accompaniment"), None, "accompaniment"),
        (("lead", "background"), None, "background"),
        (("lead", "band"), "band", "band"),
        (("lead", "band"), None, "lead"),
    ],
)
def test_what_is_too_short_for_periods_belongs_where_low_frequencies_do(names, low, expected):
    sources = dict(zip(names, (Cross(frames=3, bins=3), Periodic()), strict=True))
    with pytest.warns(dspsep.DspsepWarning, match="W_TOO_SHORT"):
        found = KAM(stft=SMALL, sources=sources, low=low).separate(noise(RATE), RATE)
    np.testing.assert_array_equal(found[expected], noise(RATE))


def test_what_no_model_has_is_shared_out():
    V = np.zeros((30, 40))
    V[10, 20] = 1.0  # alone: all medians are zero
    masks = kam(V, [Horizontal(frames=9), Vertical(bins=9), Cross(frames=5, bins=5)])
    for mask in masks:
        np.testing.assert_allclose(mask, 1 / 3)
    silent = kam(np.zeros((4, 5), np.float32), [Horizontal(frames=9), Vertical(bins=9)])
    assert silent[0].dtype == np.float32
    np.testing.assert_array_equal(silent[0], 0.5)
    loud = kam(np.full((4, 5), 1e308), [Horizontal(frames=3), Vertical(bins=3)], exponent=4.0)
    np.testing.assert_allclose(loud[0], 0.5)


# --- settings and models ---


class Steady(ProximityKernel):
    """Alike in all frames: a kernel of the user's."""

    def counted(self, stft, sample_rate):
        return self

    def medians(self, values):
        return np.broadcast_to(np.median(values, axis=1, keepdims=True), values.shape).copy()


def test_kernels_of_your_own():
    audio = noise(2 * RATE)
    separator = KAM(stft=SMALL, sources={"hum": Steady(), "rest": Cross(frames=3, bins=3)})
    sources = separator.separate(audio, RATE)
    np.testing.assert_allclose(sum(sources.values()), audio, atol=1e-12)
    assert separator.reach(RATE) is None
    with pytest.raises(InputError, match="a Steady"):
        separator.to_json()


class Own(Steady):
    """One that does what it is told."""

    def __init__(self, take):
        self.take = take

    def medians(self, values):
        return self.take(values)


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda values: values * np.nan, "medians of Own must be finite and not negative"),
        (lambda values: values + np.inf, "medians of Own must be finite and not negative"),
        (lambda values: -1 - values, "medians of Own must be finite and not negative"),
        (lambda values: values[:, 1:], r"medians of Own must be of shape \(1, 65, 33\)"),
        (lambda values: values * 1j, "medians of Own must be an array of real numbers"),
    ],
)
def test_kernels_of_your_own_are_checked(take, message):
    with pytest.raises(InputError, match=message):
        kam(np.ones((33, 65)), [Own(take), Cross(frames=3, bins=3)])


def test_kernels_of_your_own_keep_the_precision():
    V = np.random.default_rng(0).exponential(size=(33, 65)).astype(np.float32)
    masks = kam(V, [Own(lambda values: values.astype(np.float64)), Cross(frames=3, bins=3)])
    assert [mask.dtype for mask in masks] == [np.float32] * 2


def test_kernels_of_your_own_are_told_apart():
    one, two = Own(np.abs), Own(np.square)
    assert one != two
    assert KAM(sources={"a": one, "b": one}) != KAM(sources={"a": two, "b": two})

    @dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
    class Shaped(Steady):
        shape: object = None

    assert Shaped(shape=3) == Shaped(shape=3) != Shaped(shape=4)
    assert repr(Shaped(shape=np.array([1, 2]))) == "Shaped(shape=array([1, 2]))"


@pytest.mark.core
@pytest.mark.parametrize("separator", [VOCALS, STREAMING])
def test_models_are_saved_and_settings_are_values(separator, tmp_path):
    scene = scenes.song(duration=6.0, sample_rate=RATE)
    model = separator.separate(scene.mixture, RATE).model
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    assert again.sources == model.sources
    spectrogram = SMALL.forward(scene.mixture, RATE)
    for name, mask in model.masks(spectrogram).items():
        np.testing.assert_array_equal(again.masks(spectrogram)[name], mask)
    assert dspsep.from_json(separator.to_json()) == separator == pickle.loads(pickle.dumps(separator))
    assert hash(separator.replace()) == hash(separator)
    as_mapping = KAM(sources={"a": [Horizontal(frames=3)], "b": Vertical(bins=3)})
    assert as_mapping == KAM(sources=(("a", Horizontal(frames=3)), ("b", (Vertical(bins=3),))))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Horizontal, "seconds or frames must be given"),
        (lambda: Horizontal(seconds=1.0, frames=3), "seconds and frames must be given one at a time"),
        (lambda: Horizontal(seconds=0.0), "seconds must be a number above 0"),
        (lambda: Vertical(bins=0), "bins must be an integer of at least 1"),
        (lambda: Cross(seconds=1.0), "hertz or bins must be given"),
        (lambda: Cross(frames=9999, bins=3), "frames must be an integer of at least 1 and at most 4095"),
        (lambda: Periodic(n_repeats=4), "n_repeats must be odd"),
        (lambda: Periodic(period_seconds=1.0, period_frames=3), "given one at a time"),
        (lambda: Pattern(values=np.ones((2, 3))), "odd numbers of bins and of frames"),
        (lambda: Pattern(values=np.full((3, 3), 0.5)), "values must be of 0 and 1"),
        (lambda: Pattern(values=np.zeros((3, 3))), "of 1 to 4095 ones; got 0"),
        (lambda: KAM(sources={"one": Horizontal(frames=3)}), "sources must be two at least"),
        (lambda: KAM(sources=[("a", Vertical(bins=3))] * 2), "sources must be of different names"),
        (lambda: Horizontal(frames=100_000), "frames must be an integer of at least 1 and at most 99999"),
        (lambda: KAM(sources=5), "sources must be a mapping"),
        (lambda: KAM(sources={"one": 5, "two": []}), "source 'one' must be a kernel"),
        (lambda: KAM(sources={"one": Vertical(bins=3), "two": []}), "source 'two' must be a kernel"),
        (lambda: KAM(sources={"": Vertical(bins=3), "two": Vertical(bins=5)}), "a source's name"),
        (lambda: KAM(exponent=0), "exponent must be a number above 0"),
        (lambda: KAM(n_iter=0), "n_iter must be"),
        (lambda: KAM(low="drums"), "low must be one of accompaniment, vocals; got 'drums'"),
        (lambda: KAM(cutoff_hertz=-1), "cutoff_hertz must be"),
        (lambda: KAM(min_period_seconds=20.0), "max_period_seconds must be at least"),
        (lambda: kam(np.ones(3), [Vertical(bins=3)]), "V must be of shape"),
        (lambda: kam(-np.ones((3, 3)), [Vertical(bins=3)]), "V must be finite and not negative"),
        (lambda: kam(np.ones((3, 3)), []), "kernels must be a list"),
        (lambda: kam(np.ones((3, 3)), [Periodic()]), "period_frames must be given"),
        (lambda: kam(np.ones((3, 3)), [Vertical(hertz=3.0)]), "bins must be known"),
    ],
)
def test_settings_are_checked(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_settings_print_what_is_given():
    assert repr(Cross(frames=3, hertz=np.float32(50))) == "Cross(frames=3, hertz=50.0)"
    assert repr(Periodic(n_repeats=None)) == "Periodic(n_repeats=None)"
    assert dataclasses.replace(Horizontal(seconds=1), seconds=2) == Horizontal(seconds=2.0)


# --- real songs ---


def gains(separator, case):
    """Return the gains of SI-SDR of voice and accompaniment over the mixture."""
    front = next(name for name in case.references if name in ("vocals", "lead_guitar"))
    back = next(name for name in case.references if name != front)
    sources = separator.separate(case.mixture, case.sample_rate)
    return [
        si_sdr(case.references[name], sources[found]) - si_sdr(case.references[name], case.mixture)
        for name, found in ((front, "vocals"), (back, "accompaniment"))
    ]


def test_songs_gain_on_the_mean():
    found = np.mean([gains(KAM(), real_case(name)) for name in case_names("a_")], axis=0)
    assert found[0] > 3.9
    assert found[1] > 1.9
