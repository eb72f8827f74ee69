"""Least squares with delays: symmetric block-Toeplitz systems, factored by the generalised Schur algorithm.

The inner products of all delayed copies of K signals form a matrix G of L × L blocks of K × K, and the block
in row p and column q depends on q − p alone:

    G[p, q] = T[q − p],    T[m][i, j] = Σ_t x_i[t + m] x_j[t],    T[−m] = T[m]ᵀ

Such a matrix has low displacement rank. With Z the shift down by one block and L₀ L₀ᵀ = T[0],

    G − Z G Zᵀ = Uᵀ U − Vᵀ V,    U = L₀⁻¹ [T[0], T[1], …],    V = U without its first block,

and Gaussian elimination need not touch G itself, only these 2 K generators: U is the first block row of the
Cholesky factor; U shifted by one block, and V, are made to have a zero block at the head of V by a hyperbolic
rotation, and so on. That is O(L² K³) operations where a dense factorisation takes O(L³ K³).

With A and B the heads of the shifted U and of V, the rotation by ρ = B A⁻¹ is

    I − ρᵀ ρ = S Sᵀ,    I − ρ ρᵀ = C Cᵀ
    U ← S⁻¹ (U − ρᵀ V)
    V ← Cᵀ V − C⁻¹ ρ S U            with the new U: the mixed form, which is the stable one

The head of U stays triangular, because S⁻¹ (A − ρᵀ B) = Sᵀ A.

References
----------
T. Kailath and A. H. Sayed, "Displacement structure: theory and applications", SIAM Review 37, 1995,
pp. 297–386. DOI 10.1137/1037082

M. Stewart and P. Van Dooren, "Stability issues in the factorization of structured matrices", SIAM Journal
on Matrix Analysis and Applications 18, 1997, pp. 104–118. DOI 10.1137/S089547989528692X
"""

from __future__ import annotations

from typing import cast

import numpy as np

from dspsep._typing import FloatArray

__all__ = ["LOADING", "BlockToeplitz"]

#: What is added to the diagonal, as a part of each signal's energy: white noise 130 dB below it. It is far
#: above the rounding of the factorisation (about 1e-14 on recorded music), so that exactly dependent signals
#: are factored by the same steps as all others; and below the noise of 16 bits in anything but full-scale
#: music.
LOADING = 1e-13

#: Where the rounding is larger than that (a few steady tones of a few hertz, and nothing else), it is
#: multiplied by this until the matrix is definite.
_STEP = 100.0


class BlockToeplitz:
    """Inner products of delayed signals, factored once, for any number of right-hand sides.

    Parameters
    ----------
    blocks : array of shape (n_systems, n_delays, n_signals, n_signals)
        ``blocks[s, m, i, j]`` is the sum of ``x_i[t + m] x_j[t]`` over t, in double precision. Several
        systems of one size are factored side by side, which costs hardly more than one if they are small.

    Attributes
    ----------
    loading : float
        What was added to the diagonal, as a part of each signal's energy.

    Notes
    -----
    Signals are scaled to unit energy first, so that a quiet one counts as much as a loud one, and `LOADING`
    is added to the diagonal. A silent signal gets a filter of zeros.

    Memory: the factor, (n_delays · n_signals)² doubles for each system.
    """

    def __init__(self, blocks: FloatArray) -> None:
        n_signals = blocks.shape[-1]
        energies = blocks[:, 0, np.arange(n_signals), np.arange(n_signals)]
        self._scales = 1 / np.sqrt(np.where(energies > 0, energies, 1))
        scaled = blocks * self._scales[:, None, :, None] * self._scales[:, None, None, :]
        zero_delay = scaled[:, 0].copy()
        norms = np.linalg.norm(scaled, axis=(2, 3))
        self._norms = 2 * norms.sum(axis=1) - norms[:, 0]
        self.loading: float = LOADING
        while True:
            scaled[:, 0] = zero_delay + self.loading * np.eye(n_signals)
            try:
                self._factor = _factor(scaled)
            except np.linalg.LinAlgError:
                if self.loading > 1:  # then it is not a matrix of inner products
                    raise
                self.loading *= _STEP
            else:
                break

    @property
    def condition(self) -> FloatArray:
        """About how much larger the largest eigenvalue of each system is than the smallest.

        The largest from above, by the norms of all blocks; the smallest from above, too, by two steps of
        inverse iteration, which know the smallest of n to a factor of about the fourth root of n.
        """
        vector: FloatArray = np.random.default_rng(0).standard_normal((self._factor.shape[-1],))
        inverses = []
        for factor in self._factor:
            once = _solve(factor, vector)
            inverses.append(np.linalg.norm(_solve(factor, once)) / np.linalg.norm(once))
        return cast("FloatArray", self._norms * np.array(inverses))

    def solve(self, products: FloatArray) -> FloatArray:
        """Return the filters of least squares.

        Parameters
        ----------
        products : array of shape (n_systems, n_delays, n_signals, n_targets)
            Inner products of each delayed signal with what is to be approximated.

        Returns
        -------
        array of the same shape
            The taps: signal i delayed by p samples enters target c with weight ``[s, p, i, c]``.
        """
        scales = self._scales[:, None, :, None]
        sides = (products * scales).reshape(len(products), -1, products.shape[-1])
        solved = np.stack([_solve(factor, side) for factor, side in zip(self._factor, sides, strict=True)])
        return cast("FloatArray", solved.reshape(products.shape) * scales)


def _solve(factor: FloatArray, sides: FloatArray) -> FloatArray:
    """Return what RᵀR makes the sides of, R being the factor."""
    from scipy.linalg import solve_triangular

    half = solve_triangular(factor, sides, trans=1, check_finite=False)
    return cast("FloatArray", solve_triangular(factor, half, overwrite_b=True, check_finite=False))


def _factor(blocks: FloatArray) -> FloatArray:
    """Return the upper triangular R, (n_systems, n, n), with RᵀR = G; n = n_delays · n_signals."""
    n_systems, n_delays, k, _ = blocks.shape
    size = n_delays * k
    factor = np.zeros((n_systems, size, size))
    first_row = blocks.transpose(0, 2, 1, 3).reshape(n_systems, k, size)
    upper = np.linalg.solve(np.linalg.cholesky(blocks[:, 0]), first_row)
    upper[:, :, :k] = np.triu(upper[:, :, :k])
    factor[:, :k] = upper
    head, lower = upper[:, :, :k], upper[:, :, k:]
    identity = np.eye(k)
    for m in range(1, n_delays):
        upper = upper[:, :, : size - m * k]  # shifted: its first block now stands in column m
        reflection = _transposed(np.linalg.solve(_transposed(head), _transposed(lower[:, :, :k])))
        turned = _transposed(reflection)
        roots = np.linalg.cholesky(identity - np.stack([turned @ reflection, reflection @ turned]))
        (s, c), (s_inverse, c_inverse) = roots, np.linalg.inv(roots)
        head = _transposed(s) @ head
        upper = s_inverse @ upper - (s_inverse @ turned) @ lower
        upper[:, :, :k] = head
        lower = (_transposed(c) @ lower - (c_inverse @ (reflection @ s)) @ upper)[:, :, k:]
        factor[:, m * k : (m + 1) * k, m * k :] = upper
    return factor


def _transposed(matrices: FloatArray) -> FloatArray:
    return matrices.swapaxes(-1, -2)
