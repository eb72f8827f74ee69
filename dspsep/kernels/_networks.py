"""Selection networks: the running medians of a tile of neighbouring outputs, as a list of comparisons.

Which values are compared with which never depends on the values, so that a list for one tile serves every
lane of a vector, every thread of a GPU, and every tile. A comparison takes two values to the smaller and the
larger of them.

The windows of `n_outputs` neighbours of length l share their middle l - n_outputs + 1 elements: the core.
It is sorted once. Then the tile is halved: each half shares further elements, which are sorted and merged
into the core, and so on down to one output, whose window is complete. On the way only those ranks are kept
that can still become the median: of m outputs that share c elements, h = (l - 1) / 2 being the rank of the
median, l - c more elements are to come, and each shifts ranks by one at most, so that the ranks from h - (l
- c) to h are enough. Sorting is by merging, merging is Batcher's odd-even merge, and what nothing depends
on in the end is dropped, which prunes the merges to the ranks that are kept.

A network of comparisons that is right for all inputs of zeros and ones is right for all inputs (the 0-1
principle), which is how the tests prove these.

References
----------
K. E. Batcher, "Sorting networks and their applications", AFIPS Spring Joint Computer Conference 1968.
doi:10.1145/1468075.1468121
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

__all__ = ["Load", "Network", "Pair", "Store", "middle", "network"]


class Load(NamedTuple):
    """Take element `element` of the tile's `length + n_outputs - 1` as `value`."""

    element: int
    value: int


class Pair(NamedTuple):
    """Take the smaller and the larger of `a` and `b`; None for one that nothing needs."""

    a: int
    b: int
    low: int | None
    high: int | None


class Store(NamedTuple):
    """Give `value` as output `output`."""

    value: int
    output: int


Step = Load | Pair | Store


@dataclass(frozen=True)
class Network:
    """The steps that take `length + n_outputs - 1` elements to `n_outputs` medians of `length`.

    Those of `middle` take `length` elements to the two in their middle.
    """

    length: int
    n_outputs: int
    steps: tuple[Step, ...]

    @cached_property
    def n_comparisons(self) -> int:
        """How many minima and maxima there are."""
        return sum(
            (step.low is not None) + (step.high is not None) for step in self.steps if isinstance(step, Pair)
        )


class _Builder:
    """Collects steps, values being numbered in the order in which they are made."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.half = (length - 1) // 2
        self.steps: list[Step] = []
        self._n_values = 0
        self._sorted: dict[tuple[int, int], list[int]] = {}

    def _new(self) -> int:
        self._n_values += 1
        return self._n_values - 1

    def _pair(self, a: int, b: int) -> list[int]:
        step = Pair(a, b, self._new(), self._new())
        self.steps.append(step)
        return [self._n_values - 2, self._n_values - 1]

    def merged(self, a: list[int], b: list[int]) -> list[int]:
        """Return two sorted lists as one: Batcher's merge of those in even and those in odd places."""
        if not a or not b:
            return a or b
        if len(a) == len(b) == 1:
            return self._pair(a[0], b[0])
        even = self.merged(a[0::2], b[0::2])
        odd = self.merged(a[1::2], b[1::2])
        out = even[:1]
        for left, right in zip(odd, even[1:], strict=False):
            out += self._pair(left, right)
        shorter = min(len(odd), len(even) - 1)
        return out + odd[shorter:] + even[1 + shorter :]

    def sorted(self, start: int, stop: int) -> list[int]:
        """Return elements `start` to `stop` in order; what was sorted before is not sorted again."""
        if stop <= start:
            return []
        if (start, stop) not in self._sorted:
            if stop - start == 1:
                self.steps.append(Load(start, self._new()))
                found = [self._n_values - 1]
            else:
                size = 1 << ((stop - start - 1).bit_length() - 1)  # the largest power of two that is less
                found = self.merged(self.sorted(start, start + size), self.sorted(start + size, stop))
            self._sorted[start, stop] = found
        return self._sorted[start, stop]

    def _ranks(self, n_outputs: int) -> tuple[int, int]:
        """Return the first and last rank of what `n_outputs` share that may become a median."""
        shared = self.length - n_outputs + 1
        return max(0, self.half - (n_outputs - 1)), min(shared - 1, self.half)

    def outputs(self, first: int, last: int, kept: list[int], dropped: int) -> None:
        """Give outputs `first` to `last`, whose common elements, without the `dropped` least, are `kept`."""
        if first == last:
            self.steps.append(Store(kept[self.half - dropped], first))
            return
        middle = (first + last) // 2
        # What the windows of the lower half share beside the core lies before it, and after it for the other.
        for begin, end, start, stop in (
            (first, middle, middle, last),
            (middle + 1, last, first + self.length, middle + 1 + self.length),
        ):
            together = self.merged(kept, self.sorted(start, stop))
            low, high = self._ranks(end - begin + 1)
            self.outputs(begin, end, together[low - dropped : high - dropped + 1], low)


def _needed(steps: list[Step]) -> Iterator[Step]:
    """Yield, from the last to the first, the steps that outputs depend on."""
    live: set[int] = set()
    for step in reversed(steps):
        if isinstance(step, Store):
            live.add(step.value)
            yield step
        elif isinstance(step, Load):
            if step.value in live:
                yield step
        else:
            low = step.low if step.low in live else None
            high = step.high if step.high in live else None
            if low is not None or high is not None:
                live.update((step.a, step.b))
                yield Pair(step.a, step.b, low, high)


@lru_cache(maxsize=64)
def network(length: int, n_outputs: int) -> Network:
    """Return the network for medians of odd `length`, of which `n_outputs` <= `length` are made at once."""
    builder = _Builder(length)
    core = builder.sorted(n_outputs - 1, length)
    low, high = builder._ranks(n_outputs)
    builder.outputs(0, n_outputs - 1, core[low : high + 1], low)
    steps = list(_needed(builder.steps))
    return Network(length, n_outputs, tuple(reversed(steps)))


@lru_cache(maxsize=64)
def middle(n: int) -> Network:
    """Return the network for the two in the middle of an even number `n`, of which the lower comes first.

    It serves fewer elements as well, made up to `n` by infinities of both signs.
    """
    builder = _Builder(n)
    ordered = builder.sorted(0, n)
    builder.steps += [Store(ordered[n // 2 - 1], 0), Store(ordered[n // 2], 1)]
    return Network(n, 2, tuple(reversed(list(_needed(builder.steps)))))
