"""The page itself, from what is known of separations and their mixture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.display._html import Markup, document, element
from dspsep.display._listening import Heard, listen
from dspsep.display._parts import facts, header
from dspsep.metrics.protocols import Protocol
from dspsep.reports._origin import literature, made, versions
from dspsep.reports._passage import Passage
from dspsep.reports._scores import scores_section
from dspsep.reports._separation import Separation

__all__ = ["composed", "mark_of"]

#: Of a page, in bytes, as far as its sounds have to do with it; and what is left for the rest of it.
MAX_BYTES = 4_000_000
_REST = 200_000

#: No text looks like that: quotes in it are escaped.
_MARK = re.compile(r'<main data-report="([0-9a-f]*)">')
_HEAD = 500_000


def composed(
    title: str,
    intro: str | None,
    passage: Passage,
    mixture: Array,
    references: Mapping[str, Array],
    separations: Sequence[Separation],
    protocol: Protocol | None,
    mark: str = "",
) -> str:
    """Return a page.

    Parameters
    ----------
    title, intro : str
        Of the page; without an `intro` it says what there is.
    passage : Passage
        What is heard of the recording.
    mixture : array of shape (n_channels, n_samples)
        This passage of it, on the host.
    references : mapping of str to array
        Of the same shape; empty if there are none.
    separations : sequence of Separation
        At least one.
    protocol : Protocol or None
        Of the scores.
    mark : str
        What `mark_of` finds in the file.

    Returns
    -------
    str
        The whole file.
    """
    heard = [
        Heard("Mixture", mixture, "mixture"),
        *_references(references, separations),
        *_sources(separations),
    ]
    n_sources = sum(len(one.sources) for one in separations)
    counted = [_counted(n_sources, "source")]
    if separations[0].method:
        counted.insert(0, _counted(len(separations), "method"))
    words = "" if passage.why == "all" else str(passage)
    top = header(
        title,
        _intro(separations, references) if intro is None else intro,
        facts(passage.n_samples, mixture.shape[0], passage.rate, counted, __version__),
    )
    about = _about_passage(words, scored=protocol is not None) if words else Markup()
    body = element(
        "main",
        about,
        listen(title, heard, passage.rate, max_bytes=MAX_BYTES - _REST),
        scores_section(separations, excerpt=bool(words)),
        made(separations, mixture),
        literature(separations, protocol),
        versions(),
        data_report=mark,
    )
    return document(title, top, body)


def mark_of(path: Path) -> str | None:
    """Return what a page was marked with; None for a file that is no report."""
    try:
        if not path.is_file():
            return None
        with path.open(encoding="utf-8") as file:
            found = _MARK.search(file.read(_HEAD))
    except (OSError, ValueError):
        return None
    return found[1] if found else None


def _references(references: Mapping[str, Array], separations: Sequence[Separation]) -> Iterator[Heard]:
    """Yield the true sources, each beside the source that stands for it."""
    alone = not separations[0].method
    stands_for = _estimates(separations[0]) if alone else {}
    for name, signal in references.items():
        # What is scored by a sum has no source beside it, although one may have its name.
        of = stands_for.get(name) if alone else name
        yield Heard(name, signal, "reference", of=of)


def _sources(separations: Sequence[Separation]) -> Iterator[Heard]:
    """Yield the sources, those of several methods in groups and under the names of the references."""
    for one in separations:
        if not one.method:
            yield from (Heard(name, signal) for name, signal in one.sources.items())
            continue
        shown = _shown(one)
        for name, signal in one.sources.items():
            about = f"Called {name} by this method" if shown[name] != name else ""
            yield Heard(shown[name], signal, group=one.method, about=about)


def _shown(one: Separation) -> dict[str, str]:
    """Return what sources are called on the page: what is compared with a reference has the name of that."""
    if one.scores is None:
        return {name: name for name in one.sources}
    shown: dict[str, str] = {}
    for name, estimate in _estimates(one).items():
        shown.setdefault(estimate, name)
    for name in one.sources:
        # Of that name is a reference, which something else is compared with.
        is_other = name not in shown and name in one.scores.tracks[0].sources
        shown.setdefault(name, f"{name} ({one.method})" if is_other else name)
    return shown


def _estimates(one: Separation) -> dict[str, str]:
    """Return the source that stands for each reference, where it is one alone."""
    if one.scores is None:
        return {}
    track = one.scores.tracks[0]
    pairs = zip(track.sources, track.estimates, strict=True)
    return {reference: estimate for reference, estimate in pairs if estimate in one.sources}


def _about_passage(words: str, *, scored: bool) -> Markup:
    rest = " Scores are of all of it." if scored else ""
    return element("p", f"An excerpt: sounds, pictures, levels and sums are {words}.{rest}", class_="excerpt")


def _intro(separations: Sequence[Separation], references: Mapping[str, Array]) -> str:
    beside = ", beside the true ones" if references else ""
    if not separations[0].method:
        n_sources = len(separations[0].sources)
        sources = "the one source" if n_sources == 1 else f"the {n_sources} sources"
        return (
            f"A recording, and {sources} that it was separated into{beside}: to listen to, to look at, and to"
            " make again."
        )
    methods = _counted(len(separations), "method")
    return (
        f"One recording, and what {methods} made of it{beside}: to listen to, to look at, and to make again."
    )


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
