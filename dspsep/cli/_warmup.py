"""``dspsep warmup``: compile the kernels now, so that later processes load them."""

from __future__ import annotations

import argparse
from typing import Any

from dspsep.cli import _console

__all__ = ["NAME", "add_to"]

NAME = "warmup"


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        NAME,
        help="compile everything now, so that the first run is as fast as the others",
        description="Compile all kernels in both precisions, and keep them in numba's cache on the disk.",
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Compile, and say what was done and where it is kept."""
    from dspsep._warmup import warmup

    report = warmup()
    if not (report.n_compiled + report.n_loaded or report.folders):
        print("Nothing to do: without numba, or with DSPSEP_KERNELS=generic, nothing is compiled.")
        return 0
    print(
        f"{report.n_compiled} kernels compiled, {report.n_loaded} found in the cache,"
        f" in {report.seconds:.1f} s."
    )
    for folder in report.folders:
        print(f"Cache: {_console.printable(str(folder))}")
    if not report.folders:
        print("They cannot be kept: set NUMBA_CACHE_DIR to a folder that can be written to.")
    return 0
