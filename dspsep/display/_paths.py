"""Where a page can be written to, known before the work that it takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dspsep.errors import InputError

__all__ = ["check_path"]


def check_path(path: Any) -> Path:
    """Return a path that a page can be written to, as far as that can be known before."""
    try:
        file = Path(os.fsdecode(path))
    except TypeError:
        raise InputError("path", "the path of a file", type(path).__name__) from None
    requirement = "a file that can be written to"
    try:
        if "\0" in str(file):
            raise InputError("path", requirement, f"{str(file)!r}, which no system has")
        if not file.name or file.is_dir():
            raise InputError("path", "the name of a file", f"the folder {str(file)!r}")
        folder = file.absolute().parent
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        if not folder.is_dir():
            raise InputError("path", requirement, f"{str(file)!r}: {str(folder)!r} is no folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InputError("path", requirement, f"{str(file)!r}: {str(folder)!r} may not be written to")
        if file.exists() and not file.is_file():
            raise InputError("path", requirement, f"{str(file)!r}, a pipe or device")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, InputError):
            raise
        raise InputError("path", requirement, f"{str(file)!r}: {reason}") from None
    return file
