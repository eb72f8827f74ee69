"""Decode in a process of its own, which may crash or run away without harm to this one.

The decoders are native code, and files from strangers are made to break such code. `IsolatedReader` lets
a child with limits on its memory and time do all of it, from the first look at the content on, and
believes the child no more than the file: what comes back is samples and a few checked numbers and
sentences, or an `InputError`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dspsep.data import _decoder_child as child
from dspsep.data import _reading
from dspsep.data._reading import MAX_SAMPLE_RATE, Samples, Span
from dspsep.errors import InputError

__all__ = ["IsolatedReader", "limited"]

#: Address space of the child. Measured at most: 152 MB with libsndfile (64 channels), 204 MB with PyAV.
MAX_MEMORY = 2**30

#: Seconds of processor time, plus one for each megabyte of the file. The slowest measured (Opus) takes 0.2.
MAX_SECONDS = 60

#: All waiting for one file together may take this many times the processor time that the child may use:
#: room for a busy machine and a slow disk, but an end to a decoder that sleeps.
PATIENCE = 5

_MAX_JSON = 2**20  # the messages hold a path or two
_MAX_SENTENCE = 2**17
_DECODABLE = "an audio file that can be decoded"
_HARMFUL = "The file is damaged, or made to do harm."
_UNCLEAR = "Without isolation there may be a clearer reason: try that with files you trust."


def _command() -> list[str]:
    # -P: the folder that one happens to be in has no say in what is imported, unless it has one here.
    return [sys.executable, "-P", "-W", "ignore", "-m", child.__name__]


class IsolatedReader:
    """A `Reader` whose decoder is a child process.

    Notes
    -----
    The child may use 1 GiB of address space, and a minute of processor time and one second more for each
    megabyte of the file; it can put nothing into files, start no process (unless root runs it) and dump no
    core. This bounds what a broken or runaway decoder can do. It is no sandbox: a decoder that was taken
    over could still read what the user may read. Where a system refuses one of these limits, as macOS that
    of address space, the others hold.

    Measured on one slow core: 0.11 to 0.14 s per file to start the child, and 0.04 s to hand over each
    minute of stereo.
    """

    def __init__(self, path: Path, stream: int = 0) -> None:
        if not limited():
            raise InputError(
                "isolate", "False on this system", "True",
                "It has no limits for the memory and time of a process. Use it on Linux or macOS.",
            )  # fmt: skip
        self._path = path
        self._shown = repr(str(path))
        self._seconds = MAX_SECONDS + _size(path) // 10**6
        self._left = float(PATIENCE * self._seconds)
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._child = _started(theirs)
        except BaseException:
            self._socket.close()
            raise
        try:
            self._open(stream)
        except BaseException:
            self.close()
            raise

    def _open(self, stream: int) -> None:
        limits = {
            "RLIMIT_AS": MAX_MEMORY,
            "RLIMIT_CPU": self._seconds,
            "RLIMIT_FSIZE": 0,
            "RLIMIT_CORE": 0,
            "RLIMIT_NOFILE": 64,
            "RLIMIT_NPROC": 0,
        }
        self._send(child.OPEN, {"path": str(self._path), "stream": stream, "limits": limits})
        kind, length = self._answer()
        if kind != child.HEADER:
            raise self._odd(f"an answer of kind {kind!r} in place of the header")
        header = self._json(length)
        expected = {"sample_rate", "n_channels", "n_samples", "slack", "format", "subtype", "notices"}
        if not isinstance(header, dict) or set(header) != expected:
            raise self._odd("a header of other fields")
        self.sample_rate = self._integer(header, "sample_rate")
        self.n_channels = self._integer(header, "n_channels")
        self.n_samples = None if header["n_samples"] is None else self._integer(header, "n_samples")
        self.slack = self._integer(header, "slack")
        self.format = self._text(header["format"], 64)
        self.subtype = self._text(header["subtype"], 64)
        self.notices = self._notices(header["notices"])
        _reading.check_header(self._path, self)

    def blocks(self, span: Span) -> Iterator[Samples]:
        self._send(child.SPAN, {"start": span.start, "count": span.count})
        n_read = 0
        while True:
            kind, length = self._answer()
            if kind == child.END and not length:
                return
            if kind != child.BLOCK:
                raise self._odd(f"an answer of kind {kind!r} in place of samples")
            block = self._block(length)
            n_read += len(block)
            if span.count is not None and n_read > span.count:
                raise self._odd("more samples than there are")
            yield block

    def close(self) -> None:
        """End the child at once, whatever it is doing."""
        self._socket.close()
        self._child.kill()
        self._child.wait()

    # --- what comes from the child, none of which is believed ---

    def _answer(self) -> tuple[bytes, int]:
        """Return kind and length of the next message; raise what it says if that is an error."""
        kind, length = child.HEAD.unpack(self._received(child.HEAD.size))
        if kind == child.NO_MEMORY:
            raise self._too_much_memory()
        if kind == child.REFUSED:
            raise InputError(*self._sentences(length, 4))
        if kind == child.FAILED:
            name, text = self._sentences(length, 2)
            raise self._undecodable(f"at which the decoder failed ({name}: {text})", _UNCLEAR)
        return kind, length

    def _block(self, length: int) -> Samples:
        n_frames, rest = divmod(length, 4 * self.n_channels)
        if rest or not 0 < n_frames <= _reading.BLOCK_FRAMES:
            raise self._odd(f"{length} bytes for a block of samples")
        block = np.empty((n_frames, self.n_channels), np.float32)
        self._receive_into(memoryview(block.data).cast("B"))
        return block

    def _sentences(self, length: int, count: int) -> list[str]:
        parts = self._json(length)
        if not isinstance(parts, list) or len(parts) != count:
            raise self._odd("an error of other parts")
        return [self._text(part) for part in parts]

    def _notices(self, value: object) -> list[tuple[str, str]]:
        if not isinstance(value, list) or len(value) > 8:
            raise self._odd("notices of another form")
        notices = []
        for pair in value:
            if not isinstance(pair, list) or len(pair) != 2 or pair[0] != "W_TRUNCATED":
                raise self._odd("notices of another form")
            notices.append(("W_TRUNCATED", self._text(pair[1])))
        return notices

    def _integer(self, header: dict[str, Any], name: str) -> int:
        value = header[name]
        most = MAX_SAMPLE_RATE if name == "slack" else 2**63
        if type(value) is not int or not 0 <= value <= most:
            raise self._odd(f"{name} = {str(value)[:40]!r}")
        return value

    def _text(self, value: object, most: int = _MAX_SENTENCE) -> str:
        # Errors end on terminals, where control characters could pretend anything.
        if not isinstance(value, str) or len(value) > most or not value.isprintable():
            raise self._odd("a sentence that cannot be shown")
        return value

    def _json(self, length: int) -> Any:
        if length > _MAX_JSON:
            raise self._odd(f"a message of {length} bytes")
        content = self._received(length)  # whose `InputError` is a `ValueError`, too
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise self._odd("a message that is not JSON") from None

    # --- the socket ---

    def _send(self, kind: bytes, value: object) -> None:
        content = json.dumps(value).encode("ascii")
        # Without the flag, programs that restored the default of SIGPIPE would end here.
        quietly = getattr(socket, "MSG_NOSIGNAL", 0)
        try:
            self._socket.settimeout(max(self._left, 1e-3))
            self._socket.sendall(child.HEAD.pack(kind, len(content)) + content, quietly)
        except OSError:
            raise self._ended() from None

    def _received(self, length: int) -> bytes:
        content = bytearray(length)
        self._receive_into(memoryview(content))
        return bytes(content)

    def _receive_into(self, room: memoryview) -> None:
        while room:
            begun = time.monotonic()
            try:
                self._socket.settimeout(max(self._left, 1e-3))
                n_bytes = self._socket.recv_into(room)
            except TimeoutError:
                waited = PATIENCE * self._seconds
                raise self._undecodable(
                    f"for which the decoder gave no answer in {waited:g} s", _HARMFUL
                ) from None
            except OSError:
                n_bytes = 0
            if not n_bytes:
                raise self._ended() from None
            self._left -= time.monotonic() - begun
            room = room[n_bytes:]

    # --- what went wrong ---

    def _ended(self) -> InputError:
        """Say how the child ended, which is no longer there, or does not answer any more."""
        import signal

        try:
            status = self._child.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return self._odd("the end of all answers")
        if status == -signal.SIGXCPU:
            return self._undecodable(
                f"for which the decoder took more than {self._seconds} s of processor time", _HARMFUL
            )
        if status == -signal.SIGKILL:
            return self._undecodable(
                "at which the system ended the decoder (signal 9)", "Is there enough memory?"
            )
        if status < 0:
            return self._undecodable(f"at which the decoder crashed (signal {-status})", _HARMFUL)
        return self._undecodable(f"at which the decoder ended early (status {status})", _UNCLEAR)

    def _too_much_memory(self) -> InputError:
        return self._undecodable(
            f"for which the decoder asked for more than {MAX_MEMORY / 2**30:g} GiB of memory", _HARMFUL
        )

    def _odd(self, seen: str) -> InputError:
        return self._undecodable(f"at which the decoder sent {seen}", _HARMFUL)

    def _undecodable(self, seen: str, remedy: str) -> InputError:
        return InputError("path", _DECODABLE, f"{self._shown}, {seen}", remedy)


def limited() -> bool:
    """Tell whether this system can limit what a process may use."""
    return importlib.util.find_spec("resource") is not None and bool(sys.executable)


def _size(path: Path) -> int:
    try:
        status = path.stat()
        # What is not on the disk takes no time: a file of holes may be as long as it likes.
        return min(status.st_size, 512 * getattr(status, "st_blocks", status.st_size))
    except OSError:
        return 0  # it is gone since it was looked at: the child will say so


def _started(channel: socket.socket) -> subprocess.Popen[bytes]:
    """Start the child, with `channel` for its standard output."""
    # An empty entry stands for the current folder in a session; the child gets it by its name.
    modules = [str(Path(entry).absolute()) for entry in sys.path if isinstance(entry, str)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(modules),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": str(sys.flags.utf8_mode),  # so that it takes file names as they are taken here
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    # A group of its own: Ctrl-C in the terminal is for this process, which then ends the child.
    return subprocess.Popen(  # noqa: S603  # this interpreter, and words that stand in this file
        _command(),
        stdin=subprocess.DEVNULL,
        stdout=channel.fileno(),
        stderr=subprocess.DEVNULL,
        env=environment,
        process_group=0,
    )
