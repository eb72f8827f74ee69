"""Several methods on one recording, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from dspsep.errors import InputError
from dspsep.metrics.protocols import Protocol
from dspsep.reports._inputs import checked_sources
from dspsep.reports._separation import texts_of
from dspsep.reports._writing import Asked, written
from dspsep.sources import Sources

__all__ = ["write_comparison"]


def write_comparison(
    path: str | Path,
    separations: Mapping[str, Sources],
    *,
    mixture: npt.ArrayLike | None = None,
    references: Mapping[str, Any] | Sequence[Any] | None = None,
    protocol: str | Protocol = "bss_eval_v4",
    mapping: Mapping[str, Any] | None = None,
    permutation: bool = False,
    title: str = "Methods side by side",
    intro: str | None = None,
    start: float | None = None,
    duration: float | None = None,
    warnings: Mapping[str, Iterable[str | Warning | Any]] | None = None,
) -> Path:
    """Write what several methods made of one recording into one HTML file.

    Parameters
    ----------
    path : str or Path
        As of `write_report`.
    separations : mapping of str to Sources
        What each method made of the mixture, by the name of the method, in the order of the page.
    mixture : array of the shape of a source, optional
        What was separated. By default the sum of the first method's sources.
    references, protocol : optional
        As of `write_report`, for all methods.
    mapping : mapping, optional
        As of `evaluate`, for all methods; or such a mapping for each method that needs one, as in
        ``{"REPET": {"vocals": "foreground"}}``.
    permutation : bool, default=False
        As of `evaluate`, for all methods.
    title, intro, start, duration : optional
        As of `write_report`. With more than five sounds the page shows less than 30 s.
    warnings : mapping of str to iterable, optional
        As of `write_report`, by method.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        If there are no methods, if their sources differ in rate or shape, and as of `write_report`.

    See Also
    --------
    write_report : The same of one method.
    run_benchmark : Many recordings, for a table.

    Notes
    -----
    One recording says what to listen for, not which method is better: for that there are many recordings,
    and tests, in `dspsep.bench`.

    Where a source of a method stands for a reference of another name, the page calls it by that of the
    reference, so that the same sources of all methods can be heard in turn, and says what the method calls
    it. Size and memory are as of `write_report`.

    Examples
    --------
    >>> import dspsep, tempfile
    >>> from pathlib import Path
    >>> scene = dspsep.data.scenes.song(duration=2.0)
    >>> mixture, rate = scene.mixture, scene.sample_rate
    >>> made = {
    ...     "long frames": dspsep.HPSS(stft=dspsep.STFT(4096)).separate(mixture, rate),
    ...     "short frames": dspsep.HPSS(stft=dspsep.STFT(512)).separate(mixture, rate),
    ... }
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = dspsep.write_comparison(Path(folder, "frames.html"), made, title="How long a frame?")
    ...     page.name, "short frames" in page.read_text(encoding="utf-8")
    ('frames.html', True)
    """
    parts = _checked(separations)
    recorded = _by_method("warnings", warnings, parts)
    asked = Asked(
        mixture=mixture,
        references=references,
        protocol=protocol,
        mappings=_mappings(mapping, parts),
        permutation=permutation,
        title=title,
        intro=intro,
        start=start,
        duration=duration,
        notices={name: texts_of(given) for name, given in recorded.items()},
    )
    return written(path, separations, parts, asked)


def _checked(separations: object) -> dict[str, dict[str, Any]]:
    """Return the sources of each method as (n_channels, n_samples), where they are."""
    if not isinstance(separations, Mapping) or not separations:
        got = repr(separations)[:60]
        raise InputError("separations", "a mapping of at least one method's name to its Sources", got)
    found: dict[str, dict[str, Any]] = {}
    first: Sources | None = None
    for name, sources in separations.items():
        if not isinstance(name, str) or not name:
            raise InputError("a method's name", "a string that is not empty", repr(name)[:60])
        argument = f"separations[{name!r}]"
        found[name] = checked_sources(argument, sources)
        first = sources if first is None else first
        if sources.sample_rate != first.sample_rate:
            rates = f"{first.sample_rate:g} Hz", f"{sources.sample_rate:g} Hz"
            raise InputError(argument, f"at the rate of the others, {rates[0]}", rates[1])
        if sources.shape != first.shape:
            raise InputError(argument, f"of the others' shape {first.shape}", f"{sources.shape}")
    return found


def _by_method(argument: str, given: Any, methods: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is given for some methods; refuse methods that are not there."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InputError(argument, "a mapping from the names of methods", repr(given)[:60])
    unknown = [name for name in given if name not in methods]
    if unknown:
        raise InputError(
            argument, f"for methods among {', '.join(map(repr, methods))}", repr(unknown[0])[:60]
        )
    return given


def _mappings(mapping: Any, methods: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the mapping of each method: one for all, or one for each."""
    if isinstance(mapping, Mapping) and any(isinstance(value, Mapping) for value in mapping.values()):
        return _by_method("mapping", mapping, methods)
    return dict.fromkeys(methods, mapping)
