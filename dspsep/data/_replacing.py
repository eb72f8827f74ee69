"""Files that have their names only when they are whole; and what of them a killed process left behind.

A file is written under a temporary name in the same folder, brought to the disk, and then given its name in
one step. Meanwhile whoever writes it holds a lock on it, which the system lets go however the process ends:
a temporary file that nobody holds is litter.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dspsep._interrupts import uninterrupted

try:
    import fcntl
except ImportError:  # Windows, where what is open cannot be removed: that is its lock
    fcntl = None  # type: ignore[assignment]

__all__ = ["Replacement", "brought_to_disk", "holding", "remove_litter", "replacing"]

_PREFIX, _SUFFIX = ".dspsep-", ".part"

#: File systems without locks have only age to tell what nobody writes any more.
_OLD = 24 * 3600.0


class Replacement:
    """A temporary file beside `target` that takes its name when it is whole, in one step.

    A link at `target` is replaced, never followed.

    Parameters
    ----------
    target : Path
        The final name.
    """

    @uninterrupted
    def __init__(self, target: Path) -> None:
        self.target = target
        self.temporary, self._descriptor = _made_in(target.parent)

    def sync(self) -> None:
        """Bring what was written to the disk."""
        os.fsync(self._descriptor)

    @uninterrupted
    def publish(self, *, to_disk: bool = True) -> None:
        """Give the file its name, and bring that to the disk, too, unless it need not outlive the system."""
        if fcntl is None:  # Windows does not rename what is open
            self._let_go()
        self.temporary.replace(self.target)
        self._let_go()
        if to_disk:
            brought_to_disk(self.target.parent)

    @uninterrupted
    def discard(self) -> None:
        """Remove the temporary file, if it is there."""
        self._let_go()
        self.temporary.unlink(missing_ok=True)

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; it becomes `target` if the block ends well, else goes."""
    replacement = Replacement(target)
    try:
        yield replacement.temporary
        replacement.sync()
        replacement.publish()
    except BaseException:
        replacement.discard()
        raise


@contextmanager
def holding(path: Path, *, wait: bool = True) -> Iterator[int]:
    """Give an open file at `path`, made if need be, that nobody else holds; it goes if the block ends well.

    Raises
    ------
    BlockingIOError
        If somebody holds it, and there is to be no waiting.
    """
    descriptor = _held(path, wait=wait)
    try:
        yield descriptor
        if fcntl is not None:  # while it is still ours
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    if fcntl is None:
        path.unlink(missing_ok=True)


def _held(path: Path, *, wait: bool) -> int:
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if _locked(descriptor, wait=wait) is False:
            os.close(descriptor)
            raise BlockingIOError
        if fcntl is None or os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # removed before it was ours


def brought_to_disk(folder: Path) -> None:
    """Bring new names in a folder to the disk, where the system lets folders be opened."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows
        return
    try:
        os.fsync(descriptor)
    except OSError:  # some network file systems
        pass
    finally:
        os.close(descriptor)


def remove_litter(folder: Path) -> None:
    """Remove temporary files in `folder` (not below it) that a killed process left behind."""
    with suppress(OSError):  # no such folder, or not ours to clean
        for path in folder.iterdir():
            if path.name.startswith(_PREFIX) and path.name.endswith(_SUFFIX):
                with suppress(OSError):
                    _remove_if_left(path)


def _made_in(folder: Path) -> tuple[Path, int]:
    """Make a temporary file and hold its lock; says in the system's words if the folder is read-only."""
    while True:
        # The name is short whatever the target's is, and no directory listing takes it for audio.
        path = folder / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        _locked(descriptor, wait=True)
        if fcntl is None or os.fstat(descriptor).st_nlink:
            return path, descriptor
        os.close(descriptor)  # taken for litter before it was locked


def _remove_if_left(path: Path) -> None:
    if fcntl is None:
        path.unlink()
        return
    # Links are not followed, and what is no file (a pipe would wait) has no such name by our doing.
    if not path.is_file() or path.is_symlink():
        return
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        held = _locked(descriptor, wait=False)
        if held or (held is None and time.time() - os.fstat(descriptor).st_mtime > _OLD):
            path.unlink()
    finally:
        os.close(descriptor)


def _locked(descriptor: int, *, wait: bool) -> bool | None:
    """Lock an open file: True if it is ours now, False if another's, None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
