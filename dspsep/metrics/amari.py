"""How far a demixing is from undoing a mixing, up to what nobody can know: order and level.

With the product P = W A, n × n and of absolute values,

    index = 1 / (2 n (n − 1)) · [ Σ_i (Σ_j P_ij / max_j P_ij − 1) + Σ_j (Σ_i P_ij / max_i P_ij − 1) ]

which is 0 if every row and every column has one entry that is not zero, and at most 1.
"""

from __future__ import annotations

import numpy as np

from dspsep import _backend
from dspsep.errors import InputError

__all__ = ["amari_index"]


def amari_index(demixing: object, mixing: object) -> float:
    """Return the Amari index of a demixing matrix.

    Use it for instantaneous mixtures whose mixing matrix is known, or bin by bin: it looks at the matrices,
    not at the sound, and needs no reference signals.

    Parameters
    ----------
    demixing : array of shape (n_sources, n_channels)
        What a method found, W in y = W x; real or complex.
    mixing : array of shape (n_channels, n_sources)
        The truth, A in x = A s; at least two sources.

    Returns
    -------
    float
        0 if ``demixing @ mixing`` is a permutation with any factors, and up to 1 (all its entries equal).

    Raises
    ------
    InputError
        If the shapes do not fit, if anything is not finite, or if a row or column of the product is zero: a
        demixing that loses a source has no index.

    See Also
    --------
    si_sdr : What the sound says.

    Notes
    -----
    This is the normalised form, which does not depend on the number of sources; some papers leave out the
    factor 1 / (2 n (n − 1)), and some have 1 / (n (n − 1)).

    References
    ----------
    S. Amari, A. Cichocki, H. H. Yang, "A new learning algorithm for blind signal separation", Advances in
    Neural Information Processing Systems 8, 1996, pp. 757–763.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.metrics import amari_index
    >>> mixing = np.array([[1.0, 0.5], [0.2, 1.0]])
    >>> amari_index(np.linalg.inv(mixing)[::-1] * 3, mixing) < 1e-12
    True
    >>> amari_index(np.eye(2), mixing).__round__(3)
    0.35
    """
    W, A = _matrix("demixing", demixing), _matrix("mixing", mixing)
    if W.shape[1] != A.shape[0] or W.shape[0] != A.shape[1]:
        raise InputError(
            "demixing",
            f"of shape (n_sources, n_channels), {A.shape[::-1]} for this mixing",
            f"shape {W.shape}",
        )
    if len(W) < 2:
        raise InputError("mixing", "of at least two sources", f"shape {A.shape}")
    P = np.abs((W / np.abs(W).max()) @ (A / np.abs(A).max())) if W.any() and A.any() else np.zeros((2, 2))
    if not (P.any(axis=0).all() and P.any(axis=1).all()):
        raise InputError(
            "demixing",
            "such that every source reaches an output, and every output has a source",
            "a row or a column of zeros in demixing @ mixing",
        )
    rows = (P / P.max(axis=1, keepdims=True)).sum() - len(P)
    columns = (P / P.max(axis=0, keepdims=True)).sum() - len(P)
    return float((rows + columns) / (2 * len(P) * (len(P) - 1)))


def _matrix(name: str, value: object) -> np.ndarray:
    matrix = _backend.to_host(_backend.as_array(name, value))
    if matrix.ndim != 2 or not matrix.size or matrix.dtype.kind not in "iufc":
        raise InputError(name, "a matrix of numbers", f"shape {matrix.shape} and dtype {matrix.dtype}")
    matrix = matrix.astype(np.complex128 if matrix.dtype.kind == "c" else np.float64)
    if not np.isfinite(matrix).all():
        raise InputError(name, "finite", "NaN or infinity")
    return matrix
