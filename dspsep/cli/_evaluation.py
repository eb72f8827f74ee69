"""What ``dspsep evaluate`` does, apart from its arguments, so that other commands need not import it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing

from dspsep import _checks
from dspsep.batch._folders import listed, track_folders
from dspsep.batch._pairing import Pairing
from dspsep.batch._scoring import Evaluation, settings_of
from dspsep.batch.evaluation import joined, outcomes, prepared
from dspsep.cli import _console
from dspsep.cli._evaluate import PROTOCOLS
from dspsep.cli._score_files import Targets
from dspsep.cli._settings import given_settings, value_of
from dspsep.data import _isolated
from dspsep.errors import InputError
from dspsep.metrics.evaluation import protocol_named
from dspsep.metrics.protocols import Protocol
from dspsep.metrics.results import Scores

__all__ = ["evaluated"]


def evaluated(options: argparse.Namespace) -> int:
    """Score every track; a failed one is reported and the others go on."""
    if options.permutation and options.map:
        raise InputError("--map", "left out with --permutation", options.map[0], "It is one or the other.")
    protocol = _protocol(options.protocol, options.param)
    _checks.integer("--jobs", options.jobs, minimum=1)
    if options.isolate and not _isolated.limited():
        raise InputError("--isolate", "left out on this system", "it", "It cannot limit what a process uses.")
    job, pairing = prepared(
        options.references, options.estimates, protocol, sources=_listed(options.sources),
        mapping=_mapping(options) or None, permutation=options.permutation, pad=options.pad,
        isolate=options.isolate,
    )  # fmt: skip
    targets = Targets(options.json, options.csv, options.museval, options.overwrite)
    targets.check(pairing.names, (file for track in pairing.tracks for file in track.files()))
    scores = _scores(job, pairing, options)
    troubles = []
    if scores is not None:
        try:
            print(_shown(scores, options.format))
        except InputError as error:  # too many windows for one text of JSON: files may hold them
            troubles.append(f"nothing can be printed as {options.format}: {error}")
    _tell_the_rest(scores, pairing, options)
    if scores is not None:
        troubles += targets.write(scores)
    for trouble in troubles:
        _console.complain(trouble)
    return 0 if scores is not None and scores.n_tracks == len(pairing.names) and not troubles else 1


def _protocol(name: str, parameters: Sequence[str]) -> Protocol:
    protocol = protocol_named(_checks.choice("--protocol", name, PROTOCOLS))
    # The version is the protocol's name.
    known = [setting for setting in settings_of(protocol) if setting != "version"]
    settings = {}
    for setting, text in given_settings(parameters).items():
        if setting not in known:
            there = f"one of {', '.join(known)}" if known else "left out, since there are none,"
            raise InputError("--param", f"{there} for {name}", repr(setting))
        settings[setting] = value_of(text)
    return protocol.replace(**settings)


def _listed(names: str | None) -> list[str] | None:
    if names is None:
        return None
    found = [name.strip() for name in names.split(",")]
    if len(set(found)) < len(found) or not all(found):
        raise InputError("--sources", "different names with commas between them", repr(names))
    return found


def _mapping(options: argparse.Namespace) -> dict[str, str | Sequence[str]]:
    """Return the estimates of references; a plus sign adds, unless it is in the name of a file."""
    mapping: dict[str, str | Sequence[str]] = {}
    names: set[str] = set()
    if any("+" in pair for pair in options.map):
        folders = track_folders("estimate_dir", options.estimates, options.references)
        names = {name for folder in folders.values() for name in folder.files}
    for pair in options.map:
        reference, equals, estimate = pair.partition("=")
        if not (reference and equals and estimate):
            raise InputError("--map", "REFERENCE=ESTIMATE", repr(pair), "For example --map vocals=voice.")
        if reference in mapping:
            raise InputError("--map", "one estimate for each reference", f"another for {reference!r}")
        parts = estimate.split("+")
        whole = estimate in names or len(parts) == 1 or not all(parts)
        mapping[reference] = estimate if whole else parts
    return mapping


def _scores(job: Evaluation, pairing: Pairing, options: argparse.Namespace) -> Scores | None:
    """Score what can be scored, and tell of the rest as it goes."""
    for track in sorted(pairing.failures):
        _console.complain(f"{track}: {pairing.failures[track]}")
    found: dict[str, Scores] = {}
    bar = _console.Bar(len(pairing.tracks), quiet=options.quiet)
    results = outcomes(
        job, pairing, options.jobs,
        begin=lambda files: bar.begin(files.track), report=lambda files, now: bar.report(files.track, now),
    )  # fmt: skip
    try:
        with bar, closing(results):
            for files, outcome in results:
                bar.done(files.track)
                bar.clear()
                for notice in () if options.quiet else outcome.notices:
                    _console.complain(f"{files.track}: note: {notice}")
                if outcome.scores is None:
                    _console.complain(f"{files.track}: {outcome.error}")
                else:
                    found[files.track] = outcome.scores
    except KeyboardInterrupt:
        if not options.quiet:
            _console.complain(f"{len(found)} of {len(pairing.names)} were scored; nothing was written")
        raise
    return joined(found)


def _shown(scores: Scores, form: str) -> str:
    if form == "text":
        return str(scores)
    shown = {
        "markdown": scores.to_markdown, "latex": scores.to_latex, "csv": scores.to_csv, "json": scores.to_json
    }  # fmt: skip
    return str(shown[form]()).rstrip("\n")


def _tell_the_rest(scores: Scores | None, pairing: Pairing, options: argparse.Namespace) -> None:
    if pairing.ignored and not options.quiet:
        # What programs read stays free of it.
        stream = sys.stdout if options.format == "text" and scores is not None else sys.stderr
        print(f"Not scored: {'; '.join(pairing.ignored)}", file=stream)  # names in it are quoted
    scored = set() if scores is None else {track.track for track in scores.tracks}
    failed = [name for name in pairing.names if name not in scored]
    if failed and scored and options.format == "text":  # a table that is kept must not look like that of all
        print(f"{len(scored)} of {len(pairing.names)} tracks; failed: {listed(failed)}")
    if failed:
        print(f"{len(failed)} of {len(pairing.names)} failed", file=sys.stderr)
