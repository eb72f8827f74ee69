"""A set of sources as files: one each, of one common gain, and a record of how they came about."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from dspsep import _checks
from dspsep._version import __version__
from dspsep.data._names import safe_file_name
from dspsep.data._resampling import at_rate
from dspsep.data._writing import EXTENSIONS, peak_of, plan_for, replacing, write_audio
from dspsep.errors import InputError, warn
from dspsep.sources import Provenance, Sources

__all__ = ["save_sources"]

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
    Sources are converted and written one at a time. ``provenance.json`` (version, settings, seed, gain,
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
    _checks.choice("format", format, [extension[1:] for extension in EXTENSIONS])
    extension = f".{format}"
    plan = plan_for(extension, None, sources.sample_rate, sources.shape)
    peak = max(peak_of(f"sources[{name!r}]", audio) for name, audio in sources.items())
    gain = _JUST_UNDER_ONE / peak if plan.clips and peak > 1 else 1.0
    if peak * gain > plan.largest:
        raise InputError("sources", f"within ±{plan.largest:g} in a {extension} file", f"a peak of {peak:g}")
    names = _file_names(sources, extension)
    root = _folder(folder)
    record = root / "provenance.json"
    _remove_others(root, record, names.values())
    record.unlink(missing_ok=True)
    if gain < 1:
        warn(
            "W_GAIN",
            f"a {extension} file cannot hold a peak of {peak:.3g}: all sources were multiplied by "
            f"{gain:.4g}, which provenance.json records. A .wav file holds them as they are.",
        )
    rate = sources.sample_rate
    if plan.sample_rate != rate:
        warn(
            "W_RESAMPLED",
            f"Opus cannot hold {rate:g} Hz: the sources were resampled to {plan.sample_rate} Hz.",
        )
    for name in sources:
        audio = sources[name]
        samples = audio if plan.sample_rate == rate else at_rate(audio, rate, plan.sample_rate)
        write_audio(root / names[name], samples, plan, gain=gain)
    with replacing(record) as temporary:
        text = _provenance_text(sources, gain, plan.sample_rate, names)
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return {name: root / file for name, file in names.items()}


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


def _file_names(sources: Sources, extension: str) -> dict[str, str]:
    stems: dict[str, str] = {}
    for name in sources:
        stems[name] = safe_file_name(name, stems.values())
    return {name: stem + extension for name, stem in stems.items()}


def _folder(folder: str | Path) -> Path:
    try:
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError("folder", "a folder", f"the file {str(folder)!r}") from None
    except (TypeError, ValueError) as error:
        raise InputError("folder", "the path of a folder", f"{folder!r}: {error}") from None
    return root


def _provenance_text(sources: Sources, gain: float, rate: float, files: dict[str, str]) -> str:
    made = sources.provenance or Provenance(version=__version__, settings="")
    facts = {
        "dspsep_version": made.version,
        "settings": made.settings or None,
        "seed": made.seed,
        "gain": made.gain * gain,
        "sample_rate": rate,
        "files": files,
    }
    return json.dumps(facts, indent=2, allow_nan=False) + "\n"
