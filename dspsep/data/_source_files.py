"""A set of sources as files: one each, of one common gain, and a record of how they came about."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dspsep import _backend, _checks
from dspsep._typing import Array
from dspsep._version import __version__
from dspsep.data._names import safe_file_name
from dspsep.data._resampling import resampled_blocks
from dspsep.data._writing import BLOCK_FRAMES, EXTENSIONS, AudioWriter, Plan, peak_of, plan_for, replacing
from dspsep.errors import InputError, warn
from dspsep.sources import Provenance, Sources

__all__ = ["SourceFiles", "extension_of", "gain_for", "save_sources", "write_sources"]

#: The largest sample of 16 bits: sources that would clip are brought to it, so that no rounding to 16
#: bits or more can reach past full scale.
_JUST_UNDER_ONE = 1 - 2.0**-15


def save_sources(sources: Sources, folder: str | Path, *, format: str = "wav") -> dict[str, Path]:
    """Write each source to a file of its own, and ``provenance.json`` beside them.

    All carry one gain: 1, unless a source would clip in the format chosen; then the one that brings
    the highest peak of all just under full scale. Levels between sources, and their sum, stay true.

    Parameters
    ----------
    sources : Sources
        What a separator gave.
    folder : str or Path
        Made if it is not there.
    format : {"wav", "flac", "ogg", "opus", "mp3", "aiff"}, default="wav"
        As the extensions of `save`.

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
    rate and the file of each source) is written last, and that of an earlier set is removed first: where
    it is, the set is complete. Files of that earlier set which the new one does not replace are removed, so
    that what lies in the folder sums to one mixture; other files are left alone.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from dspsep import Sources
    >>> from dspsep.data.files import save_sources
    >>> sources = Sources.from_dict({"drums/kick": np.zeros(800), "bass": np.zeros(800)}, 8000)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_sources(sources, folder, format="flac").values()]
    ['drums-kick.flac', 'bass.flac']
    """
    if not isinstance(sources, Sources):
        raise InputError(
            "sources",
            "a Sources",
            type(sources).__name__,
            "Make one with Sources.from_dict(audio, sample_rate).",
        )
    files, notices = write_sources(sources, folder, extension_of(format))
    for code, message in notices:
        warn(code, message)
    return files.paths


def write_sources(
    sources: Sources, folder: str | Path, extension: str
) -> tuple[SourceFiles, list[tuple[str, str]]]:
    """Write what `save_sources` writes; return the files, and what to warn of."""
    rate = sources.sample_rate
    plan = plan_for(extension, None, rate, sources.shape)
    peak = max(peak_of(f"sources[{name!r}]", audio) for name, audio in sources.items())
    gain, notices = gain_for(peak, plan, extension, rate)
    with SourceFiles(folder, sources, extension) as files:
        for name in sources:
            files.write(name, _blocks(sources[name]), rate, plan, gain)
        files.publish(sources.provenance)
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
    folder : str or Path
        Made if it is not there.
    names : iterable of str
        Of the sources, in order.
    extension : str
        Of the files.
    """

    def __init__(self, folder: str | Path, names: Iterable[str], extension: str) -> None:
        files = _file_names(names, extension)
        self.root, self._made = _folder(folder)
        self.paths = {name: self.root / file for name, file in files.items()}
        self.sample_rate = 0.0
        self.n_samples = 0
        self.gain = 1.0
        self._writers: dict[str, AudioWriter] = {}

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

    def publish(self, provenance: Provenance | None) -> None:
        """Give all files their names, and write the record."""
        for writer in self._writers.values():
            writer.finish()
            self.n_samples = writer.n_samples
        record = self.root / "provenance.json"
        names = {name: path.name for name, path in self.paths.items()}
        _remove_others(self.root, record, names.values())
        record.unlink(missing_ok=True)
        for writer in self._writers.values():
            writer.publish()
        with replacing(record) as temporary:
            text = _provenance_text(provenance, self.gain, self.sample_rate, names)
            temporary.write_text(text, encoding="utf-8", newline="\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers.values():
            writer.discard()
        if kind is not None:
            with suppress(OSError):  # somebody put something there
                for folder in self._made:
                    folder.rmdir()


def _remove_others(root: Path, record: Path, kept: Collection[str]) -> None:
    """Remove the stems of the set that `record` describes, but for those in `kept`."""
    try:
        files = json.loads(record.read_text(encoding="utf-8"))["files"]
        earlier = [str(file) for file in files.values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # no earlier set, or nothing that we wrote
    for file in earlier:
        # Only plain names of audio files: a record that was tampered with must not reach beyond the folder.
        plain = Path(file).name == file and Path(file).suffix in EXTENSIONS
        if plain and file not in kept and not (root / file).is_symlink():
            (root / file).unlink(missing_ok=True)


def _file_names(names: Iterable[str], extension: str) -> dict[str, str]:
    stems: dict[str, str] = {}
    for name in names:
        stems[name] = safe_file_name(name, stems.values())
    return {name: stem + extension for name, stem in stems.items()}


def _folder(folder: str | Path) -> tuple[Path, list[Path]]:
    """Make a folder; return it, and which ones were made, the innermost first."""
    try:
        root = Path(folder)
        made = [path for path in (root, *root.parents) if not path.exists()]
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError("folder", "a folder", f"the file {str(folder)!r}") from None
    except (TypeError, ValueError) as error:
        raise InputError("folder", "the path of a folder", f"{folder!r}: {error}") from None
    return root, made


def _provenance_text(provenance: Provenance | None, gain: float, rate: float, files: dict[str, str]) -> str:
    made = provenance or Provenance(version=__version__, settings="")
    facts = {
        "dspsep_version": made.version,
        "settings": made.settings or None,
        "seed": made.seed,
        "gain": made.gain * gain,
        "sample_rate": rate,
        "files": files,
    }
    return json.dumps(facts, indent=2, allow_nan=False) + "\n"
