"""``dspsep bench``: methods on tracks, and what became of them."""

from __future__ import annotations

import argparse
from typing import Any

from dspsep.cli import _bench_results
from dspsep.cli._evaluate import PROTOCOLS

__all__ = ["NAME", "add_to"]

NAME = "bench"


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        NAME,
        help="compare methods on tracks with true sources",
        description="Separate tracks by methods, score what they make of them, and keep a record of each"
        " combination in a folder. What is interrupted, or killed, goes on where it was.",
    )
    parser.set_defaults(run=lambda _: _help(parser))
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    _add_run(actions)
    for name, add, words in (
        ("table", _bench_results.add_table, "methods by metrics, for a paper"),
        ("compare", _bench_results.add_compare, "whether methods differ by more than chance"),
        ("plot", _bench_results.add_plot, "a picture of scores"),
    ):
        add(actions.add_parser(name, help=words, description=f"Make of a folder of results: {words}."))


def _help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 0


def _add_run(actions: Any) -> None:
    parser = actions.add_parser(
        "run",
        help="separate, score, and keep records",
        description="Separate tracks by methods and score the results. What is in the folder of results"
        " already, of the same content and settings, is kept; what failed is tried again; records of other"
        " settings are replaced.",
    )
    parser.add_argument(
        "tracks", nargs="+", metavar="FOLDER",
        help="of tracks: folders of stems, one for each track, at any depth; a folder of stems is one track",
    )  # fmt: skip
    parser.add_argument(
        "-m", "--methods", default="all", metavar="METHODS",
        help="names with commas between them: those of `dspsep list`, IBM, IRM, IWM, MWF and PSM (made of the"
        ' true sources), mixture; files of JSON with named methods, as in {"short": {"type": "HPSS"}};'
        " or all (default)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="the folder of results")
    _add_tracks(parser)
    _add_scores(parser)
    _add_workers(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    parser.set_defaults(run=run)


def _add_tracks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dataset", choices=("stems", "musdb18"), default="stems", help="how folders are laid out"
    )
    parser.add_argument(
        "--pattern", metavar="PATTERN", help="where files are, as in {track}/{source}.wav (see the docs)"
    )
    parser.add_argument("--subset", choices=("train", "test"), help="of musdb18")
    parser.add_argument(
        "--group", action="append", default=[], metavar="NAME=A+B",
        help="sum sources, as in accompaniment=drums+bass+other; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--sources", metavar="NAMES",
        help="score these alone, as in vocals,drums: scores depend on the set, which is stored",
    )  # fmt: skip
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="begin tracks here")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="take this much of each")


def _add_scores(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--protocol", default=PROTOCOLS[0], metavar="NAME",
        help=f"{', '.join(PROTOCOLS)} (default: {PROTOCOLS[0]})",
    )  # fmt: skip
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME=VALUE",
        help="a setting of the protocol, such as window_seconds=2; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--baselines", metavar="NAMES",
        help="rows beside the methods (default: mixture,IBM,IRM,MWF); none for none",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=int, metavar="N",
        help="derive one for each track and method from this (default: methods have their own)",
    )  # fmt: skip


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-j", "--jobs", type=int, default=1, metavar="N",
        help="processes, each of one thread (default: 1; -1: one for each processor); results are the same",
    )  # fmt: skip
    parser.add_argument(
        "--cluster", metavar="ADDRESS",
        help="let the workers of a Dask scheduler work, as in tcp://host:8786; needs dspsep[dask]",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Make a folder of results; a track that fails is reported, and the others go on."""
    from dspsep.cli._benchmark import benchmarked

    return benchmarked(options)
