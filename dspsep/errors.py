"""The errors and warnings of dspsep.

Every error about an argument follows one grammar: "*name* must be *requirement*; got *value*. *remedy*."
so that a reader learns what was wrong, what was seen, and what to do, in that order.
"""

from __future__ import annotations

import warnings

__all__ = ["BackendError", "DspsepError", "DspsepWarning", "InputError"]


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
    warnings.warn(DspsepWarning(code, message), stacklevel=stacklevel)
