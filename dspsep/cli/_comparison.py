"""What ``dspsep compare`` does, apart from its arguments, so that other commands need not import it."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from dspsep import _checks, _registry
from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.batch._attempt import Attempt, attempt
from dspsep.cli import _console
from dspsep.cli._reports import check_parts, check_start, references_in
from dspsep.cli._settings import chosen, mapping_of
from dspsep.data import _isolated
from dspsep.data.files import load
from dspsep.display._html import write
from dspsep.display._paths import check_path
from dspsep.errors import InputError
from dspsep.metrics.evaluation import evaluate
from dspsep.metrics.protocols import named_protocols
from dspsep.metrics.results import Scores
from dspsep.reports._compose import composed, mark_of
from dspsep.reports._files import PROTOCOL
from dspsep.reports._inputs import blocks_of, cut
from dspsep.reports._passage import Passage, passage_of
from dspsep.reports._separation import Separation
from dspsep.separator import Separator

__all__ = ["compared"]

_NAMED = re.compile(r"\s*(?P<name>[^=(){}\[\]>'\"]+?)\s*=(?!=)\s*(?P<rest>.+)", re.DOTALL)


def compared(options: argparse.Namespace) -> int:
    """Write a page; a method that fails is reported, and the others go on."""
    methods = methods_of(options.methods)
    path = _checked_path(options.report)
    check_parts(options)
    _checks.number("--offset", options.offset, minimum=0)
    if options.duration is not None:
        _checks.number("--duration", options.duration, minimum=0, above=True)
    if options.isolate and not _isolated.limited():
        raise InputError("--isolate", "left out on this system", "it", "It cannot limit what a process uses.")
    part = {"offset": options.offset, "duration": options.duration}
    files, mappings = _references(options, methods)
    mixture, rate = load(options.file, isolate=options.isolate, **part)
    true = {name: _like(file, mixture, rate, part) for name, file in files.items()}
    n_sources = sum(len(separator.source_names or "12") for separator in methods.values())
    check_start(options, mixture.shape[1] / rate)
    passage = passage_of(
        blocks_of(mixture), mixture.shape[1], rate, 1 + n_sources + len(true), options.report_start,
        options.report_duration,
    )  # fmt: skip
    work = _Work(mixture, rate, true, passage, quiet=options.quiet)
    made = work.separations(methods, mappings)
    if not made:
        return 1
    shown = {name: cut(signal, passage) for name, signal in true.items()}
    protocol = named_protocols()[PROTOCOL] if true else None
    title = f"{Path(options.file).stem}: {_counted(len(made))} side by side"
    page = composed(title, None, passage, cut(mixture, passage), shown, made, protocol)
    write(_checked_path(options.report), page)  # again: there was time for others to put something there
    if not options.quiet:
        work.summarise(made)
        print(f"Look and listen: {_console.printable(str(path.resolve()))}")
    return 0 if len(made) == len(methods) else 1


def methods_of(texts: Sequence[str]) -> dict[str, Separator]:
    """Return separators by name: of a name of a method, an expression, or either with a name of its own."""
    if not texts:
        remedy = "For example dspsep compare song.wav --methods hpss repet."
        raise InputError("--methods", "at least one method", "none", remedy)
    found: dict[str, Separator] = {}
    for text in texts:
        named = _NAMED.fullmatch(text)
        name, described = (named["name"], named["rest"]) if named else ("", text)
        registered = None
        with suppress(InputError):
            registered = _registry.find_method(described)
        try:
            if registered is not None:
                _, separator = chosen(registered, [], None)
            else:
                _, separator = chosen(None, [], described if "(" in described else f"{described}()")
        except InputError as error:
            if error.name != "--pipeline":  # it names a setting
                raise
            raise InputError("--methods", error.requirement, error.got, error.remedy) from error
        name = name or registered or described
        if name in found:
            remedy = "Give them names: --methods 'one=HPSS()' 'two=HPSS(margin=2)'."
            raise InputError("--methods", "of different names", f"two of the name {name!r}", remedy)
        found[name] = separator
    return found


class _Work:
    """Methods at work, one after the other: of each no more is kept than is shown."""

    def __init__(
        self, mixture: Array, rate: float, true: Mapping[str, Array], passage: Passage, *, quiet: bool
    ) -> None:
        self._mixture = mixture
        self._rate = rate
        self._true = true
        self._passage = passage
        self._quiet = quiet

    def separations(
        self, methods: Mapping[str, Separator], mappings: Mapping[str, Mapping[str, Any]]
    ) -> list[Separation]:
        """Return what methods make of the mixture, and tell of those that fail."""
        made = []
        with _console.Bar(len(methods), quiet=self._quiet) as bar:
            for name, separator in methods.items():
                bar.begin(name)
                tried = attempt(partial(self._separated, name, separator, mappings.get(name, {}), bar))
                bar.done(name)
                bar.clear()
                for notice in () if self._quiet else tried.notices:
                    _console.complain(f"{name}: note: {notice}")
                if tried.result is None:
                    _console.complain(f"{name}: {tried.error}")
                else:
                    made.append(_with_notices(tried.result, tried))
        return made

    def _separated(
        self, name: str, separator: Separator, mapping: Mapping[str, Any], bar: _console.Bar
    ) -> Separation:
        sources = separator.separate(
            self._mixture, self._rate, callback=lambda progress: bar.report(name, progress)
        )
        scores: Scores | None = None
        if self._true:
            scores = evaluate(self._true, sources, self._rate, PROTOCOL, mapping=mapping or None)
        return Separation(
            method=name,
            # Copies, so that the whole can be let go.
            sources={source: cut(audio, self._passage).copy() for source, audio in sources.items()},
            version=__version__,
            settings=repr(separator),
            scores=scores,
        )

    def summarise(self, made: Sequence[Separation]) -> None:
        """Print the scores, or the sources."""
        rows: list[tuple[str, ...]] = []
        for one in made:
            if one.scores is None:
                rows.append((one.method, ", ".join(one.sources)))
                continue
            for source in one.scores.sources:
                numbers = [f"{one.scores[source, metric]:.2f}" for metric in one.scores.metrics]
                rows.append((one.method, source, *numbers))
        scores = made[0].scores
        head = ("method", "sources") if scores is None else ("method", "source", *scores.metrics)
        print(_console.table([head, *rows]))


def _with_notices(one: Separation, tried: Attempt[Separation]) -> Separation:
    from dataclasses import replace

    return replace(one, notices=tried.notices)


def _checked_path(report: str) -> Path:
    """Return where the page goes, if nothing of others is there."""
    try:
        path = check_path(report)
    except InputError as error:
        raise InputError("--report", error.requirement, error.got, error.remedy) from error
    if os.path.lexists(path) and mark_of(path) is None:  # a link to nowhere is somebody's, too
        requirement = "where nothing of others is replaced"
        raise InputError("--report", requirement, f"{report!r}, which is there and no report of dspsep's")
    return path


def _references(
    options: argparse.Namespace, methods: Mapping[str, Separator]
) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Return the files of the references, and for each method what stands for which of them."""
    if options.references is None:
        if options.map:
            raise InputError("--map", "given with --references", "it alone")
        return {}, {}
    folders = references_in(options.references, Path(options.references) / "..")
    folder = folders.get(".")
    if folder is None:
        raise InputError("--references", "a folder with the audio of one track", repr(options.references))
    folder.check(list(folder.sources), "--references")
    files = {name: folder.files[name] for name in folder.sources}
    pairs: dict[str, list[Any]] = {}
    for pair in options.map:
        for reference, sources in mapping_of([pair]).items():
            if reference not in files:
                known = ", ".join(map(repr, files))
                raise InputError("--map", f"of references there are: {known}", repr(reference))
            pairs.setdefault(reference, []).append(sources)
    mappings = {name: _mapping(name, one.source_names, files, pairs) for name, one in methods.items()}
    return files, mappings


def _mapping(
    method: str, names: Sequence[str] | None, references: Mapping[str, str], pairs: Mapping[str, list[Any]]
) -> dict[str, Any]:
    """Return the sources of a method that stand for references: the first of those given that it has."""
    if names is None:
        return {name: given[0] for name, given in pairs.items()}
    mapping = {}
    for reference in references:
        for sources in [*pairs.get(reference, []), reference]:
            if set([sources] if isinstance(sources, str) else sources) <= set(names):
                mapping[reference] = sources
                break
        else:
            raise InputError(
                "--references", f"of the names of sources; those of {method} are {', '.join(names)}",
                repr(reference), f"Say what stands for it: --map {reference}={names[0]}.",
            )  # fmt: skip
    return mapping


def _like(file: str, mixture: Array, rate: float, part: Mapping[str, Any]) -> Array:
    """Return a reference, if it is like the mixture."""
    samples, native = load(file, **part)
    for what, one, two in (("Hz", rate, native), ("shape", mixture.shape, samples.shape)):
        if one != two:
            raise InputError("--references", f"like the mixture, {what} {one}", f"{two} in {file!r}")
    return samples


def _counted(n: int) -> str:
    return f"{n} method{'' if n == 1 else 's'}"
