"""Around the work on a device: memory that does not suffice, and warnings that name the caller's line."""

from __future__ import annotations

import inspect
import linecache
import sys
import types
import warnings
from contextlib import contextmanager

import numpy as np
import pytest

import dspsep
from dspsep import STFT, DeviceMemoryError, DspsepWarning, _devices
from dspsep.errors import warn
from tests.devices import DEVICE, on_device
from tests.test_stft import noise

SMALL = STFT(64)
RATE = 1000


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


OutOfMemoryError.__module__ = "cupy.cuda.memory"
ASKED = "Out of memory allocating 1,234,000,000 bytes (allocated so far: 5 bytes)."


def fake_cupy(**changes):
    """Return a module with what is used of CuPy here."""
    freed = []
    pool = types.SimpleNamespace(free_all_blocks=lambda: freed.append("pool"))
    cache = types.SimpleNamespace(clear=lambda: freed.append("plans"))
    runtime = types.SimpleNamespace(memGetInfo=lambda: (2_000_000, 8_000_000), **changes)
    return types.SimpleNamespace(
        freed=freed,
        get_default_memory_pool=lambda: pool,
        fft=types.SimpleNamespace(config=types.SimpleNamespace(get_plan_cache=lambda: cache)),
        cuda=types.SimpleNamespace(runtime=runtime),
    )


@pytest.fixture
def small_device(monkeypatch):
    """Let a device have room for transforms of so many samples."""
    cupy = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    forward = STFT._forward

    def limited(n_samples):
        def transform(self, samples, *arguments):
            if samples.shape[1] > n_samples:
                raise OutOfMemoryError(ASKED)
            return forward(self, samples, *arguments)

        monkeypatch.setattr(STFT, "_forward", transform)
        return cupy

    return limited


@pytest.mark.parametrize("n_channels", [None, 2])
def test_what_can_be_fed_in_blocks_is(small_device, n_channels):
    audio = noise(9000, "float64", n_channels)
    separator = dspsep.HPSS(stft=SMALL, harmonic_frames=5) >> {"harmonic": dspsep.HPSS(stft=SMALL)}
    expected = separator.separate(audio, RATE)
    cupy = small_device(5000)
    seen = []
    with pytest.warns(DspsepWarning, match=r"^\[W_BLOCKS\] the memory of the device is too small") as caught:
        sources = separator.separate(on_device(audio), RATE, callback=seen.append)
    assert {warning.filename for warning in caught} <= {__file__, dspsep.pipeline.__file__}
    assert set(cupy.freed) == {"pool", "plans"}
    assert [progress.stage for progress in seen].count("blocks") > 1
    assert sources.names == expected.names
    assert sources.model == {"": None, "harmonic": None}  # both steps were done in blocks
    for name, source in sources.items():
        assert source.device == DEVICE
        np.testing.assert_allclose(dspsep._backend.to_host(source), expected[name], atol=1e-6)


@pytest.mark.parametrize("separator", [dspsep.RPCA(stft=SMALL), dspsep.HPSS(stft=SMALL)], ids=repr)
def test_what_cannot_says_what_was_asked_for(small_device, separator):
    cupy = small_device(10)
    with pytest.raises(
        DeviceMemoryError, match=r"got a request for 1,234\.0 MB, with 2\.0 MB of 8\.0 MB free"
    ) as info:
        separator.separate(on_device(noise(9000)), RATE)
    assert info.value.n_bytes_asked == 1_234_000_000
    assert info.value.n_bytes_free == 2_000_000
    assert isinstance(info.value.__cause__, OutOfMemoryError)
    assert info.value.__cause__.__traceback__ is None  # whose frames would hold arrays
    assert "shorter part" in str(info.value)
    assert "pool" in cupy.freed


def test_what_gives_memory_back_is_the_device_of_the_mixture(small_device, monkeypatch):
    small_device(10)
    inside, asked = [], []

    @contextmanager
    def at_home(_):
        inside.append(True)
        try:
            yield
        finally:
            inside.pop()

    def release():
        asked.append(bool(inside))
        return None, None

    monkeypatch.setattr(_devices, "at_home", at_home)
    monkeypatch.setattr(_devices, "release", release)
    with pytest.raises(DeviceMemoryError):
        dspsep.RPCA(stft=SMALL).separate(on_device(noise(9000)), RATE)
    assert asked
    assert all(asked)


def test_refiners_say_so_too(small_device):
    sources = dspsep.HPSS(stft=SMALL).separate(on_device(noise(3000)), RATE)
    small_device(10)
    with pytest.raises(DeviceMemoryError, match=r"must fit the memory of the device"):
        dspsep.Wiener(stft=SMALL).refine(sources.mixture(), sources)


def test_other_errors_pass(monkeypatch):
    def fail(*_):
        raise MemoryError("of the host")

    monkeypatch.setattr(STFT, "_forward", fail)
    with pytest.raises(MemoryError, match="of the host"):
        dspsep.HPSS(stft=SMALL).separate(on_device(noise(3000)), RATE)


@pytest.mark.parametrize(
    ("message", "lacks"),
    [("cudaErrorMemoryAllocation: out of memory", True), ("CUFFT_ALLOC_FAILED", True),
     ("CUBLAS_STATUS_ALLOC_FAILED", True), ("CUDA_ERROR_OUT_OF_MEMORY: out of memory", True),
     ("cudaErrorIllegalAddress", False)],
)  # fmt: skip
def test_errors_of_libraries_that_lack_memory(message, lacks):
    kind = type("CUDARuntimeError", (RuntimeError,), {"__module__": "cupy_backends.cuda.api.runtime"})
    assert _devices.is_out_of_memory(kind(message)) == lacks
    assert not _devices.is_out_of_memory(RuntimeError(message))


def test_a_device_that_does_not_tell(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    error = _devices.memory_error(OutOfMemoryError("no numbers"), "Do less.")
    assert str(error) == "the work must fit the memory of the device; got a request. Do less."
    assert error.n_bytes_asked is error.n_bytes_free is None


def test_the_device_of_the_mixture_is_the_current_one_meanwhile():
    entered = []

    class Device:
        def __enter__(self):
            entered.append(True)

        def __exit__(self, *_):
            entered.append(False)

    array = type("ndarray", (), {"__module__": "cupy", "device": Device()})()
    with _devices.at_home(array):
        assert entered == [True]
    assert entered == [True, False]
    with _devices.at_home(np.ones(3)):
        assert entered == [True, False]


class Warns(dspsep.Separator):
    """Warns of the line that calls it."""

    source_names = ("all",)

    def separate(self, mixture, sample_rate, *, callback=None):
        warn("W_RANK", "here", stacklevel=3)
        return dspsep.Sources({"all": mixture}, sample_rate)


def test_warnings_name_the_line_of_the_caller():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Warns().separate(np.ones(3), RATE)
    assert caught[0].filename == __file__
    assert "Warns().separate(" in linecache.getline(__file__, caught[0].lineno)


def test_documentation_and_signature_are_those_of_the_method():
    assert list(inspect.signature(dspsep.HPSS.separate).parameters) == [
        "self", "mixture", "sample_rate", "callback",
    ]  # fmt: skip
    assert dspsep.HPSS.separate.__doc__.startswith("Take a mixture apart.")
