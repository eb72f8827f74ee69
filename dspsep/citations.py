"""What to cite, and what to write about it: BibTeX and a paragraph, made from settings and docstrings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from dspsep import _registry
from dspsep._references import Reference, latex, references_of, with_keys
from dspsep._version import __version__
from dspsep.bench.results import BenchmarkMethod, BenchmarkResults
from dspsep.errors import InputError
from dspsep.metrics import Protocol
from dspsep.metrics.protocols import named_protocols
from dspsep.separator import Refiner, Separator, from_json

__all__ = [
    "AUTHOR",
    "TITLE",
    "all_parts",
    "cite",
    "keyed",
    "kind_of",
    "outermost",
    "protocols_of",
    "settings_of",
    "subject_of",
    "with_defaults",
]

AUTHOR = "The dspsep developers"
TITLE = "dspsep: classical audio source separation"


def cite(*subjects: object) -> str:
    r"""Return BibTeX: of dspsep, and of the papers of all methods in what is given.

    Parameters
    ----------
    *subjects : Separator, Refiner, Protocol, BenchmarkResults or str
        Separators and refiners with all that is in them: the steps of pipelines, the members of ensembles,
        separators inside separators. Results with all their methods, and with the protocol that scored them.
        Strings are names of classes, as ``dspsep list`` has them (case does not count), or folders with
        results.

    Returns
    -------
    str
        An entry for dspsep and for each work, none twice, for ``\bibliography``: in ASCII but for letters
        that LaTeX has no command for.

    Raises
    ------
    InputError
        If a subject is nothing of these.
    DspsepError
        If docstrings, where references are written, have been removed (``python -OO``).

    See Also
    --------
    describe : A paragraph for the methods section, which cites with these keys.

    Notes
    -----
    References are those of the docstrings, so what is cited is what a method's page says. The version of
    dspsep is that of results, if they are the only subject, else that which is installed.

    Examples
    --------
    >>> import dspsep
    >>> print(dspsep.cite("repet"))
    @misc{dspsep,
      author = {{The dspsep developers}},
      title = {dspsep: classical audio source separation},
      note = {Version ...},
    }
    <BLANKLINE>
    @article{rafii2013repeating,
      author = {Rafii, Z. and Pardo, B.},
      title = {{REpeating} {Pattern} {Extraction} {Technique} {(REPET):} a simple ...},
      journal = {IEEE Transactions on Audio, Speech, and Language Processing},
      volume = {21},
      number = {1},
      pages = {73--84},
      doi = {10.1109/TASL.2012.2213249},
      year = {2013},
    }
    <BLANKLINE>
    """
    found = [subject_of(subject) for subject in subjects]
    versions = {result.version for result in found if isinstance(result, BenchmarkResults)}
    version = versions.pop() if len(versions) == len(found) == 1 else __version__
    software = "\n".join(
        [
            "@misc{dspsep,",
            f"  author = {{{{{AUTHOR}}}}},",
            f"  title = {{{TITLE}}},",
            f"  note = {{Version {latex(version)}}},",
            "}",
        ]
    )
    entries = [reference.bibtex(key) for key, reference in keyed(found).items()]
    return "\n\n".join([software, *entries]) + "\n"


def keyed(subjects: Iterable[object]) -> dict[str, Reference]:
    """Return the works behind subjects by the keys that they are cited as."""
    kinds = dict.fromkeys(kind for subject in subjects for kind in _kinds(subject))
    return with_keys(reference for kind in kinds for reference in references_of(kind))


def subject_of(subject: object) -> object:
    """Return a subject that was named as what it is: a method, an object, or results."""
    if isinstance(subject, (Separator, Refiner, Protocol, BenchmarkResults)):
        return subject
    if isinstance(subject, type) and issubclass(subject, (Separator, Refiner, Protocol)):
        return with_defaults(subject)
    if isinstance(subject, str):
        kind = kind_of(subject)
        if kind is not None:
            return with_defaults(kind)
        if (Path(subject) / "benchmark.json").is_file():
            return BenchmarkResults.load(subject)
    if isinstance(subject, Path):
        return BenchmarkResults.load(subject)
    raise InputError(
        "subject",
        "a separator, a refiner, a protocol, results, or the name of one",
        repr(subject)[:80],
        "`dspsep list` has the names of methods.",
    )


def kind_of(name: str) -> Any:
    """Return the class of a separator, refiner or protocol by its name; None if there is none."""
    wanted = name.lower().replace("-", "").replace("_", "")
    for registered in _registry._TYPES:
        if registered.lower() == wanted:
            kind = _registry.type_named(registered)
            return kind if issubclass(kind, (Separator, Refiner)) else None
    for called, protocol in named_protocols().items():
        if wanted in (called.replace("_", ""), type(protocol).__name__.lower()):
            return type(protocol)
    return None


def settings_of(results: BenchmarkResults) -> Iterator[tuple[BenchmarkMethod, object]]:
    """Yield the methods of results, and their separators: classes where one is made for each track."""
    for method in results.asked_methods:
        found: object = None
        if method.kind == "mixture":
            found = _registry.type_named("MixtureAsEstimate")
        elif method.kind == "separator" and method.settings:
            with suppress(InputError):  # of another version
                found = from_json(method.settings)
        yield method, found or kind_of(method.text.partition("(")[0]) or kind_of(method.name)


def protocols_of(results: BenchmarkResults) -> list[Protocol]:
    """Return the protocol that scored results, as far as it has a name."""
    names = {str(record.scores.protocol["name"]) for record in results.done if record.scores}
    known = named_protocols()
    return [known[name] for name in sorted(names) if name in known]


def outermost(value: object) -> Iterator[Separator | Refiner]:
    """Yield the separators and refiners in a setting, but not those inside of them."""
    if isinstance(value, (Separator, Refiner)):
        yield value
    elif isinstance(value, (Mapping, tuple, list)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from outermost(item)


def all_parts(value: object) -> Iterator[Separator | Refiner]:
    """Yield separators and refiners with all that is inside of them, the outer ones first."""
    for part in outermost(value):
        yield part
        for field in dataclasses.fields(cast("Any", part)):
            yield from all_parts(getattr(part, field.name))


def _kinds(subject: object) -> Iterator[type]:
    """Yield the classes that are behind a subject."""
    if isinstance(subject, type):
        yield subject
    elif isinstance(subject, BenchmarkResults):
        for _, method in settings_of(subject):
            yield from _kinds(method)
        yield from map(type, protocols_of(subject))
    elif isinstance(subject, Protocol):
        yield type(subject)
    else:
        yield from map(type, all_parts(subject))


def with_defaults(kind: Any) -> Any:
    """Return an object of a class, or the class itself where it needs something of the user's."""
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    missing = dataclasses.MISSING
    if any(item.init and item.default is missing and item.default_factory is missing for item in fields):
        return kind
    try:
        return kind()
    except (TypeError, InputError):
        return kind
