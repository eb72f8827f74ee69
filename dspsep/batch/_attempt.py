"""What one track meets, whatever it is, as a sentence: it is not the end of the others."""

from __future__ import annotations

import errno
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from dspsep._version import __version__
from dspsep.errors import DeviceMemoryError, DspsepError, DspsepWarning

__all__ = ["Attempt", "attempt"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Attempt(Generic[T]):
    """A result, or the error that is there in its place.

    Parameters
    ----------
    result : object, optional
        What came back.
    error : str, optional
        Why nothing did.
    out_of_memory : bool
        Whether that was for lack of memory, which there may be more of when less is done at a time.
    notices : tuple of str
        What dspsep warned of meanwhile.
    """

    result: T | None = None
    error: str | None = None
    out_of_memory: bool = False
    notices: tuple[str, ...] = ()


def attempt(function: Callable[[], T]) -> Attempt[T]:
    """Call a function; never raise but for signals. Warnings of others are passed on."""
    result: T | None = None
    error: str | None = None
    out_of_memory = False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DspsepWarning)
        try:
            result = function()
        except MemoryError as lack:
            error = f"{str(lack) or 'there is not enough memory'}."
            out_of_memory = True
        except DeviceMemoryError as lack:
            error = str(lack)
            out_of_memory = True
        except DspsepError as refusal:
            error = str(refusal)
        except OSError as trouble:
            error = _trouble(trouble)
        except Exception as defect:  # noqa: BLE001 - a defect that one track meets is not the end of the others
            error = _defect(defect)
    notices = []
    for warning in caught:
        if issubclass(warning.category, DspsepWarning):
            notices.append(str(warning.message))
        else:
            warnings.showwarning(warning.message, warning.category, warning.filename, warning.lineno)
    unique = tuple(dict.fromkeys(notices))
    return Attempt(result=result, error=error, out_of_memory=out_of_memory, notices=unique)


def _trouble(error: OSError) -> str:
    """Say what the system said, and what to do where that is known."""
    said = error.strerror or str(error) or type(error).__name__
    where = f": {error.filename!r}" if error.filename else ""
    full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
    return f"{said}{where}." + (" Is the disk full? Nothing was left behind." if full else "")


def _defect(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__} in {Path(last.filename).name}, line {last.lineno}: {error}"
    return f"{what}. That is a defect of dspsep {__version__}: please report it."
