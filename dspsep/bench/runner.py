"""Methods on tracks, each combination once, wherever there is a processor, and never twice.

What is done has a record. A run that was interrupted, killed, or given more methods or tracks goes on with
what has none.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from dspsep import _checks
from dspsep.batch._lock import FolderLock
from dspsep.bench._cluster import connected
from dspsep.bench._execution import done_of
from dspsep.bench._plan import Plan, Settings, checked
from dspsep.bench._task import Done, Task
from dspsep.data.tracks import Dataset, Track
from dspsep.errors import InputError
from dspsep.metrics.protocols import Protocol
from dspsep.progress import Callback, Progress
from dspsep.separator import Separator

if TYPE_CHECKING:
    from dspsep.bench.results import BenchmarkResults

__all__ = ["Run", "run_benchmark"]


def run_benchmark(
    methods: str | Separator | Iterable[Any] | Mapping[str, Any],
    tracks: Dataset | Track | Iterable[Track],
    folder: object,
    *,
    protocol: str | Protocol = "bss_eval_v4",
    sources: Sequence[str] | None = None,
    n_jobs: int = 1,
    cluster: object = None,
    seed: int | None = None,
    baselines: bool | Sequence[Any] = True,
    callback: Callback | None = None,
) -> BenchmarkResults:
    """Separate tracks by methods, score what they make of them, and keep a record of each combination.

    Parameters
    ----------
    methods : str, Separator, sequence, or mapping from names to such
        What is compared: separators and pipelines; names of registered ones (``"HPSS"``), which have default
        settings and are told the number of sources where they have to know it, ``"all"`` for all of these;
        `dspsep.bench.Counted`; oracles, by name, as a class or as a ``functools.partial`` of one, which are
        made of the true sources of each track; ``"mixture"``; and functions that return a separator for a
        loaded track. Without a mapping a method is called after its class.
    tracks : Dataset, Track, or iterable of Track
        See ``dspsep.data.stem_folders`` and ``dspsep.data.musdb18``.
    folder : str or Path
        Where results go; made if it is not there. What is there already, of the same settings and content, is
        kept; **records of the same methods and tracks with other settings are replaced**.
    protocol : str or Protocol, default="bss_eval_v4"
        How separations are scored, as of `dspsep.metrics.evaluate`.
    sources : sequence of str, optional
        Score these sources alone. By default all are scored, and their scores depend on which there are:
        regroup tracks first, if they have different ones.
    n_jobs : int, default=1
        Worker processes on this machine; 1 is this process, -1 one for each processor. The records are the
        same to the last bit, since every task has one thread.
    cluster : str or client of Dask, optional
        The address of a Dask scheduler, as ``"tcp://host:8786"``, whose workers do the work then. They must
        see the same files under the same paths, and have the same version of dspsep. Needs
        ``dspsep[dask]``.
    seed : int, optional
        What a seed of its own is derived from for each track and method, which replaces those among the
        settings. By default, methods keep theirs.
    baselines : bool or sequence, default=True
        Add the rows that tell what scores mean, unless there are methods of their names: an equal share of
        the mixture for every source, and the bounds that masks and filters of the true sources reach
        (``"IBM"``, ``"IRM"``, ``"MWF"``). False for none; a sequence for others.
    callback : callable, optional
        Called with a `Progress` as tracks are read and as records come. Returning True ends the run.

    Returns
    -------
    BenchmarkResults
        All records, those of earlier runs among them.

    Raises
    ------
    InputError
        If an argument makes no sense, or another benchmark is writing to `folder`. What one method or track
        meets is in its record.
    DspsepError
        If the cluster cannot be reached, or has another version of dspsep.

    See Also
    --------
    dspsep.metrics.evaluate : How one separation is scored.
    dspsep.evaluate_folders : Scores of separations that are files.

    Notes
    -----
    Outputs are matched with sources by name if every source has an output of its name; else by the assignment
    with the largest sum of SI-SDR, in which ``residual`` has no part. A method with fewer outputs than there
    are sources, or that takes other numbers of channels, is not tried: its record says ``unfit``, and why.

    Paths travel to workers, and records come back: no audio does, and only this process writes. A worker that
    dies takes nothing with it: what it was doing is done again, and is an error if that process dies as well.
    What failed is tried again by the next run.

    Functions are known by their text: a change of what they call is not seen, and old records are kept.

    Memory for each worker: the mixture and the sources of one track in single precision, and what the
    method and the protocol need.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import dspsep
    >>> scene = dspsep.data.scenes.drum_loop(duration=2.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = dspsep.Sources(scene.sources, scene.sample_rate).save(Path(folder) / "loop", format="wav")
    ...     track = dspsep.data.Track(name="loop", sources=files)
    ...     results = dspsep.run_benchmark(
    ...         ["NMFD"], track, Path(folder) / "results", protocol="mdx", baselines=["mixture", "IRM"]
    ...     )
    >>> results.methods
    ('mixture', 'IRM', 'NMFD')
    """
    settings = checked(
        methods, tracks, folder, protocol=protocol, sources=sources, seed=seed, baselines=baselines
    )
    with (
        Run(settings, n_jobs=n_jobs, cluster=cluster, callback=callback) as run,
        closing(run.results()) as results,
    ):
        for _ in results:
            if run.ended:
                break
    from dspsep.bench.results import BenchmarkResults

    return BenchmarkResults.load(settings.folder)


class Run:
    """A benchmark at work, in a folder that nobody else writes to meanwhile.

    Parameters
    ----------
    settings : Settings
        What is asked for.
    n_jobs : int
        As of `run_benchmark`.
    cluster : str, distributed.Client or None
        As of `run_benchmark`.
    callback : callable, optional
        Told of progress.
    """

    def __init__(
        self, settings: Settings, *, n_jobs: int, cluster: object, callback: Callback | None = None
    ) -> None:
        self.settings = settings
        self.ended = False
        self._n_jobs = _jobs(n_jobs)
        self._callback = callback
        self._cluster = connected(cluster)
        self._client: Any = None

    def __enter__(self) -> Run:
        self._client = self._cluster.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._cluster.__exit__(*error)

    def results(self) -> Generator[tuple[dict[str, Any], bool]]:
        """Do what is not done yet.

        Yields
        ------
        tuple of dict and bool
            Each record, those that were there first, and whether it was there.
        """
        n_tracks = len(self.settings.tracks)
        plan = Plan(self.settings, lambda number: self._report("read", number, n_tracks))
        plan.folder.make()
        with _locked(plan):
            plan.folder.write_benchmark(plan.benchmark())
            records, tasks = plan.known()
            for record in records:
                yield record, True
            n_done = len(records)
            self._report("benchmark", n_done, plan.n_records)
            if self.ended:
                return
            with closing(self._done(plan, tasks)) as results:
                for task, done in results:
                    plan.folder.write(done.record, done.times)
                    n_done += 1
                    self._report(f"{task.method.name}: {task.track['name']}", n_done, plan.n_records)
                    yield done.record, False

    def _done(self, plan: Plan, tasks: list[Task]) -> Generator[tuple[Task, Done]]:
        possible = []
        for task in tasks:
            unreadable = plan.unreadable(task)
            if unreadable is None:
                possible.append(task)
            else:
                yield task, unreadable
        with closing(done_of(possible, self._n_jobs, self._client)) as results:
            yield from results

    def _report(self, stage: str, done: int, total: int) -> None:
        if self._callback is not None:
            ended = self._callback(Progress(stage=stage, iteration=done, n_iterations=total))
            self.ended = self.ended or ended is True


def _locked(plan: Plan) -> FolderLock:
    return _Lock(plan.settings.folder, plan.digest())


class _Lock(FolderLock):
    """The lock of a batch, whose complaint names what is wrong here."""

    def _locked(self) -> bool:
        try:
            return super()._locked()
        except InputError as error:
            requirement = "a folder that no benchmark of other methods, tracks or settings is writing to"
            raise InputError("folder", requirement, error.got, error.remedy) from None


def _jobs(n_jobs: object) -> int:
    if n_jobs == -1:
        import joblib

        return int(joblib.cpu_count())
    return _checks.integer("n_jobs", n_jobs, minimum=1, remedy="-1 is one for each processor.")
