"""Settings in words: what a methods section says of a separator, made from the separator."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dspsep import citations
from dspsep._references import Reference, latex, references_of, summary_of
from dspsep._version import __version__
from dspsep.bench.results import BenchmarkResults
from dspsep.metrics import Protocol
from dspsep.metrics._track_scores import described
from dspsep.pipeline import Pipeline, Split
from dspsep.refine.regroup import Regroup
from dspsep.stft import STFT

__all__ = ["describe"]

#: What the ends of names of settings say of the unit.
_UNITS = {"_seconds": " s", "_hertz": " Hz", "_db": " dB", "_bins": " bins", "_frames": " frames"}

#: Plural nouns for counts, where the name is not one.
_COUNTED = {"iter": "iterations", "angles": "angles"}


def describe(*subjects: object, every: bool = False, for_latex: bool = False) -> str:
    r"""Return a paragraph for the methods section of a paper: what was used, with its settings and papers.

    Parameters
    ----------
    *subjects : Separator, Refiner, Protocol, BenchmarkResults or str
        What was used, as `cite` takes it. Results are described with their methods, tracks, protocol, seed,
        and what is missing.
    every : bool, default=False
        Write out settings that were left at their defaults, too; otherwise only the transform and seeds.
    for_latex : bool, default=False
        Escape the text, and cite by the keys of `cite`, as ``\cite{rafii2013repeating}``, instead of by
        names and years.

    Returns
    -------
    str
        Plain English in one paragraph. Edit it.

    Raises
    ------
    InputError
        If a subject is nothing of these.
    DspsepError
        If docstrings have been removed (``python -OO``).

    See Also
    --------
    cite : The bibliography that goes with it.

    Examples
    --------
    >>> import dspsep
    >>> print(dspsep.describe(dspsep.HPSS(margin=2.0)))
    Sources were separated with dspsep ... HPSS (harmonic-percussive separation by median filtering;
    FitzGerald, 2010; Driedger et al., 2014) had margin 2 and otherwise default settings; frames of 2048
    samples, 512 samples apart, hann window.
    """
    found = [citations.subject_of(subject) for subject in subjects]
    works = citations.keyed(found)
    names = {reference.identity: key for key, reference in works.items()} if for_latex else _by_year(works)
    writer = _Writer(names, for_latex=for_latex, every=every)
    sentences = [sentence for subject in found for sentence in writer.sentences(subject)]
    versions = {result.version for result in found if isinstance(result, BenchmarkResults)}
    version = versions.pop() if len(versions) == len(found) == 1 else __version__
    cited = r" \cite{dspsep}" if for_latex else ""
    opening = f"Sources were separated with dspsep {writer.text(version)}{cited}."
    return " ".join([opening, *sentences])


def _by_year(works: Mapping[str, Reference]) -> dict[str, str]:
    """Return what works are called in running text; letters tell apart those of one year."""
    shorts = [reference.short for reference in works.values()]
    names = {}
    for index, reference in enumerate(works.values()):
        short = reference.short
        letter = chr(ord("a") + shorts[:index].count(short)) if shorts.count(short) > 1 else ""
        names[reference.identity] = short + letter
    return names


class _Writer:
    """Sentences about subjects, in one way of citing."""

    def __init__(self, names: Mapping[str, str], *, for_latex: bool, every: bool) -> None:
        self._names = names
        self._for_latex = for_latex
        self._every = every
        self._seeded = False
        self.text: Callable[[str], str] = latex if for_latex else str

    def sentences(self, subject: object) -> list[str]:
        """Return what there is to say of a subject."""
        if isinstance(subject, BenchmarkResults):
            return self._results(subject)
        if isinstance(subject, Protocol):
            return [f"Scores are those of {self._protocol(subject)}."]
        return [f"{self.method(subject)}."]

    def method(self, method: Any, name: str = "") -> str:
        """Return a sentence about a separator, a refiner, or the class of one, without its full stop."""
        kind = method if isinstance(method, type) else type(method)
        if isinstance(method, Pipeline):
            steps = [f"({index}) {self.step(step)}" for index, step in enumerate(method.steps, start=1)]
            return f"{self.text(name or 'Pipeline')} is a pipeline of {len(steps)} steps: {'; '.join(steps)}"
        settings = "" if isinstance(method, type) else self._settings(method)
        return f"{self._named(kind, name)} {f'had {settings}' if settings else 'was used'}"

    def step(self, step: Any) -> str:
        """Return a part of something larger in a few words."""
        if isinstance(step, Pipeline):
            return f"a pipeline ({'; then '.join(self.step(inner) for inner in step.steps)})"
        if isinstance(step, Split):
            return " and ".join(
                f"the source {self.text(name)} split by {self.step(inner)}" for name, inner in step.separators
            )
        if isinstance(step, Regroup):
            groups = [f"{name} from {_listed(sources)}" for name, sources in step.groups]
            return f"sources summed in groups, {self.text(_listed(groups))}"
        settings = self._settings(step)
        return self._named(type(step), "") + (f" with {settings}" if settings else "")

    def _named(self, kind: type, name: str) -> str:
        """Return the name of a method, and in brackets what it does and who says so."""
        phrase = summary_of(kind)
        if phrase[1:2].islower() or phrase[1:2] == " ":
            phrase = phrase[0].lower() + phrase[1:]
        apart = name not in ("", kind.__name__)
        what = f"{kind.__name__}: {phrase}" if apart else phrase
        return f"{self.text(name or kind.__name__)} ({'; '.join([self.text(what), *self._cited(kind)])})"

    def _cited(self, kind: type) -> list[str]:
        names = [self._names[reference.identity] for reference in references_of(kind)]
        return [rf"\cite{{{','.join(names)}}}"] if names and self._for_latex else names

    def _settings(self, method: Any) -> str:
        """Return the settings of an object that were changed, or all."""
        said: list[str] = []
        apart: list[str] = []
        left = False
        usual = citations.with_defaults(type(method))
        for field in dataclasses.fields(method):
            value = getattr(method, field.name)
            if isinstance(value, STFT):
                apart.append(self.text(_transform(value)))
            elif inner := list(citations.outermost(value)):
                apart.append(f"{self.text(_words(field.name))}: {' and '.join(map(self.step, inner))}")
            elif field.name == "seed" and self._seeded:
                pass  # replaced for each track
            elif value is not None and (
                self._every or field.name == "seed" or not _is_default(usual, field, value)
            ):
                said.append(self.text(_setting(field.name, value)))
            else:
                left = left or value is not None
        if left:
            said.append("otherwise default settings" if said else "default settings")
        return "; ".join([*([_listed(said)] if said else []), *apart])

    def _protocol(self, protocol: Protocol) -> str:
        return f"{self.text(described(protocol.describe()))} ({'; '.join(self._cited(type(protocol)))})"

    def _results(self, results: BenchmarkResults) -> list[str]:
        """Return what was done to get results."""
        sentences = []
        self._seeded = results.seed is not None
        for row, method in citations.settings_of(results):
            known = f"{self.text(row.name)} is {self.text(row.text)}"
            if method is not None:
                known = self.method(method, row.name)
                bare = isinstance(method, type) and row.kind != "mixture" and not row.text.endswith("()")
                known += f" as {self.text(row.text)}" if bare else ""
            told = "; it is told the number of sources of each track" if row.counted else ""
            sentences.append(f"{known}{_given(row.kind)}{told}.")
        sentences.append(f"{self.text(_material(results))}.")
        protocols = [self._protocol(protocol) for protocol in citations.protocols_of(results)]
        if protocols:
            done = next(record.scores for record in results.done if record.scores)
            sentences.append(
                f"Estimates were scored by {_listed(protocols)}, for the sources "
                f"{self.text(_listed(results.sources))}; each score is the {done.protocol['over_windows']} "
                f"over windows, and the {done.protocol['over_tracks']} over tracks."
            )
        blind = dict.fromkeys(record.method for record in results.done if record.matching == "best")
        if blind:
            names = self.text(_listed(tuple(blind)))
            sentences.append(f"Estimates of {names} were matched with the sources by the best score.")
        if results.seed is not None:
            sentences.append(f"Seeds were derived from {results.seed} and the names of track and method.")
        return [*sentences, *map(self.text, _gaps(results))]


def _given(kind: str) -> str:
    return {"oracle": "; it is given the true sources", "mixture": "; it is the lower bound"}.get(kind, "")


def _material(results: BenchmarkResults) -> str:
    """Return of how many tracks, and of what kind, results are."""
    tracks = results.asked_tracks
    seconds = sum(track.seconds for track in tracks)
    length = f"{seconds:.3g} s" if seconds < 100 else f"{seconds / 60:.3g} min"
    # What could not be read has neither.
    rates = sorted({track.sample_rate for track in tracks if track.sample_rate})
    channels = sorted({track.channels for track in tracks if track.channels})
    count = "track" if len(tracks) == 1 else "tracks"
    named = {1: "one", 2: "two"}
    plural = "" if channels == [1] else "s"
    sampled = [f"sampled at {_listed([f'{rate / 1000:g} kHz' for rate in rates])}"] if rates else []
    of = [f"of {_listed([named.get(n, str(n)) for n in channels])} channel{plural}"] if channels else []
    applied = f"They were applied to {len(tracks)} {count} of {length} in all"
    return ", ".join([applied, *sampled, *of])


def _gaps(results: BenchmarkResults) -> list[str]:
    """Return a sentence for each kind of result that is not there."""
    asked = len(results.methods) * len(results.tracks)
    counts = {
        ("failed", "failed"): len(results.failed),
        ("was not possible", "were not possible"): len(results.unfit),
        ("is not done yet", "are not done yet"): len(results.missing),
    }
    why = {"were not possible": ", since the method does not take such tracks"}
    return [
        f"Of {asked} separations {number} {one if number == 1 else many}{why.get(many, '')}."
        for (one, many), number in counts.items()
        if number
    ]


def _transform(stft: STFT) -> str:
    window = f"{_value(stft.window)} window"
    return f"frames of {stft.n_fft} samples, {stft.hop_length} samples apart, {window}"


def _setting(name: str, value: Any) -> str:
    """Return a setting in words, with its unit."""
    if name.startswith("n_"):
        counted = _words(name.removeprefix("n_"))
        return f"{_value(value)} {_COUNTED.get(counted, counted)}"
    if isinstance(value, bool):
        return f"{_words(name)} {'on' if value else 'off'}"
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{_words(name.removesuffix(ending))} {_value(value)}{unit}"
    return f"{_words(name)} {_value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, (float, int)) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, tuple) and all(isinstance(item, (str, int, float)) for item in value):
        return _listed([_value(item) for item in value])
    shown = value if isinstance(value, str) else repr(value)
    return shown if len(shown) <= 120 else f"of the user's own ({type(value).__name__})"


def _is_default(usual: object, field: Any, value: Any) -> bool:
    """Tell whether a setting is its default, also where it is kept in another form than it is given in."""
    if not isinstance(usual, type) and value == getattr(usual, field.name):
        return True
    factory = field.default_factory
    default = field.default if factory is dataclasses.MISSING else factory()
    return bool(value == default)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _listed(items: Sequence[str]) -> str:
    """Return a list as English has it."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
