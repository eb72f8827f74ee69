"""What ``dspsep bench run`` does, apart from its arguments, so that other commands need not import it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dspsep import _checks
from dspsep.bench._plan import Settings, checked
from dspsep.bench.methods import methods_file, methods_of
from dspsep.bench.runner import Run
from dspsep.cli import _console
from dspsep.cli._evaluation import _listed, _protocol
from dspsep.data.tracks import Track
from dspsep.errors import InputError
from dspsep.progress import Progress

__all__ = ["benchmarked"]


def benchmarked(options: argparse.Namespace) -> int:
    """Make a folder of results; a track that fails is reported, and the others go on."""
    settings = _settings(options)
    counts: Counter[tuple[str, str]] = Counter()
    bar = _Bar(quiet=options.quiet)
    n_kept = 0
    try:
        with (
            bar,
            Run(settings, n_jobs=options.jobs, cluster=options.cluster, callback=bar.report) as work,
            closing(work.results()) as results,
        ):
            for record, kept in results:
                counts[record["method"], record["status"]] += 1
                n_kept += kept
                bar.clear()
                _tell(record, kept=kept, quiet=options.quiet)
    except KeyboardInterrupt:
        if not options.quiet:
            total = len(settings.methods) * len(settings.tracks)
            _console.complain(
                f"{sum(counts.values())} of {total} records are there: the same command goes on with the rest"
            )
        raise
    if not options.quiet:
        _summarise(settings, counts, n_kept)
    n_failed = sum(count for (_, status), count in counts.items() if status == "failed")
    if n_failed:
        print(f"{n_failed} of {sum(counts.values())} failed", file=sys.stderr)
    return 1 if n_failed else 0


def _settings(options: argparse.Namespace) -> Settings:
    _checks.number("--start", options.start, minimum=0)
    if options.duration is not None:
        _checks.number("--duration", options.duration, minimum=0, above=True)
    baselines: Any = True
    if options.baselines is not None:
        names = _listed(options.baselines) or []
        baselines = False if names == ["none"] else names
    return checked(
        _methods(options.methods), _tracks(options), options.output,
        protocol=_protocol(options.protocol, options.param), sources=_listed(options.sources),
        seed=options.seed, baselines=baselines,
    )  # fmt: skip


def _methods(text: str) -> Any:
    """Return methods by name, and those of files."""
    found: list[Any] = []
    for name in text.split(","):
        if name.strip().endswith(".json"):
            found += methods_of(methods_file(name.strip()))
        elif name.strip():
            found.append(name.strip())
    return found


def _tracks(options: argparse.Namespace) -> list[Track]:
    from dspsep.data import musdb18, stem_folders

    if options.dataset == "musdb18" and options.pattern is not None:
        raise InputError("--pattern", "left out with --dataset musdb18", repr(options.pattern))
    if options.dataset != "musdb18" and options.subset is not None:
        raise InputError("--subset", "left out without --dataset musdb18", repr(options.subset))
    tracks: list[Track] = []
    for folder in options.tracks:
        if options.dataset == "musdb18":
            tracks += musdb18(folder, subset=options.subset)
        else:
            tracks += stem_folders(
                folder, **({} if options.pattern is None else {"pattern": options.pattern})
            )
    groups = _groups(options.group)
    if groups:
        tracks = [track.regroup(groups) for track in tracks]
    if options.start or options.duration is not None:
        tracks = [track.excerpt(options.start, options.duration) for track in tracks]
    return tracks


def _groups(pairs: Sequence[str]) -> dict[str, list[str]]:
    groups = {}
    for pair in pairs:
        name, equals, members = pair.partition("=")
        if not (name and equals and all(members.split("+"))):
            remedy = "For example --group accompaniment=drums+bass+other."
            raise InputError("--group", "NAME=SOURCE+SOURCE", repr(pair), remedy)
        groups[name] = members.split("+")
    return groups


def _tell(record: dict[str, Any], *, kept: bool, quiet: bool) -> None:
    where = f"{record['method']}: {record['track']}"
    if record["status"] == "failed":
        _console.complain(f"{where}: {record['error']['message']}")
    elif not quiet and not kept:
        for notice in record["warnings"]:
            _console.complain(f"{where}: note: [{notice['code']}] {notice['message']}")


def _summarise(settings: Settings, counts: Counter[tuple[str, str]], n_kept: int) -> None:
    rows: list[tuple[str, ...]] = [("method", "done", "unfit", "failed")]
    for method in settings.methods:
        numbers = [counts[method.name, status] for status in ("done", "unfit", "failed")]
        rows.append((method.name, *(str(number) if number else "" for number in numbers)))
    print(_console.table(rows))
    if n_kept:
        print(f"{n_kept} of {sum(counts.values())} were there already, of the same content and settings")
    folder = _console.printable(str(Path(settings.folder)))
    n_tracks = len(settings.tracks)
    print(f"{n_tracks} track{'' if n_tracks == 1 else 's'}; results: {folder}")


class _Bar:
    """How many records there are, on terminals."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def report(self, progress: Progress) -> None:
        """Show what is done."""
        if self._quiet or not sys.stderr.isatty():
            return
        total = progress.n_iterations
        if self._bar is None or self._bar.total != total:
            from tqdm import tqdm

            self.__exit__()
            form = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"
            self._bar = tqdm(total=total, dynamic_ncols=True, leave=False, bar_format=form)
        self._bar.set_postfix_str(_console.printable(progress.stage)[:40], refresh=False)
        self._bar.update(progress.iteration - self._bar.n)

    def clear(self) -> None:
        """Make room for a line."""
        if self._bar is not None:
            self._bar.clear()
