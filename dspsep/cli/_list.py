"""``dspsep list``: the methods there are, read from the registry."""

from __future__ import annotations

import argparse
from typing import Any

from dspsep import _registry
from dspsep.cli import _console

__all__ = ["NAME", "add_to", "channels_of"]

NAME = "list"


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    commands.add_parser(NAME, help="list the methods").set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print a line for every method."""
    rows = [("method", "channels", "sources", "what it does")]
    for name, method in _registry.METHODS.items():
        sources = "depend on the audio" if method.source_names is None else ", ".join(method.source_names)
        rows.append((name.lower(), channels_of(method), sources, method.summary))
    print(_console.table(rows))
    return 0


def channels_of(method: _registry.Method) -> str:
    """Return in words how many channels a method takes."""
    if method.max_channels is None:
        return "any" if method.min_channels == 1 else f"{method.min_channels} or more"
    if method.max_channels == method.min_channels:
        return str(method.min_channels)
    return f"{method.min_channels} to {method.max_channels}"
