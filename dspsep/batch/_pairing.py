"""Which references are scored with which estimates, and what is left out of it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dspsep.batch._folders import (
    LEFT_OVER,
    MIXTURES,
    TrackFolder,
    counted,
    counterpart,
    listed,
    listed_tracks,
    separated_mixtures,
    track_folders,
)
from dspsep.data._names import safe_file_name
from dspsep.errors import InputError
from dspsep.metrics.evaluation import estimates_for

__all__ = ["Pairing", "TrackFiles", "paired"]


@dataclass(frozen=True, kw_only=True)
class TrackFiles:
    """The files of one track, by the names of references and of estimates, in order.

    Parameters
    ----------
    track : str
        What it is called.
    references, estimates : mapping of str to str
        Files by name.
    gains : mapping of str to float
        What estimates were multiplied by when they were written.
    mixture : str, optional
        The file of the mixture.
    partial : bool
        Whether there are references that are not scored.
    """

    track: str
    references: Mapping[str, str]
    estimates: Mapping[str, str]
    gains: Mapping[str, float] = field(default_factory=dict)
    mixture: str | None = None
    partial: bool = False

    def plain(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return dict(vars(self))

    def files(self) -> list[str]:
        """Return all files."""
        mixture = [] if self.mixture is None else [self.mixture]
        return [*self.references.values(), *self.estimates.values(), *mixture]


@dataclass
class Pairing:
    """What there is to score, what there is not and why, and a few words on what is passed over."""

    tracks: list[TrackFiles] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    lonely: list[str] = field(default_factory=list)
    _mixtures: int = 0
    _left_over: int = 0
    _left_out: Counter[str] = field(default_factory=Counter)
    _others: Counter[str] = field(default_factory=Counter)
    _n_other: int = 0

    @property
    def names(self) -> list[str]:
        """All tracks of the references, in order."""
        return sorted([*self.failures, *(track.track for track in self.tracks)])

    @property
    def ignored(self) -> tuple[str, ...]:
        """What is passed over, in phrases."""
        phrases = {
            f"mixtures ({self._mixtures})": self._mixtures,
            f"residuals ({self._left_over})": self._left_over,
            f"references {counted(self._left_out)}": len(self._left_out),
            f"estimates {counted(self._others)}": len(self._others),
            f"tracks without references: {listed_tracks(self.lonely)}": len(self.lonely),
            f"files that are no audio ({self._n_other})": self._n_other,
        }
        return tuple(phrase for phrase, n in phrases.items() if n)

    def passed_over(self, references: TrackFolder, estimates: TrackFolder, files: TrackFiles) -> None:
        """Count what is not scored of a track."""
        self._n_other += references.n_other + estimates.n_other
        self._mixtures += references.mixture is not None
        self._left_out.update(set(references.sources) - set(files.references))
        for name in set(estimates.files) - set(files.estimates):
            self._mixtures += name in MIXTURES
            self._left_over += name == LEFT_OVER
            if name not in (*MIXTURES, LEFT_OVER):
                self._others[name] += 1


def paired(
    reference_dir: object,
    estimate_dir: object,
    *,
    sources: Sequence[str] | None,
    mapping: Mapping[str, str | Sequence[str]],
    permutation: bool,
) -> Pairing:
    """Return the tracks of two folders.

    Raises
    ------
    InputError
        If there is no folder, no reference, or no track of the same name at all, or if `sources` or `mapping`
        are of references that nobody has.
    """
    references, estimates = _folders(reference_dir, estimate_dir)
    matches = _matches(references, estimates, estimate_dir)
    scored = _scored(references, sources, mapping)
    pairing = Pairing(lonely=[name for name in estimates if name not in matches.values()])
    for name, folder in references.items():
        # A folder that holds one track and nothing else gives it its own name.
        track = Path(os.path.realpath(folder.path)).name if list(references) == ["."] else name
        try:
            _check_references(folder, scored, others=sources is not None)
            made = _folder_of_estimates(name, estimates, matches[name])
            files = _matched(track, folder, made, scored, mapping, permutation)
        except InputError as error:
            pairing.failures[track] = str(error)
        else:
            pairing.tracks.append(files)
            pairing.passed_over(folder, made, files)
    return pairing


def _folders(
    reference_dir: object, estimate_dir: object
) -> tuple[dict[str, TrackFolder], dict[str, TrackFolder]]:
    """Return the tracks that have references, at least one, and those that have estimates."""
    references = track_folders("reference_dir", reference_dir, estimate_dir)
    references = {name: folder for name, folder in references.items() if folder.sources or folder.problem}
    estimates = track_folders("estimate_dir", estimate_dir, reference_dir)
    if not references:
        requirement = "a folder with one audio file for each source, or with such folders in it"
        raise InputError("reference_dir", requirement, repr(str(reference_dir)))
    return references, estimates


def _matches(
    references: Mapping[str, TrackFolder], estimates: Mapping[str, TrackFolder], estimate_dir: object
) -> dict[str, str | None]:
    """Return the folder of estimates of each track; at least one has one."""
    separated = separated_mixtures(Path(os.fsdecode(estimate_dir)))  # type: ignore[arg-type]  # it is a folder
    matches = {name: counterpart(name, folder, estimates, separated) for name, folder in references.items()}
    if not any(matches.values()):
        there = listed_tracks(list(estimates))
        raise InputError(
            "estimate_dir",
            f"a folder with estimates of the tracks of the references ({listed_tracks(list(references))})",
            f"{repr(str(estimate_dir))[:120]} with {f'audio in {there}' if there else 'no audio'}",
            _where_else(references, estimates, estimate_dir),
        )
    return matches


def _scored(
    references: Mapping[str, TrackFolder],
    sources: Sequence[str] | None,
    mapping: Mapping[str, str | Sequence[str]],
) -> tuple[str, ...]:
    """Return the references to score, by name; refuse names that no track has."""
    scored = _scored_in_most(references) if sources is None else tuple(sources)
    readable = [folder for folder in references.values() if folder.problem is None]
    there = sorted({name for folder in readable for name in folder.sources})
    nowhere = [name for name in scored if name not in there]
    if readable and nowhere:
        requirement = f"names of references that some track has ({listed(there)})"
        raise InputError("sources", requirement, listed(nowhere))
    for name in mapping:
        if name not in scored:
            requirement = f"of references that are scored ({listed(scored)})"
            raise InputError("mapping", requirement, repr(name)[:60])
    return scored


def _where_else(references: Mapping[str, object], estimates: Mapping[str, object], given: object) -> str:
    """Return what to do where no name fits: perhaps the tracks are a folder further down."""
    for name in estimates:
        first, slash, rest = name.partition("/")
        if slash and any(rest in (track, safe_file_name(track)) for track in references):
            further = str(Path(os.fsdecode(given), first))  # type: ignore[arg-type]  # it is a folder
            return f"Tracks are matched by the names of their folders: did you mean {further!r}?"
    if list(estimates) == ["."]:
        return "Tracks are matched by the names of their folders: put the files of each into one of its own."
    return "Tracks are matched by the names of their folders."


def _folder_of_estimates(track: str, estimates: Mapping[str, TrackFolder], match: str | None) -> TrackFolder:
    if match is None:
        raise InputError(
            "estimates",
            "there for every track",
            f"none called {track!r}" if track != "." else "none in the folder itself",
        )
    return estimates[match]


def _scored_in_most(references: Mapping[str, TrackFolder]) -> tuple[str, ...]:
    """Return the sources that most tracks have, since scores of other sets cannot be put together."""
    sets = Counter(folder.sources for folder in references.values() if folder.problem is None)
    return sets.most_common(1)[0][0] if sets else ()


def _check_references(folder: TrackFolder, scored: Sequence[str], *, others: bool) -> None:
    """Refuse a track without the sources to score, and one with more of them unless those were chosen."""
    folder.check([*scored, *MIXTURES], "references")
    missing = [name for name in scored if name not in folder.files]
    more = [] if others else [name for name in folder.sources if name not in scored]
    if missing or more:
        seen = f"none called {listed(missing)}" if missing else f"also {listed(more)}"
        raise InputError(
            "references",
            f"the same for all tracks ({listed(scored)})",
            f"{seen} in {str(folder.path)!r}",
            "Choose sources that all tracks have (sources=[…], or --sources).",
        )


def _matched(
    track: str,
    references: TrackFolder,
    estimates: TrackFolder,
    scored: Sequence[str],
    mapping: Mapping[str, str | Sequence[str]],
    permutation: bool,
) -> TrackFiles:
    """Return the files of a track, or say which estimates are missing."""
    if permutation:
        apart = (*MIXTURES, *(() if LEFT_OVER in scored else (LEFT_OVER,)))
        chosen = [name for name in sorted(estimates.files) if name not in apart]
    else:
        chosen = [estimate for name in scored for estimate in estimates_for(name, mapping)]
    estimates.check(chosen, "estimates")
    missing = [name for name in chosen if name not in estimates.files]
    if missing:
        raise InputError(
            "estimates",
            f"there for every reference ({listed(scored)})",
            f"none called {listed(missing)} in {str(estimates.path)!r}, but"
            f" {listed(sorted(estimates.files))}",
            "Give names where they differ, and sums (mapping={reference: estimate, other: [one, two]}, or"
            " --map reference=estimate --map other=one+two), or choose the sources to score (sources=[…], or"
            " --sources), which changes what is measured.",
        )
    return TrackFiles(
        track=track,
        references={name: references.files[name] for name in scored},
        estimates={name: estimates.files[name] for name in dict.fromkeys(chosen)},
        gains={name: estimates.gains[name] for name in chosen if name in estimates.gains},
        mixture=references.mixture,
        partial=len(scored) < len(references.sources),
    )
