"""What a separation gives back: named sources, how they came about, and a notebook's comforts."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from dspsep import _audio, _backend, _checks
from dspsep._typing import Array
from dspsep.errors import InputError

if TYPE_CHECKING:
    from dspsep.display import StemPlayer
    from dspsep.metrics.protocols import Protocol

__all__ = ["Provenance", "Sources"]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How sources came about: enough to make them again, and no clock.

    Parameters
    ----------
    version : str
        The version of dspsep.
    settings : str
        The separator, as its `repr`. Evaluating it gives the same separator, unless a setting is a long
        array.
    seed : int or None, default=None
        The seed of random starts; None where there are none.
    gain : float, default=1.0
        The one factor that all sources carry relative to the mixture, as a plain number. Separators
        leave it at one; writing to a format that clips may lower it (see `Sources.save`).

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.song(duration=1.0, sample_rate=8000)
    >>> provenance = dspsep.HPSS().separate(scene.mixture, scene.sample_rate).provenance
    >>> provenance.version == dspsep.__version__, provenance.settings[:5]
    (True, 'HPSS(')
    """

    version: str
    settings: str
    seed: int | None = None
    gain: float = 1.0


@dataclass(frozen=True, eq=False, repr=False)
class Sources(Mapping[str, Array]):
    """A read-only mapping from the name of a source to its audio.

    Every separator returns one. The sources sum to the mixture, and each has the mixture's shape.
    What a method gives to nobody is a source named ``residual``.

    Parameters
    ----------
    audio : mapping of str to array
        The sources, in order: each of shape (n_samples,) or (n_channels, n_samples), all alike.
    sample_rate : float
        In hertz.
    model : Model, optional
        What was learned, if the separator learns.
    provenance : Provenance, optional
        Version, settings and seed.

    See Also
    --------
    Sources.from_dict : The same from plain arrays, checked.

    Examples
    --------
    >>> import numpy as np
    >>> from dspsep import Sources
    >>> sources = Sources.from_dict({"left": np.ones(8), "right": np.zeros(8)}, sample_rate=8000)
    >>> list(sources), sources["left"].shape
    (['left', 'right'], (8,))
    """

    audio: Mapping[str, Array]
    sample_rate: float
    model: Any = None
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.audio, Mapping) or not self.audio:
            got = repr(self.audio)[:60]
            raise InputError("audio", "a mapping of at least one name to its samples", got)
        object.__setattr__(self, "audio", MappingProxyType(dict(self.audio)))

    @classmethod
    def from_dict(cls, audio: Mapping[str, Any], sample_rate: float) -> Sources:
        """Make sources from arrays, for metrics, refiners and references.

        Parameters
        ----------
        audio : mapping of str to array_like
            Each of shape (n_samples,) or (n_channels, n_samples), all alike.
        sample_rate : float
            In hertz.

        Returns
        -------
        Sources
            The same arrays, integers scaled to floating point as in every separator.

        Raises
        ------
        InputError
            If there is none, if a name is not a non-empty string, or if the shapes, types or devices
            differ.

        Examples
        --------
        >>> import numpy as np
        >>> Sources.from_dict({"drums": np.zeros((2, 100))}, 44100)
        Sources(drums; 2 channels, 100 samples at 44100 Hz)
        """
        rate = _checks.sample_rate(sample_rate)
        arrays: dict[str, Array] = {}
        given = cls(audio, rate)  # refuses what is no mapping, or empty
        for name, values in given.items():
            check_source_name(name)
            arrays[name] = _audio.samples_of(f"audio[{name!r}]", values)
        first_name, first = next(iter(arrays.items()))
        _backend.namespace(*arrays.values())
        for name, array in arrays.items():
            if array.shape != first.shape or array.dtype != first.dtype:
                raise InputError(
                    f"audio[{name!r}]",
                    f"like audio[{first_name!r}], {tuple(first.shape)} of {first.dtype}",
                    f"{tuple(array.shape)} of {array.dtype}",
                )
        return cls(arrays, rate)

    def __getitem__(self, name: str) -> Array:
        try:
            return self.audio[name]
        except KeyError:
            raise KeyError(f"no source {name!r}; there are {', '.join(map(repr, self.audio))}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.audio)

    def __len__(self) -> int:
        return len(self.audio)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sources, in order."""
        return tuple(self.audio)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that every source has."""
        return tuple(next(iter(self.audio.values())).shape)

    @property
    def n_channels(self) -> int:
        """The number of channels of every source."""
        return self.shape[0] if len(self.shape) == 2 else 1

    @property
    def n_samples(self) -> int:
        """The number of samples of every source."""
        return self.shape[-1]

    def mixture(self) -> Array:
        """Return the sum of the sources: the mixture they came from."""
        first, *others = self.audio.values()
        total: Array = _backend.namespace(first).asarray(first, copy=True)
        for array in others:
            total = total + array
        return total

    def save(self, folder: str | Path, *, format: str = "flac") -> dict[str, Path]:
        """Write each source to a file of its own in `folder`.

        All are written with one common gain: 1, unless a source would clip in the format chosen. The
        gain, the settings and the version go into ``provenance.json`` beside them.

        Parameters
        ----------
        folder : str or Path
            Made if it is not there.
        format : {"flac", "wav", "ogg", "opus", "mp3"}, default="flac"
            The container, which is also the extension. FLAC holds 24 bits, WAV 32-bit floating point,
            which never clips; the others are lossy.

        Returns
        -------
        dict of str to Path
            The file of each source.
        """
        files: Any = importlib.import_module("dspsep.data.files")
        paths: dict[str, Path] = files.save_sources(self, folder, format=format)
        return paths

    def play(
        self,
        *,
        mixture: Any = None,
        references: Mapping[str, Any] | None = None,
        start: float = 0.0,
        duration: float | None = 60.0,
        picture: Literal["spectrogram", "waveform"] = "spectrogram",
    ) -> StemPlayer:
        """Return a player of the sources: a notebook shows it as the last expression of a cell.

        Sources play together and in time, each with solo, mute and a fader, and the mixture can be heard in
        their place. It needs no network, and without scripts plain audio elements are left.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples), optional
            What was separated. By default the sum of the sources.
        references : Sources or mapping of str to array, optional
            The true sources under the names of the estimates, all or some: A/B switches between the two at
            the same place and level.
        start : float, default=0.0
            Where the part that is played begins, in seconds.
        duration : float or None, default=60.0
            How much is played at most, in seconds; None means all there is.
        picture : {"spectrogram", "waveform"}, default="spectrogram"
            What is shown of each sound, and clicked on.

        Returns
        -------
        StemPlayer
            The player, which holds its sounds.

        Raises
        ------
        InputError
            If a signal is not finite or not of the sources' shape, if a reference has no source, or if there
            is nothing to play. If MP3 is needed and the installed libsndfile cannot write it: the message
            says what to do.

        See Also
        --------
        dspsep.display.write_page : The same as a file, with numbers and settings.

        Notes
        -----
        Levels are true: sounds are not normalised. If one would clip, all are made quieter by the same
        factor, and the player says so. Sounds are 16-bit FLAC while they have at most 2.4 MB together, else
        MP3 at about 200 kbit/s: a minute of the mixture and four sources adds about 10 MB to a notebook.

        What a notebook shows of sources as such, without `play`, is a player of their first seconds: 60 s
        divided among the mixture and the sources, which stay below 4 MB. More than 60 sources are named.

        Examples
        --------
        >>> import numpy as np
        >>> sources = Sources.from_dict({"low": np.ones(800), "high": np.zeros(800)}, 8000)
        >>> sources.play(references={"low": np.ones(800)}, duration=0.05)
        StemPlayer(low, high)
        """
        display: Any = importlib.import_module("dspsep.display.stem_player")
        player: StemPlayer = display.play(
            self, mixture=mixture, references=references, start=start, duration=duration, picture=picture
        )
        return player

    def _repr_html_(self) -> str:
        display: Any = importlib.import_module("dspsep.display.stem_player")
        html: str = display.preview(self)
        return html

    def report(
        self,
        path: str | Path,
        *,
        mixture: Any = None,
        references: Mapping[str, Any] | Sequence[Any] | None = None,
        protocol: str | Protocol = "bss_eval_v4",
        mapping: Mapping[str, str | Sequence[str]] | None = None,
        permutation: bool = False,
        title: str = "A recording taken apart",
        intro: str | None = None,
        start: float | None = None,
        duration: float | None = None,
        warnings: Iterable[str | Warning | Any] | None = None,
    ) -> Path:
        """Write one HTML file to listen to, look at, read, and pass on.

        Parameters
        ----------
        path : str or Path
            The file. One of that name is replaced when the new one is complete.
        mixture : array of the shape of a source, optional
            What was separated. By default the sum of the sources, which is the same.
        references : mapping of str to array, optional
            The true sources, as of `evaluate`: they are scored with, heard, and seen.
        protocol, mapping, permutation : optional
            As of `evaluate`.
        title : str, default="A recording taken apart"
            The heading, for example the name of the piece.
        intro : str, optional
            One paragraph below it. By default it says what there is on the page.
        start, duration : float, optional
            What is shown of the recording, in seconds. By default its loudest 30 s; with more than five
            sounds on the page less, but at least 10 s.
        warnings : iterable of str or warning, optional
            What was warned of as the sources were made. By default the page says nothing of it.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        InputError
            If the file cannot be written, or anything does not fit these sources: before any work.

        See Also
        --------
        write_report : What is on the page, its size, and the memory it takes.

        Examples
        --------
        >>> import dspsep, tempfile
        >>> from pathlib import Path
        >>> scene = dspsep.data.scenes.song(duration=2.0)
        >>> sources = dspsep.HPSS().separate(scene.mixture, scene.sample_rate)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sources.report(Path(folder, "page.html"), title="A song").stat().st_size < 4e6
        True
        """
        reports: Any = importlib.import_module("dspsep.reports.report")
        written: Path = reports.write_report(
            path, self, mixture=mixture, references=references, protocol=protocol, mapping=mapping,
            permutation=permutation, title=title, intro=intro, start=start, duration=duration,
            warnings=warnings,
        )  # fmt: skip
        return written

    # Mappings compare their values, and arrays do not compare to one truth: a result equals itself alone.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[type[Sources], tuple[Any, ...]]:
        # A mapping proxy cannot be pickled; the dict inside it can.
        return type(self), (dict(self.audio), self.sample_rate, self.model, self.provenance)

    def __repr__(self) -> str:
        names = ", ".join(self.audio)
        channels = "mono" if len(self.shape) == 1 else f"{self.n_channels} channels"
        plural = "" if self.n_samples == 1 else "s"
        return f"Sources({names}; {channels}, {self.n_samples} sample{plural} at {self.sample_rate:g} Hz)"


def check_source_name(name: object) -> str:
    """Return `name` if it can name a source: printable, not empty, at most 120 characters."""
    if not isinstance(name, str) or not name or len(name) > 120 or not name.isprintable():
        raise InputError("a source's name", "a printable string of 1 to 120 characters", repr(name)[:60])
    return name
