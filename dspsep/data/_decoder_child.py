"""The process that decodes a file for another: ``python -m dspsep.data._decoder_child``.

It talks on its standard output, which is a socket: requests come in, answers go out. A message is one
byte for its kind, eight for the length of what follows, and that: JSON, or samples as they lie in
memory. Nothing that is sent can make the other side run code, as unpickling would.

What stands here is loaded before the limits hold, so it is little. `IsolatedReader` is the other side.
"""

from __future__ import annotations

import json
import os
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dspsep.errors import InputError

if TYPE_CHECKING:
    from dspsep.data._reading import Reader

__all__ = ["main"]

#: Kind and length of a message.
HEAD: Final = struct.Struct("<cQ")

#: Requests: a file with the limits to keep, and a span of it.
OPEN, SPAN = b"O", b"S"
#: Answers: what the header says, some samples, and that these were all.
HEADER, BLOCK, END = b"H", b"B", b"E"
#: Ways to fail: the parts of an `InputError`, want of memory, and any other exception.
REFUSED, NO_MEMORY, FAILED = b"R", b"M", b"F"


def main() -> None:
    """Answer requests until the other side has had enough, or is gone."""
    # Decoders that print must not do so in the middle of a message: what they take for standard output
    # becomes the null device that standard error is.
    channel = os.dup(1)
    os.dup2(2, 1)
    with suppress(ConnectionError, EOFError):
        try:
            _serve(channel)
        except InputError as error:
            parts = [error.name, error.requirement, str(error.got), error.remedy]
            _send(channel, REFUSED, _packed(parts))
        except MemoryError:
            _send(channel, NO_MEMORY)
        except (ConnectionError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001  # it is told to the other side, which raises it
            _send(channel, FAILED, _packed([type(error).__name__, str(error)[:1000]]))


def _serve(channel: int) -> None:
    request = json.loads(_receive(channel, OPEN))
    limit_resources(request["limits"])
    from pathlib import Path

    from dspsep.data._reading import BLOCK_FRAMES, Span, open_audio

    reader = open_audio(Path(request["path"]), request["stream"])
    _send(channel, HEADER, _packed(_header(reader)))
    while True:
        span = json.loads(_receive(channel, SPAN))
        for block in reader.blocks(Span(span["start"], span["count"])):
            for first in range(0, len(block), BLOCK_FRAMES):  # a few codecs have longer frames
                _send(channel, BLOCK, block[first : first + BLOCK_FRAMES].tobytes())
        _send(channel, END)


def limit_resources(limits: dict[str, int]) -> None:
    """Lower what this process may have of each resource, given by the names of the module `resource`."""
    import resource

    for name, value in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        _, most = resource.getrlimit(kind)
        limit = value if most == resource.RLIM_INFINITY else min(value, most)
        # The processor's limit warns first, by the signal that tells what was exceeded.
        hard = limit + 1 if name == "RLIMIT_CPU" and most == resource.RLIM_INFINITY else limit
        # macOS takes no limit of address space below what it has mapped already, which is a lot.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, hard))


def _header(reader: Reader) -> dict[str, Any]:
    return {
        "sample_rate": reader.sample_rate,
        "n_channels": reader.n_channels,
        "n_samples": reader.n_samples,
        "slack": reader.slack,
        "format": reader.format,
        "subtype": reader.subtype,
        "notices": reader.notices,
    }


def _packed(value: object) -> bytes:
    return json.dumps(value).encode("ascii")


def _send(channel: int, kind: bytes, content: bytes = b"") -> None:
    rest = memoryview(HEAD.pack(kind, len(content)) + content)
    while rest:
        rest = rest[os.write(channel, rest) :]


def _receive(channel: int, expected: bytes) -> bytes:
    kind, length = HEAD.unpack(_read(channel, HEAD.size))
    if kind != expected:
        raise EOFError
    return _read(channel, length)


def _read(channel: int, length: int) -> bytes:
    content = b""
    while len(content) < length:
        part = os.read(channel, length - len(content))
        if not part:
            raise EOFError
        content += part
    return content


if __name__ == "__main__":
    main()
