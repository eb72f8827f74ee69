"""``dspsep cite METHOD``: BibTeX of what was used, or a paragraph about it."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["NAME", "add_to"]

NAME = "cite"


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        NAME,
        help="BibTeX of methods, or of the results of a benchmark",
        description="Print BibTeX of dspsep and of the papers of methods, oracles, refiners, protocols, or of"
        " all that is in a folder of results; or a paragraph about them for the methods section of a paper.",
    )
    parser.add_argument(
        "subjects", nargs="*", metavar="METHOD", help="see `dspsep list`; or a folder of results"
    )
    parser.add_argument(
        "--describe", action="store_true", help="print a paragraph for a methods section instead"
    )
    parser.add_argument("--latex", action="store_true", help="write the paragraph in LaTeX, with \\cite")
    parser.add_argument(
        "--every", action="store_true", help="write out settings that have their default values, too"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print BibTeX or a paragraph."""
    from dspsep.citations import cite
    from dspsep.cli._console import printable
    from dspsep.descriptions import describe

    if options.describe or options.latex or options.every:
        print(printable(describe(*options.subjects, every=options.every, for_latex=options.latex)))
    else:
        print("\n".join(map(printable, cite(*options.subjects).splitlines())))
    return 0
