"""A set of sources as files: one each, of one common gain, and a record of how they came about."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dspsep import _backend, _checks
from dspsep._interrupts import uninterrupted
from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.data._layout import Layout
from dspsep.data._replacing import Replacement, remove_litter
from dspsep.data._resampling import resampled_blocks
from dspsep.data._sets import files_of_set, finish_removal, replacing_set
from dspsep.data._writing import BLOCK_FRAMES, EXTENSIONS, AudioWriter, Plan, peak_of, plan_for
from dspsep.errors import InputError, warn
from dspsep.sources import Provenance, Sources

__all__ = [
    "DEFAULT_FORMAT",
    "SourceFiles",
    "extension_of",
    "gain_for",
    "layout_of",
    "save_sources",
    "write_sources",
]

#: 24 bits and no loss, at about half of their size; every player and editor reads it.
DEFAULT_FORMAT = "flac"

#: The largest sample of 16 bits: sources that would clip are brought to it, so that no rounding to 16
#: bits or more can reach past full scale.
_JUST_UNDER_ONE = 1 - 2.0**-15


def save_sources(sources: Sources, folder: str | Path, *, format: str = DEFAULT_FORMAT) -> dict[str, Path]:
    """Write each source to a file of its own, and ``provenance.json`` beside them.

    All carry one gain: 1, unless a source would clip in the format chosen; then the one that brings
    the highest peak of all just under full scale. Levels between sources, and their sum, stay true.

    Parameters
    ----------
    sources : Sources
        What a separator gave.
    folder : str or Path
        Made if it is not there.
    format : {"flac", "wav", "ogg", "opus", "mp3", "aiff"}, default="flac"
        As the extensions of `save`: FLAC has 24 bits, and holds the sources to 2**-24 of full scale; WAV has
        floating point, and holds them as they are.

    Returns
    -------
    dict of str to Path
        The file of each source, in the order of the sources. Names are those of `safe_file_name`.

    Raises
    ------
    InputError, DspsepError
        As `save`.

    Warns
    -----
    DspsepWarning
        ``W_GAIN`` if the gain is not 1, ``W_RESAMPLED`` as `save`.

    Notes
    -----
    Sources are converted and written one at a time, under temporary names, and get their own when all are
    there: what fails leaves an earlier set as it was. ``provenance.json`` (version, settings, seed, gain,
    rate and the file of each source) is written last, and that of an earlier set is removed first, with the
    files that it names: where it is, the set is complete, and at no time do files of two sets lie side by
    side. Other files are left alone.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dspsep import Sources
    >>> from dspsep.data.files import save_sources
    >>> sources = Sources.from_dict({"drums/kick": np.zeros(800), "bass": np.zeros(800)}, 8000)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_sources(sources, folder).values()]
    ['drums-kick.flac', 'bass.flac']
    """
    if not isinstance(sources, Sources):
        raise InputError(
            "sources",
            "a Sources",
            type(sources).__name__,
            "Make one with Sources.from_dict(audio, sample_rate).",
        )
    files, notices = write_sources(sources, layout_of(folder), extension_of(format))
    for code, message in notices:
        warn(code, message)
    return files.paths


def write_sources(
    sources: Sources,
    layout: Layout,
    extension: str,
    facts: Mapping[str, Any] | None = None,
    source: Path | None = None,
) -> tuple[SourceFiles, list[tuple[str, str]]]:
    """Write what `save_sources` writes; return the files, and what to warn of."""
    rate = sources.sample_rate
    plan = plan_for(extension, None, rate, sources.shape)
    peak = max(peak_of(f"sources[{name!r}]", audio) for name, audio in sources.items())
    gain, notices = gain_for(peak, plan, extension, rate)
    with SourceFiles(layout, sources, extension, source) as files:
        for name in sources:
            files.write(name, _blocks(sources[name]), rate, plan, gain)
        files.publish(sources.provenance, facts)
    return files, notices


def _blocks(audio: Array) -> Iterator[Array]:
    """Yield audio, of any device, in blocks (n_channels, n_samples) on the host."""
    samples = _backend.to_host(audio)
    samples = samples[None, :] if samples.ndim == 1 else samples
    for start in range(0, samples.shape[1], BLOCK_FRAMES):
        yield samples[:, start : start + BLOCK_FRAMES]


def extension_of(format: object) -> str:
    """Return the extension of a format, if it is one."""
    _checks.choice("format", format, [extension[1:] for extension in EXTENSIONS])
    return f".{format}"


def gain_for(peak: float, plan: Plan, extension: str, rate: float) -> tuple[float, list[tuple[str, str]]]:
    """Return the common gain of sources of this highest peak and rate, and what to warn of."""
    gain = _JUST_UNDER_ONE / peak if plan.clips and peak > 1 else 1.0
    if peak * gain > plan.largest:
        raise InputError("sources", f"within ±{plan.largest:g} in a {extension} file", f"a peak of {peak:g}")
    notices = []
    if gain < 1:
        notices.append((
            "W_GAIN",
            f"a {extension} file cannot hold a peak of {peak:.3g}: all sources were multiplied by "
            f"{gain:.4g}, which provenance.json records. A .wav file holds them as they are.",
        ))  # fmt: skip
    if plan.sample_rate != rate:
        notices.append((
            "W_RESAMPLED",
            f"Opus cannot hold {rate:g} Hz: the sources were resampled to {plan.sample_rate} Hz.",
        ))  # fmt: skip
    return gain, notices


class SourceFiles:
    """The files of a set of sources, which get their names together.

    In a ``with`` block, `write` every source, or fill its `writer`; then `publish`. A block that ends
    otherwise leaves the folder as it was.

    Parameters
    ----------
    layout : Layout
        Where they go; folders are made if they are not there.
    names : iterable of str
        Of the sources, in order.
    extension : str
        Of the files.
    source : Path, optional
        What is separated, and must not be among what is replaced.
    """

    @uninterrupted
    def __init__(
        self, layout: Layout, names: Iterable[str], extension: str, source: Path | None = None
    ) -> None:
        self.paths = layout.files(names, extension)
        self.sample_rate = 0.0
        self.n_samples = 0
        self.gain = 1.0
        self._layout = layout
        self._writers: dict[str, AudioWriter] = {}
        self._made: list[Path] = []
        try:
            for folder in {path.parent: None for path in (layout.record, *self.paths.values())}:
                self._made += _make(folder)
                remove_litter(folder)
            _refuse_folders([layout.record, *self.paths.values()])
            _refuse_source(source, [layout.record, *self.paths.values(), *files_of_set(layout)])
        except BaseException:
            self._remove_made()
            raise

    @property
    def root(self) -> Path:
        """The folder for what waits."""
        return self._layout.record.parent

    def writer(self, name: str, plan: Plan, gain: float = 1.0) -> AudioWriter:
        """Return what takes the samples of a source, at the plan's rate."""
        self.sample_rate, self.gain = plan.sample_rate, gain
        self._writers[name] = AudioWriter(self.paths[name], plan, gain=gain)
        return self._writers[name]

    def write(self, name: str, blocks: Iterable[Array], rate: float, plan: Plan, gain: float) -> None:
        """Write a source, given in blocks (n_channels, n_samples)."""
        writer = self.writer(name, plan, gain)
        at_its_rate = plan.sample_rate == rate
        for block in blocks if at_its_rate else resampled_blocks(blocks, rate, plan.sample_rate):
            writer.write(block)
        writer.finish()

    def publish(self, provenance: Provenance | None, facts: Mapping[str, Any] | None = None) -> None:
        """Give all files their names, and write the record, with `facts` in it."""
        for writer in self._writers.values():
            writer.finish()
            self.n_samples = writer.n_samples
        names = {name: self._layout.relative(path) for name, path in self.paths.items()}
        self._publish(_provenance_text(provenance, self.gain, self.sample_rate, names, facts or {}))

    @uninterrupted
    def _publish(self, text: str) -> None:
        record = Replacement(self._layout.record)
        try:
            # On a full disk this fails, and the earlier set is still there.
            record.temporary.write_text(text, encoding="utf-8", newline="\n")
            record.sync()
            with replacing_set(self._layout, self.paths.values()):
                for writer in self._writers.values():
                    writer.publish()
                record.publish()
        except BaseException:
            record.discard()
            finish_removal(self._layout)
            raise

    def __enter__(self) -> Self:
        return self

    @uninterrupted
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.discard()
        if kind is not None:
            self._remove_made()

    def _remove_made(self) -> None:
        for folder in sorted(self._made, key=lambda path: len(path.parts), reverse=True):
            with suppress(OSError):  # somebody put something there
                folder.rmdir()


def layout_of(folder: object) -> Layout:
    """Return the layout of sources in a folder of their own."""
    try:
        return Layout(Path(folder))  # type: ignore[arg-type]  # its TypeError is the check
    except TypeError:
        raise InputError("folder", "the path of a folder", repr(folder)) from None


def _refuse_folders(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            raise InputError("folder", f"without a folder named {path.name!r}", repr(str(path.parent)))


def _refuse_source(source: Path | None, paths: Iterable[Path]) -> None:
    if source is not None and os.path.realpath(source) in map(os.path.realpath, paths):
        raise InputError(
            "folder", "one in which the file that is separated is not replaced", repr(str(source)),
            "Give another folder.",
        )  # fmt: skip


def _make(folder: Path) -> list[Path]:
    """Make a folder; return which ones were made."""
    try:
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError("folder", "a folder", f"the file {str(folder)!r}") from None
    except ValueError as error:
        raise InputError("folder", "the path of a folder", f"{str(folder)!r}: {error}") from None
    return made


def _provenance_text(
    provenance: Provenance | None, gain: float, rate: float, files: dict[str, str], more: Mapping[str, Any]
) -> str:
    made = provenance or Provenance(version=__version__, settings="")
    facts = {
        "dspsep_version": made.version,
        "settings": made.settings or None,
        "seed": made.seed,
        "gain": made.gain * gain,
        "sample_rate": rate,
        "files": files,
        **more,
    }
    return json.dumps(facts, indent=2, allow_nan=False) + "\n"
