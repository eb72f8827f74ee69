"""``--device``: what there must be, what moves, what is said where there is no GPU. CuPy is a stand-in."""

from __future__ import annotations

import json
import sys
import types
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import soundfile

from dspsep import BackendError, DeviceMemoryError, InputError, _backend, _devices
from dspsep.batch._track import Job
from dspsep.cli import main
from dspsep.separators.hpss.median import HPSS
from tests.devices import DEVICE, on_device
from tests.test_stft import noise

RATE = 8000


def stand_in(*, n_devices=2, error=None, off=0.0):
    """Return a module for CuPy: its arrays are those of `array_api_strict`'s second device."""

    def count():
        if error is not None:
            raise error
        return n_devices

    moved = []

    def asarray(samples):
        moved.append(samples.shape)
        return on_device(samples)

    entered = []
    runtime = types.SimpleNamespace(getDeviceCount=count)
    return types.SimpleNamespace(
        moved=moved,
        entered=entered,
        asarray=asarray,
        arange=np.arange,
        asnumpy=lambda found: found + off,
        fft=np.fft,
        linalg=np.linalg,
        cuda=types.SimpleNamespace(
            runtime=runtime, Device=lambda number: (entered.append(number), nullcontext())[1]
        ),
    )


@pytest.fixture
def cupy(monkeypatch):
    module = stand_in()
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.wav"
    soundfile.write(path, 0.1 * noise(20000, "float64", 2).T, RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize(("method", "n_moves"), [("hpss", None), ("ft2d", 1)])
def test_the_mixture_moves_once_and_stems_come_back(cupy, song, tmp_path, method, n_moves):
    before = _backend.host_exits()
    assert (
        main(
            [
                "separate",
                str(song),
                "-m",
                method,
                "--device",
                "cuda:1",
                "-f",
                "wav",
                "-o",
                str(tmp_path / "a"),
            ]
        )
        == 0
    )
    assert _backend.host_exits() > before
    assert set(cupy.entered) == {1}
    assert sum(shape[-1] for shape in cupy.moved) == 20000  # each sample once
    assert n_moves is None or len(cupy.moved) == n_moves
    assert main(["separate", str(song), "-m", method, "-f", "wav", "-o", str(tmp_path / "b")]) == 0
    stems = sorted((tmp_path / "a" / method / "song").glob("*.wav"))
    assert len(stems) == 2
    for stem in stems:
        there, here = (soundfile.read(tmp_path / folder / method / "song" / stem.name)[0] for folder in "ab")
        np.testing.assert_allclose(there, here, atol=1e-4)


def test_workers_are_told(tmp_path):
    job = Job(folder=tmp_path, separator=HPSS(), format="wav", template="{source}.{ext}", device="cuda:1")
    assert Job.from_json(job.to_json()) == job
    elsewhere = Job(folder=tmp_path, separator=HPSS(), format="wav", template="{source}.{ext}")
    assert elsewhere.device == "cpu"
    assert elsewhere.settings_sha256 == job.settings_sha256  # stems of another device are kept


def refused(capsys, song, tmp_path, device):
    assert main(["separate", str(song), "--device", device, "-o", str(tmp_path / "out")]) == 2
    assert not list((tmp_path / "out").rglob("*.flac"))
    return capsys.readouterr().err


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "CUDA", "", "cuda:0\n"])
def test_what_is_no_device(cupy, song, tmp_path, capsys, name):
    assert "--device must be cpu, cuda, or cuda:N; got " in refused(capsys, song, tmp_path, name)


def test_without_cupy(song, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    said = refused(capsys, song, tmp_path, "cuda")
    assert "cuda needs CuPy, which" in said
    assert "pip install 'dspsep[cuda12]' or 'dspsep[cuda13]'" in said


def test_without_a_driver(song, tmp_path, capsys, monkeypatch):
    error = RuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")
    monkeypatch.setitem(sys.modules, "cupy", stand_in(error=error))
    said = refused(capsys, song, tmp_path, "cuda")
    assert "must be a GPU that CUDA finds; got none: cudaErrorInsufficientDriver: CUDA driver" in said
    assert "nvidia-smi" in said


def test_without_a_device(song, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", stand_in(n_devices=0))
    assert "got none: there is none" in refused(capsys, song, tmp_path, "cuda")


@pytest.mark.parametrize(("n_devices", "there"), [(1, "cuda:0"), (4, "cuda:0 to cuda:3")])
def test_a_number_that_is_not_there(song, tmp_path, capsys, monkeypatch, n_devices, there):
    monkeypatch.setitem(sys.modules, "cupy", stand_in(n_devices=n_devices))
    said = refused(capsys, song, tmp_path, "cuda:7")
    assert f"--device must be one that is there, {there}; got 'cuda:7'." in said


def test_a_device_that_cannot_count(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", stand_in(off=1.0))
    with pytest.raises(BackendError, match=r"the sum of its 2 by 2 identity is 3\."):
        _devices.device_named("cuda")


def test_a_device_that_does_not_work(monkeypatch):
    module = stand_in()

    def fail(square):
        raise ImportError("no libcusolver")

    module.linalg = types.SimpleNamespace(inv=fail)
    monkeypatch.setitem(sys.modules, "cupy", module)
    with pytest.raises(BackendError, match=r"CuPy said: no libcusolver\. .* pip install 'dspsep\[cuda12\]'"):
        _devices.device_named("cuda")


def test_a_mixture_that_does_not_fit(cupy, song, tmp_path, capsys):
    kind = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})

    def fail(samples):
        raise kind("Out of memory allocating 8,000,000 bytes")

    cupy.asarray = fail
    with pytest.raises(DeviceMemoryError, match=r"a request for 8\.0 MB"):
        _devices.device_named("cuda").put(np.ones(4))
    assert main(["separate", str(song), "--device", "cuda", "--json", "-o", str(tmp_path / "out")]) == 1
    assert "must fit the memory of the device" in json.loads(capsys.readouterr().out)["error"]


def test_the_device_that_lacks_memory_is_the_one_that_is_asked(cupy, monkeypatch):
    kind = type("OutOfMemoryError", (MemoryError,), {"__module__": "cupy.cuda.memory"})
    current, asked = [0], []

    @contextmanager
    def device(number):
        current.append(number)
        try:
            yield
        finally:
            current.pop()

    def fail(samples):
        raise kind("Out of memory allocating 8,000,000 bytes")

    def release():
        asked.append(current[-1])
        return None, None

    there = _devices.device_named("cuda:1")
    cupy.asarray, cupy.cuda.Device = fail, device
    monkeypatch.setattr(_devices, "release", release)
    with pytest.raises(DeviceMemoryError):
        there.put(np.ones(4))
    assert asked == [1]


def test_the_host_moves_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    samples = np.ones(3)
    assert _devices.device_named("cpu").put(samples) is samples


def test_the_stand_in_is_on_the_device(cupy):
    assert _devices.device_named("cuda").put(np.ones(3)).device == DEVICE
    with pytest.raises(InputError):
        _devices.device_named("tpu")
