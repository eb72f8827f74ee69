"""``dspsep evaluate``: references and estimates in, a table of scores out."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["NAME", "PROTOCOLS", "add_to"]

NAME = "evaluate"

#: By name, since importing what they are would be felt by every other command.
PROTOCOLS = ("bss_eval_v4", "bss_eval_v3_images", "bss_eval_v3_sources", "scale_invariant", "mdx", "mirex")

_FORMATS = ("text", "markdown", "latex", "csv", "json")


def add_to(commands: Any) -> None:
    """Add the command to a parser."""
    parser = commands.add_parser(
        NAME,
        help="score estimates against references",
        description="Score the audio files of one folder against those of another. Both hold the files of one"
        " track, or folders of tracks at any depth; names tell what belongs together, whatever the"
        " extensions. A reference called mixture or mix is no source, an estimate called residual is not"
        " scored, and what is no audio is passed over.",
    )
    parser.add_argument("references", metavar="REFERENCE_DIR", help="the true sources")
    parser.add_argument("estimates", metavar="ESTIMATE_DIR", help="what a method made of the mixture")
    _add_settings(parser)
    _add_outputs(parser)
    parser.add_argument(
        "-j", "--jobs", type=int, default=1, metavar="N",
        help="tracks at a time, each in a process of its own (default: 1); the scores are the same",
    )  # fmt: skip
    parser.add_argument(
        "--isolate", action="store_true",
        help="decode in a process that may use little and write nothing: for files of unknown origin",
    )  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but scores and errors")
    parser.set_defaults(run=run)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """Add what scores depend on."""
    parser.add_argument(
        "--protocol",
        default="bss_eval_v4",
        metavar="NAME",
        help=f"{', '.join(PROTOCOLS)} (default: {PROTOCOLS[0]})",
    )
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME=VALUE",
        help="a setting of the protocol, such as window_seconds=2 or silence=strict; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--sources", metavar="NAMES",
        help="score these references alone, as in vocals,drums: scores depend on the set, which is stored",
    )  # fmt: skip
    parser.add_argument(
        "--map", action="append", default=[], metavar="REFERENCE=ESTIMATE",
        help="the name of an estimate where it differs, as in vocals=voice, or those that add up to it, as in"
        " accompaniment=harmonic+percussive; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--permutation", action="store_true",
        help="match each reference with the estimate that serves it best: for blind methods only",
    )  # fmt: skip
    parser.add_argument(
        "--pad", action="store_true", help="cut or fill up estimates to the length of the references"
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    """Add where scores go."""
    parser.add_argument(
        "-f", "--format", default="text", choices=_FORMATS, help="of what is printed (default: text)"
    )
    parser.add_argument("--json", metavar="FILE", help="everything, exact: for Scores.from_json")
    parser.add_argument("--csv", metavar="FILE", help="a row for each track, source, metric and window")
    parser.add_argument(
        "--museval", metavar="FOLDER", help="a JSON file for each track, as museval writes it"
    )
    parser.add_argument(
        "--overwrite", action="store_true",
        help="replace files of these names, and through a link the file that it points to",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Score every track; a failed one is reported and the others go on."""
    from dspsep.cli._evaluation import evaluated

    return evaluated(options)
