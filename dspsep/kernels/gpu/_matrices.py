"""What kernels of several channels share, as CUDA C: complex numbers, matrices of a few channels, sums.

The matrices are those of one bin, and belong to one thread. Their sizes are written into the source, so that
loops over them are of known length and what fits is in registers: N channels and K sources, at most
`MOST_CHANNELS`. What is beyond that runs through `generic`, where cuSOLVER's batches have enough to do.
"""

from __future__ import annotations

from functools import cache

from dspsep.kernels.gpu._launch import REAL

__all__ = ["MOST_CHANNELS", "THREADS", "source_of"]

#: More channels than this are left to `generic`: a matrix of one thread would be 1 KiB and more.
MOST_CHANNELS = 8
#: Threads of the blocks that sum over frames. Each has a sum for every pair of channels, which then have to
#: be added up: with more threads that takes longer than the frames do, with fewer the memory waits.
THREADS = 128

_COMPLEX = r"""
__device__ inline double2 operator+(double2 a, double2 b) { return make_double2(a.x + b.x, a.y + b.y); }
__device__ inline double2 operator-(double2 a, double2 b) { return make_double2(a.x - b.x, a.y - b.y); }
__device__ inline double2 operator*(double2 a, double b) { return make_double2(a.x * b, a.y * b); }
__device__ inline double2 operator*(double2 a, double2 b) {
    return make_double2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}
__device__ inline double2 conjugate(double2 a) { return make_double2(a.x, -a.y); }
__device__ inline double square(double2 a) { return a.x * a.x + a.y * a.y; }
"""

# Each thread's sums come together in shared memory, 32 at a time: rows of an odd length, so that neither
# writing nor reading has two threads at one bank. They are added up in double precision and a fixed order.
_SUMS = r"""
#define WARPS (THREADS / 32)
template <int M> __device__ inline void add_block_sums(const REAL (&own)[M], double *totals) {
    __shared__ REAL rows[THREADS][33];
    __shared__ double parts[WARPS][32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    #pragma unroll
    for (int first = 0; first < M; first += 32) {
        #pragma unroll
        for (int i = 0; i < 32; i++)
            if (first + i < M) rows[threadIdx.x][i] = own[first + i < M ? first + i : 0];
        __syncthreads();
        double sum = 0;
        if (first + lane < M) for (int i = 0; i < 32; i++) sum += rows[warp * 32 + i][lane];
        parts[warp][lane] = sum;
        __syncthreads();
        if (warp == 0 && first + lane < M) {
            double total = 0;
            for (int i = 0; i < WARPS; i++) total += parts[i][lane];
            totals[first + lane] += total;
        }
    }
    __syncthreads();
}
"""

# Solutions as in kernels/cpu/_matrices.py, whose reasons are there.
_MATRICES = r"""
#define ROUNDING 8.881784197001252e-16  // 2**-50
// Rows that are known when the source is compiled are in registers, as far as there are enough of these.
#if N <= 4
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif
#if K == N
__device__ inline double left_inverse(const double2 (&W)[K][N], double2 (&A)[N][K]) {
    double2 work[N][N];
    for (int i = 0; i < N; i++) for (int j = 0; j < N; j++) {
        work[i][j] = W[i][j];
        A[i][j] = make_double2(i == j ? 1.0 : 0.0, 0.0);
    }
    double logarithm = 0;
    UNROLL for (int i = 0; i < N; i++) {
        int best = i;
        double largest = -1;
        UNROLL for (int row = i; row < N; row++) {
            const double size = square(work[row][i]);
            if (size > largest) { best = row; largest = size; }
        }
        UNROLL for (int row = i + 1; row < N; row++) if (row == best) for (int j = 0; j < N; j++) {
            const double2 one = work[i][j], two = A[i][j];
            work[i][j] = work[row][j]; work[row][j] = one;
            A[i][j] = A[row][j]; A[row][j] = two;
        }
        logarithm += 0.5 * log(largest);
        const double2 reciprocal = conjugate(work[i][i]) * (1 / largest);
        for (int j = 0; j < N; j++) { work[i][j] = work[i][j] * reciprocal; A[i][j] = A[i][j] * reciprocal; }
        UNROLL for (int row = 0; row < N; row++) if (row != i) {
            const double2 factor = work[row][i];
            for (int j = i; j < N; j++) work[row][j] = work[row][j] - factor * work[i][j];
            for (int j = 0; j < N; j++) A[row][j] = A[row][j] - factor * A[i][j];
        }
    }
    return logarithm;
}
#else
__device__ inline double left_inverse(const double2 (&W)[K][N], double2 (&A)[N][K]) {
    double2 work[K][K];
    double logarithm = 0;
    for (int k = 0; k < K; k++) for (int j = 0; j <= k; j++) {
        double2 total = make_double2(0.0, 0.0);
        for (int c = 0; c < N; c++) total = total + W[k][c] * conjugate(W[j][c]);
        work[k][j] = total;
    }
    for (int j = 0; j < K; j++) {
        double pivot = work[j][j].x;
        for (int i = 0; i < j; i++) pivot -= square(work[j][i]);
        const double root = sqrt(pivot);
        logarithm += log(root);
        work[j][j] = make_double2(root, 0.0);
        for (int k = j + 1; k < K; k++) {
            double2 total = work[k][j];
            for (int i = 0; i < j; i++) total = total - work[k][i] * conjugate(work[j][i]);
            work[k][j] = total * (1 / root);
        }
    }
    for (int c = 0; c < N; c++) {
        for (int k = 0; k < K; k++) {
            double2 total = W[k][c];
            for (int i = 0; i < k; i++) total = total - work[k][i] * A[c][i];
            A[c][k] = total * (1 / work[k][k].x);
        }
        for (int k = K - 1; k >= 0; k--) {
            double2 total = A[c][k];
            for (int i = k + 1; i < K; i++) total = total - conjugate(work[i][k]) * A[c][i];
            A[c][k] = total * (1 / work[k][k].x);
        }
        for (int k = 0; k < K; k++) A[c][k] = conjugate(A[c][k]);
    }
    return logarithm;
}
#endif
// u = V**-1 a of a column a of A; returns a^H u.
__device__ inline double hermitian_solve(const double2 *V, const double2 (&A)[N][K], int column,
        double2 (&u)[N]) {
    double2 work[N][N];
    for (int j = 0; j < N; j++) {
        const double least = ROUNDING * V[j * N + j].x;
        double pivot = V[j * N + j].x;
        for (int i = 0; i < j; i++) pivot -= square(work[j][i]) * work[i][i].x;
        if (pivot < least) pivot = least;
        work[j][j] = make_double2(pivot, 0.0);
        for (int k = j + 1; k < N; k++) {
            double2 total = V[k * N + j];
            for (int i = 0; i < j; i++) total = total - work[k][i] * conjugate(work[j][i]) * work[i][i].x;
            work[k][j] = total * (1 / pivot);
        }
    }
    double energy = 0;
    for (int k = 0; k < N; k++) {
        double2 total = A[k][column];
        for (int i = 0; i < k; i++) total = total - work[k][i] * u[i];
        u[k] = total;
        energy += square(total) / work[k][k].x;
    }
    for (int k = N - 1; k >= 0; k--) {
        double2 total = u[k] * (1 / work[k][k].x);
        for (int i = k + 1; i < N; i++) total = total - conjugate(work[i][k]) * u[i];
        u[k] = total;
    }
    return energy;
}
"""


@cache
def source_of(
    kernel: str,
    dtype: str,
    n_channels: int,
    n_sources: int,
    *,
    sums: bool = False,
    matrices: bool = False,
    **constants: int,
) -> str:
    """Return a source: numbers by name, complex numbers, parts on demand, and a kernel of type ``REAL``."""
    numbers = {"N": n_channels, "K": n_sources, "THREADS": THREADS, **constants}
    lines = "\n".join(f"#define {name} {value}" for name, value in numbers.items())
    parts = lines + _COMPLEX + (_SUMS if sums else "") + (_MATRICES if matrices else "") + kernel
    return parts.replace("REAL", REAL[dtype])
