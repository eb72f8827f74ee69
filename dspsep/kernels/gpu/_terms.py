"""What becomes of a value and its model, in CUDA C: numerator, denominator and divergence.

``real`` is the type; ``LOG`` and ``POW`` stand for the functions of that type. A value that is not wanted is
not computed, since all of these are compiled into their callers.
"""

from __future__ import annotations

__all__ = ["DIVERGENCES", "SUM_OF_LOSSES", "TERMS", "divergence_of"]


def divergence_of(beta: float) -> str:
    """Return the key of `DIVERGENCES` for beta."""
    return {0.0: "itakura_saito", 1.0: "kullback_leibler", 2.0: "euclidean"}.get(beta, "general")


_HEAD = """
static __device__ __forceinline__ real divergence(
    real v, real m, real beta, real less, real *weighted, real *plain, int with_loss) {
"""

#: ``less`` is beta - 1. What has no logarithm, where a value is or becomes zero, adds none: 0 log 0 = 0.
DIVERGENCES = {
    "kullback_leibler": _HEAD
    + """
    const real ratio = v / m;
    *weighted = ratio;
    *plain = 1;
    return with_loss ? (ratio > 0 ? v * LOG(ratio) : (real)0) - v + m : (real)0;
}
""",
    "itakura_saito": _HEAD
    + """
    const real inverse = (real)1 / m, ratio = v * inverse;
    *weighted = ratio * inverse;
    *plain = inverse;
    return with_loss ? ratio - LOG(ratio) - (real)1 : (real)0;
}
""",
    "euclidean": _HEAD
    + """
    *weighted = v;
    *plain = m;
    return with_loss ? (v - m) * (v - m) / (real)2 : (real)0;
}
""",
    "general": _HEAD
    + """
    const real power = POW(m, less);
    *weighted = v * (power / m);
    *plain = power;
    return with_loss ? POW(v, beta) / (beta * less) + power * (m / beta - v / less) : (real)0;
}
""",
}

#: By a block of 256 threads: the sum in an order that depends on the number of losses alone.
SUM_OF_LOSSES = r"""
static __device__ void sum_of_losses(const double *losses, double *loss, int n_losses) {
    __shared__ double totals[256];
    double own = 0;
    for (int i = threadIdx.x; i < n_losses; i += 256) own += losses[i];
    totals[threadIdx.x] = own;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) totals[threadIdx.x] += totals[threadIdx.x + half];
    }
    if (threadIdx.x == 0) *loss = totals[0];
}
"""

#: All terms of a model that is there. ``REAL`` stands for the type; what is not wanted is not written.
TERMS = r"""
extern "C" __global__ void __launch_bounds__(256) terms(
    const REAL *__restrict__ values, const REAL *__restrict__ model, REAL *__restrict__ weighted,
    REAL *__restrict__ plain, double *__restrict__ losses, REAL level, REAL beta, REAL less, int with_loss,
    long long n) {
    const long long step = gridDim.x * 256LL;
    double loss = 0;
    __shared__ double totals[256];
    #pragma unroll 4
    for (long long i = blockIdx.x * 256LL + threadIdx.x; i < n; i += step) {
        REAL numerator, denominator;
        loss += divergence(values[i], model[i] + level, beta, less, &numerator, &denominator, with_loss);
        weighted[i] = numerator;
        if (HAS_PLAIN) plain[i] = denominator;
    }
    if (!with_loss) return;
    totals[threadIdx.x] = loss;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) totals[threadIdx.x] += totals[threadIdx.x + half];
    }
    if (threadIdx.x == 0) losses[blockIdx.x] = totals[0];
}
"""
