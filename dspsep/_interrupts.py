"""Signals that ask a process to end become an exception, at a moment when nothing is half done.

An exception that comes between any two steps of a program, as that of Ctrl-C does, can come between making a
file and noting that it is there to be removed. Functions that must not be left halfway are marked; the signal
waits for them. They are short, or it would be felt.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, TypeVar

__all__ = ["Ended", "orderly_end", "uninterrupted"]

F = TypeVar("F", bound=Callable[..., Any])

_WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "the terminal is gone"}

#: How soon a signal that came at a bad moment is tried again.
_SECONDS = 0.005

_marked: set[CodeType] = set()


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
        self.number = number
        self.word = _WORDS[signal.Signals(number).name]
        self.status = 128 + number


def uninterrupted(function: F) -> F:
    """Mark a function that signals wait for, where `orderly_end` is in force; it is not changed."""
    _marked.add(function.__code__)
    return function


@contextmanager
def orderly_end() -> Iterator[None]:
    """Raise `Ended` for signals that would end the process, and leave those alone that somebody handles."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = _Asked()
    try:
        asked.listen()
        yield
    finally:
        asked.restore()
    asked.raise_what_waits()


class _Asked:
    """Who handled signals before, and the signal that waits."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._waits: int | None = None

    def listen(self) -> None:
        for name in _WORDS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) in (
                signal.SIG_DFL,
                signal.default_int_handler,
            ):
                self._before[number] = signal.signal(number, self._hear)
        # Windows has no such timer. What comes at a bad moment there is raised then.
        alarm = getattr(signal, "SIGALRM", None)
        self._can_wait = alarm is not None and signal.getsignal(alarm) is signal.SIG_DFL
        if alarm is not None and self._can_wait:
            self._before[alarm] = signal.signal(alarm, self._try_again)
        self._hook = sys.unraisablehook
        sys.unraisablehook = self._rescue

    def restore(self) -> None:
        if self._can_wait:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if sys.unraisablehook == self._rescue:
            sys.unraisablehook = self._hook
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def raise_what_waits(self) -> None:
        if self._waits is not None:
            raise Ended(self._waits)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._can_wait and _is_bad_moment(frame):
            # No thread could do this: what was interrupted may hold the locks that it takes to start one.
            self._wait(number)
            return
        self._waits = None
        raise Ended(number)

    def _wait(self, number: int) -> None:
        self._waits = number
        if self._can_wait:
            signal.setitimer(signal.ITIMER_REAL, _SECONDS)

    def _rescue(self, lost: Any) -> None:
        """Raise again what was lost in a callback of a weak reference, such as imports have."""
        if isinstance(lost.exc_value, Ended):
            self._wait(lost.exc_value.number)
        else:
            self._hook(lost)

    def _try_again(self, _: int, frame: FrameType | None) -> None:
        if self._waits is not None:
            self._hear(self._waits, frame)


def _is_bad_moment(frame: FrameType | None) -> bool:
    while frame is not None:
        # What is raised in a finalizer is printed, and lost.
        if frame.f_code in _marked or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
