"""Selection networks as machine code: compiled for one length, or read as data for any.

Both have one signature, so that what calls them is compiled once for all lengths: `medians` calls one by its
address. They compute the same medians, bit by bit, because a median is one of its inputs.

*Compiled*: the steps of the network are the instructions, values live in registers and on the stack. The
length is a constant of the function, which numba writes to its cache on disk beside the code.

*As data*: the steps are rows of a table of integers, values live in numbered slots of memory. Each step
works on several vectors, so that reading it costs little. There is nothing to compile, and long networks,
of which compilers make spills anyway, lose the least.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from dspsep._typing import Array
from dspsep.kernels._networks import Load, Network, Pair, network
from dspsep.kernels.cpu._jit import inlined, native
from dspsep.kernels.simd._vectors import (
    LANES,
    data_of,
    load,
    maximum,
    minimum,
    read,
    sorted_pair,
    store,
    write,
)

__all__ = ["Selection", "medians", "selection"]

# Compiled up to this length, which takes about a second.
_LONGEST_COMPILED = 127
# Vectors that one step of a network that is data works on.
_ABREAST = 8
_SLOT = _ABREAST * LANES
_COLUMNS = 5
_LOAD, _LOW, _HIGH, _BOTH, _STORE = range(5)


@dataclass(frozen=True)
class Selection:
    """A network that can be run: give it to `medians`, whose arguments say the rest."""

    length: int
    n_outputs: int
    address: int
    table: Array


@lru_cache(maxsize=64)
def selection(length: int, dtype: str, n_outputs: int, compiled: bool | None = None) -> Selection:
    """Return the network for medians of odd `length`, at most `n_outputs` at once.

    `compiled` overrules the choice by length.
    """
    while n_outputs > length:
        n_outputs //= 2
    if compiled is None:
        compiled = length <= _LONGEST_COMPILED
    if compiled:
        function = _compiled(length, n_outputs, dtype)
        return Selection(length, n_outputs, function.address, np.zeros(1, np.int32))
    return Selection(length, n_outputs, _as_data(dtype).address, _table(network(length, n_outputs)))


def _signature(dtype: str) -> Any:
    numbers, places = types.CPointer(getattr(types, dtype)), types.CPointer(types.intp)
    table = types.CPointer(types.int32)
    return types.void(numbers, places, numbers, *[types.intp] * 5, table)


@intrinsic  # type: ignore[untyped-decorator]
def medians(
    _typing: Any,
    address: Any,
    table: Any,
    x: Any,
    x_place: Any,
    places: Any,
    first: Any,
    out: Any,
    out_place: Any,
    stride: Any,
    n: Any,
    steps: Any,
) -> Any:
    """Run a network for `n` tiles of vectors side by side.

    Element e of tile i is the vector of `x` at ``x_place + i * steps[0] + places[first + i * steps[1] + e]``,
    and output j goes to `out` at ``out_place + i * steps[2] + j * stride``.
    """

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def pointer(which: int, place: Any) -> Any:
            return builder.gep(data_of(context, builder, sig.args[which], args[which]), [place])

        start = ir.Constant(ir.IntType(64), 0)
        arguments = [pointer(2, args[3]), pointer(4, args[5]), pointer(6, args[7]), args[8], args[9]]
        arguments += [builder.extract_value(args[10], i) for i in range(3)] + [pointer(1, start)]
        kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), arguments)
        return context.get_dummy_value()

    places_type = types.UniTuple(types.intp, 3)
    signature = types.void(
        types.intp,
        table,
        x,
        types.intp,
        places,
        types.intp,
        out,
        types.intp,
        types.intp,
        types.intp,
        places_type,
    )
    return signature, emit


# Compiled.


@cache
def _compiled(length: int, n_outputs: int, dtype: str) -> Any:
    @native(_signature(dtype))
    def run(
        x: Any,
        places: Any,
        out: Any,
        stride: int,
        n: int,
        x_step: int,
        places_step: int,
        out_step: int,
        _: Any,
    ) -> None:
        for i in range(n):
            _tile(x, i * x_step, places, i * places_step, out, i * out_step, stride, length, n_outputs)

    return run


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator]
def _tile(
    _typing: Any,
    x: Any,
    x_place: Any,
    places: Any,
    first: Any,
    out: Any,
    out_place: Any,
    stride: Any,
    length: Any,
    n_outputs: Any,
) -> Any:
    """Emit the steps of the network of a length that is a constant."""
    dtype = x.dtype

    def emit(_context: Any, builder: Any, sig: Any, args: Any) -> Any:
        values: dict[int, Any] = {}
        for step in network(sig.args[7].literal_value, sig.args[8].literal_value).steps:
            if isinstance(step, Load):
                e = ir.Constant(args[3].type, step.element)
                place = builder.load(builder.gep(args[2], [builder.add(args[3], e)]))
                values[step.value] = read(builder, args[0], builder.add(args[1], place), dtype)
            elif isinstance(step, Pair):
                low, high = sorted_pair(builder, values[step.a], values[step.b])
                if step.low is not None:
                    values[step.low] = low
                if step.high is not None:
                    values[step.high] = high
            else:
                j = ir.Constant(args[5].type, step.output)
                place = builder.add(args[5], builder.mul(args[6], j))
                write(builder, args[4], place, values[step.value], dtype)
        return _context.get_dummy_value()

    signature = types.void(x, types.intp, places, types.intp, out, types.intp, types.intp, length, n_outputs)
    return signature, emit


# As data.


def _table(source: Network) -> Array:
    """Return the steps as rows (operation, two inputs, two outputs), values being in numbered slots.

    A slot is used again once nothing needs the value in it. The outputs of a step never lie where its
    inputs do.
    """
    last = {}
    for i, step in enumerate(source.steps):
        for value in (step.a, step.b) if isinstance(step, Pair) else (step.value,):
            last[value] = i
    slots: dict[int, int] = {}
    free: list[int] = []
    rows = []

    def slot_of(value: int | None) -> int:
        if value is None:
            return 0
        slots[value] = free.pop() if free else len(slots_made)
        if slots[value] == len(slots_made):
            slots_made.append(value)
        return slots[value]

    slots_made: list[int] = []
    for i, step in enumerate(source.steps):
        if isinstance(step, Load):
            rows.append((_LOAD, step.element, 0, slot_of(step.value), 0))
            used: tuple[int, ...] = ()
        elif isinstance(step, Pair):
            kind = _BOTH if step.low is not None and step.high is not None else _LOW
            if step.low is None:
                kind = _HIGH
            rows.append((kind, slots[step.a], slots[step.b], slot_of(step.low), slot_of(step.high)))
            used = (step.a, step.b)
        else:
            rows.append((_STORE, slots[step.value], 0, step.output, 0))
            used = (step.value,)
        free.extend(slots[value] for value in used if last[value] == i)
    head = (len(rows), len(slots_made), 0, 0, 0)
    return np.array([head, *rows], np.int32).reshape(-1)


@cache
def _as_data(dtype: str) -> Any:
    @native(_signature(dtype))
    def run(
        x: Any, places: Any, out: Any, stride: int, n: int, x_step: int, places_step: int, out_step: int,
        table: Any,
    ) -> None:  # fmt: skip
        n_steps, n_slots = table[0], table[1]
        slots = np.empty(n_slots * _SLOT, dtype)
        for start in range(0, n, _ABREAST):
            abreast = min(_ABREAST, n - start)
            for row in range(_COLUMNS, (n_steps + 1) * _COLUMNS, _COLUMNS):
                kind, a, b = table[row], table[row + 1], table[row + 2]
                if kind == _LOAD:
                    for i in range(abreast):
                        place = (start + i) * x_step + places[(start + i) * places_step + a]
                        store(slots, table[row + 3] * _SLOT + i * LANES, load(x, place))
                elif kind == _STORE:
                    for i in range(abreast):
                        place = (start + i) * out_step + table[row + 3] * stride
                        store(out, place, load(slots, a * _SLOT + i * LANES))
                else:
                    low, high = table[row + 3] * _SLOT, table[row + 4] * _SLOT
                    _compare(slots, kind, a * _SLOT, b * _SLOT, low, high, abreast * LANES)

    return run


@inlined
def _compare(slots: Array, kind: int, a: int, b: int, low: int, high: int, size: int) -> None:
    if kind == _BOTH:
        for i in range(0, size, LANES):
            u, v = load(slots, a + i), load(slots, b + i)
            store(slots, low + i, minimum(u, v))
            store(slots, high + i, maximum(u, v))
    elif kind == _LOW:
        for i in range(0, size, LANES):
            store(slots, low + i, minimum(load(slots, a + i), load(slots, b + i)))
    else:
        for i in range(0, size, LANES):
            store(slots, high + i, maximum(load(slots, a + i), load(slots, b + i)))
