"""CUDA C run on the host: sources of the GPU kernels compiled by a C++ compiler, thread by thread.

It is a test of what a kernel computes and where it reads and writes, not of how fast it is. Blocks are run
one after the other. The threads of a block are fibres that take turns: each runs until it waits for the
others, and the last to arrive lets all go on, the next time in the opposite order. A thread that ends while
others wait for it, or arrays written past their ends, are errors, as they would be, or should be, on a
device. What is read before or after an array is NaN.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["COMPILER", "HostKernel", "compiled"]

COMPILER = shutil.which("g++") or shutil.which("clang++")
_GUARD = 4096  # bytes before and after each array, which must stay as they are
_READ, _WRITTEN = 0xFF, 0xF5  # what they hold: NaN, and other bytes around arrays that are written

_BEFORE = r"""
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector>
#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ static
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
struct dim3 { unsigned x, y, z; };
struct float2 { float x, y; };
struct double2 { double x, y; };
struct float4 { float x, y, z, w; };
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static dim3 gridDim, blockDim, blockIdx, threadIdx;
static const int warpSize = 32;
namespace host {
enum Wait { RUNS, BLOCK, WARP, DONE };
struct Fibre { ucontext_t context; std::vector<char> stack; Wait wait; dim3 index; };
static std::vector<Fibre> fibres;
static ucontext_t scheduler;
static int current;
static int failed;
static double exchanged[1024];
static void (*body)();
static void start() { body(); fibres[current].wait = DONE; }
static void wait(Wait what) {
    fibres[current].wait = what;
    swapcontext(&fibres[current].context, &scheduler);
}
static void run(int i) {
    current = i; threadIdx = fibres[i].index; fibres[i].wait = RUNS;
    swapcontext(&scheduler, &fibres[i].context);
}
static int release(int first, int last, Wait what) {  // lets go those that all wait for the same
    int waiting = 0, done = 0;
    for (int i = first; i < last; i++) { waiting += fibres[i].wait == what; done += fibres[i].wait == DONE; }
    if (!waiting) return 0;
    if (waiting == last - first) { for (int i = first; i < last; i++) fibres[i].wait = RUNS; return 1; }
    if (waiting + done == last - first) failed = 1;  // they wait for threads that have ended
    return 0;
}
static void run_block() {
    int n = blockDim.x * blockDim.y * blockDim.z;
    fibres.resize(n);
    for (int i = 0; i < n; i++) {
        Fibre &f = fibres[i];
        f.stack.resize(128 * 1024);
        f.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data(); f.context.uc_stack.ss_size = f.stack.size();
        f.context.uc_link = &scheduler;
        makecontext(&f.context, start, 0);
        f.wait = RUNS;
    }
    for (int round = 0;; round++) {  // the last thread first in every other one: no order is promised
        int ran = 0;
        for (int j = 0; j < n; j++) {
            int i = round % 2 ? n - 1 - j : j;
            if (fibres[i].wait == RUNS) { run(i); ran = 1; }
        }
        int released = release(0, n, BLOCK);
        for (int w = 0; w < n; w += 32) released |= release(w, w + 32 < n ? w + 32 : n, WARP);
        if (failed || (!ran && !released)) break;
    }
    for (int i = 0; i < n; i++) if (fibres[i].wait != DONE) failed = 1;
}
template <class T> static T from_lane(T value, int lane) {  // a lane of this warp
    int base = current / 32 * 32;
    memcpy(&exchanged[current], &value, sizeof(T));
    wait(WARP);
    T found = value;
    if (base + lane < (int)fibres.size()) memcpy(&found, &exchanged[base + lane], sizeof(T));
    wait(WARP);
    return found;
}
}
static inline void __syncthreads() { host::wait(host::BLOCK); }
static inline void __syncwarp(unsigned = 0xffffffffu) { host::wait(host::WARP); }
#define LANE (host::current % 32)
template <class T> T __shfl_sync(unsigned, T v, int lane, int = 32) { return host::from_lane(v, lane & 31); }
template <class T> T __shfl_xor_sync(unsigned, T v, int m, int = 32) { return host::from_lane(v, LANE ^ m); }
template <class T> T __shfl_down_sync(unsigned, T v, int d, int = 32) {
    return host::from_lane(v, LANE + d < 32 ? LANE + d : LANE); }
template <class T> T __shfl_up_sync(unsigned, T v, int d, int = 32) {
    return host::from_lane(v, LANE - d >= 0 ? LANE - d : LANE); }
static inline unsigned __ballot_sync(unsigned, int predicate) {
    int base = host::current / 32 * 32;
    unsigned mask = 0;
    host::exchanged[host::current] = predicate != 0;
    host::wait(host::WARP);
    for (int i = base; i < base + 32 && i < (int)host::fibres.size(); i++)
        mask |= (unsigned)(host::exchanged[i] != 0) << (i - base);
    host::wait(host::WARP);
    return mask;
}
template <class T> static inline T __ldg(const T *p) { return *p; }
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / sqrt(x); }
static inline int min(int a, int b) { return a < b ? a : b; }
static inline int max(int a, int b) { return a > b ? a : b; }
static inline long long min(long long a, long long b) { return a < b ? a : b; }
static inline long long max(long long a, long long b) { return a > b ? a : b; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline unsigned __float_as_uint(float x) { unsigned u; memcpy(&u, &x, 4); return u; }
static inline float __uint_as_float(unsigned u) { float x; memcpy(&x, &u, 4); return x; }
static inline int __float_as_int(float x) { int u; memcpy(&u, &x, 4); return u; }
static inline float __int_as_float(int u) { float x; memcpy(&x, &u, 4); return x; }
static inline long long __double_as_longlong(double x) { long long u; memcpy(&u, &x, 8); return u; }
static inline double __longlong_as_double(long long u) { double x; memcpy(&x, &u, 8); return x; }
"""

_AFTER = """
static void **arguments_of_{name};
static void body_of_{name}() {{ {name}({values}); }}
extern "C" int run_{name}(const int *shape, void **arguments) {{
    arguments_of_{name} = arguments;
    host::body = body_of_{name};
    host::failed = 0;
    gridDim = {{(unsigned)shape[0], (unsigned)shape[1], (unsigned)shape[2]}};
    blockDim = {{(unsigned)shape[3], (unsigned)shape[4], (unsigned)shape[5]}};
    for (unsigned z = 0; z < gridDim.z; z++) for (unsigned y = 0; y < gridDim.y; y++)
        for (unsigned x = 0; x < gridDim.x && !host::failed; x++) {{
            blockIdx = {{x, y, z}}; host::run_block(); }}
    return host::failed;
}}
"""


_HEADER = "cuda_on_host.h"


def _compile(*arguments: str) -> None:
    options = ["-std=c++17", "-O1", "-w", "-fno-strict-aliasing", "-fPIC"]
    subprocess.run([str(COMPILER), *options, *arguments], check=True, timeout=120)


def _write_header(folder: Path) -> None:
    """Write what stands before each source, and compile it once: the headers take longer than a kernel."""
    header = folder / _HEADER
    if not header.exists():
        header.write_text(_BEFORE, encoding="utf-8")
        _compile("-x", "c++-header", str(header), "-o", f"{header}.gch")


class HostKernel:
    """A kernel as CuPy would return it: called with a grid, a block and arguments."""

    def __init__(self, source: str, name: str, folder: Path) -> None:
        self.name = name
        match = re.search(rf"{name}\s*\(([^)]*)\)\s*\{{", source)
        if match is None:
            raise ValueError(f"no kernel {name} in the source")
        declared = [part.strip() for part in match[1].split(",")]
        self.types = [re.sub(r"\b(\w+)$", "", part).replace("__restrict__", "").strip() for part in declared]
        values = ", ".join(
            f"({kind})arguments_of_{name}[{i}]" if "*" in kind else f"*({kind}*)arguments_of_{name}[{i}]"
            for i, kind in enumerate(self.types)
        )
        text = (
            f'#include "{_HEADER}"\n#line 1 "kernel.cu"\n' + source + _AFTER.format(name=name, values=values)
        )
        stem = hashlib.sha256((name + text).encode()).hexdigest()[:24]
        library = folder / f"{stem}.so"
        if not library.exists():
            code = folder / f"{stem}.cpp"
            code.write_text(text, encoding="utf-8")
            _write_header(folder)
            _compile("-shared", str(code), "-o", str(library))
        self.function = getattr(ctypes.CDLL(str(library)), f"run_{name}")

    def __call__(self, grid, block, arguments) -> None:
        """Run all blocks; raise what a device would not tell."""
        assert len(arguments) == len(self.types), f"{self.name} takes {len(self.types)} arguments"
        assert 1 <= np.prod(block) <= 1024
        assert all(0 < n < 2**31 for n in grid)
        assert all(n < 65536 for n in grid[1:])
        shape = np.array([*grid, *[1] * (3 - len(grid)), *block, *[1] * (3 - len(block))], np.int32)
        passed, guarded = [], []
        for argument, kind in zip(arguments, self.types, strict=True):
            if isinstance(argument, np.ndarray):
                self._check_type(argument, kind)
                guarded.append((argument, _guarded(argument, "const" in kind), "const" in kind))
                passed.append(guarded[-1][1].ctypes.data + _GUARD)
            else:
                assert _C_TYPES[argument.dtype.name] == kind.replace("const", "").strip(), (self.name, kind)
                scalar = np.array([argument])
                guarded.append((None, scalar, True))
                passed.append(scalar.ctypes.data)
        pointers = (ctypes.c_void_p * len(passed))(*passed)
        if self.function(shape.ctypes.data_as(ctypes.c_void_p), pointers):
            raise RuntimeError(f"{self.name}: threads wait for threads that do not come")
        for argument, memory, constant in guarded:
            if argument is not None:
                _written(self.name, argument, memory, constant)

    def _check_type(self, array: np.ndarray, kind: str) -> None:
        plain = kind.replace("const", "").replace("*", "").strip()
        assert "*" in kind, f"{self.name}: an array for {kind}"
        assert _C_TYPES[array.dtype.name] == plain, f"{self.name}: {array.dtype} for {kind}"


_C_TYPES = {
    "float32": "float", "float64": "double", "complex64": "float2", "complex128": "double2",
    "int32": "int", "int64": "long long", "bool": "bool", "uint8": "unsigned char",
}  # fmt: skip


def _guarded(array: np.ndarray, constant: bool) -> np.ndarray:
    memory = np.full(array.nbytes + 2 * _GUARD, _READ if constant else _WRITTEN, np.uint8)
    memory[_GUARD : _GUARD + array.nbytes] = array.reshape(-1).view(np.uint8)
    return memory


def _written(name: str, array: np.ndarray, memory: np.ndarray, constant: bool) -> None:
    inside = memory[_GUARD : _GUARD + array.nbytes]
    around = np.concatenate([memory[:_GUARD], memory[_GUARD + array.nbytes :]])
    if (around != (_READ if constant else _WRITTEN)).any():
        raise RuntimeError(f"{name} writes outside an array of shape {array.shape}")
    if constant:
        if (inside != array.reshape(-1).view(np.uint8)).any():
            raise RuntimeError(f"{name} writes to what it calls constant")
        return
    array.reshape(-1).view(np.uint8)[:] = inside


@cache
def compiled(source: str, name: str, folder: Path) -> HostKernel:
    """Return a kernel for the host; the same for the same source."""
    return HostKernel(source, name, folder)
