"""What arrays of a device need beyond their namespace: to be at home there, and memory.

CuPy makes new arrays on the *current* device of the thread, whatever device its array-API functions are asked
for, so whoever works on an array makes its device the current one. And a device has little memory beside the
host's: `is_out_of_memory` knows the errors that say so, which CuPy, cuFFT and cuBLAS each have their own of.
"""

from __future__ import annotations

import importlib
import re
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

from dspsep import _backend
from dspsep._typing import Array
from dspsep.errors import BackendError, DeviceMemoryError, InputError

__all__ = ["Device", "at_home", "device_named", "is_out_of_memory", "memory_error", "release"]

_NAME = re.compile(r"cuda(?::(\d{1,4}))?")
_LACKS = ("ALLOC_FAILED", "MemoryAllocation", "Out of memory", "OUT_OF_MEMORY")


def at_home(array: object) -> AbstractContextManager[object]:
    """Return a context in which new arrays are made where `array` is."""
    if type(array).__module__.partition(".")[0] != "cupy":
        return nullcontext()
    return cast("AbstractContextManager[object]", cast("Any", array).device)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of CuPy says that a device has not enough memory."""
    if not type(error).__module__.startswith("cupy"):
        return False
    return isinstance(error, MemoryError) or any(word in str(error) for word in _LACKS)


def memory_error(error: BaseException, remedy: str) -> DeviceMemoryError:
    """Return the error to raise in place of CuPy's, after giving back what nobody holds any more.

    To be called while the device is the current one: it is the one that gives back, and is asked.
    """
    asked = re.search(r"allocating ([\d,]+) bytes", str(error))
    n_bytes = None if asked is None else int(asked[1].replace(",", ""))
    free, total = release()
    request = "a request" if n_bytes is None else f"a request for {_size(n_bytes)}"
    there = "" if total is None or free is None else f", with {_size(free)} of {_size(total)} free"
    return DeviceMemoryError(
        f"the work must fit the memory of the device; got {request}{there}. {remedy}",
        n_bytes_asked=n_bytes, n_bytes_free=free,
    )  # fmt: skip


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"


def release() -> tuple[int | None, int | None]:
    """Give cached memory back to the current device; return how much is free then, and how much there is."""
    cupy: Any = sys.modules.get("cupy")
    try:
        cupy.fft.config.get_plan_cache().clear()  # plans have work areas
        cupy.get_default_memory_pool().free_all_blocks()
        free, total = cupy.cuda.runtime.memGetInfo()
    except Exception:  # noqa: BLE001 - whatever is wrong with the device, another error is on its way
        return None, None
    return int(free), int(total)


@dataclass(frozen=True, kw_only=True)
class Device:
    """A device by name: ``cpu``, or a GPU, which audio is moved to.

    Parameters
    ----------
    name : str
        As it was given.
    number : int or None
        Of the GPU; None for the host.
    """

    name: str
    number: int | None = None

    def put(self, samples: Array) -> Array:
        """Return samples of the host where this device has its arrays."""
        if self.number is None:
            return samples
        cupy: Any = importlib.import_module("cupy")
        with cupy.cuda.Device(self.number):
            try:
                return cast("Array", cupy.asarray(_backend.to_host(samples)))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                lack = error
            raise memory_error(lack, "Take a shorter part of it.") from lack


def device_named(name: str, argument: str = "device") -> Device:
    """Return a device that is there and works, or say before any work why there is none.

    Raises
    ------
    InputError
        If `name` is no name of a device, or that of one that is not there.
    BackendError
        If CuPy is not installed, or finds no GPU, or cannot use it.
    """
    if name == "cpu":
        return Device(name=name)
    match = _NAME.fullmatch(name)
    if match is None:
        raise InputError(argument, "cpu, cuda, or cuda:N", repr(name)[:80], "cuda is cuda:0.")
    number = int(match[1] or 0)
    cupy = _cupy(name)
    n_devices = _counted(cupy, name)
    if number >= n_devices:
        there = "cuda:0" if n_devices == 1 else f"cuda:0 to cuda:{n_devices - 1}"
        raise InputError(argument, f"one that is there, {there}", repr(name))
    _tried(cupy, name, number)
    return Device(name=name, number=number)


def _cupy(name: str) -> Any:
    try:
        return importlib.import_module("cupy")
    except Exception as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        why = "which is not installed" if absent else f"which cannot be imported: {error}"
        raise BackendError(
            f"{name} needs CuPy, {why}. Install what suits the CUDA of the driver:"
            " pip install 'dspsep[cuda12]' or 'dspsep[cuda13]'; nvidia-smi tells which."
        ) from error


def _counted(cupy: Any, name: str) -> int:
    try:
        n_devices, why = int(cupy.cuda.runtime.getDeviceCount()), "there is none"
    except Exception as error:  # noqa: BLE001 - CuPy's own class, which can be named only where it is there
        n_devices, why = 0, str(error)
    if not n_devices:
        raise BackendError(
            f"{name} must be a GPU that CUDA finds; got none: {why}. nvidia-smi tells whether there is one of"
            " NVIDIA's, and its driver."
        )
    return n_devices


def _tried(cupy: Any, name: str, number: int) -> None:
    """Let the device do a little of all that is needed: compiled sums, a transform, a system of equations."""
    try:
        with cupy.cuda.Device(number):
            numbers = cupy.arange(1, 5, dtype="float32") + 1
            square = cupy.fft.irfft(cupy.fft.rfft(numbers), n=4).reshape(2, 2)
            found = float(cupy.asnumpy((square @ cupy.linalg.inv(square)).sum()))
    except Exception as error:
        raise BackendError(
            f"{name} must be a GPU that CuPy can use; CuPy said: {error}. Libraries that cannot be found come"
            " with pip install 'dspsep[cuda12]' or 'dspsep[cuda13]'."
        ) from error
    if not abs(found - 2) < 0.01:
        raise BackendError(f"{name} must be a GPU that counts; the sum of its 2 by 2 identity is {found:g}.")
