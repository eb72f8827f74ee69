"""Signals wait for what must not be left halfway, and are never lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import weakref

import pytest

from dspsep._interrupts import Ended, orderly_end, uninterrupted

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP] if os.name != "nt" else []


@pytest.fixture(autouse=True)
def nobody_is_deaf():
    """Undo what `nohup` and the like do, and pass on."""
    before = [signal.signal(number, signal.SIG_DFL) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


def send(number):
    os.kill(os.getpid(), number)
    for _ in range(1000):
        pass  # Python looks for signals between its steps


def handlers():
    return [signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)]


@pytest.mark.core
@pytest.mark.parametrize(("number", "status"), list(zip(SIGNALS, (130, 143, 129), strict=True)))
def test_signals_become_an_exception_and_handlers_come_back(number, status):
    before = handlers()
    with pytest.raises(Ended) as caught, orderly_end():
        send(number)
    assert caught.value.status == status
    assert isinstance(caught.value, KeyboardInterrupt)
    assert handlers() == before


@pytest.mark.core
def test_they_wait_for_what_is_marked():
    steps = []

    @uninterrupted
    def whole():
        steps.append("begun")
        send(signal.SIGTERM)
        time.sleep(0.02)
        inner()
        steps.append("done")

    def inner():
        time.sleep(0.02)
        steps.append("inner")

    def work():
        whole()
        limit = time.monotonic() + 5
        while time.monotonic() < limit:
            pass
        steps.append("missed")

    with pytest.raises(Ended), orderly_end():
        work()
    assert steps == ["begun", "inner", "done"]


def test_they_wait_for_finalizers_which_would_lose_them():
    class Last:
        def __del__(self):
            send(signal.SIGINT)

    def work():
        last = Last()
        del last
        time.sleep(1)

    with pytest.raises(Ended), orderly_end():
        work()


def test_they_are_not_lost_in_callbacks_of_weak_references(capfd):
    class Thing:
        pass

    def work():
        thing = Thing()
        reference = weakref.ref(thing, lambda _: send(signal.SIGINT))
        del thing
        time.sleep(1)
        return reference

    hook = sys.unraisablehook
    with pytest.raises(Ended), orderly_end():
        work()
    assert sys.unraisablehook is hook
    assert capfd.readouterr().err == ""


def test_other_errors_in_callbacks_are_told_as_before(monkeypatch):
    class Thing:
        pass

    told = []
    monkeypatch.setattr(sys, "unraisablehook", told.append)
    thing = Thing()
    with orderly_end():
        reference = weakref.ref(thing, lambda _: 1 / 0)
        del thing
    assert reference() is None
    assert [type(lost.exc_value) for lost in told] == [ZeroDivisionError]


def test_what_still_waits_at_the_end_is_raised_there():
    @uninterrupted
    def whole():
        send(signal.SIGINT)

    before = handlers()
    with pytest.raises(Ended), orderly_end():
        whole()
    assert handlers() == before
    time.sleep(0.02)  # no alarm is left that would come now


def test_what_somebody_handles_is_left_to_them():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("TERM"))
    try:
        with orderly_end():
            send(signal.SIGTERM)
        assert heard == ["TERM"]
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with orderly_end():
            send(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_have_no_signals():
    def work():
        with orderly_end():
            done.append(handlers())

    done = []
    before = handlers()
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [before]


def test_an_error_passes_through():
    with pytest.raises(ZeroDivisionError), orderly_end():
        raise ZeroDivisionError
