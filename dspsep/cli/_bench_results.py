"""``dspsep bench table``, ``compare`` and ``plot``: what is made of a results folder.

Each takes the parser of the command, adds its arguments to it, and is its own `run`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dspsep.errors import InputError

__all__ = ["add_compare", "add_plot", "add_table", "compare", "plot", "table"]

_FORMATS = ("text", "markdown", "latex", "csv")

_PICTURES = ("scores", "pairs", "times")


def add_table(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``dspsep bench table`` to its parser."""
    _add_folder(parser)
    _add_choices(parser, "--metric", "metrics", "metrics, in their order (default: all)")
    _add_choices(parser, "--source", "sources", "sources, in their order (default: all)")
    _add_choices(parser, "--method", "methods", "methods (default: all)")
    parser.add_argument("--gain", action="store_true", help="show what is gained over the mixture")
    parser.add_argument(
        "--common", action="store_true", help="use only the tracks that all methods with scores have"
    )
    parser.add_argument(
        "--over", choices=("median", "mean", "weighted mean"),
        help="how tracks become one number (default: as the protocol says)",
    )  # fmt: skip
    _add_format(parser)
    parser.set_defaults(run=table)


def table(options: argparse.Namespace) -> int:
    """Print the table of a benchmark, one for each set of sources."""
    from dspsep.bench.tables import table as made

    for results in _results(options):
        found = made(
            results, metrics=_names(options.metrics), sources=_names(options.sources),
            methods=_names(options.methods), gain=options.gain, common=options.common, over=options.over,
        )  # fmt: skip
        _print(found, options.format)
    return 0


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``dspsep bench compare`` to its parser."""
    _add_folder(parser)
    parser.add_argument(
        "--against", metavar="METHOD", help="what all are compared with (default: the mixture)"
    )
    _add_choices(parser, "--metric", "metrics", "metrics (default: the first)")
    _add_choices(parser, "--source", "sources", "sources (default: all)")
    _add_choices(parser, "--method", "methods", "methods (default: all with scores but oracles)")
    parser.add_argument(
        "--statistic",
        choices=("median", "mean"),
        default="median",
        help="of the differences (default: median)",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="C", help="of the intervals (default: 0.95)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    _add_format(parser)
    parser.set_defaults(run=compare)


def compare(options: argparse.Namespace) -> int:
    """Print comparisons, a table for each source and metric."""
    from dspsep.bench.statistics import comparable, compare_all

    sets = _results(options)
    if options.methods is None:  # not all sets need have what can be compared
        sets = [results for results in sets if comparable(results, options.against)] or sets
    for results in sets:
        for source in _names(options.sources) or results.sources:
            for metric in _names(options.metrics) or results.metrics[:1]:
                found = compare_all(
                    results, options.against, metric=metric, source=source, methods=_names(options.methods),
                    statistic=options.statistic, confidence=options.confidence, seed=options.seed,
                )  # fmt: skip
                _print(found, options.format)
    return 0


def add_plot(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``dspsep bench plot`` to its parser."""
    _add_folder(parser)
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="a picture: .pdf, .png or .svg")
    parser.add_argument(
        "--kind", choices=_PICTURES, default="scores",
        help="scores: distributions over tracks; pairs: two methods; times: score against time",
    )  # fmt: skip
    parser.add_argument("--metric", metavar="NAME", help="default: the first")
    parser.add_argument(
        "--source", dest="sources", type=lambda name: [name], metavar="NAME", help="default: the first"
    )
    _add_choices(parser, "--method", "methods", "methods (default: all); two for pairs")
    parser.set_defaults(run=plot)


def plot(options: argparse.Namespace) -> int:
    """Write a picture."""
    from dspsep.bench import plots

    target = Path(options.output)
    if target.suffix.lower() not in (".pdf", ".png", ".svg"):
        raise InputError("--output", "a file that ends with .pdf, .png or .svg", repr(options.output))
    results = _results(options)[0]
    (source,) = options.sources or results.sources[:1]
    what = {"metric": options.metric or results.metrics[0], "source": source}
    methods = _names(options.methods)
    if options.kind == "pairs":
        if methods is None or len(methods) != 2:
            raise InputError("--method", "two methods for pairs", options.methods, "--method REPETSim,REPET")
        ax = plots.plot_pairs(results, methods[0], methods[1], **what)
    else:
        draw = plots.plot_scores if options.kind == "scores" else plots.plot_times
        ax = draw(results, methods=methods, **what)
    figure: Any = ax.figure
    figure.savefig(target, dpi=150)
    print(f"Wrote {target}.")
    return 0


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", metavar="RESULTS", help="what `dspsep bench run -o` wrote to")


def _add_choices(parser: argparse.ArgumentParser, option: str, dest: str, text: str) -> None:
    parser.add_argument(
        option, dest=dest, action="append", metavar="NAMES", help=f"{text}; with commas between, or repeated"
    )


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--format", default="text", choices=_FORMATS, help="default: text")


def _results(options: argparse.Namespace) -> list[Any]:
    """Return the results of a folder, for each set of sources by themselves; tell what is not there."""
    from dspsep.bench.results import BenchmarkResults
    from dspsep.cli import _console

    results = BenchmarkResults.load(options.results)
    asked = len(results.methods) * len(results.tracks)
    for records, one, many in (
        (results.failed, "failed", "failed"), (results.unfit, "is not possible", "are not possible"),
        (results.missing, "is not done yet", "are not done yet"),
    ):  # fmt: skip
        if records:
            what = one if len(records) == 1 else many
            _console.complain(f"note: of {asked} separations {len(records)} {what}")
    if results.n_others:
        what = "record is" if results.n_others == 1 else "records are"
        _console.complain(f"note: {results.n_others} {what} of other methods or tracks, and not used")
    if not results.done:
        remedy = f"The files in {str(Path(options.results) / 'records')!r} say why, if there are any."
        raise InputError("results", "at least one track that was scored", "none", remedy)
    wanted = set(_names(options.sources) or ())
    sets = results.source_sets
    sets = tuple(names for names in sets if wanted <= set(names)) or sets
    return [results.with_sources(names) for names in sets] if len(results.source_sets) > 1 else [results]


def _names(given: list[str] | None) -> list[str] | None:
    """Return names that were given with commas between, or with several options."""
    return None if given is None else [name.strip() for one in given for name in one.split(",")]


def _print(found: Any, form: str) -> None:
    print(f"{found}\n" if form == "text" else getattr(found, f"to_{form}")())
