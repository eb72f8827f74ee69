"""From sources and what is asked of a page to the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspsep import _audio
from dspsep._typing import Array
from dspsep.display._html import write
from dspsep.display._paths import check_path
from dspsep.errors import InputError
from dspsep.metrics.evaluation import evaluate
from dspsep.reports._compose import composed
from dspsep.reports._inputs import blocks_of, checked_mixture, cut, scoring
from dspsep.reports._passage import check_passage, passage_of
from dspsep.reports._separation import separation
from dspsep.sources import Sources

__all__ = ["Asked", "written"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of a page, as of `write_report`; mappings and notices are by method."""

    mixture: Any
    references: Any
    protocol: Any
    mappings: Mapping[str, Any]
    permutation: bool
    title: str
    intro: str | None
    start: Any
    duration: Any
    notices: Mapping[str, tuple[str, ...] | None]


def written(
    path: str | Path,
    separations: Mapping[str, Sources],
    parts: Mapping[str, Mapping[str, Array]],
    asked: Asked,
) -> Path:
    """Write a page.

    Parameters
    ----------
    path : str or Path
        The file.
    separations : mapping of str to Sources
        By method, checked.
    parts : mapping of str to mapping of str to array
        The same sources as (n_channels, n_samples).
    asked : Asked
        Not yet checked.

    Returns
    -------
    Path
        `path`.
    """
    file = check_path(path)
    check_passage(asked.start, asked.duration)
    _check_texts(asked)
    first = next(iter(separations.values()))
    whole, peak = checked_mixture(asked.mixture, first)
    way = scoring(
        asked.references, separations, asked.mappings, asked.protocol, asked.mixture,
        permutation=asked.permutation,
    )  # fmt: skip
    true: dict[str, Array] = {}
    if way is not None:
        for name, audio in way.references.items():
            true[name], _, _ = _audio.finite_samples_of(f"references[{name!r}]", audio)
    rate = first.sample_rate
    n_sounds = 1 + len(true) + sum(map(len, parts.values()))
    passage = passage_of(blocks_of(whole, peak), whole.shape[1], rate, n_sounds, asked.start, asked.duration)
    made = []
    for name, sources in separations.items():
        scores = None
        if way is not None:
            scores = evaluate(
                way.references, sources, rate, way.protocol, mixture=asked.mixture,
                mapping=asked.mappings.get(name), permutation=way.permutation,
            )  # fmt: skip
        shown = {source: cut(part, passage) for source, part in parts[name].items()}
        made.append(separation(name, sources, shown, scores, asked.notices.get(name)))
    page = composed(
        asked.title,
        asked.intro,
        passage,
        cut(whole, passage),
        {name: cut(signal, passage) for name, signal in true.items()},
        made,
        None if way is None else way.protocol,
    )
    write(file, page)
    return Path(path)


def _check_texts(asked: Asked) -> None:
    for name, text in (("title", asked.title), ("intro", asked.intro)):
        if not isinstance(text, str) and not (name == "intro" and text is None):
            raise InputError(name, "a string", repr(text)[:60])
