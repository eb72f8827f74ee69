"""Which output of a method is which true source: by name where names agree, else as serves it best.

A method that names its sources is held to the names. One that cannot know them (components, directions) is
given the benefit of the best assignment, and the record says so. What a method leaves over is an output by
the law of the sum, but no estimate of anything: ``residual`` always, and ``background`` beside outputs that
are numbered, where it is what the numbered ones leave.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dspsep import _backend
from dspsep._typing import Array
from dspsep.metrics.permutation import best_permutation

__all__ = ["Matching", "Unfit", "candidates", "check_outputs", "matched"]

_NUMBERED = re.compile(r".*_\d+")


class Unfit(Exception):  # noqa: N818 - it is no error: a method that is not meant for a track
    """A method cannot be tried on a track: the reason."""


class Matching(NamedTuple):
    """Which output is which reference.

    Attributes
    ----------
    way : {"name", "best"}
        How that was decided.
    names : dict of str to str
        The output of each reference.
    """

    way: str
    names: dict[str, str]


def candidates(outputs: Iterable[str]) -> list[str]:
    """Return the outputs that may be an estimate where names tell nothing.

    Parameters
    ----------
    outputs : iterable of str
        All names of a separation.

    Returns
    -------
    list of str
        Without what was left over.

    Examples
    --------
    >>> from dspsep.bench.matching import candidates
    >>> candidates(["background", "foreground"])
    ['background', 'foreground']
    >>> candidates(["source_0", "source_1", "background"])
    ['source_0', 'source_1']
    """
    names = [name for name in outputs if name != "residual"]
    others = [name for name in names if name != "background"]
    numbered = bool(others) and all(_NUMBERED.fullmatch(name) for name in others)
    return others if numbered else names


def check_outputs(references: Iterable[str], outputs: Iterable[str]) -> None:
    """Refuse outputs that cannot be matched with references.

    Parameters
    ----------
    references, outputs : iterable of str
        Names.

    Raises
    ------
    Unfit
        If there are fewer outputs than references.
    """
    wanted, given = list(references), list(outputs)
    if set(wanted) <= set(given):
        return
    found = candidates(given)
    if len(found) < len(wanted):
        raise Unfit(
            f"it has {_counted(found, 'output')} for {_counted(wanted, 'source')}: regroup the track, or add"
            " steps to the method."
        )


def matched(references: Mapping[str, Array], estimates: Mapping[str, Array]) -> Matching:
    """Return the output of each reference.

    Parameters
    ----------
    references : mapping of str to array
        The true sources.
    estimates : mapping of str to array
        All outputs of a method, of the same shape.

    Returns
    -------
    Matching
        By name if each reference has an output of its name; else the assignment with the largest sum of
        SI-SDR. References that are silent, which no score tells apart, are given what is left, in order.

    Raises
    ------
    Unfit
        If there are fewer outputs than references.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep.bench.matching import matched
    >>> voice, band = np.eye(2, 8)
    >>> matched({"voice": voice, "band": band}, {"background": band, "foreground": voice})
    Matching(way='best', names={'voice': 'foreground', 'band': 'background'})
    """
    check_outputs(references, estimates)
    if set(references) <= set(estimates):
        return Matching("name", {name: name for name in references})
    names = candidates(estimates)
    heard = {name: audio for name, audio in references.items() if _sounds(audio)}
    found: dict[str, str] = {}
    if heard:
        found = best_permutation(heard, {name: estimates[name] for name in names}).names
    left = iter([name for name in names if name not in found.values()])
    return Matching("best", {name: found[name] if name in found else next(left) for name in references})


def _sounds(audio: Array) -> bool:
    xp = _backend.namespace(audio)
    return bool(_backend.scalar(xp.max(xp.abs(audio))) > 0)


def _counted(names: list[str], what: str) -> str:
    plural = "" if len(names) == 1 else "s"
    listed = f" ({', '.join(names)})" if names else ""
    return f"{len(names)} {what}{plural}{listed}"
