"""An array that can be a setting: read-only, compared and hashed by content."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from dspsep.errors import InputError

__all__ = ["FrozenArray"]


class FrozenArray:
    """A read-only copy of a numeric array, with equality and hash by content.

    Settings of a separator are values: they are compared, hashed, printed and stored. A bare NumPy
    array can do none of these, so settings that are arrays (a window, a dictionary) are wrapped.

    Parameters
    ----------
    values : array_like
        Real or complex numbers, of any shape.
    dtype : str, optional
        Their type, if not that of `values`.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep._frozen_array import FrozenArray
    >>> FrozenArray([0.5, 1.0]) == FrozenArray(np.array([0.5, 1.0]))
    True
    >>> np.asarray(FrozenArray([0.5, 1.0])).flags.writeable
    False
    """

    __slots__ = ("_digest", "_values")

    def __init__(self, values: npt.ArrayLike | FrozenArray, dtype: str | None = None) -> None:
        try:
            array = np.array(values, dtype, order="C")
        except ValueError as error:
            raise InputError("values", "a rectangular array of numbers", "a ragged sequence") from error
        if array.dtype.kind not in "iufc":
            raise InputError("values", "an array of numbers", f"dtype {array.dtype}")
        array.setflags(write=False)
        self._values = array
        header = f"{array.dtype.str}{array.shape}".encode()
        self._digest = hashlib.sha256(header + array.tobytes()).digest()

    @property
    def values(self) -> npt.NDArray[Any]:
        """The array itself, read-only."""
        return self._values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            return np.asarray(self._values, dtype=dtype)
        return (
            np.array(self._values, dtype=dtype)
            if copy
            else self._values.astype(self._values.dtype if dtype is None else dtype, copy=False)
        )

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrozenArray) and self._digest == other._digest

    def __hash__(self) -> int:
        return hash(self._digest)

    def __repr__(self) -> str:
        # Whole when it is short, so that `repr` evaluates back; else enough to recognise it by.
        if self._values.size <= 16:
            return f"FrozenArray({self._values.tolist()!r}, {self._values.dtype.name!r})"
        return f"FrozenArray(<{self._values.dtype} {self._values.shape}, {self._digest.hex()[:8]}>)"

    def __reduce__(self) -> tuple[type[FrozenArray], tuple[npt.NDArray[Any]]]:
        return FrozenArray, (self._values,)
