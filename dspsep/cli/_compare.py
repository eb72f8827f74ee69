"""``dspsep compare``: several methods on one recording, on one page."""

from __future__ import annotations

import argparse
from typing import Any

from dspsep.cli._reports import add_parts

__all__ = ["NAME", "add_to"]

NAME = "compare"


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        NAME,
        help="hear and see what several methods make of one recording",
        description="Separate one recording by several methods, and write one HTML file to hear and see them"
        " in turn, with scores if the true sources are known. For many recordings, and for what is more than"
        " chance, there is `dspsep bench`.",
    )
    parser.add_argument("file", metavar="FILE", help="audio")
    parser.add_argument(
        "-m", "--methods", nargs="+", action="extend", metavar="METHOD", default=[],
        help="names as of `dspsep list`, separators as in Python, 'HPSS(margin=2)', or either with a name of"
        " its own, 'hard=HPSS(margin=2)'; after FILE",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--report", default="comparison.html", metavar="PAGE", help="default: comparison.html"
    )
    parser.add_argument(
        "--references", metavar="FOLDER", help="with the true sources: files named as the sources are"
    )
    add_parts(parser, several=True)
    parser.add_argument("--offset", type=float, default=0.0, metavar="SECONDS", help="start here")
    parser.add_argument("--duration", type=float, metavar="SECONDS", help="take this much")
    parser.add_argument(
        "--isolate", action="store_true",
        help="decode in a process that may use little and write nothing: for files of unknown origin",
    )  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write a page; a method that fails is reported, and the others go on."""
    from dspsep.cli._comparison import compared

    return compared(options)
