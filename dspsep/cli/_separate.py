"""``dspsep separate``: files in, one folder of stems per file out."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dspsep import _checks
from dspsep.cli import _console
from dspsep.cli._inputs import Track, tracks
from dspsep.cli._settings import chosen, two_stems
from dspsep.data import files
from dspsep.errors import DspsepError, InputError
from dspsep.separator import Separator

__all__ = ["NAME", "add_to"]

NAME = "separate"


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        NAME,
        help="take audio files apart",
        description="Take audio files apart: stems go to separated/METHOD/TRACK/SOURCE.wav.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE",
        help="audio: WAV, FLAC, OGG, Opus, MP3, AIFF …; or a folder, for all audio in it and below",
    )  # fmt: skip
    parser.add_argument("-m", "--method", help="see `dspsep list` (default: hpss)")
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME=VALUE",
        help="a setting of the method, see `dspsep info METHOD`; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--pipeline", metavar="FILE",
        help="the JSON of a separator or a pipeline, as to_json() writes it, in place of a method",
    )  # fmt: skip
    parser.add_argument(
        "--two-stems", metavar="SOURCE", help="only this source, and no_SOURCE, which is everything else"
    )
    parser.add_argument("-o", "--output", default="separated", metavar="FOLDER", help="default: separated")
    parser.add_argument(
        "-f", "--format", default="wav", choices=("wav", "flac", "ogg", "opus", "mp3"),
        help="wav is 32-bit floating point (default), flac 24-bit, the others lossy",
    )  # fmt: skip
    parser.add_argument("--offset", type=float, default=0.0, metavar="SECONDS", help="start here")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="take this much")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("--json", action="store_true", help="one JSON line per file instead of a table")
    parser.set_defaults(run=run)


@dataclass
class _Outcome:
    """What became of one file."""

    file: str
    folder: Path | None = None
    sources: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str | None = None


def run(options: argparse.Namespace) -> int:
    """Separate every file; a failed one is reported and the others go on."""
    name, separator = chosen(options.method, options.param, options.pipeline)
    if options.two_stems is not None:
        separator = two_stems(separator, options.two_stems)
    _checks.number("--offset", options.offset, minimum=0)
    if options.duration is not None:
        _checks.number("--duration", options.duration, minimum=0, above=True)
    folder = _writable(Path(options.output) / name)
    outcomes: list[_Outcome] = []
    todo = tracks(options.files)
    with _console.Bar(len(todo), quiet=options.quiet or options.json) as bar:
        for track in todo:
            bar.begin(Path(track.file).name)
            outcome = _one(track, folder, separator, options, bar)
            outcomes.append(outcome)
            bar.done()
            if options.json:
                print(_as_json(outcome), flush=True)
            elif outcome.error:
                _console.complain(f"{track.file}: {outcome.error}")
    failed = sum(outcome.error is not None for outcome in outcomes)
    if not options.quiet and not options.json:
        _summarise(outcomes, failed)
    return 1 if failed else 0


def _writable(folder: Path) -> Path:
    """Make the output folder before any work, or say why it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
        reason = "which may not be written to"
    except OSError as error:
        writable, reason = False, error.strerror or str(error)
    if not writable:
        raise InputError("--output", "a folder that can be written to", f"{str(folder)!r}: {reason}")
    return folder


def _one(
    track: Track, folder: Path, separator: Separator, options: argparse.Namespace, bar: _console.Bar
) -> _Outcome:
    if track.problem is not None:
        return _Outcome(track.file, error=track.problem)
    try:
        saved = files.separate_file(
            track.file, folder / track.name, separator, format=options.format, offset=options.offset,
            duration=options.duration, callback=bar,
        )  # fmt: skip
    except (DspsepError, OSError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        return _Outcome(track.file, error=reason)
    return _Outcome(track.file, folder / track.name, tuple(saved.paths), saved.duration)


def _as_json(outcome: _Outcome) -> str:
    return json.dumps(
        {
            "file": outcome.file,
            "folder": None if outcome.folder is None else str(outcome.folder),
            "sources": list(outcome.sources),
            "seconds": round(outcome.seconds, 3),
            "error": outcome.error,
        }
    )


def _summarise(outcomes: list[_Outcome], failed: int) -> None:
    done = [outcome for outcome in outcomes if outcome.error is None]
    if done:
        rows = [("file", "length", "sources", "folder")]
        rows += [
            (
                _console.printable(outcome.file),
                f"{outcome.seconds:.1f} s",
                ", ".join(outcome.sources),
                _console.printable(str(outcome.folder)),
            )
            for outcome in done
        ]
        print(_console.table(rows))
    if failed:
        print(f"{failed} of {len(outcomes)} failed", file=sys.stderr)
