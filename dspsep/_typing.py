"""Type names shared by the whole package."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# NumPy's type stands for every array the library takes. CuPy publishes no types, and an array of
# its kind behaves the same under the functions used here; which one it is, the array itself decides.
Array: TypeAlias = npt.NDArray[Any]

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]
ComplexArray: TypeAlias = npt.NDArray[np.complexfloating[Any, Any]]

# An array namespace (numpy, cupy, array_api_strict): a module, chosen at run time.
Namespace: TypeAlias = Any
