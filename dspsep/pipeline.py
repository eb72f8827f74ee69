"""Composition: a pipeline of separators is a separator.

    audio ──separator──▶ Sources ──split or refine──▶ Sources ── … ──▶ Sources

Every step keeps the sum, so the whole does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast, final

from dspsep import _audio, _checks
from dspsep._composition import Printed, channels_of, models_of, prefixed, sooner, who_needs_all
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.progress import Callback
from dspsep.separator import Refiner, Separator
from dspsep.sources import Sources, check_source_name
from dspsep.staged import RefinerStream, SplitStream, StagedStream
from dspsep.streaming import Reach, Stream

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
        least, most = channels_of((separator for _, separator in pairs), "separators")
        object.__setattr__(self, "min_channels", least)
        object.__setattr__(self, "max_channels", most)

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

    def streams(self, sample_rate: float) -> bool:
        """Tell whether all of the separators can be fed in blocks."""
        return all(separator.streams(sample_rate) for _, separator in self.separators)

    def stream(self, names: tuple[str, ...], sample_rate: float, n_channels: int) -> RefinerStream:
        """Return the streams of the separators, for which the sources that are not split wait."""
        after = self.names_after(names)
        if after is None:
            return super().stream(names, sample_rate, n_channels)  # refuses
        streams = {name: separator.stream(sample_rate, n_channels) for name, separator in self.separators}
        return SplitStream(after, streams)

    def _whole(self, sample_rate: float) -> str:
        return who_needs_all(self, {repr(name): part for name, part in self.separators}, sample_rate)

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
        models: dict[str, Any] = dict(models_of(sources))
        for name in sources:
            if name not in separators:
                audio[name] = sources[name]
                continue
            parts = separators[name].separate(
                sources[name], sources.sample_rate, callback=prefixed(callback, name)
            )
            for part in parts:
                if f"{name}/{part}" in sources or f"{name}/{part}" in audio:
                    # One would replace the other, and the sum would be lost.
                    raise InputError("the parts of a source", "named like no other", f"{name}/{part} twice")
                audio[f"{name}/{part}"] = parts[part]
            models.update({f"{name}/{path}" if path else name: m for path, m in models_of(parts).items()})
        return Sources(audio, sources.sample_rate, models, sources.provenance)

    def __repr__(self) -> str:
        return f"Split({dict(self.separators)!r})"

    def _lines(self) -> list[str]:
        lines = []
        for name, separator in self.separators:
            first, *more = separator._lines()
            lines += [f"{name}: {first}", *more]
        return lines


@final
@dataclass(frozen=True, init=False, repr=False)
class Pipeline(Printed, Separator):
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
        least, most = channels_of(parsed, "steps")
        object.__setattr__(self, "min_channels", least)
        object.__setattr__(self, "max_channels", most)

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
        for _, sources in self.stages(mixture, sample_rate, callback=callback):
            last = sources
        return Sources(last.audio, last.sample_rate, last.model, self.provenance())

    def stages(
        self, mixture: Array, sample_rate: float, *, callback: Callback | None = None
    ) -> Iterator[tuple[Separator | Refiner, Sources]]:
        """Return the sources after every step, to be looked at: what `separate` does, step by step.

        A step does its work when its turn comes, and nothing is kept of the ones before but what the caller
        keeps.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            As for `separate`.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with the `Progress` of every step.

        Returns
        -------
        iterator of (Separator or Refiner, Sources)
            The steps in order, each with what comes out of it. After each, the sources sum to the mixture;
            those of the last are what `separate` returns.

        Raises
        ------
        InputError
            If the mixture cannot be worked on: the argument, what was seen, and what to do.

        Examples
        --------
        >>> import numpy as np
        >>> from dspsep import HPSS, STFT, Regroup
        >>> pipeline = HPSS() >> {"percussive": HPSS(stft=STFT(512))} >> Regroup(drums=["percussive"])
        >>> for step, sources in pipeline.stages(np.ones(8000), 8000):
        ...     print(type(step).__name__, sources.names)
        HPSS ('harmonic', 'percussive')
        Split ('harmonic', 'percussive/harmonic', 'percussive/percussive')
        Regroup ('drums', 'harmonic')
        """
        rate = _checks.sample_rate(sample_rate)
        samples = _audio.samples_of("mixture", mixture)
        n_channels = samples.shape[0] if samples.ndim == 2 else 1
        _audio._check_channels("mixture", n_channels, self.min_channels, self.max_channels)
        return self._stages(samples, rate, callback)

    def _stages(
        self, samples: Array, rate: float, callback: Callback | None
    ) -> Iterator[tuple[Separator | Refiner, Sources]]:
        first, *rest = self.steps
        sources = cast("Separator", first).separate(samples, rate, callback=callback)
        yield first, sources
        for step in rest:
            sources = cast("Refiner", step).refine(samples, sources, callback=callback)
            yield step, sources

    def streams(self, sample_rate: float) -> bool:
        """Tell whether every step can be fed in blocks, and the settings decide all names.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        bool
            Whether there is a `stream`.
        """
        return self.source_names is not None and all(step.streams(sample_rate) for step in self.steps)

    def stream(self, sample_rate: float, n_channels: int | None = None) -> Stream:
        """Return this pipeline as something that is fed in blocks.

        Parameters
        ----------
        sample_rate : float
            In hertz.
        n_channels : int, optional
            Of the blocks, which are then of shape (n_channels, n_samples). By default they have no channel
            axis.

        Returns
        -------
        Stream
            The streams of the steps, one after the other, or, where that is less late, segments of the
            mixture through all of them. In all it gives what `separate` gives.

        Raises
        ------
        InputError
            If a step needs the whole mixture before it can give any of its sources.
        """
        rate = _checks.sample_rate(sample_rate)
        if not self.streams(rate):
            return super().stream(rate, n_channels)  # refuses
        n_there = 1 if n_channels is None else _checks.integer("n_channels", n_channels, minimum=1)
        beginning, *rest = self.steps
        first = cast("Separator", beginning).stream(rate, n_there)
        stages: list[RefinerStream] = []
        names = first.source_names
        for step in rest:
            stages.append(cast("Refiner", step).stream(names, rate, n_there))
            names = stages[-1].source_names
        return sooner(self, StagedStream(first, stages, n_channels), rate, n_channels)

    def _whole(self, sample_rate: float) -> str:
        steps = {f"step {place}": step for place, step in enumerate(self.steps, start=1)}
        return who_needs_all(self, steps, sample_rate)

    def __repr__(self) -> str:
        steps = [
            repr(dict(step.separators)) if isinstance(step, Split) else repr(step) for step in self.steps
        ]
        if len(steps) == 1 or isinstance(self.steps[0], Pipeline):  # arrows would make another pipeline of it
            return f"Pipeline([{', '.join(steps)}])"
        return " >> ".join(steps)

    def _lines(self) -> list[str]:
        lines = ["Pipeline"]
        for position, step in enumerate(self.steps, start=1):
            first, *more = step._lines()
            number = f"  {position}. "
            lines += [number + first, *(" " * len(number) + line for line in more)]
        names = self.source_names
        return [*lines, f"  gives {'what the data decide' if names is None else ', '.join(names)}"]


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
