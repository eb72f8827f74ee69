"""The command line: ``dspsep song.mp3`` takes a song apart.

Whatever is registered appears here by itself: methods, their settings and their help come from the
classes.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import NoReturn

from dspsep._interrupts import Ended, orderly_end
from dspsep._version import __version__
from dspsep.cli import _bench, _cite, _compare, _console, _demo, _evaluate, _info, _list, _separate, _warmup
from dspsep.errors import DspsepError

__all__ = ["main"]

_COMMANDS = (_separate, _compare, _evaluate, _bench, _list, _info, _cite, _demo, _warmup)

_DESCRIPTION = (
    "Take audio apart into sources that sum to it. `dspsep song.mp3` is `dspsep separate song.mp3`."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name. By default those of the process.

    Returns
    -------
    int
        The exit status: 0 if everything worked, 1 if a file could not be separated or scored, 2 if the
        command makes no sense, 130 after Ctrl-C, 143 after the signal to terminate, 141 if nobody reads what
        is said.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the terminal cannot show must not end the work
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    typo = _typo(given)
    if typo:
        _console.complain(f"no command or file {given[0]!r}; did you mean `dspsep {typo}`?")
        return 2
    options = _options(parser, _with_command(given))
    if not hasattr(options, "run"):
        parser.print_help()
        return 0
    try:
        with orderly_end(), _console.notices(quiet=getattr(options, "quiet", False)):
            status: int = options.run(options)
    except DspsepError as error:
        _console.complain(str(error))
        return 2
    except Ended as end:
        _console.complain(end.word)
        return end.status
    except KeyboardInterrupt:  # from a handler of whoever called
        _console.complain("interrupted")
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        # What is left in the buffer would be written at the end, and fail again.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        _console.complain(str(error))
        return 1
    return status


class _Parser(argparse.ArgumentParser):
    commands: Mapping[str, argparse.ArgumentParser] = MappingProxyType({})

    def error(self, message: str) -> NoReturn:
        # Arguments may be names of files, which a shell put there for a `*`.
        super().error(_console.printable(message))


def _options(parser: _Parser, arguments: list[str]) -> argparse.Namespace:
    """Parse arguments; unknown ones are told by the command that does not know them."""
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        command = parser.commands.get(arguments[0], parser)
        names = [name for action in command._actions for name in action.option_strings]
        near = difflib.get_close_matches(unknown[0].partition("=")[0], names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        command.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    return options


def _parser() -> _Parser:
    parser = _Parser(prog="dspsep", description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"dspsep {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    parser.commands = commands.choices
    return parser


def _with_command(arguments: list[str]) -> list[str]:
    """Put ``separate`` before arguments that begin with no command: a file, or an option of its own."""
    if not arguments or arguments[0] in (*_names(), "-h", "--help", "--version"):
        return arguments
    return ["separate", *arguments]


def _typo(arguments: list[str]) -> str | None:
    """Return the command that a word which is neither command nor file was probably meant to be."""
    word = arguments[0] if arguments else ""
    if not word or word.startswith("-") or word in _names() or os.path.exists(word) or "." in word:  # noqa: PTH110
        return None
    return next(iter(difflib.get_close_matches(word, _names(), n=1, cutoff=0.75)), None)


def _names() -> list[str]:
    return [command.NAME for command in _COMMANDS]
