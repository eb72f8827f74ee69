"""A report on one separation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from dspsep.metrics.protocols import Protocol
from dspsep.reports._inputs import checked_sources
from dspsep.reports._separation import texts_of
from dspsep.reports._writing import Asked, written
from dspsep.sources import Sources

__all__ = ["write_report"]


def write_report(
    path: str | Path,
    sources: Sources,
    *,
    mixture: npt.ArrayLike | None = None,
    references: Mapping[str, Any] | Sequence[Any] | None = None,
    protocol: str | Protocol = "bss_eval_v4",
    mapping: Mapping[str, str | Sequence[str]] | None = None,
    permutation: bool = False,
    title: str = "A recording taken apart",
    intro: str | None = None,
    start: float | None = None,
    duration: float | None = None,
    warnings: Iterable[str | Warning | Any] | None = None,
) -> Path:
    """Write all there is to say of a separation into one HTML file.

    Parameters
    ----------
    path : str or Path
        The file. Its folder is made if it is not there. A file of that name is replaced only when the new
        one is complete.
    sources : Sources
        What a separator returned.
    mixture : array of the shape of a source, optional
        What was separated. By default the sum of the sources, which is the same.
    references : mapping of str to array, optional
        The true sources, as of `evaluate`: they are scored with, heard, and seen.
    protocol, mapping, permutation : optional
        As of `evaluate`.
    title : str, default="A recording taken apart"
        The heading, for example the name of the piece.
    intro : str, optional
        One paragraph below it. By default it says what there is on the page.
    start, duration : float, optional
        What is shown of the recording, in seconds. By default all of it, if it is no longer than 30 s, or
        else its loudest 30 s; with more than five sounds on the page less, but at least 10 s.
    warnings : iterable of str or warning, optional
        What was warned of as the sources were made: texts, or what ``warnings.catch_warnings(record=True)``
        recorded. By default the page says nothing of it.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        If the file cannot be written, if the sources are no `Sources`, if mixture or references have other
        shapes, rates or names, or if there is no such part of the recording: before anything is scored or
        drawn.

    See Also
    --------
    Sources.report : The same, as a method.
    write_comparison : Several methods on one page.
    dspsep.display.write_page : Sounds, pictures, and numbers of your own.

    Notes
    -----
    The page has a player with true levels, spectrograms on one scale, levels, scores if there are
    references, the settings as a program that makes the same sources again, what was warned of, a paragraph
    for a methods section, BibTeX, and versions. Sounds, pictures and levels are of the excerpt; scores are of
    the whole. It has no date: the same arguments give the same bytes on the same machine.

    Sound is lossless where that is small, else MP3 in the best quality with which the page has at most 4 MB,
    but of no less than some 90 kbit/s in stereo: with a long `duration`, or many sources, it has more.

    Memory beyond the arguments, as measured with a mixture and four sources of 30 s in stereo at 44.1 kHz: 92
    MiB in single and 153 MiB in double precision (69 MiB with one source in single precision). It is for the
    excerpt, so that a longer recording needs no more, but for the sum of the sources, if no `mixture` is
    given. With `references` there is also what `evaluate` needs.

    Examples
    --------
    >>> import dspsep, tempfile
    >>> from pathlib import Path
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> sources = dspsep.HPSS().separate(scene.mixture, scene.sample_rate)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = dspsep.write_report(Path(folder, "song.html"), sources, title="A song")
    ...     "HPSS(" in page.read_text(encoding="utf-8")
    True
    """
    parts = {"": checked_sources("sources", sources)}
    asked = Asked(
        mixture=mixture,
        references=references,
        protocol=protocol,
        mappings={"": mapping},
        permutation=permutation,
        title=title,
        intro=intro,
        start=start,
        duration=duration,
        notices={"": texts_of(warnings)},
    )
    return written(path, {"": sources}, parts, asked)
