"""Folders of stems, in any layout."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from dspsep import _checks
from dspsep.data._dataset import Dataset
from dspsep.data._reading import MAX_CHANNELS
from dspsep.data._stems import AUDIO_SUFFIXES, is_mixture, listed
from dspsep.data._templates import SOURCE, Found, Template, allowing, entries, plain_text, what_is_in
from dspsep.data._track import Track
from dspsep.data._track_audio import Part, absolute_path
from dspsep.errors import InputError
from dspsep.sources import check_source_name

__all__ = ["existing_folder", "refuse_link_outside", "stem_folders"]

_LAYOUT = "one folder for each track, with one audio file for each source and perhaps a mixture"
_HINT = "Give the layout by a template: pattern='{track}/{source}.wav'. Links to folders are not followed."

#: The files of a track: those of its sources by name, and that of its mixture.
_Files = tuple[dict[str, Path], "Path | None"]


def stem_folders(
    root: object,
    pattern: str | None = None,
    *,
    mixture: str | None = None,
    sources: Sequence[str] | None = None,
    channels: Mapping[str, int] | None = None,
    name: str | None = None,
) -> Dataset:
    """Find the tracks in a folder of stems, whatever they are called.

    Parameters
    ----------
    root : path
        The folder that all are in.
    pattern : str, optional
        Where the sources are: a template of paths below `root` with fields in braces, as
        ``"{track}/{source}.wav"``. ``{source}`` is the name of the source, and ``{ext}`` any extension of
        audio. All other fields, of any name, tell the tracks apart, and name them. A field stands for one or
        more characters of one name, never for a slash, and for the same wherever it comes again. By default,
        each folder with audio in it is a track, at any depth, and each file in it a source.
    mixture : str, optional
        Where the mixtures are: such a template of the same fields, without ``{source}``. By default a source
        called ``mix`` or ``mixture``, in any case, is the mixture. Where there is none, the mixture is the
        sum of the sources.
    sources : sequence of str, optional
        Only these sources, in this order, which every track must have; they alone make the mixture where
        there is no file of it. By default, all that are found, in the order of their names.
    channels : mapping of str to int, optional
        For files that hold a source in each channel: the channel of each source, from zero. The pattern has
        no ``{source}`` then, and the mixture is the sum of those channels.
    name : str, optional
        What to call the dataset; by default, as the folder.

    Returns
    -------
    Dataset
        The tracks in the order of their names, which are those of the folders, or the values of the fields
        with slashes between. Nothing is read but names.

    Raises
    ------
    InputError
        If there is no such folder or no track in it, which shows the layout that was expected and what is
        there; if a name can be read in two ways, or two files are one source; if a track lacks one of
        `sources` or its mixture; if there is audio both in a folder and in folders below it, without a
        pattern; or if a link leads out of `root`.

    See Also
    --------
    musdb18 : MUSDB18 and MUSDB18-HQ.
    Track.regroup : Sums of sources, as an accompaniment.

    Notes
    -----
    What begins with a dot is left out, and links to folders are not followed. Links to files are, inside
    `root`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from dspsep.data import stem_folders
    >>> from dspsep.data.files import save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     root = Path(folder)
    ...     for file in ("drums_one.wav", "voice_one.wav", "drums_two.wav", "voice_two.wav"):
    ...         path = save(root / file, np.zeros(800), 8000)
    ...     dataset = stem_folders(root, "{source}_{track}.wav", name="songs")
    >>> dataset
    Dataset('songs': 2 tracks of drums, voice)
    >>> dataset.names
    ('one', 'two')
    """
    folder = existing_folder(root)
    wanted = _checked_sources(sources, channels)
    if pattern is None:
        if mixture is not None or channels is not None:
            raise InputError("pattern", "given with a mixture or channels", "none", _HINT)
        walked = list(_walked(folder, wanted))
        found = dict(walked)
        if len(found) < len(walked):
            raise InputError("root", "a folder of tracks of different names", "two that are spelled alike")
        if not found:
            raise InputError("root", f"a folder of stems: {_LAYOUT}", what_is_in(folder), _HINT)
    else:
        found = _by_template(folder, pattern, mixture, wanted, channels)
    tracks = []
    for key in sorted(found):
        files, mixed = found[key]
        track = "/".join(key) or folder.resolve().name or "track"
        tracks.append(_track(track, files, mixed, wanted, channels))
    return Dataset(name=folder.resolve().name if name is None else name, tracks=tuple(tracks), root=folder)


def existing_folder(root: object) -> Path:
    """Return the path of a folder, absolute."""
    folder = absolute_path("root", root)
    if not os.path.isdir(folder):  # noqa: PTH112 - which, unlike that of pathlib, answers in any case
        raise InputError("root", "an existing folder", repr(str(folder)))
    return folder


def refuse_link_outside(folder: Path, path: Path) -> None:
    """Refuse a link to a file that is not in the folder: who made the folder may not choose any file here."""
    if not path.is_symlink():
        return
    target = os.path.realpath(path)
    if not Path(target).is_relative_to(os.path.realpath(folder)):
        got = f"{str(path)!r}, a link to {target!r}"
        raise InputError(
            "root", "a folder whose links stay inside", got, "Copy the files, or link the folder."
        )


def _checked_sources(sources: object, channels: Mapping[str, int] | None) -> tuple[str, ...] | None:
    """Return the names of the sources to take, or None for all."""
    if channels is not None:
        if sources is not None:
            raise InputError("sources", "left out with channels, which names them", repr(sources)[:60])
        if not isinstance(channels, Mapping) or not channels:
            raise InputError("channels", "a mapping from source to channel", repr(channels)[:60])
        for name, channel in channels.items():
            _checks.integer(f"channels[{name!r}]", channel, minimum=0, maximum=MAX_CHANNELS - 1)
        sources = tuple(channels)
    if sources is None:
        return None
    if isinstance(sources, str) or not isinstance(sources, Collection) or not sources:
        raise InputError("sources", "a list of at least one source name", repr(sources)[:60])
    return tuple(check_source_name(name) for name in dict.fromkeys(sources))


def _track(
    name: str,
    files: Mapping[str, Path],
    mixture: Path | None,
    wanted: tuple[str, ...] | None,
    channels: Mapping[str, int] | None,
) -> Track:
    if channels is not None:
        (path,) = files.values()
        parts = {source: Part(path=path, channel=channel) for source, channel in channels.items()}
        return Track(name=name, sources=parts, mixture=mixture)
    missing = [source for source in wanted or () if source not in files]
    if missing:
        raise InputError(
            "sources", "there in every track", f"{name!r} without {listed(missing)}, but with"
            f" {listed(sorted(files))}", "Choose sources that all tracks have, or leave this out.",
        )  # fmt: skip
    order = sorted(files) if wanted is None else wanted
    return Track(name=name, sources={source: files[source] for source in order}, mixture=mixture)


def _walked(root: Path, wanted: tuple[str, ...] | None) -> Iterator[tuple[tuple[str, ...], _Files]]:
    """Yield the folders with sources in them; no folder with audio may be in another."""
    pending: list[tuple[Path, tuple[str, ...], Path | None]] = [(root, (), None)]
    while pending:
        folder, key, above = pending.pop()
        there = entries(folder)
        audio = [Path(entry.path) for entry in there if entry.is_file() and _is_audio(entry.name)]
        if audio and above is not None:
            raise InputError(
                "root", f"a folder of stems: {_LAYOUT}",
                f"audio in {str(above)!r} and also below it, in {str(folder)!r}", _HINT,
            )  # fmt: skip
        files: dict[str, Path] = {}
        mixtures: list[Path] = []
        for path in audio:
            refuse_link_outside(root, path)
            if is_mixture(path.stem):
                mixtures.append(path)
            elif wanted is None or plain_text(path.stem) in wanted:
                _put(files, plain_text(path.stem), path)
        if files:
            yield key, (files, _one_mixture(mixtures))
        below = folder if audio else above
        pending += [
            (Path(entry.path), (*key, plain_text(entry.name)), below)
            for entry in there
            if entry.is_dir(follow_symlinks=False)
        ]


def _is_audio(name: str) -> bool:
    return Path(name).suffix.lower() in AUDIO_SUFFIXES


def _put(files: dict[str, Path], source: str, path: Path) -> None:
    if source in files:
        got = f"{str(files[source])!r} and {str(path)!r}"
        raise InputError("root", f"a folder with one file for source {source!r} of a track", got)
    files[source] = path


def _one_mixture(mixtures: Sequence[Path]) -> Path | None:
    if len(mixtures) > 1:
        got = " and ".join(repr(str(path)) for path in mixtures[:2])
        raise InputError("root", "a folder with one mixture of a track", got)
    return mixtures[0] if mixtures else None


def _by_template(
    root: Path,
    pattern: str,
    mixture: str | None,
    wanted: tuple[str, ...] | None,
    channels: Mapping[str, int] | None,
) -> dict[tuple[str, ...], _Files]:
    """Return the files of each track, by the values of the fields that tell tracks apart."""
    template = Template(pattern, "pattern")
    of_mixture = None if mixture is None else Template(mixture, "mixture")
    _check_fields(template, of_mixture, channels)
    # A mixture among the sources is none of those that were asked for, and wanted all the same.
    taken = None if wanted is None or channels is not None else wanted
    allowed = allowing(taken, mixtures=of_mixture is None)
    found: dict[tuple[str, ...], dict[str, Path]] = {}
    mixtures: dict[tuple[str, ...], list[Path]] = {}
    for file in template.files(root, allowed):
        refuse_link_outside(root, file.path)
        key = _key(file, template)
        source = plain_text(file.values.get(SOURCE, ""))
        if SOURCE in template.fields and of_mixture is None and is_mixture(source):
            mixtures.setdefault(key, []).append(file.path)
        else:
            _put(found.setdefault(key, {}), source, file.path)
    if not found:
        seen = what_is_in(template.where_it_ends(root, allowed))
        raise InputError("root", f"a folder with files {pattern!r}", seen, _HINT)
    if of_mixture is not None:
        for file in of_mixture.files(root, allowed):
            refuse_link_outside(root, file.path)
            mixtures.setdefault(_key(file, template), []).append(file.path)
        _check_mixtures(root, of_mixture, found, mixtures)
    return {key: (files, _one_mixture(mixtures.get(key, ()))) for key, files in found.items()}


def _key(file: Found, template: Template) -> tuple[str, ...]:
    return tuple(plain_text(value) for value in file.key(template.track_fields))


def _check_fields(
    template: Template, of_mixture: Template | None, channels: Mapping[str, int] | None
) -> None:
    if (SOURCE in template.fields) is (channels is not None):
        requirement = "a template with {source}, or without it and with channels"
        raise InputError("pattern", requirement, repr(template.text), "For example '{track}/{source}.wav'.")
    if of_mixture is None:
        return
    fields = set(of_mixture.track_fields)
    if SOURCE in of_mixture.fields or fields != set(template.track_fields):
        requirement = (
            f"a template with the fields {', '.join(template.track_fields) or 'of no track'} of the pattern"
        )
        raise InputError("mixture", requirement, repr(of_mixture.text))


def _check_mixtures(
    root: Path, template: Template, found: Collection[tuple[str, ...]], mixtures: Collection[tuple[str, ...]]
) -> None:
    missing = ["/".join(key) for key in sorted(found) if key not in mixtures]
    if missing:
        raise InputError(
            "mixture", "a template that finds the mixture of every track",
            f"{template.text!r}, and none in {str(root)!r} for {listed(missing)}",
            "Leave it out, and the mixture is the sum of the sources.",
        )  # fmt: skip
