"""Sum sources into named groups: the bookkeeping between separators and what one wants to hear."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback
from dspsep.separator import Refiner
from dspsep.sources import Sources, check_source_name
from dspsep.staged import PointwiseStream
from dspsep.streaming import Reach

__all__ = ["Regroup"]


@final
@dataclass(frozen=True, init=False, repr=False)
class Regroup(Refiner):
    """Sum sources into groups with new names.

    A name stands for the source so called or, after a split, for everything that came from it: ``percussive``
    also stands for ``percussive/kick`` and ``percussive/snare``. Sources in no group stay as they are, after
    the groups, so that the result still sums to the mixture.

    Parameters
    ----------
    groups : mapping of str to sequence of str, optional
        The sources of each group. For names that are not Python identifiers.
    **named : sequence of str
        The same, written as keywords.

    Raises
    ------
    InputError
        If there is no group, a group is empty, or a source is in two.

    Examples
    --------
    >>> from dspsep import HPSS, Regroup
    >>> steps = HPSS(margin=2.0) >> Regroup(drums=["percussive"], rest=["harmonic", "residual"])
    >>> steps.source_names
    ('drums', 'rest')
    """

    groups: tuple[tuple[str, tuple[str, ...]], ...]

    def __init__(self, groups: Mapping[str, Sequence[str]] | None = None, **named: Sequence[str]) -> None:
        # Stored settings come back as pairs, which `dict` takes like a mapping.
        try:
            wanted = {**dict(groups or {}), **named}
        except (TypeError, ValueError):
            raise InputError("groups", "a mapping from name to sources", repr(groups)[:60]) from None
        if not wanted:
            raise InputError(
                "groups", "at least one group of sources", "none", "Regroup(drums=['percussive'])."
            )
        taken: set[str] = set()
        for group, members in wanted.items():
            check_source_name(group)
            if isinstance(members, str) or not isinstance(members, Collection) or not members:
                raise InputError(f"group {group!r}", "a list of at least one source name", repr(members))
            for member in members:
                if check_source_name(member) in taken:
                    raise InputError(f"group {group!r}", "disjoint from the other groups", repr(member))
                taken.add(member)
        object.__setattr__(self, "groups", tuple((name, tuple(members)) for name, members in wanted.items()))

    def names_after(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return the groups, then the sources that are in none of them."""
        return None if names is None else tuple(self._members(names))

    def reach(self, sample_rate: float) -> Reach:
        """Return that a sum looks at nothing around a sample."""
        return Reach(samples=0)

    def refine(self, mixture: Array, sources: Sources, *, callback: Callback | None = None) -> Sources:
        """Return the sums.

        Parameters
        ----------
        mixture : array
            Not used: sums of sources sum to whatever the sources do.
        sources : Sources
            What to regroup.
        callback : callable, optional
            Not called.

        Returns
        -------
        Sources
            The groups, then the sources that are in none of them. A source that is alone in its group, or in
            none, is the same array as before, not a copy.
        """
        audio = _sums(self._members(sources.names), sources)
        return Sources(audio, sources.sample_rate, sources.model, sources.provenance)

    def stream(self, names: tuple[str, ...], sample_rate: float, n_channels: int) -> PointwiseStream:
        """Return the sums of blocks."""
        members = self._members(names)
        return PointwiseStream(tuple(members), lambda _, sources: _sums(members, sources))

    def _members(self, names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        """Return which of `names` are summed into each source that comes out."""
        members: dict[str, tuple[str, ...]] = {}
        owner: dict[str, str] = {}
        for group, wanted in self.groups:
            found: list[str] = []
            for want in wanted:
                matching = [name for name in names if name == want or name.startswith(f"{want}/")]
                if not matching:
                    raise InputError(f"group {group!r}", f"made of {', '.join(names)}", repr(want))
                found.extend(matching)
            for name in found:
                if name in owner:
                    raise InputError(
                        f"group {group!r}",
                        "disjoint from the other groups",
                        f"{name!r}, also in {owner[name]!r}",
                    )
                owner[name] = group
            members[group] = tuple(found)
        for name in names:
            if name not in owner:
                if name in members:
                    raise InputError(
                        f"group {name!r}",
                        "of a name that no other source has",
                        f"a source {name!r} in no group",
                    )
                members[name] = (name,)
        return members

    def __repr__(self) -> str:
        groups = {name: list(members) for name, members in self.groups}
        return f"Regroup({groups!r})"

    def _lines(self) -> list[str]:
        return [f"{name} = {' + '.join(members)}" for name, members in self.groups]


def _sums(members: Mapping[str, tuple[str, ...]], sources: Mapping[str, Array]) -> dict[str, Array]:
    sums = {}
    for group, (first, *others) in members.items():
        total = sources[first]
        for other in others:
            total = total + sources[other]
        sums[group] = total
    return sums
