"""Where tests of a device run: on a GPU through CuPy, and without one on a stand-in, by the same lines."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from dspsep import Separator, Sources, _backend
from dspsep.streaming import Stream

__all__ = ["PLACES", "Elsewhere", "Place", "place"]

# CuPy, and what it calls, may warn of what is none of ours.
_MARKS = (pytest.mark.gpu, pytest.mark.filterwarnings("default"))
PLACES = [pytest.param("cupy", marks=_MARKS), "array_api_strict"]


@dataclass(frozen=True)
class Place:
    """A device, and how arrays get there."""

    library: str
    put: Callable[[Any], Any]

    def owns(self, array: Any) -> bool:
        """Tell whether an array is there."""
        return type(array).__module__.partition(".")[0] == self.library

    def takes(self, array: Any) -> bool:
        """Tell whether there are arrays of such numbers: not big-endian ones, for example."""
        if not isinstance(array, np.ndarray) or type(array) is not np.ndarray or not array.dtype.isnative:
            return False
        least = 2 if self.library == "cupy" else 4  # the standard knows no half precision
        return array.dtype.kind in "iu" or (array.dtype.kind == "f" and least <= array.dtype.itemsize <= 8)


def place(library: str) -> Place:
    """Return a device; skip the test, and say why, where there is none."""
    if library == "array_api_strict":
        pytest.importorskip(library)
        from tests.devices import on_device

        return Place(library, on_device)
    try:
        cupy = importlib.import_module("cupy")
    except Exception as error:
        pytest.skip(f"CuPy cannot be imported: {error}")
    try:
        n_devices = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        pytest.skip(f"CUDA finds no device: {error}")
    if not n_devices:
        pytest.skip("CUDA finds no device")
    return Place(library, cupy.asarray)


@dataclass(frozen=True)
class Elsewhere(Separator):
    """A separator whose work is done on a device: the mixture goes there, and the sources come back."""

    inner: Separator
    place: Place = field(compare=False)

    @property
    def source_names(self) -> tuple[str, ...] | None:
        """Those of the separator."""
        return self.inner.source_names

    def separate(self, mixture: Any, sample_rate: float, *, callback: Any = None) -> Sources:
        """Separate there."""
        if not self.place.takes(mixture):
            return self.inner.separate(mixture, sample_rate, callback=callback)
        found = self.inner.separate(self.place.put(mixture), sample_rate, callback=callback)
        assert all(self.place.owns(source) for source in found.values())
        audio = {name: _backend.to_host(source) for name, source in found.items()}
        return Sources(audio, found.sample_rate, found.model, found.provenance)

    def reach(self, sample_rate: float) -> Any:
        """Return that of the separator."""
        return self.inner.reach(sample_rate)

    def streams(self, sample_rate: float) -> bool:
        """Tell what the separator tells."""
        return self.inner.streams(sample_rate)

    def stream(self, sample_rate: float, n_channels: int | None = None) -> Any:
        """Return the separator's stream, fed there."""
        return _StreamElsewhere(self.inner.stream(sample_rate, n_channels), self.place)

    def __reduce__(self) -> tuple[Any, ...]:
        return Elsewhere.named, (self.inner, self.place.library)

    def __deepcopy__(self, _: Any) -> Elsewhere:
        return self

    @staticmethod
    def named(inner: Separator, library: str) -> Elsewhere:
        """Return it by the name of the library."""
        return Elsewhere(inner, place(library))


class _StreamElsewhere:
    def __init__(self, stream: Stream, place: Place) -> None:
        self._stream, self._place = stream, place

    @property
    def latency_samples(self) -> int:
        return self._stream.latency_samples

    def push(self, block: Any) -> dict[str, Any]:
        return _back(self._stream.push(self._place.put(block)).items())

    def flush(self) -> dict[str, Any]:
        return _back(self._stream.flush().items())


def _back(parts: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: _backend.to_host(part) for name, part in parts}
