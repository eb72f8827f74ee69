"""Matrices of a few channels, as parts of kernels: complex numbers of double precision, one matrix at a time.

Complex numbers are multiplied by reciprocals of real ones: numba divides them as if both were complex.
"""

from __future__ import annotations

import math

from dspsep._typing import Array
from dspsep.kernels.cpu._jit import inlined

__all__ = ["ROUNDING", "hermitian_solve", "inverse", "pair_step", "pseudoinverse"]

# Pivots are no smaller than this part of the diagonal, which only rounding could make them.
ROUNDING = 2.0**-50


@inlined
def inverse(W: Array, A: Array, work: Array) -> float:  # noqa: C901 - loops over a few channels
    """Write the inverse of W to A, and return log |det W|: Gauss and Jordan's, with rows exchanged."""
    n = W.shape[0]
    for i in range(n):
        for j in range(n):
            work[i, j] = W[i, j]
            A[i, j] = 1 if i == j else 0
    logarithm = 0.0
    for i in range(n):
        best, largest = i, -1.0
        for row in range(i, n):
            size = work[row, i].real ** 2 + work[row, i].imag ** 2
            if size > largest:
                best, largest = row, size
        if best != i:
            for j in range(n):
                work[i, j], work[best, j] = work[best, j], work[i, j]
                A[i, j], A[best, j] = A[best, j], A[i, j]
        logarithm += 0.5 * math.log(largest)
        reciprocal = work[i, i].conjugate() * (1 / largest)
        for j in range(n):
            work[i, j] *= reciprocal
            A[i, j] *= reciprocal
        for row in range(n):
            if row != i:
                factor = work[row, i]
                for j in range(i, n):
                    work[row, j] -= factor * work[i, j]
                for j in range(n):
                    A[row, j] -= factor * A[i, j]
    return logarithm


@inlined
def pseudoinverse(W: Array, A: Array, work: Array) -> float:  # noqa: C901, PLR0912 - loops over a few channels
    """Write W^H (W W^H)^-1 to A (n_channels, n_sources), and return half of log det (W W^H)."""
    n_sources, n_channels = W.shape
    for k in range(n_sources):
        for j in range(k + 1):
            total = 0j
            for c in range(n_channels):
                total += W[k, c] * W[j, c].conjugate()
            work[k, j] = total
    logarithm = 0.0
    # Cholesky's factor, in place.
    for j in range(n_sources):
        pivot = work[j, j].real
        for i in range(j):
            pivot -= work[j, i].real ** 2 + work[j, i].imag ** 2
        root = math.sqrt(pivot)
        logarithm += math.log(root)
        work[j, j] = root
        for k in range(j + 1, n_sources):
            total = work[k, j]
            for i in range(j):
                total -= work[k, i] * work[j, i].conjugate()
            work[k, j] = total * (1 / root)
    # Rows of W solved for both factors: columns of A, conjugated.
    for c in range(n_channels):
        for k in range(n_sources):
            total = W[k, c]
            for i in range(k):
                total -= work[k, i] * A[c, i]
            A[c, k] = total * (1 / work[k, k].real)
        for k in range(n_sources - 1, -1, -1):
            total = A[c, k]
            for i in range(k + 1, n_sources):
                total -= work[i, k].conjugate() * A[c, i]
            A[c, k] = total * (1 / work[k, k].real)
        for k in range(n_sources):
            A[c, k] = A[c, k].conjugate()
    return logarithm


@inlined
def hermitian_solve(V: Array, a: Array, u: Array, work: Array) -> float:
    """Write V**-1 a to u for a positive V, and return a^H V**-1 a: Cholesky without roots."""
    n = V.shape[0]
    for j in range(n):
        pivot = V[j, j].real
        for i in range(j):
            pivot -= (work[j, i].real ** 2 + work[j, i].imag ** 2) * work[i, i].real
        pivot = max(pivot, ROUNDING * V[j, j].real)
        work[j, j] = pivot
        per_pivot = 1 / pivot
        for k in range(j + 1, n):
            total = V[k, j]
            for i in range(j):
                total -= work[k, i] * work[j, i].conjugate() * work[i, i].real
            work[k, j] = total * per_pivot
    energy = 0.0
    for k in range(n):
        total = a[k]
        for i in range(k):
            total -= work[k, i] * u[i]
        u[k] = total
        energy += (total.real**2 + total.imag**2) / work[k, k].real
    for k in range(n - 1, -1, -1):
        total = u[k] * (1 / work[k, k].real)
        for i in range(k + 1, n):
            total -= work[i, k].conjugate() * u[i]
        u[k] = total
    return energy


@inlined
def pair_step(G: Array, other: Array, h: Array) -> None:
    """Write the two generalised eigenvectors of G h = value `other` h, the larger value first, to rows of h.

    They have h^H G h = 1 and h^H other h = 1 respectively.
    """
    root = math.sqrt(other[0, 0].real)
    lower = other[1, 0] * (1 / root)
    left = other[1, 1].real - (lower.real**2 + lower.imag**2)
    # Of vectors that are nearly one and the same, what tells them apart is no less than rounding.
    last = math.sqrt(max(left, ROUNDING * other[1, 1].real))
    # What makes the other matrix one: [[1 / root, 0], [-lower / (root last), 1 / last]].
    first, across, second = 1 / root, -lower * (1 / (root * last)), 1 / last
    p = G[0, 0].real * first * first
    q = first * (G[0, 0].real * across.conjugate() + G[0, 1] * second)
    r = (
        (across.real**2 + across.imag**2) * G[0, 0].real
        + 2 * (across * G[0, 1]).real * second
        + G[1, 1].real * second * second
    )
    half = (p - r) / 2
    split = math.sqrt(half * half + q.real**2 + q.imag**2)
    if half >= 0:
        x, y = complex(half + split), q.conjugate()
    else:
        x, y = q, complex(split - half)
    size = math.sqrt(x.real**2 + x.imag**2 + y.real**2 + y.imag**2)
    if size == 0:
        x, y, size = 1 + 0j, 0j, 1.0
    value = math.sqrt((p + r) / 2 + split)
    x, y = x * (1 / size), y * (1 / size)
    per_value = 1 / value
    h[0, 0] = (first * x + across.conjugate() * y) * per_value
    h[0, 1] = second * y * per_value
    h[1, 0] = -first * y.conjugate() + across.conjugate() * x.conjugate()
    h[1, 1] = second * x.conjugate()
