"""The CUDA C of the terms of a factorisation, which never writes the model.

A block of threads owns `BO` frames, or bins: the factor of these stays in shared memory, and what it adds up
stays in registers. It goes along the other side by 32 at a time:

* each thread makes 8 x 4 values of the model, as a product of matrices does;
* they become terms where they are, from values of the spectrogram that were asked for before the product;
* they pass through shared memory, within one warp, into a second product with the other factor.

So the spectrogram is read once, and of what is as large nothing is written. The other side is cut into parts,
for which blocks of their own have sums of their own; a second kernel adds them up, in their order.

Both orientations are one source: `BY_FRAMES` says whether frames are what a block owns (for activations), or
bins (for templates, which the divergence comes with: it is not worth a source without). Numbers of components
are multiples of 8, filled up with zeros.
"""

from __future__ import annotations

from functools import cache

from dspsep.kernels.gpu._terms import DIVERGENCES, SUM_OF_LOSSES

__all__ = ["ADD_PARTS", "N_OTHER", "fused_source", "n_own", "shared_bytes"]

#: How many of the other side are worked on at once.
N_OTHER = 32
# What a block can have of shared memory that is known when a kernel is compiled.
_SHARED_BYTES = 49152


def n_own(n_components: int) -> int:
    """Return how many of its side a block owns: one a thread, as many as shared memory has room for."""
    return 128 if shared_bytes(n_components, 128) <= _SHARED_BYTES else 64


def shared_bytes(n_components: int, size: int) -> int:
    """Return what a block of `size` has in shared memory, for a number of components that is filled up."""
    return 4 * (n_components * (size + 4) + (n_components + size) * (N_OTHER + 4))


@cache
def fused_source(n_components: int, by_frames: bool, divergence: str) -> str:
    """Return the source of ``terms`` for a multiple of 8 components, and a key of `DIVERGENCES`."""
    return (
        f"#define KP {n_components}\n#define BO {n_own(n_components)}\n#define BR {N_OTHER}\n"
        f"#define BY_FRAMES {int(by_frames)}\n#define WITH_LOSS {int(not by_frames)}\n"
        f"#define HAS_PLAIN {int(divergence != 'kullback_leibler')}\ntypedef float real;\n"
        + DIVERGENCES[divergence].replace("LOG", "logf").replace("POW", "powf")
        + _FUSED
    )


_FUSED = r"""
#define PO (BO + 4)
#define PR (BR + 4)
#define NK (KP / 8)
#if BY_FRAMES
#define VALUE(o, r) values[(o) * n_freqs + (r)]
#else
#define VALUE(o, r) values[(r) * n_freqs + (o)]
#endif

// sums += tile @ other.T: rows of this warp, and each eighth component
static __device__ __forceinline__ void add(
    const float *tile, const float *other, const int *rows, int part, int width, float sums[8][NK]) {
    for (int r = 0; r < width; r += 4) {
        float4 p[NK];
        #pragma unroll
        for (int q = 0; q < NK; q++) p[q] = *(const float4 *)&other[(part + 8 * q) * PR + r];
        #pragma unroll
        for (int i = 0; i < 8; i++) {
            float4 x = *(const float4 *)&tile[rows[i] * PR + r];
            #pragma unroll
            for (int q = 0; q < NK; q++) {
                float sum = sums[i][q];
                sum += x.x * p[q].x;
                sum += x.y * p[q].y;
                sum += x.z * p[q].z;
                sums[i][q] = sum + x.w * p[q].w;
            }
        }
    }
}

static __device__ __forceinline__ void put(float *tile, const int *rows, int column, float terms[8][4]) {
    #pragma unroll
    for (int i = 0; i < 8; i++) {
        float4 x = make_float4(terms[i][0], terms[i][1], terms[i][2], terms[i][3]);
        *(float4 *)&tile[rows[i] * PR + column] = x;
    }
}

extern "C" __global__ void __launch_bounds__(BO) terms(
    const float *__restrict__ values, const float *__restrict__ templates,
    const float *__restrict__ activations, float *__restrict__ parts, double *__restrict__ losses,
    float level, float beta, float less, int n_components, int n_tiles, long long n_frames,
    long long n_freqs) {
    __shared__ __align__(16) float own[KP * PO];    // (components, BO)
    __shared__ __align__(16) float other[KP * PR];  // (components, BR)
    __shared__ __align__(16) float tile[BO * PR];   // (BO, BR)
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    const int column = lane % 8 * 4, row = warp * 32 + lane / 8 * 4;
    const long long n_o = BY_FRAMES ? n_frames : n_freqs, n_r = BY_FRAMES ? n_freqs : n_frames;
    const long long first = (long long)blockIdx.x * BO;
    const bool used = first + warp * 32 < n_o;  // the same for all of a warp
    for (int i = thread; i < KP * BO; i += BO) {
        // neighbouring threads take neighbouring components, or bins: what lies side by side
        const int k = BY_FRAMES ? i % KP : i / BO, o = BY_FRAMES ? i / KP : i % BO;
        const bool inside = k < n_components && first + o < n_o;
        const float *from = BY_FRAMES ? activations + (first + o) * n_components + k
                                      : templates + k * n_freqs + first + o;
        own[k * PO + o] = inside ? *from : 0.0f;
    }
    int rows[8];
    #pragma unroll
    for (int i = 0; i < 8; i++) rows[i] = row + (i < 4 ? i : 12 + i);
    float sums[8][NK] = {};
#if HAS_PLAIN
    float plains[8][NK] = {};
#endif
    double loss = 0;
    for (int number = 0; number < n_tiles; number++) {
        const long long start = ((long long)blockIdx.y * n_tiles + number) * BR;
        if (start >= n_r) break;
        const int width = n_r - start < BR ? (int)(n_r - start) : BR;
        float v[8][4];
        #pragma unroll
        for (int i = 0; i < 8; i++)
            #pragma unroll
            for (int j = 0; j < 4; j++) {
                const bool inside = first + rows[i] < n_o && column + j < width;
                v[i][j] = inside ? VALUE(first + rows[i], start + column + j) : 0.0f;
            }
        __syncthreads();  // all have done with the last tile
        for (int i = thread; i < KP * BR; i += BO) {
            const int k = BY_FRAMES ? i / BR : i % KP, r = BY_FRAMES ? i % BR : i / KP;
            const bool inside = k < n_components && r < width;
            const float *from = BY_FRAMES ? templates + k * n_freqs + start + r
                                          : activations + (start + r) * n_components + k;
            other[k * PR + r] = inside ? *from : 0.0f;
        }
        __syncthreads();
        if (!used) continue;
        float m[8][4];
        #pragma unroll
        for (int i = 0; i < 8; i++)
            #pragma unroll
            for (int j = 0; j < 4; j++) m[i][j] = level;
        #pragma unroll 4
        for (int k = 0; k < KP; k++) {
            const float4 low = *(const float4 *)&own[k * PO + row];
            const float4 high = *(const float4 *)&own[k * PO + row + 16];
            const float4 b = *(const float4 *)&other[k * PR + column];
            const float a[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
            #pragma unroll
            for (int i = 0; i < 8; i++) {
                m[i][0] += a[i] * b.x;
                m[i][1] += a[i] * b.y;
                m[i][2] += a[i] * b.z;
                m[i][3] += a[i] * b.w;
            }
        }
        float some = 0;
        #pragma unroll
        for (int i = 0; i < 8; i++)
            #pragma unroll
            for (int j = 0; j < 4; j++) {
                const bool inside = first + rows[i] < n_o && column + j < width;
                float weighted, plain;
                const float term = divergence(v[i][j], m[i][j], beta, less, &weighted, &plain, WITH_LOSS);
                if (WITH_LOSS && inside) some += term;
                v[i][j] = inside ? weighted : 0.0f;
                m[i][j] = inside ? plain : 0.0f;
            }
        loss += some;
        put(tile, rows, column, v);
        __syncwarp();
        add(tile, other, rows, lane % 8, width, sums);
        __syncwarp();
#if HAS_PLAIN
        put(tile, rows, column, m);
        __syncwarp();
        add(tile, other, rows, lane % 8, width, plains);
        __syncwarp();
#endif
    }
    #pragma unroll
    for (int i = 0; i < 8; i++)
        #pragma unroll
        for (int q = 0; q < NK; q++) {
            const int k = lane % 8 + 8 * q;
            const long long o = first + rows[i], n = n_o * n_components;
            if (k >= n_components || o >= n_o) continue;
            const long long place = blockIdx.y * n + (BY_FRAMES ? o * n_components + k : k * n_o + o);
            parts[place] = sums[i][q];
#if HAS_PLAIN
            parts[gridDim.y * n + place] = plains[i][q];
#endif
        }
#if WITH_LOSS
    double *totals = (double *)tile;
    __syncthreads();
    totals[thread] = loss;
    for (int half = BO / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) totals[thread] += totals[thread + half];
    }
    if (thread == 0) losses[blockIdx.y * (long long)gridDim.x + blockIdx.x] = totals[0];
#endif
}
"""

#: sums (.., n) of parts (.., n_parts, n); and that of losses, by the last block, which does nothing else.
ADD_PARTS = (
    SUM_OF_LOSSES
    + r"""
extern "C" __global__ void add_parts(
    const float *__restrict__ parts, float *__restrict__ sums, const double *__restrict__ losses,
    double *__restrict__ loss, long long n, int n_parts, int n_losses) {
    if (blockIdx.x == gridDim.x - 1) {
        if (blockIdx.y == 0) sum_of_losses(losses, loss, n_losses);
        return;
    }
    const long long place = blockIdx.x * 256LL + threadIdx.x;
    if (place >= n) return;
    const float *own = parts + blockIdx.y * n_parts * n + place;
    double sum = 0;
    for (int part = 0; part < n_parts; part++) sum += own[part * n];
    sums[blockIdx.y * n + place] = (float)sum;
}
"""
)
