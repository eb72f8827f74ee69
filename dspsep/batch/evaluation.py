"""Two folders in, scores out: references in one, what a method made of them in the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence, Set
from contextlib import closing
from typing import NamedTuple

import numpy as np

from dspsep import _checks
from dspsep.batch._folders import is_mixture
from dspsep.batch._pairing import Pairing, TrackFiles, paired
from dspsep.batch._scoring import Evaluation, Scored
from dspsep.batch._workers import outcomes_of
from dspsep.errors import InputError, warn
from dspsep.metrics.evaluation import protocol_named
from dspsep.metrics.protocols import Protocol
from dspsep.metrics.results import Scores
from dspsep.progress import Progress

__all__ = ["FolderScores", "evaluate_folders", "joined", "outcomes", "prepared"]


class FolderScores(NamedTuple):
    """What `evaluate_folders` returns.

    Attributes
    ----------
    scores : Scores or None
        Of all tracks that could be scored, in order of their names; None if there is none.
    failures : dict of str to str
        Why the others could not, by the name of the track.
    ignored : tuple of str
        What of the two folders was passed over, in phrases.
    """

    scores: Scores | None
    failures: dict[str, str]
    ignored: tuple[str, ...]


def evaluate_folders(
    reference_dir: object,
    estimate_dir: object,
    protocol: str | Protocol = "bss_eval_v4",
    *,
    sources: Sequence[str] | None = None,
    mapping: Mapping[str, str | Sequence[str]] | None = None,
    permutation: bool = False,
    pad: bool = False,
    n_jobs: int = 1,
    isolate: bool = False,
) -> FolderScores:
    """Score the audio files of one folder against those of another, track by track.

    Parameters
    ----------
    reference_dir, estimate_dir : str or Path
        Either hold audio files of one track (``vocals.wav``, ``drums.flac``), or folders of such tracks, at
        any depth, of the same relative names. Files are matched by their names without extension, folders by
        their names, by what ``dspsep separate`` makes of these, or by what its manifest says of a mixture. A
        reference called ``mixture`` or ``mix``, in whatever case, is the mixture and no source; an estimate
        called so, or ``residual``, is not scored unless there is a reference of its name. Names that begin
        with a dot, links to folders, and what is no audio by its extension are passed over.
    protocol : str or Protocol, default="bss_eval_v4"
        As of `dspsep.metrics.evaluate`.
    sources : sequence of str, optional
        Score these references alone. By default all are scored, and each track must have the same. **The
        scores of a source depend on the others**: the set is stored with them.
    mapping : mapping of str to str or sequence of str, optional
        The name of the estimate of each reference, where they differ, or the names of those that add up to
        it: ``{"vocals": "voice", "accompaniment": ["harmonic", "percussive"]}``.
    permutation : bool, default=False
        Match each reference with the estimate that serves it best. For blind methods only.
    pad : bool, default=False
        Cut estimates, or fill them up with silence, to the length of the references.
    n_jobs : int, default=1
        Tracks at a time, each in a process of its own. The scores are the same to the last bit.
    isolate : bool, default=False
        Decode in a process with limits of its own, for files of unknown origin: as of `dspsep.load`.

    Returns
    -------
    FolderScores
        A named tuple of `scores`, `failures` and `ignored`. A track that fails is not the end of the others.

    Raises
    ------
    InputError
        If a folder or all references are missing, if no folder of estimates has the name of a track, or if
        the settings make no sense: if no track has one of `sources`, for example. What is wrong with one
        track is in `failures`.

    Warns
    -----
    DspsepWarning
        What `dspsep.load` warns of.

    See Also
    --------
    dspsep.metrics.evaluate : The same of arrays.

    Notes
    -----
    Memory: for each job, the references and estimates of one track in single precision, and what the protocol
    needs. Linear algebra is limited to one thread meanwhile, since its rounding depends on their number.

    Stems that ``dspsep separate`` had to write at a lower level, because their format holds nothing above
    full scale, are scored at the level that they were made at: ``details["gains_undone"]`` tells.

    Protocols that compare with the mixture use that of the folder of references, or else the sum of all
    references; ``details["mixture"]`` of each track tells.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import dspsep
    >>> scene = dspsep.data.scenes.drum_loop(duration=2.0)
    >>> true = dspsep.Sources(scene.sources, scene.sample_rate)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("true", "made"):
    ...         paths = true.save(Path(folder) / name / "loop", format="wav")
    ...     found = dspsep.evaluate_folders(Path(folder) / "true", Path(folder) / "made", "mdx")
    >>> found.failures
    {}
    >>> found.scores["kick", "uSDR"] > 60
    True
    """
    job, pairing = prepared(
        reference_dir, estimate_dir, protocol, sources=sources, mapping=mapping, permutation=permutation,
        pad=pad, isolate=isolate,
    )  # fmt: skip
    n_jobs = _checks.integer("n_jobs", n_jobs, minimum=1)
    scored = {}
    failures = dict(pairing.failures)
    with closing(outcomes(job, pairing, n_jobs)) as results:
        for files, outcome in results:
            for notice in outcome.notices:
                warn(notice[1:].partition("]")[0], f"{files.track!r}: {notice.partition('] ')[2]}")
            if outcome.scores is None:
                failures[files.track] = outcome.error or ""
            else:
                scored[files.track] = outcome.scores
    return FolderScores(joined(scored), dict(sorted(failures.items())), pairing.ignored)


def prepared(
    reference_dir: object,
    estimate_dir: object,
    protocol: object,
    *,
    sources: Sequence[str] | None,
    mapping: Mapping[str, str | Sequence[str]] | None,
    permutation: bool,
    pad: bool,
    isolate: bool,
) -> tuple[Evaluation, Pairing]:
    """Check settings and look at the two folders, before any work."""
    names = None if sources is None else _checked_sources(sources)
    chosen = _checked_mapping(mapping)
    for name, value in {"permutation": permutation, "pad": pad, "isolate": isolate}.items():
        if not isinstance(value, (bool, np.bool_)):
            raise InputError(name, "True or False", repr(value)[:60])
    if mapping and permutation:
        raise InputError(
            "mapping", "None where permutation=True", repr(mapping)[:60], "It is one or the other."
        )
    job = Evaluation(
        protocol=protocol_named(protocol), mapping=chosen, permutation=bool(permutation),
        pad=bool(pad), isolate=bool(isolate),
    )  # fmt: skip
    pairing = paired(
        reference_dir, estimate_dir, sources=names, mapping=job.mapping, permutation=job.permutation
    )
    return job, pairing


def _checked_sources(sources: object) -> tuple[str, ...]:
    """Return names in the order in which they were given."""
    ordered = isinstance(sources, Iterable) and not isinstance(sources, (str, bytes, Set, Mapping))
    names = list(sources) if ordered else []  # type: ignore[call-overload]  # it is iterable
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise InputError("sources", "different names of references, at least one", repr(sources)[:60])
    for name in names:
        if is_mixture(name):
            remedy = "It is what was separated, and no source."
            raise InputError("sources", "names of references other than the mixture", repr(name), remedy)
    return tuple(names)


def _checked_mapping(mapping: object) -> dict[str, str | Sequence[str]]:
    """Refuse what `dspsep.metrics.evaluate` refuses; which references there are is seen later."""
    if mapping is None:
        return {}
    if not isinstance(mapping, Mapping) or not all(isinstance(name, str) for name in mapping):
        requirement = "a mapping of names of references to names of estimates"
        raise InputError("mapping", requirement, repr(mapping)[:60])
    for chosen in mapping.values():
        several = isinstance(chosen, Sequence) and all(isinstance(one, str) for one in chosen)
        if not several or not chosen:
            raise InputError("mapping", "to a name or to a sequence of names", repr(chosen)[:60])
    # Other sequences than lists could not travel as JSON.
    return {name: chosen if isinstance(chosen, str) else list(chosen) for name, chosen in mapping.items()}


def outcomes(
    job: Evaluation,
    pairing: Pairing,
    n_jobs: int,
    begin: Callable[[TrackFiles], None] = lambda _: None,
    report: Callable[[TrackFiles, Progress], None] = lambda *_: None,
) -> Generator[tuple[TrackFiles, Scored]]:
    """Score tracks; yield each with its outcome as it comes."""
    return outcomes_of(job, pairing.tracks, n_jobs, begin, report)


def joined(scored: Mapping[str, Scores]) -> Scores | None:
    """Return the scores of tracks, by their names, as one, in order."""
    return Scores.join(scored[name] for name in sorted(scored)) if scored else None
