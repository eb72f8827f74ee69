"""Words for both precisions, and selection of ranks: networks as lines of code, and a search for long lists.

A network becomes one statement for each minimum or maximum, on constants that the compiler keeps in
registers. There is no branch, so all lanes of a warp go the same way. It is the network that the CPU runs;
only the words differ.

Longer lists are searched instead: the order of floating-point numbers is that of their bits, with the sign
turned, as integers. Two bits of the rank's number are found in each pass over the list.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from dspsep.kernels._networks import Load, Network, Pair
from dspsep.kernels.gpu._launch import REAL

__all__ = ["SEARCH", "lines", "typed"]

_WORDS = {
    "float32": {
        "REAL": REAL["float32"],
        "COMPLEX": "float2",
        "KEY": "unsigned",
        "SIGNED": "int",
        "BITS": "32",
        "TO_BITS": "__float_as_int",
        "FROM_BITS": "__int_as_float",
        "MINIMUM": "fminf",
        "MAXIMUM": "fmaxf",
        "INFINITE": "__int_as_float(0x7f800000)",
    },
    "float64": {
        "REAL": REAL["float64"],
        "COMPLEX": "double2",
        "KEY": "unsigned long long",
        "SIGNED": "long long",
        "BITS": "64",
        "TO_BITS": "__double_as_longlong",
        "FROM_BITS": "__longlong_as_double",
        "MINIMUM": "fmin",
        "MAXIMUM": "fmax",
        "INFINITE": "__longlong_as_double(0x7ff0000000000000LL)",
    },
}

#: Defines `ranked(rank, each)`: the value of a rank, from 0, of those that ``each(visit)`` visits.
SEARCH = """
__device__ __forceinline__ KEY key_of(REAL value) {
    const SIGNED bits = TO_BITS(value);
    const KEY top = (KEY)1 << (BITS - 1);
    return bits < 0 ? ~(KEY)bits : (KEY)bits | top;
}
__device__ __forceinline__ REAL value_of(KEY key) {
    const KEY top = (KEY)1 << (BITS - 1);
    return FROM_BITS((SIGNED)(key & top ? key & ~top : ~key));
}
template <class Each> __device__ __forceinline__ REAL ranked(int rank, Each each) {
    KEY found = 0;
    for (int shift = BITS - 2; shift >= 0; shift -= 2) {
        const KEY step = (KEY)1 << shift, one = found + step, two = one + step, three = two + step;
        int below_one = 0, below_two = 0, below_three = 0;
        each([&](REAL value) {
            const KEY key = key_of(value);
            below_one += key < one;
            below_two += key < two;
            below_three += key < three;
        });
        found |= (KEY)((below_one <= rank) + (below_two <= rank) + (below_three <= rank)) << shift;
    }
    return value_of(found);
}
"""


def typed(source: str, dtype: str, **constants: int) -> str:
    """Return a source with the words for a precision in place, and constants written in capitals."""
    meanings = {**_WORDS[dtype], **{name: str(number) for name, number in constants.items()}}
    return re.sub(r"\b[A-Z_]{4,}\b|\bKEY\b", lambda word: meanings.get(word[0], word[0]), source)


def lines(network: Network, load: Callable[[int], str], store: Callable[[int, str], str]) -> str:
    """Return the statements of a network; `load` says where an element is, `store` where an output goes."""
    made = []
    for step in network.steps:
        if isinstance(step, Load):
            made.append(f"const REAL v{step.value} = {load(step.element)};")
        elif isinstance(step, Pair):
            a, b = f"v{step.a}", f"v{step.b}"
            if step.low is not None:
                made.append(f"const REAL v{step.low} = MINIMUM({a}, {b});")
            if step.high is not None:
                made.append(f"const REAL v{step.high} = MAXIMUM({a}, {b});")
        else:
            made.append(store(step.output, f"v{step.value}"))
    return "\n".join(made)
