"""Load every file of a folder and tell what came of it: ``fuzz_worker.py FOLDER [isolate]``, in JSON lines.

It is run as a process of its own, so that a crash of a decoder ends it and not the tests. What it says last
is then the file at which that happened.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np

from dspsep import DspsepWarning, InputError, load


def outcome(path: Path, isolate: bool) -> str:
    """Return "read", an error of dspsep in its words, or what should not have happened."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DspsepWarning)
        try:
            samples, rate = load(path, isolate=isolate)
        except InputError as error:
            return f"refused: {error}" if str(error).isprintable() else f"surprise: {str(error)!r}"
        except Exception as error:
            return f"surprise: {error!r}"
    fine = samples.dtype == np.float32 and samples.size and np.isfinite(samples).all() and 0 < rate <= 768_000
    return "read" if fine else f"surprise: {samples.dtype}, {samples.shape}, {rate} Hz, or not finite"


def main(folder: str, *options: str) -> None:
    """Report on every file, before and after it is touched."""
    for path in sorted(Path(folder).iterdir()):
        print(json.dumps(path.name), flush=True)  # noqa: T201
        print(json.dumps([path.name, outcome(path, "isolate" in options)]), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
