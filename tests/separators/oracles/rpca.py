"""Robust PCA as its paper has it: every singular value of every iteration, S and the multipliers as arrays."""

from __future__ import annotations

import numpy as np

__all__ = ["rpca_by_full_svd"]


def rpca_by_full_svd(V, costs, tol=1e-7, n_iter=200, rho=1.5):
    """Return low rank, sparse, and the number of iterations; `costs` are for entries of S."""
    largest = np.linalg.norm(V, 2)
    Y = V / max(largest, np.max(V / costs))
    mu = 1.25 / largest
    L = np.zeros_like(V)
    for iteration in range(1, n_iter + 1):
        rest = V - L + Y / mu
        S = np.sign(rest) * np.maximum(np.abs(rest) - costs / mu, 0)
        U, values, Vh = np.linalg.svd(V - S + Y / mu, full_matrices=False)
        L = (U * np.maximum(values - 1 / mu, 0)) @ Vh
        Z = V - L - S
        Y = Y + mu * Z
        mu *= rho
        if np.linalg.norm(Z) <= tol * np.linalg.norm(V):
            break
    return L, S, iteration
