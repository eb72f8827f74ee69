"""What every separator and refiner does around its own work on a device, so that none has to think of it.

Its device is the current one meanwhile. If the memory of the device does not suffice, a separator that can be
fed in blocks is: that gives the same, and what is held at once is a block. Others say what was asked for, and
what to do. Arrays of the host pass straight through.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar, cast

from dspsep import _audio, _backend, _devices
from dspsep._typing import Array
from dspsep.errors import DeviceMemoryError, warn
from dspsep.progress import Callback, Progress
from dspsep.sources import Sources

__all__ = ["guarded"]

_Method = TypeVar("_Method", bound=Callable[..., Sources])

_REMEDY = (
    "Separate a shorter part, in single precision, with fewer components or shorter frames, or on the host:"
    " cupy.asnumpy(mixture)."
)

# Whether what is separated is a block already, which there is nothing smaller than.
_block: ContextVar[bool] = ContextVar("_block", default=False)


def guarded(method: _Method) -> _Method:
    """Return `Separator.separate` or `Refiner.refine` of a class, with what is done on a device around it."""

    @functools.wraps(method)
    def around(self: Any, mixture: Array, *args: Any, **kwargs: Any) -> Sources:
        if _backend.is_numpy(mixture):
            return method(self, mixture, *args, **kwargs)
        with _devices.at_home(mixture):
            try:
                return method(self, mixture, *args, **kwargs)
            except Exception as error:
                if not (_devices.is_out_of_memory(error) or isinstance(error, DeviceMemoryError)):
                    raise
                lack = _let_go(error)
            # What the work held is free by now: nothing refers to its frames any more.
            if method.__name__ == "separate":
                sources = _in_blocks(self, mixture, *args, **kwargs)
                if sources is not None:
                    return sources
            if isinstance(lack, DeviceMemoryError):
                raise lack
            raise _devices.memory_error(lack, _REMEDY) from lack

    return cast("_Method", around)


def _let_go(error: Exception) -> Exception:
    """Return an error without the frames it came through, which hold arrays."""
    error.__context__ = None
    return error.with_traceback(None)


def _in_blocks(
    separator: Any, mixture: Array, sample_rate: float, *, callback: Callback | None = None
) -> Sources | None:
    """Return what `separate` gives, made block by block; None if that cannot be, or is too much as well."""
    if _block.get() or not separator.streams(sample_rate):
        return None
    _devices.release()
    token = _block.set(True)
    try:
        found = _streamed(separator, mixture, sample_rate, callback)
    except Exception as error:
        if not (_devices.is_out_of_memory(error) or isinstance(error, DeviceMemoryError)):
            raise
        _let_go(error)
        return None
    finally:
        _block.reset(token)
    warn(
        "W_BLOCKS",
        f"the memory of the device is too small for {type(separator).__name__} to work on all of the mixture"
        " at once: it was worked on in blocks, and no model is kept.",
        stacklevel=2,
    )
    return Sources(found, float(sample_rate), None, separator.provenance())


def _streamed(
    separator: Any, mixture: Array, sample_rate: float, callback: Callback | None
) -> dict[str, Array]:
    audio = _audio.mixture_of(mixture)
    samples, xp = audio.samples, _backend.namespace(audio.samples)
    stream = separator.stream(sample_rate, samples.shape[0])
    length = max(int(sample_rate), int(stream.latency_samples))
    n_blocks = -(-samples.shape[1] // length)
    found = {name: xp.empty_like(samples) for name in stream.source_names}
    done = 0
    for block in range(n_blocks + 1):
        if callback is not None:
            callback(Progress(stage="blocks", iteration=block, n_iterations=n_blocks + 1))
        start = block * length
        parts = stream.push(samples[:, start : start + length]) if block < n_blocks else stream.flush()
        n_samples = 0
        for name, part in parts.items():
            n_samples = part.shape[1]
            found[name][:, done : done + n_samples] = part
        done += n_samples
    return {name: audio.restore(source) for name, source in found.items()}
