"""The errors and warnings of dspsep.

Every error about an argument follows one grammar: "*name* must be *requirement*; got *value*. *remedy*."
so that a reader learns what was wrong, what was seen, and what to do, in that order.
"""

from __future__ import annotations

import sys
import warnings

__all__ = ["BackendError", "DeviceMemoryError", "DspsepError", "DspsepWarning", "InputError"]


class DspsepError(Exception):
    """Base class of every error that dspsep raises on purpose.

    Examples
    --------
    >>> import dspsep
    >>> try:
    ...     dspsep.HPSS(margin=0)
    ... except dspsep.DspsepError as error:
    ...     print(type(error).__name__)
    InputError
    """


class InputError(DspsepError, ValueError):
    """An argument that cannot be used, raised before any heavy work.

    Parameters
    ----------
    name : str
        The argument at fault.
    requirement : str
        What it must be, completing the sentence "*name* must be …".
    got : object
        What was seen, in few words: a shape, a type, a value.
    remedy : str, default=""
        What to do about it: one or two complete sentences.

    Examples
    --------
    >>> from dspsep import InputError
    >>> print(InputError("margin", "at least 1", 0.5, "Use margin=1 for a plain separation."))
    margin must be at least 1; got 0.5. Use margin=1 for a plain separation.
    """

    def __init__(self, name: str, requirement: str, got: object, remedy: str = "") -> None:
        super().__init__(name, requirement, got, remedy)
        self.name = name
        self.requirement = requirement
        self.got = got
        self.remedy = remedy

    def __str__(self) -> str:
        sentence = f"{self.name} must be {self.requirement}; got {self.got}."
        return f"{sentence} {self.remedy}" if self.remedy else sentence


class BackendError(DspsepError, RuntimeError):
    """Arrays that live in different places, or in a place dspsep does not work in.

    Examples
    --------
    >>> from dspsep import BackendError, DspsepError
    >>> issubclass(BackendError, DspsepError), issubclass(BackendError, RuntimeError)
    (True, True)
    """


class DeviceMemoryError(BackendError):
    """A device has too little memory for the work, also in blocks where that can be.

    CuPy's own error is its `__cause__`. What was held for the work has been given back when it is raised.

    Parameters
    ----------
    message : str
        What was asked for, what is free, and what to do.
    n_bytes_asked : int, optional
        The request that could not be met, where CuPy told.
    n_bytes_free : int, optional
        What is free on the device now.

    Examples
    --------
    >>> from dspsep import BackendError, DeviceMemoryError
    >>> issubclass(DeviceMemoryError, BackendError)
    True
    """

    def __init__(
        self, message: str, *, n_bytes_asked: int | None = None, n_bytes_free: int | None = None
    ) -> None:
        super().__init__(message)
        self.n_bytes_asked = n_bytes_asked
        self.n_bytes_free = n_bytes_free


class DspsepWarning(UserWarning):
    r"""A result that is finite and usable, but that the user should know about.

    Parameters
    ----------
    code : str
        A stable name of the situation, for example ``"W_TOO_SHORT"``.
    message : str
        What was seen and what was done about it.

    Examples
    --------
    Turn one situation into an error, and leave the others as they are:

    >>> import warnings
    >>> from dspsep import DspsepWarning
    >>> warnings.filterwarnings("error", message=r"\[W_RANK\]", category=DspsepWarning)
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"


def warn(code: str, message: str, *, stacklevel: int = 3) -> None:
    """Issue one coded `DspsepWarning`."""
    warnings.warn(DspsepWarning(code, message), stacklevel=_beyond_guards(stacklevel))


def _beyond_guards(stacklevel: int) -> int:
    """Return the level of a frame above `warn`, those of `dspsep._guard` not being counted."""
    frame, level, counted = sys._getframe(1), 1, 1
    while counted < stacklevel and frame.f_back is not None:
        frame = frame.f_back
        level += 1
        counted += frame.f_globals.get("__name__") != "dspsep._guard"
    return level
