"""One separator, many threads: what each of them gets is what it would get alone, to the last bit."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import dspsep
from dspsep import HPSS, STFT, IterativeHPSS
from tests.test_streaming import cut

N_THREADS = 8
RATE = 8000

FUSED = HPSS(stft=STFT(256))
RESIDUAL = HPSS(stft=STFT(256), margin=2.0, mask="hard")
# No fused kernel for frames that are no power of two: the route through spectrogram and masks.
UNFUSED = HPSS(stft=STFT(240))
ITERATIVE = IterativeHPSS(stft=STFT(256), n_iter=3)
PIPELINE = FUSED >> {"percussive": HPSS(stft=STFT(64), margin=1.5)}

#: Separator, and how many calls each thread makes.
SHARED = [
    pytest.param(FUSED, 200, id="fused"),
    pytest.param(RESIDUAL, 40, id="residual"),
    pytest.param(UNFUSED, 40, id="unfused"),
    pytest.param(ITERATIVE, 10, id="iterative"),
    pytest.param(PIPELINE, 25, id="pipeline"),
]


def inputs(n_inputs, longest=6000, seed=0):
    """Return mixtures of random lengths, mono and stereo, in both precisions."""
    rng = np.random.default_rng(seed)
    shapes = [
        (int(n),) if rng.random() < 0.3 else (2, int(n)) for n in rng.integers(1, longest, size=n_inputs)
    ]
    return [
        rng.standard_normal(shape).astype(rng.choice(["float32", "float32", "float64"])) for shape in shapes
    ]


def content(sources):
    return {name: (source.dtype, source.shape, source.tobytes()) for name, source in sources.items()}


def state():
    """Return what belongs to the process or the thread and is none of a separator's business."""
    kind, keys, *place = np.random.get_state()  # noqa: NPY002 - the one that all share
    return kind, keys.tobytes(), place, np.geterr(), dspsep.get_num_threads(), sys.getswitchinterval()


@pytest.fixture(autouse=True)
def own_setting():
    """Leave the number of threads as it was."""
    yield
    dspsep.set_num_threads(None)


@pytest.fixture
def short_switches():
    """Make Python change threads a hundred times as often as it does."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(interval / 100)
    yield
    sys.setswitchinterval(interval)


def together(work, n_threads=N_THREADS):
    """Call ``work(number)`` in that many threads, which begin together; return what they return."""
    barrier = threading.Barrier(n_threads, timeout=60)

    def begin(number):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(n_threads) as pool:
        return [future.result() for future in [pool.submit(begin, number) for number in range(n_threads)]]


def wrong_calls(separator, mixtures, expected, n_calls):
    """Return what a thread does that compares its calls, in an order of its own, with those made alone."""

    def work(number):
        before = state()
        order = np.random.default_rng(number).integers(len(mixtures), size=n_calls)
        wrong = [
            int(which)
            for which in order
            if content(separator.separate(mixtures[which], RATE)) != expected[which]
        ]
        assert state() == before
        return wrong

    return work


def alone(separator, mixtures):
    dspsep.set_num_threads(1)
    return [content(separator.separate(mixture, RATE)) for mixture in mixtures]


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize(("separator", "n_calls"), SHARED)
def test_eight_threads_share_a_separator(separator, n_calls, n_threads, short_switches):
    mixtures = inputs(n_inputs=min(40, n_calls))
    expected = alone(separator, mixtures)
    before, settings = [mixture.tobytes() for mixture in mixtures], repr(separator)
    dspsep.set_num_threads(n_threads)
    process = state()
    assert together(wrong_calls(separator, mixtures, expected, n_calls)) == [[]] * N_THREADS
    assert state() == process
    assert [mixture.tobytes() for mixture in mixtures] == before
    assert repr(separator) == settings


@pytest.mark.core
def test_a_few_calls_of_many_threads():
    mixtures = inputs(n_inputs=6, longest=2500)
    expected = alone(FUSED, mixtures)
    dspsep.set_num_threads(2)
    assert together(wrong_calls(FUSED, mixtures, expected, 6)) == [[]] * N_THREADS


def streamed(separator, mixture, rng):
    """Return what a stream gives for a mixture in blocks of random sizes."""
    stream = separator.stream(RATE, mixture.shape[0])
    blocks = cut(mixture, rng.integers(0, 3000, size=12))
    parts = [stream.push(block) for block in blocks] + [stream.flush()]
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in stream.source_names}


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("separator", [FUSED, UNFUSED, PIPELINE], ids=["fused", "unfused", "pipeline"])
def test_a_stream_runs_beside_other_calls(separator, n_threads, short_switches):
    # A stream of a method without one of its own separates segments, which are cut elsewhere for other
    # blocks. So it is compared with itself, alone, fed the same blocks.
    long = np.random.default_rng(9).standard_normal((2, 20_000)).astype("float32")
    mixtures = inputs(n_inputs=20)
    expected = alone(separator, mixtures)
    streams = [content(streamed(separator, long, np.random.default_rng(seed))) for seed in range(6)]
    dspsep.set_num_threads(n_threads)
    calls = wrong_calls(separator, mixtures, expected, 25)

    def work(number):
        if number % 4:
            return calls(number)
        got = [content(streamed(separator, long, np.random.default_rng(seed))) for seed in range(6)]
        return [seed for seed in range(6) if got[seed] != streams[seed]]

    assert together(work) == [[]] * N_THREADS


def test_callers_keep_their_own_number_of_threads():
    mixtures = inputs(n_inputs=10)
    expected = alone(FUSED, mixtures)
    dspsep.set_num_threads(2)

    def work(number):
        own = 1 + number % 3
        with dspsep.num_threads(own):
            wrong = wrong_calls(FUSED, mixtures, expected, 20)(number)
            assert dspsep.get_num_threads() == own
        return wrong

    assert together(work) == [[]] * N_THREADS
    assert dspsep.get_num_threads() == 2


def test_an_error_in_one_thread_is_none_in_the_others():
    mixtures = inputs(n_inputs=10)
    expected = alone(FUSED, mixtures)
    bad = np.full((2, 500), np.nan, "float32")
    dspsep.set_num_threads(2)
    calls = wrong_calls(FUSED, mixtures, expected, 30)

    def work(number):
        if number % 2:
            return calls(number)
        for _ in range(30):
            with pytest.raises(dspsep.InputError, match=r"^mixture must be finite"):
                FUSED.separate(bad, RATE)
        return []

    assert together(work) == [[]] * N_THREADS
