"""Vectors for numba: explicit SIMD where loops over many arrays keep the compiler from finding it.

numba has no way to promise that arrays do not overlap, so a loop that reads and writes more than a few of
them stays scalar. The types here are vectors by themselves:

* `Vector`: `LANES` numbers of one precision, with ``+ - * /``, `minimum`, `maximum`, `square_root`;
* `Block`: as many vectors, a square that can be transposed, to go from numbers that lie side by side in
memory
  to numbers that lie side by side in a vector and back.

They exist inside kernels only: `load` and `load_rows` make them from arrays, `store`, `store_rows` and
`add_rows` write them back. Arrays are C-contiguous and of one axis, places are counted in numbers, and
**nothing is checked**: a place outside of the array is memory of someone else.

Everything is target-independent LLVM: a vector of eight is one register with AVX, two with SSE or NEON. How
many lanes pay is decided by what numba compiles for (``NUMBA_CPU_FEATURES`` included), so that code that
is cached on disk, which numba files under the same features, never has the wrong width.

Comparisons are written so that a minimum and a maximum of two numbers are always the two numbers: even NaN
is moved about, never lost or doubled. No flag here lets the compiler assume that NaN does not occur.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.core.codegen import get_host_cpu_features
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from dspsep._typing import Array
from dspsep.kernels.cpu._jit import kernel, readonly

__all__ = [
    "FLAGS",
    "LANES",
    "Block",
    "Vector",
    "add_rows",
    "data_of",
    "lanes_for",
    "load",
    "load_rows",
    "maximum",
    "minimum",
    "read",
    "sorted_pair",
    "splat",
    "spread",
    "square_root",
    "store",
    "store_rows",
    "total",
    "transpose",
    "where_less",
    "works",
    "write",
]

# What `_jit` lets kernels do, as LLVM spells it; the same set in vectors.
FLAGS = ("contract", "arcp", "nsz", "reassoc")
_INT32 = ir.IntType(32)


def _features() -> str:
    """Return the features that numba compiles for."""
    if config.CPU_FEATURES is not None:
        return str(config.CPU_FEATURES)
    if config.CPU_NAME == "generic":
        return ""
    return str(get_host_cpu_features())


def lanes_for(features: str) -> int:
    """Return how many lanes pay on a machine of these features: those of one register of single precision."""
    has = set(features.split(","))
    if "+avx512f" in has:
        return 16
    return 8 if "+avx" in has else 4


LANES = lanes_for(_features())


class Vector(types.Type):  # type: ignore[misc]  # numba has no types
    """The type of `LANES` numbers of one precision."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Vector({dtype}, {LANES})")


class Block(types.Type):  # type: ignore[misc]
    """The type of `LANES` vectors."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"Block({dtype}, {LANES})")


def llvm_vector(dtype: Any) -> ir.VectorType:
    return ir.VectorType(ir.FloatType() if dtype == types.float32 else ir.DoubleType(), LANES)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, llvm_vector(kind.dtype))


@register_model(Block)
class _BlockModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Block) -> None:
        super().__init__(manager, kind, ir.ArrayType(llvm_vector(kind.dtype), LANES))


# Reading and writing. Arrays need not be aligned beyond their own numbers.


def data_of(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Return the address of the first number of an array; an address is one already."""
    if isinstance(kind, types.CPointer):
        return array
    return context.make_array(kind)(context, builder, array).data


def read(builder: Any, data: Any, place: Any, dtype: Any) -> Any:
    """Emit the load of the vector at a place behind an address."""
    address = builder.bitcast(builder.gep(data, [place]), llvm_vector(dtype).as_pointer())
    value = builder.load(address)
    value.align = dtype.bitwidth // 8
    return value


def write(builder: Any, data: Any, place: Any, value: Any, dtype: Any) -> None:
    """Emit the store of a vector at a place behind an address."""
    address = builder.bitcast(builder.gep(data, [place]), llvm_vector(dtype).as_pointer())
    builder.store(value, address).align = dtype.bitwidth // 8


def in_all_lanes(builder: Any, number: Any) -> Any:
    """Emit the vector that is one number in all lanes."""
    empty = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(_INT32, 0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES))


@intrinsic  # type: ignore[untyped-decorator]
def load(_typing: Any, array: Any, place: Any) -> Any:
    """Return the vector at a place of an array."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = sig.args[0]
        return read(builder, data_of(context, builder, kind, args[0]), args[1], kind.dtype)

    return Vector(array.dtype)(array, types.intp), emit


@intrinsic  # type: ignore[untyped-decorator]
def spread(_typing: Any, array: Any, place: Any) -> Any:
    """Return the vector that is the number at a place of an array in all lanes."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = data_of(context, builder, sig.args[0], args[0])
        return in_all_lanes(builder, builder.load(builder.gep(data, [args[1]])))

    return Vector(array.dtype)(array, types.intp), emit


@intrinsic  # type: ignore[untyped-decorator]
def store(_typing: Any, array: Any, place: Any, vector: Any) -> Any:
    """Write a vector at a place of an array."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = sig.args[0]
        write(builder, data_of(context, builder, kind, args[0]), args[1], args[2], kind.dtype)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), emit


@intrinsic  # type: ignore[untyped-decorator]
def splat(_typing: Any, number: Any) -> Any:
    """Return the vector that is one number in all lanes."""
    return Vector(number)(number), lambda _context, builder, _sig, args: in_all_lanes(builder, args[0])


def _rows(builder: Any, start: Any, stride: Any) -> list[Any]:
    """Return the places of the rows of a block."""
    return [
        builder.add(start, builder.mul(stride, ir.Constant(start.type, row))) if row else start
        for row in range(LANES)
    ]


@intrinsic  # type: ignore[untyped-decorator]
def load_rows(_typing: Any, array: Any, start: Any, stride: Any) -> Any:
    """Return the block whose rows begin at ``start``, ``start + stride`` and so on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = sig.args[0]
        data = data_of(context, builder, kind, args[0])
        block = ir.Constant(ir.ArrayType(llvm_vector(kind.dtype), LANES), ir.Undefined)
        for row, place in enumerate(_rows(builder, args[1], args[2])):
            block = builder.insert_value(block, read(builder, data, place, kind.dtype), row)
        return block

    return Block(array.dtype)(array, types.intp, types.intp), emit


@intrinsic  # type: ignore[untyped-decorator]
def store_rows(_typing: Any, array: Any, start: Any, stride: Any, block: Any) -> Any:
    """Write the rows of a block at ``start``, ``start + stride`` and so on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = sig.args[0]
        data = data_of(context, builder, kind, args[0])
        for row, place in enumerate(_rows(builder, args[1], args[2])):
            write(builder, data, place, builder.extract_value(args[3], row), kind.dtype)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, block), emit


@intrinsic  # type: ignore[untyped-decorator]
def add_rows(_typing: Any, array: Any, start: Any, stride: Any, block: Any) -> Any:
    """Add the rows of a block to what is at ``start``, ``start + stride``, …, one after the other.

    In that order, so that rows may overlap.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = sig.args[0]
        data = data_of(context, builder, kind, args[0])
        for row, place in enumerate(_rows(builder, args[1], args[2])):
            before, more = read(builder, data, place, kind.dtype), builder.extract_value(args[3], row)
            write(builder, data, place, builder.fadd(before, more, flags=FLAGS), kind.dtype)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, block), emit


# Arithmetic.


def _operator(symbol: Callable[..., Any], instruction: str) -> None:
    """Define an operator of two vectors, and of a block and a vector: each row of it with the vector."""

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if kws or len(args) != 2 or not isinstance(args[1], Vector):
                return None
            same = isinstance(args[0], (Vector, Block)) and args[0].dtype == args[1].dtype
            return signature(args[0], *args) if same else None

    infer_global(symbol)(Template)

    def vectors(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(args[0], args[1], flags=FLAGS)

    def blocks(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        block = args[0]
        for row in range(LANES):
            value = getattr(builder, instruction)(builder.extract_value(block, row), args[1], flags=FLAGS)
            block = builder.insert_value(block, value, row)
        return block

    lower_builtin(symbol, Vector, Vector)(vectors)
    lower_builtin(symbol, Block, Vector)(blocks)


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_symbol, _instruction)


def sorted_pair(builder: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Emit the minimum and the maximum of two vectors: together always the two that came in."""
    smaller = builder.fcmp_ordered("<", a, b)
    return builder.select(smaller, a, b), builder.select(smaller, b, a)


@intrinsic  # type: ignore[untyped-decorator]
def minimum(_typing: Any, a: Any, b: Any) -> Any:
    """Return the smaller of each lane; `b` where one is NaN."""
    return a(a, b), lambda _context, builder, _sig, args: sorted_pair(builder, *args)[0]


@intrinsic  # type: ignore[untyped-decorator]
def maximum(_typing: Any, a: Any, b: Any) -> Any:
    """Return the larger of each lane; `a` where one is NaN."""
    return a(a, b), lambda _context, builder, _sig, args: sorted_pair(builder, *args)[1]


@intrinsic  # type: ignore[untyped-decorator]
def square_root(_typing: Any, a: Any) -> Any:
    """Return the square root of each lane."""

    def emit(_context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        name = f"llvm.sqrt.v{LANES}f{sig.return_type.dtype.bitwidth}"
        root = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name)
        return builder.call(root, args)

    return a(a), emit


@intrinsic  # type: ignore[untyped-decorator]
def where_less(_typing: Any, a: Any, b: Any, less: Any, other: Any) -> Any:
    """Return `less` in lanes where ``a < b``, and `other` in the others."""

    def emit(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return less(a, b, less, other), emit


@intrinsic  # type: ignore[untyped-decorator]
def total(_typing: Any, a: Any) -> Any:
    """Return the sum of the lanes, added in any order."""

    def emit(_context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = args[0].type
        name = f"llvm.vector.reduce.fadd.v{LANES}f{sig.return_type.bitwidth}"
        signature_ = ir.FunctionType(kind.element, [kind.element, kind])
        function = cgutils.get_or_insert_function(builder.module, signature_, name)
        return builder.call(function, [ir.Constant(kind.element, 0.0), args[0]], fastmath=FLAGS)

    return a.dtype(a), emit


# Transposition.

_LOW, _HIGH = 0, 1


def _interleaving(pairs: int, half: int) -> list[int]:
    """Return which lanes of two vectors an unpack instruction takes.

    Within every four lanes, runs of `pairs` lanes of the lower or upper half of each, in turn.
    """
    lanes = []
    for group in range(0, LANES, 4):
        for begin in range(0, 2, pairs):
            first = group + 2 * half + begin
            lanes += [*range(first, first + pairs), *range(LANES + first, LANES + first + pairs)]
    return lanes


def _shuffled(builder: Any, a: Any, b: Any, lanes: Sequence[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT32, LANES), list(lanes)))


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Emit the transposition of a square.

    First every four by four lanes by themselves, in two rounds of what x86 calls unpack and Arm calls zip;
    then blocks of four lanes change places at distances 4, 8, …
    """

    def both(a: Any, b: Any, pairs: int) -> list[Any]:
        return [_shuffled(builder, a, b, _interleaving(pairs, half)) for half in (_LOW, _HIGH)]

    for first in range(0, LANES, 4):
        a, b, c, d = rows[first : first + 4]
        (ab_low, ab_high), (cd_low, cd_high) = both(a, b, 1), both(c, d, 1)
        rows[first : first + 4] = [*both(ab_low, cd_low, 2), *both(ab_high, cd_high, 2)]
    distance = 4
    while distance < LANES:
        upper = [lane & distance for lane in range(LANES)]
        first_mask = [LANES + lane - distance if up else lane for lane, up in enumerate(upper)]
        second_mask = [LANES + lane if up else lane + distance for lane, up in enumerate(upper)]
        for row in range(LANES):
            if not row & distance:
                a, b = rows[row], rows[row + distance]
                rows[row] = _shuffled(builder, a, b, first_mask)
                rows[row + distance] = _shuffled(builder, a, b, second_mask)
        distance *= 2
    return rows


@intrinsic  # type: ignore[untyped-decorator]
def transpose(_typing: Any, block: Any) -> Any:
    """Return the block with rows and lanes exchanged."""

    def emit(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        result = args[0]
        rows = _transposed(builder, [builder.extract_value(result, row) for row in range(LANES)])
        for row, value in enumerate(rows):
            result = builder.insert_value(result, value, row)
        return result

    return block(block), emit


@kernel
def _try(values: Array, out: Array) -> None:
    block = transpose(load_rows(values, 0, LANES)) * splat(values[1])
    store_rows(out, 0, LANES, block)
    add_rows(out, 0, LANES, block)
    largest = maximum(load(out, 0), minimum(load(values, 0), load(values, LANES)))
    largest = where_less(load(values, 0), splat(values[1]), largest, largest + largest)
    store(out, 0, square_root(largest + largest - load(values, 0) / splat(values[1])))


def works() -> bool:
    """Try every operation once; it is an error of numba's, or False, where they cannot be compiled."""
    values = np.arange(LANES * LANES, dtype=np.float32) + 1
    rows = values.reshape(LANES, LANES)
    expected = 2 * rows.T * rows[0, 1]
    largest = np.maximum(expected[0], np.minimum(rows[0], rows[1]))
    largest = np.where(rows[0] < rows[0, 1], largest, largest + largest)
    expected[0] = np.sqrt(largest + largest - rows[0] / rows[0, 1])
    out = np.zeros(LANES * LANES, np.float32)
    _try(readonly(values), out)
    return bool(np.allclose(out.reshape(LANES, LANES), expected, rtol=1e-5))
