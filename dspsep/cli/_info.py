"""``dspsep info METHOD``: what a method does and its settings, read from its class."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from typing import Any

from dspsep import _registry
from dspsep.cli._list import channels_of
from dspsep.cli._settings import fields_of, inner_separators

__all__ = ["NAME", "add_to"]

NAME = "info"


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(NAME, help="explain a method and its settings")
    parser.add_argument("method", metavar="METHOD", help="see `dspsep list`")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print what a method is, its settings with their defaults, and its reference."""
    name = _registry.find_method(options.method)
    method = _registry.METHODS[name]
    kind = _registry.load(method.target)
    sections = _sections(inspect.getdoc(kind) or "")
    names = kind().source_names if _has_defaults(kind) else method.source_names
    print(f"{name}: {sections['summary']}\n")
    print(f"Channels: {channels_of(method)}")
    print(f"Sources: {'depend on the audio' if names is None else ', '.join(names)}\n")
    print("Settings, each given as --param NAME=VALUE:\n")
    print(sections.get("Parameters", "none"))
    if "stft" in [field.name for field in fields_of(kind)]:
        print(
            "\nThe transform is set by its own parts, for example --param n_fft=4096 --param hop_length=1024."
        )
    for inner, default in inner_separators(kind).items():
        print(
            f"\nThe settings of {inner} are given with its name, for example --param {inner}.n_fft=4096; "
            f"it is {default!r}."
        )
    if "References" in sections:
        print(f"\nReferences:\n\n{sections['References']}")
    return 0


def _has_defaults(kind: Any) -> bool:
    missing = dataclasses.MISSING
    return all(
        field.default is not missing or field.default_factory is not missing for field in fields_of(kind)
    )


def _sections(doc: str) -> dict[str, str]:
    """Cut a numpydoc docstring into its sections; what precedes the first is the summary."""
    sections: dict[str, list[str]] = {"summary": []}
    current = "summary"
    lines = doc.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if following and set(following) == {"-"} and len(following) == len(line):
            current = line
            sections[current] = []
        elif not (line and set(line) == {"-"}):
            sections[current].append(line)
    return {name: "\n".join(content).strip() for name, content in sections.items()}
