"""Signals that ask a process to end become an exception, which tidies up on its way out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

__all__ = ["Ended", "orderly_end"]

_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "the terminal is gone"}


class Ended(KeyboardInterrupt):
    """A signal asked for the end. Whoever takes care of `KeyboardInterrupt` takes care of it.

    Being a class of its own also keeps the exit status: CPython ends by the signal itself if it has seen a
    plain `KeyboardInterrupt` leave code that is executed from a string, as classes are made of dataclasses.

    Parameters
    ----------
    number : int
        Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.word = _WORDS[signal.Signals(number).name]
        self.status = 128 + number


@contextmanager
def orderly_end() -> Iterator[None]:
    """Raise `Ended` for signals that would end the process, and leave those alone that somebody handles."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in _WORDS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) in (
                signal.SIG_DFL,
                signal.default_int_handler,
            ):
                before[number] = signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, *_: object) -> NoReturn:
    raise Ended(number)
