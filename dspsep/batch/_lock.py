"""One folder, one batch; or several that want the same."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dspsep.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: no shared locks, and no protection
    fcntl = None  # type: ignore[assignment]

__all__ = ["FolderLock"]

_LOCK = ".dspsep-lock"
_NAMES = ".dspsep-names"


# Links are not followed: the folder may come from anywhere.
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


class FolderLock:
    """A lock on a folder, shared by batches of the same settings, and refused to others.

    Others would leave some tracks of these settings and some of those. Batches of the same settings do no
    harm to one another as long as no two tracks have one name, which `claimed` sees to. The system lets the
    lock go however the process ends. Where it knows no locks there is none.

    Parameters
    ----------
    folder : Path
        It must exist.
    settings : str
        What must be the same.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self._path = folder / _LOCK
        self._names = folder / _NAMES
        self._settings = settings
        self._descriptor = -1

    def __enter__(self) -> Self:
        if fcntl is not None:
            while not self._try_to_enter():
                time.sleep(0.01)  # somebody is at the door at this moment
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor < 0:
            return
        with suppress(OSError):  # others are still in
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._names.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
        self._leave()

    def claimed(self, choose: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
        """Let `choose` choose names while nobody else does.

        Parameters
        ----------
        choose : callable
            From what batches that are at work have claimed, a name for each file, to what this one does.
        """
        if self._descriptor < 0:
            choose({})
            return
        descriptor = os.open(self._names, _FLAGS, 0o666)
        try:
            with suppress(OSError):  # no locks here
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with os.fdopen(os.dup(descriptor), "r", encoding="ascii", errors="replace") as lines:
                claims = dict(_claims(lines))
            chosen = choose(claims)
            new = [
                json.dumps([file, name]) + "\n" for file, name in chosen.items() if claims.get(file) != name
            ]
            os.lseek(descriptor, 0, os.SEEK_END)
            os.write(descriptor, "".join(new).encode("ascii"))
        finally:
            os.close(descriptor)

    def _try_to_enter(self) -> bool:
        self._descriptor = os.open(self._path, _FLAGS, 0o666)
        try:
            entered = self._locked()
        except BaseException:
            self._leave()
            raise
        if not entered:
            self._leave()
        return entered

    def _locked(self) -> bool:
        file = self._descriptor
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(file).st_nlink:
                return False  # removed by the last one out
            self._names.unlink(missing_ok=True)  # of batches that were killed
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps({"settings": self._settings, "process": os.getpid()}).encode(), 0)
        except BlockingIOError:
            pass
        except OSError:  # no locks here
            return True
        # Whoever writes is alone, so what is read with a share in the lock stays true.
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not os.fstat(file).st_nlink:
            return False
        try:
            holder = json.loads(os.pread(file, 1000, 0))
            settings, process = holder["settings"], holder["process"]
        except (ValueError, TypeError, KeyError):
            settings = process = None
        if settings != self._settings:
            raise InputError(
                "--output", "a folder that no batch of other settings is writing to",
                f"{str(self._path.parent)!r}, where the batch that process {process} began is at work",
                "Wait until it has ended, or give another folder.",
            )  # fmt: skip
        return True

    def _leave(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1


def _claims(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        with suppress(ValueError, TypeError):
            file, name = json.loads(line)
            if isinstance(file, str) and isinstance(name, str):
                yield file, name
