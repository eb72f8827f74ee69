"""Composition: a pipeline of separators is a separator.

    audio ──separator──▶ Sources ──split or refine──▶ Sources ── … ──▶ Sources

Every step keeps the sum, so the whole does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, final

from dspsep import _audio, _checks
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback, Progress
from dspsep.separator import Refiner, Separator
from dspsep.sources import Sources, check_source_name
from dspsep.streaming import Reach

__all__ = ["Pipeline", "Split"]

Step: TypeAlias = Separator | Refiner | Mapping[str, Separator]


@final
@dataclass(frozen=True, init=False, repr=False)
class Split(Refiner):
    """Split named sources further, each by a separator of its own.

    In a pipeline it is written as a mapping, ``{"percussive": separator}``. The parts of a source take its
    place, named after it: ``percussive/harmonic``, ``percussive/percussive``.

    Parameters
    ----------
    separators : mapping of str to Separator
        What splits which source.

    Raises
    ------
    InputError
        If there is none, or a value is not a separator.

    Examples
    --------
    >>> from dspsep import HPSS, STFT, Split
    >>> Split({"percussive": HPSS(stft=STFT(512))}).names_after(("harmonic", "percussive"))
    ('harmonic', 'percussive/harmonic', 'percussive/percussive')
    """

    separators: tuple[tuple[str, Separator], ...]

    def __init__(self, separators: Mapping[str, Separator] | Iterable[tuple[str, Separator]]) -> None:
        try:
            pairs = tuple(dict(separators).items())
        except (TypeError, ValueError):
            got = repr(separators)[:60]
            raise InputError("separators", "a mapping from source to separator", got) from None
        if not pairs:
            raise InputError("separators", "a mapping from at least one source to a separator", "none")
        for name, separator in pairs:
            check_source_name(name)
            if not isinstance(separator, Separator):
                raise InputError(f"the step for source {name!r}", "a separator", repr(separator)[:80])
        object.__setattr__(self, "separators", pairs)

    def names_after(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """Return the names with each split source replaced by its parts."""
        separators = dict(self.separators)
        if names is None:
            return None
        for wanted in separators:
            if wanted not in names:
                raise InputError("a source to split", f"one of {', '.join(names)}", repr(wanted))
        after: list[str] = []
        for name in names:
            if name not in separators:
                after.append(name)
                continue
            parts = separators[name].source_names
            if parts is None:
                return None
            after.extend(f"{name}/{part}" for part in parts)
        for name in after:
            if after.count(name) > 1:
                # One would replace the other, and the sum would be lost.
                raise InputError("the parts of a source", "named like no other source", f"{name!r} twice")
        return tuple(after)

    def reach(self, sample_rate: float) -> Reach | None:
        """Return the reach of the separator that looks furthest; None if one of them needs all."""
        widest = Reach(samples=0)
        for _, separator in self.separators:
            reach = separator.reach(sample_rate)
            if reach is None:
                return None
            widest = widest.beside(reach)
        return widest

    def refine(self, mixture: Array, sources: Sources, *, callback: Callback | None = None) -> Sources:
        """Return the sources with some of them split.

        Parameters
        ----------
        mixture : array
            Not used: each separator works on the source it splits.
        sources : Sources
            What to split.
        callback : callable, optional
            Told of the progress of each separator, the stage preceded by the source's name.

        Returns
        -------
        Sources
            The parts of a source in its place; `model` is a dict from source to model.
        """
        self.names_after(sources.names)
        separators = dict(self.separators)
        audio: dict[str, Array] = {}
        models: dict[str, Any] = dict(_models_of(sources))
        for name in sources:
            if name not in separators:
                audio[name] = sources[name]
                continue
            parts = separators[name].separate(
                sources[name], sources.sample_rate, callback=_prefixed(callback, name)
            )
            for part in parts:
                if f"{name}/{part}" in sources or f"{name}/{part}" in audio:
                    # One would replace the other, and the sum would be lost.
                    raise InputError("the parts of a source", "named like no other", f"{name}/{part} twice")
                audio[f"{name}/{part}"] = parts[part]
            models.update({f"{name}/{path}" if path else name: m for path, m in _models_of(parts).items()})
        return Sources(audio, sources.sample_rate, models, sources.provenance)

    def __repr__(self) -> str:
        return f"Split({dict(self.separators)!r})"


@final
@dataclass(frozen=True, init=False, repr=False)
class Pipeline(Separator):
    """Separators and refiners, one after the other: itself a separator.

    Also written ``a >> {"percussive": b} >> Regroup(…)``.

    Parameters
    ----------
    steps : sequence
        The first is a separator. Each later one is a mapping from source name to separator (split this source
        further), or a refiner.

    Raises
    ------
    InputError
        If a step is none of these, or refers to a source that the steps before it do not give.

    Notes
    -----
    The `model` of the sources is that of the first step or, after a split, a dict from the path of a source
    to the model that split it, the empty path standing for the mixture.

    Examples
    --------
    >>> from dspsep import HPSS, STFT, Pipeline, Regroup
    >>> pipeline = HPSS(stft=STFT(4096)) >> {"percussive": HPSS(stft=STFT(512))}
    >>> pipeline.source_names
    ('harmonic', 'percussive/harmonic', 'percussive/percussive')
    >>> pipeline == Pipeline([HPSS(stft=STFT(4096)), {"percussive": HPSS(stft=STFT(512))}])
    True
    """

    steps: tuple[Separator | Refiner, ...]

    def __init__(self, steps: Iterable[Step]) -> None:
        given = tuple(steps) if isinstance(steps, Iterable) else (steps,)
        if not given or not isinstance(given[0], Separator):
            got = repr(given[0])[:80] if given else "no steps"
            raise InputError("the first step", "a separator", got)
        parsed = tuple(_step(step, position) for position, step in enumerate(given))
        object.__setattr__(self, "steps", parsed)
        _ = self.source_names  # a name that is not there fails now, not after an hour of work

    @property
    def source_names(self) -> tuple[str, ...] | None:
        """The names that come out of the last step; None where only the data decide them."""
        first, *rest = self.steps
        names = cast("Separator", first).source_names
        for step in rest:
            names = cast("Refiner", step).names_after(names)
        return names

    def reach(self, sample_rate: float) -> Reach | None:
        """Return the sum of what the steps look around; None if one of them needs all of the mixture."""
        total = Reach(samples=0)
        for step in self.steps:
            reach = step.reach(sample_rate)
            if reach is None:
                return None
            total = total.then(reach)
        return total

    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Take a mixture apart, step by step.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio, NumPy or CuPy. Never changed. Integers are scaled as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with the `Progress` of every step.

        Returns
        -------
        Sources
            They sum to the mixture, and each has its shape, precision and device.

        Raises
        ------
        InputError
            If the mixture cannot be worked on: the argument, what was seen, and what to do.
        """
        rate = _checks.sample_rate(sample_rate)
        samples = _audio.samples_of("mixture", mixture)
        first, *rest = self.steps
        sources = cast("Separator", first).separate(samples, rate, callback=callback)
        for step in rest:
            sources = cast("Refiner", step).refine(samples, sources, callback=callback)
        return Sources(sources.audio, rate, sources.model, self.provenance())

    def __repr__(self) -> str:
        steps = ", ".join(
            repr(dict(step.separators)) if isinstance(step, Split) else repr(step) for step in self.steps
        )
        return f"Pipeline([{steps}])"


def _step(step: object, position: int) -> Separator | Refiner:
    if position == 0 and isinstance(step, Separator):
        return step
    if isinstance(step, Mapping):
        return Split(step)
    if isinstance(step, Refiner):
        return step
    remedy = "A separator takes one source further: {name: separator}." if isinstance(step, Separator) else ""
    raise InputError(
        f"step {position + 1}", "a mapping from source to separator, or a refiner", repr(step)[:80], remedy
    )


def _models_of(sources: Sources) -> Mapping[str, Any]:
    return sources.model if isinstance(sources.model, dict) else {"": sources.model}


def _prefixed(callback: Callback | None, name: str) -> Callback | None:
    if callback is None:
        return None

    def report(progress: Progress) -> bool | None:
        return callback(
            Progress(
                stage=f"{name}: {progress.stage}",
                iteration=progress.iteration,
                n_iterations=progress.n_iterations,
                loss=progress.loss,
                model=progress.model,
            )
        )

    return report
