"""Sets of files that a record names: replaced as one, whatever ends the process meanwhile.

Files are renamed one by one. So before the first is touched, a journal beside the record names all of them,
old and new; it goes when the new record is there. Who finds a journal that nobody holds knows that what it
names is part of nothing, and removes it.
"""

from __future__ import annotations

import itertools
import json
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dspsep.data._layout import Layout
from dspsep.data._replacing import brought_to_disk, holding

__all__ = ["files_of_set", "finish_removal", "replacing_set"]

#: A record holds some kilobytes, mostly settings.
_MAX_BYTES = 10_000_000


def files_of_set(layout: Layout) -> list[Path]:
    """Return the files that the record of a layout names, or a journal, as far as they are its own."""
    named = (_named(layout, path) or [] for path in (layout.record, _journal(layout)))
    return list(dict.fromkeys(itertools.chain.from_iterable(named)))


@contextmanager
def replacing_set(layout: Layout, new: Iterable[Path]) -> Iterator[None]:
    """Remove an earlier set; the block gives the new one its names, the record last.

    Others who replace the same set wait.
    """
    journal = _journal(layout)
    with holding(journal) as descriptor:
        old = files_of_set(layout)
        names = {str(number): layout.relative(path) for number, path in enumerate([*old, *new])}
        os.ftruncate(descriptor, 0)
        # On a full disk this fails, and everything is still there.
        os.write(descriptor, json.dumps({"files": names}).encode())
        os.fsync(descriptor)
        brought_to_disk(journal.parent)
        _remove([layout.record, *old])
        yield


def finish_removal(layout: Layout) -> None:
    """Remove what a killed process left of a set, old or new."""
    journal = _journal(layout)
    if not journal.is_symlink() and journal.is_file():
        with suppress(OSError), holding(journal, wait=False):
            named = _named(layout, journal)
            if named is not None:  # else it was not even written, and nothing was touched
                _remove([layout.record, *named])


def _journal(layout: Layout) -> Path:
    return layout.record.with_name(f".dspsep-{layout.record.name}.unfinished")


def _named(layout: Layout, record: Path) -> list[Path] | None:
    try:
        status = record.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_BYTES:
            return None
        files = json.loads(record.read_text(encoding="utf-8"))["files"]
        found = [layout.may_have_made(str(file)) for file in files.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # nothing there, or nothing that we wrote
    return [file for file in found if file is not None]


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        if not file.is_symlink():
            with suppress(OSError):  # it is gone, or is no file
                file.unlink()
    # Removed for good before anything new has a name.
    for folder in {file.parent for file in files}:
        brought_to_disk(folder)
