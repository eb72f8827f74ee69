"""The scale of outputs, which no independence decides: what the microphones hear of each."""

from __future__ import annotations

from dspsep import _backend
from dspsep._typing import Array
from dspsep.separators.iva._demixed import checked_matrices

__all__ = ["projection_back"]

# Singular values below this part of the largest belong to sources that were lost.
_LOST = 1e-14


def projection_back(W: Array) -> Array:
    """Return the images of outputs at all microphones: the columns of the inverse of W.

    Parameters
    ----------
    W : array of shape (n_freqs, n_sources, n_channels)
        Demixing matrices, with at most as many sources as channels. Rows of zeros are allowed.

    Returns
    -------
    array of shape (n_freqs, n_channels, n_sources)
        A, complex and in double precision: the image of source k is ``A[f, :, k]`` times its output. With as
        many sources as channels, images sum to the microphones. With fewer this is the pseudo-inverse.

    Raises
    ------
    InputError
        If these are no finite matrices.

    See Also
    --------
    DemixingModel.images : Images as audio.
    DemixingModel.minimal_distortion : Each output at one microphone.

    References
    ----------
    N. Murata, S. Ikeda, A. Ziehe, "An approach to blind source separation based on temporal structure of
    speech signals", Neurocomputing 41(1-4), 2001, pp. 1-24. doi:10.1016/S0925-2312(00)00345-3

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import projection_back
    >>> W = np.array([[[2.0, 0.0], [1.0, 1.0]]])
    >>> A = projection_back(W)
    >>> bool(np.allclose(A @ W, np.eye(2)))
    True
    """
    W = checked_matrices("W", W, (None, None, None))
    xp = _backend.namespace(W)
    return xp.linalg.pinv(W, rtol=_LOST)  # type: ignore[no-any-return]
