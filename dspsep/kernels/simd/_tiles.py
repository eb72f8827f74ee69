"""Tiles: what a factorisation does with its model while that is in registers.

A `Tile` is `ROWS` frames of `WIDTH` bins of a spectrogram. Its model is a product of activations and
templates, one multiplication for each component and value; as many go into the sums that ratios of
spectrogram and model are multiplied into. Between the two nothing is written to memory, where products of
libraries begin and end.

Templates are read in *strips*, (n_components, WIDTH) of them in the order in which they are used. As in
`_vectors`, a place is counted in numbers, and nothing is checked.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from dspsep.kernels.simd._vectors import (
    FLAGS,
    LANES,
    Vector,
    data_of,
    in_all_lanes,
    llvm_vector,
    read,
    write,
)

__all__ = [
    "ROWS",
    "WIDTH",
    "Tile",
    "add_over_bins",
    "add_over_frames",
    "keep",
    "logarithm",
    "model_of",
    "sum_of",
    "tile_of",
]

ROWS = 4
# As many sums as registers hold beside what is multiplied: AVX-512 has 32, AVX 16.
_COLUMNS = 4 if LANES == 16 else 2
_N_VECTORS = ROWS * _COLUMNS
WIDTH = _COLUMNS * LANES

_FLOAT, _LLVM = types.float32, llvm_vector(types.float32)
# What must be done as it is written. If it may, LLVM multiplies by an inverse, and then regroups the products
# so that one division of a tile becomes a product for each component. (Where no flag is, numba sets its own.)
_AS_WRITTEN = ("nsz",)
# The bits of sqrt(1/2), from which an exponent is counted, and the place where it begins.
_ROOT_BITS, _EXPONENT = 0x3F3504F3, 23


class Tile(types.Type):  # type: ignore[misc]  # numba has no types
    """The type of `ROWS` by `WIDTH` numbers of single precision."""

    def __init__(self) -> None:
        self.dtype = _FLOAT
        super().__init__(name=f"Tile({ROWS}, {WIDTH})")


_TILE, _VECTOR = Tile(), Vector(_FLOAT)
_LLVM_TILE = ir.ArrayType(_LLVM, _N_VECTORS)


@register_model(Tile)
class _TileModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Tile) -> None:
        super().__init__(manager, kind, _LLVM_TILE)


def _packed(builder: Any, vectors: list[Any]) -> Any:
    tile = ir.Constant(_LLVM_TILE, ir.Undefined)
    for number, vector in enumerate(vectors):
        tile = builder.insert_value(tile, vector, number)
    return tile


def _unpacked(builder: Any, tile: Any) -> list[Any]:
    return [builder.extract_value(tile, number) for number in range(_N_VECTORS)]


def _strip_row(builder: Any, data: Any, start: Any, index: Any) -> list[Any]:
    """Emit the loads of a row of the strip at `start`."""
    return [read(builder, data, at, _FLOAT) for at in _after(builder, start, index, WIDTH)]


def _after(builder: Any, place: Any, index: Any, step: int) -> list[Any]:
    """Emit the places of a row of vectors: those that follow ``place + index * step``."""
    first = builder.add(place, builder.mul(index, ir.Constant(place.type, step)))
    return [builder.add(first, ir.Constant(place.type, column * LANES)) for column in range(_COLUMNS)]


def _rows(builder: Any, place: Any, stride: Any) -> list[Any]:
    return [builder.add(place, builder.mul(stride, ir.Constant(place.type, row))) for row in range(ROWS)]


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Emit ``a * b + c``."""
    return builder.fadd(builder.fmul(a, b, flags=FLAGS), c, flags=FLAGS)


def _spread(builder: Any, data: Any, place: Any) -> Any:
    return in_all_lanes(builder, builder.load(builder.gep(data, [place])))


@intrinsic  # type: ignore[untyped-decorator]
def tile_of(_typing: Any, values: Any, place: Any, stride: Any) -> Any:
    """Return the tile whose rows begin at ``place``, ``place + stride`` and so on."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = data_of(context, builder, sig.args[0], args[0])
        zero = ir.Constant(args[1].type, 0)
        places = [at for row in _rows(builder, args[1], args[2]) for at in _after(builder, row, zero, 0)]
        return _packed(builder, [read(builder, data, at, _FLOAT) for at in places])

    return _TILE(values, types.intp, types.intp), emit


@intrinsic  # type: ignore[untyped-decorator]
def model_of(
    _typing: Any, rows: Any, place: Any, stride: Any, strip: Any, start: Any, n_inner: Any, floor: Any
) -> Any:
    """Return a vector plus the product of rows of activations, as for `tile_of`, and the strip at `start`."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data, strip_data = (data_of(context, builder, sig.args[i], args[i]) for i in (0, 3))
        _, place, stride, _, start, n_inner, floor = args
        begins = _rows(builder, place, stride)
        sums = [cgutils.alloca_once(builder, _LLVM) for _ in range(_N_VECTORS)]
        for cell in sums:
            builder.store(floor, cell)
        with cgutils.for_range(builder, n_inner) as loop:
            right = _strip_row(builder, strip_data, start, loop.index)
            for number, cell in enumerate(sums):
                row, column = divmod(number, _COLUMNS)
                if not column:
                    own = _spread(builder, data, builder.add(begins[row], loop.index))
                builder.store(_fused(builder, own, right[column], builder.load(cell)), cell)
        return _packed(builder, [builder.load(cell) for cell in sums])

    return _TILE(rows, types.intp, types.intp, strip, types.intp, types.intp, floor), emit


@intrinsic  # type: ignore[untyped-decorator]
def add_over_bins(_typing: Any, sums: Any, tile: Any, strip: Any, start: Any, n_inner: Any) -> Any:
    """Add the products of the rows of a tile and of the strip at `start`: (n_inner, ROWS, LANES).

    What belongs to one row and component remains to be added up over lanes.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data, strip_data = (data_of(context, builder, sig.args[i], args[i]) for i in (0, 2))
        vectors, start = _unpacked(builder, args[1]), args[3]
        with cgutils.for_range(builder, args[4]) as loop:
            right = _strip_row(builder, strip_data, start, loop.index)
            for row in range(ROWS):
                where = builder.mul(loop.index, ir.Constant(start.type, ROWS * LANES))
                where = builder.add(where, ir.Constant(start.type, row * LANES))
                value = read(builder, data, where, _FLOAT)
                for column in range(_COLUMNS):
                    value = _fused(builder, vectors[row * _COLUMNS + column], right[column], value)
                write(builder, data, where, value, _FLOAT)
        return context.get_dummy_value()

    return types.void(sums, tile, strip, types.intp, types.intp), emit


@intrinsic  # type: ignore[untyped-decorator]
def add_over_frames(
    _typing: Any, sums: Any, tile: Any, rows: Any, place: Any, stride: Any, n_inner: Any
) -> Any:
    """Add the product of rows of activations, as for `tile_of`, transposed, and a tile: a strip."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data, rows_data = (data_of(context, builder, sig.args[i], args[i]) for i in (0, 2))
        vectors, begins = _unpacked(builder, args[1]), _rows(builder, args[3], args[4])
        zero = ir.Constant(args[3].type, 0)
        with cgutils.for_range(builder, args[5]) as loop:
            places = _after(builder, zero, loop.index, WIDTH)
            values = [read(builder, data, at, _FLOAT) for at in places]
            for row in range(ROWS):
                own = _spread(builder, rows_data, builder.add(begins[row], loop.index))
                for column in range(_COLUMNS):
                    values[column] = _fused(builder, own, vectors[row * _COLUMNS + column], values[column])
            for at, value in zip(places, values, strict=True):
                write(builder, data, at, value, _FLOAT)
        return context.get_dummy_value()

    return types.void(sums, tile, rows, types.intp, types.intp, types.intp), emit


@intrinsic  # type: ignore[untyped-decorator]
def keep(_typing: Any, array: Any, tile: Any) -> Any:
    """Write a tile to an array, one row after the other."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = data_of(context, builder, sig.args[0], args[0])
        for number, vector in enumerate(_unpacked(builder, args[1])):
            write(builder, data, ir.Constant(ir.IntType(64), number * LANES), vector, _FLOAT)
        return context.get_dummy_value()

    return types.void(array, tile), emit


@intrinsic  # type: ignore[untyped-decorator]
def sum_of(_typing: Any, tile: Any) -> Any:
    """Return the sum of the vectors of a tile."""

    def emit(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        total, *rest = _unpacked(builder, args[0])
        for vector in rest:
            total = builder.fadd(total, vector, flags=FLAGS)
        return total

    return _VECTOR(tile), emit


@intrinsic  # type: ignore[untyped-decorator]
def logarithm(_typing: Any, ratio: Any) -> Any:
    """Return the logarithm of each lane, as `dspsep.kernels.cpu.factors` does; that of zero is finite."""

    def emit(_context: Any, builder: Any, _sig: Any, args: Any) -> Any:
        def whole(number: int) -> Any:
            return ir.Constant(integers, [number] * LANES)

        def real(number: float) -> Any:
            return ir.Constant(_LLVM, [number] * LANES)

        integers = ir.VectorType(ir.IntType(32), LANES)
        bits = builder.bitcast(args[0], integers)
        exponent = builder.ashr(builder.sub(bits, whole(_ROOT_BITS)), whole(_EXPONENT))
        m = builder.bitcast(builder.sub(bits, builder.shl(exponent, whole(_EXPONENT))), _LLVM)
        below, above = builder.fsub(m, real(1.0), flags=FLAGS), builder.fadd(m, real(1.0), flags=FLAGS)
        s = builder.fdiv(below, above, flags=FLAGS)
        z = builder.fmul(s, s, flags=FLAGS)
        series = real(2 / 9)
        for order in (7, 5, 3, 1):
            series = _fused(builder, series, z, real(2 / order))
        scale = builder.fmul(builder.sitofp(exponent, _LLVM), real(math.log(2)), flags=FLAGS)
        return _fused(builder, s, series, scale)

    return ratio(ratio), emit


def _operator(symbol: Callable[..., Any], instruction: str) -> None:
    """Define an operator of two tiles, and of a vector and each vector of a tile."""

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if kws or len(args) != 2 or not isinstance(args[1], Tile):
                return None
            return signature(_TILE, *args) if args[0] in (_TILE, _VECTOR) else None

    infer_global(symbol)(Template)

    def emit(_context: Any, builder: Any, sig: Any, args: Any) -> Any:
        right = _unpacked(builder, args[1])
        left = _unpacked(builder, args[0]) if sig.args[0] == _TILE else [args[0]] * _N_VECTORS
        make = getattr(builder, instruction)
        return _packed(builder, [make(a, b, flags=_AS_WRITTEN) for a, b in zip(left, right, strict=True)])

    lower_builtin(symbol, Tile, Tile)(emit)
    lower_builtin(symbol, Vector, Tile)(emit)


for _symbol, _instruction in ((operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv")):
    _operator(_symbol, _instruction)
