r"""Several estimates of the same sources, made one: their mean, or a pool of their masks.

Members :math:`m` with weights :math:`w_m \ge 0`, :math:`\sum_m w_m = 1`, each give an estimate
:math:`s_{mj}` of every source :math:`j`. Both ways keep the sum.

The **mean** is that of the waveforms, :math:`s_j = \sum_m w_m s_{mj}`.

The **log-opinion** pool makes masks of what the members give, and one of those (`dspsep.opinions`): where the
mean compromises, the pool follows those who are certain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, final

from dspsep import _audio, _backend, _checks
from dspsep._composition import Printed, channels_of, models_of, prefixed, sooner, who_needs_all
from dspsep._typing import Array
from dspsep.errors import InputError
from dspsep.opinions import checked_weights, energy_of, normalised, shares_of, with_opinion
from dspsep.progress import Callback
from dspsep.separator import Separator
from dspsep.sources import Sources
from dspsep.staged import LocalRefinerStream, PointwiseStream, RefinerStream, SideBySide, StagedStream
from dspsep.stft import STFT
from dspsep.streaming import Reach, Stream

__all__ = ["Ensemble"]

_RESIDUAL = "residual"


@final
@dataclass(frozen=True, repr=False)
class Ensemble(Printed, Separator):
    """Several separators of the same sources, whose estimates are combined: itself a separator.

    Parameters
    ----------
    members : sequence of Separator
        Separators or pipelines that give sources of the same names. Where they are named differently, a
        `Regroup` names them alike: ``REPET() >> Regroup(vocals=["foreground"], rest=["background"])``. A
        member without a ``residual`` leaves none: where others have one, its own is silent.
    weights : sequence of float, optional
        Of the members, not negative; only their ratios count. By default all are equal.
    method : {"mean", "log-opinion"}, default="mean"
        The weighted mean of the waveforms; or a logarithmic opinion pool, the weighted geometric mean of
        the members' masks, with which the mixture is masked.
    stft : STFT, default=STFT(n_fft=2048, hop_length=512, window="hann")
        The transform in which masks are pooled; the mean has no use for it.

    Raises
    ------
    InputError
        If there is no member, one of them is no separator or gives other sources, or the weights do not fit.

    See Also
    --------
    log_opinion_pool : The pool of any masks.
    Pipeline : One separator after the other.

    Notes
    -----
    The masks of a member are the shares of the energies of its sources, per channel, and a share of zero
    counts as one of 1e-6. Where a member's sources are all silent it has no opinion. The last source is what
    the others leave of the mixture. Of one member alone, the pool is that member's sources made anew by
    masks, and not the sources themselves.

    The `model` of the sources is a dict from ``"member 1"`` and so on to the model of each member, or from
    ``"member 1/drums"`` where a member is a pipeline.

    Cost: that of all members, one after the other, and for the pool one transform for each member and
    source, and one back for each source but the last. Memory beside what a member needs, measured: for the
    mean the sources three times, results included, and one source more where weights differ; for the pool
    twice, and two real spectrograms for each source and three more.

    References
    ----------
    T. Heskes, "Selecting weighting factors in logarithmic opinion pools", Advances in Neural Information
    Processing Systems 10, 1997, pp. 266-272.

    Examples
    --------
    >>> from dspsep import HPSS, STFT, Ensemble
    >>> both = Ensemble([HPSS(stft=STFT(4096)), HPSS(stft=STFT(1024))], weights=[2, 1])
    >>> both.source_names
    ('harmonic', 'percussive')
    """

    members: tuple[Separator, ...]
    _: KW_ONLY
    weights: tuple[float, ...] | None = None
    method: str = "mean"
    stft: STFT = field(default_factory=STFT)

    def __post_init__(self) -> None:
        members = tuple(self.members) if isinstance(self.members, Iterable) else (self.members,)
        if not members:
            raise InputError("members", "at least one separator", "none")
        for position, member in enumerate(members, start=1):
            if not isinstance(member, Separator):
                raise InputError(f"member {position}", "a separator", repr(member)[:80])
        object.__setattr__(self, "members", members)
        if self.weights is not None:
            object.__setattr__(self, "weights", checked_weights(self.weights, len(members)))
        _checks.choice("method", self.method, ("mean", "log-opinion"))
        if not isinstance(self.stft, STFT):
            raise InputError("stft", "an STFT", repr(self.stft)[:80], "For example STFT(n_fft=2048).")
        self._common([member.source_names for member in members])  # a wrong name fails now
        least, most = channels_of(members, "members")
        object.__setattr__(self, "min_channels", least)
        object.__setattr__(self, "max_channels", most)

    @property
    def source_names(self) -> tuple[str, ...] | None:
        """The names that the members share, as the first has them; last a ``residual`` that it has not."""
        named = [member.source_names for member in self.members]
        return None if None in named else self._common(named)

    def _common(self, named: Sequence[tuple[str, ...] | None]) -> tuple[str, ...]:
        """Return the names of all members together, of which None are not known yet."""
        known = [(position, names) for position, names in enumerate(named, start=1) if names is not None]
        if not known:
            return ()
        reference, first = known[0]
        wanted = set(first) - {_RESIDUAL}
        for position, names in known[1:]:
            if set(names) - {_RESIDUAL} != wanted:
                raise InputError(
                    f"member {position}, {type(self.members[position - 1]).__name__},",
                    f"of the sources that member {reference} has, {', '.join(first)}",
                    ", ".join(names),
                    f"Name them alike: member >> Regroup({{{first[0]!r}: [{names[0]!r}], ...}}).",
                )
        with_residual = _RESIDUAL not in first and any(_RESIDUAL in names for _, names in known)
        return (*first, _RESIDUAL) if with_residual else first

    def reach(self, sample_rate: float) -> Reach | None:
        """Return the reach of the member that looks furthest, and a frame more for the pool."""
        widest = Reach(samples=0)
        for member in self.members:
            reach = member.reach(sample_rate)
            if reach is None:
                return None
            widest = widest.beside(reach)
        return widest.then(self._own_reach)

    @property
    def _own_reach(self) -> Reach:
        if self.method == "mean":
            return Reach(samples=0)
        return Reach(samples=self.stft.n_fft, step=self.stft.hop_length)

    def separate(self, mixture: Array, sample_rate: float, *, callback: Callback | None = None) -> Sources:
        """Take a mixture apart.

        Parameters
        ----------
        mixture : array of shape (n_samples,) or (n_channels, n_samples)
            Finite audio, NumPy or CuPy. Never changed. Integers are scaled as PCM.
        sample_rate : float
            In hertz.
        callback : callable, optional
            Called with the `Progress` of every member, the stage preceded by ``member 1`` and so on.

        Returns
        -------
        Sources
            They sum to the mixture, and each has its shape, precision and device.

        Raises
        ------
        InputError
            If the mixture cannot be worked on: the argument, what was seen, and what to do. If the members'
            sources, where only the data name them, are not named alike.
        """
        rate = _checks.sample_rate(sample_rate)
        audio = _audio.mixture_of(mixture, min_channels=self.min_channels, max_channels=self.max_channels)
        samples = audio.samples[0, ...] if audio.mono else audio.samples
        named: list[tuple[str, ...] | None] = [member.source_names for member in self.members]
        models: dict[str, Any] = {}

        def estimate(place: int) -> Mapping[str, Array]:
            path = f"member {place + 1}"
            sources = self.members[place].separate(samples, rate, callback=prefixed(callback, path))
            named[place] = sources.names
            self._common(named)
            models.update({f"{path}/{of}" if of else path: m for of, m in models_of(sources).items()})
            return {name: x[None, :] if audio.mono else x for name, x in sources.items()}

        combined = self._combined(audio.samples, rate, map(estimate, range(len(self.members))))
        # Names that only the data decide are complete when all members have spoken.
        sources = {name: audio.restore(combined[name]) for name in self._common(named)}
        return Sources(sources, rate, models, self.provenance())

    def streams(self, sample_rate: float) -> bool:
        """Tell whether every member can be fed in blocks, and the settings decide all names.

        Parameters
        ----------
        sample_rate : float
            Of the mixture, in hertz.

        Returns
        -------
        bool
            Whether there is a `stream`.
        """
        return self.source_names is not None and all(member.streams(sample_rate) for member in self.members)

    def stream(self, sample_rate: float, n_channels: int | None = None) -> Stream:
        """Return this ensemble as something that is fed in blocks.

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
            The streams of the members, the early ones delayed until the last is there, or, where that is
            less late, segments of the mixture through all of them. In all it gives what `separate` gives.

        Raises
        ------
        InputError
            If a member needs the whole mixture before it can give any of its sources.
        """
        rate = _checks.sample_rate(sample_rate)
        names = self.source_names
        if names is None or not self.streams(rate):
            return super().stream(rate, n_channels)  # refuses
        n_there = 1 if n_channels is None else _checks.integer("n_channels", n_channels, minimum=1)
        members = SideBySide(
            {str(place): member.stream(rate, n_there) for place, member in enumerate(self.members)}, n_there
        )
        staged = StagedStream(members, [self._pooling(members, names, rate, n_there)], n_channels)
        return sooner(self, staged, rate, n_channels)

    def _whole(self, sample_rate: float) -> str:
        members = {f"member {place}": member for place, member in enumerate(self.members, start=1)}
        return who_needs_all(self, members, sample_rate)

    def _pooling(
        self, members: SideBySide, names: tuple[str, ...], rate: float, n_channels: int
    ) -> RefinerStream:
        pool = _Pool(self._combined_of_all, rate, names)
        if self.method == "mean":
            return PointwiseStream(names, pool.of_blocks)
        return LocalRefinerStream(pool, members.source_names, names, self._own_reach, rate, n_channels)

    def _combined_of_all(
        self, samples: Array, rate: float, blocks: Mapping[str, Array]
    ) -> Mapping[str, Array]:
        """Combine what `SideBySide` gives."""
        parts: list[dict[str, Array]] = [{} for _ in self.members]
        for path, block in blocks.items():
            place, _, name = path.partition("/")
            parts[int(place)][name] = block
        return self._combined(samples, rate, parts)

    def _combined(
        self, samples: Array, rate: float, estimates: Iterable[Mapping[str, Array]]
    ) -> dict[str, Array]:
        """Return one estimate of every source, of samples (n_channels, n_samples)."""
        weights = shares_of(self.weights, len(self.members))
        if self.method == "mean":
            return _mean(weights, estimates)
        return self._pooled(samples, rate, weights, estimates)

    def _pooled(
        self, samples: Array, rate: float, weights: Sequence[float], estimates: Iterable[Mapping[str, Array]]
    ) -> dict[str, Array]:
        stft = self.stft
        names, has_residual = self.source_names, False
        logs: list[Array] = []
        for weight, sources in zip(weights, estimates, strict=True):
            # Whether anybody has a residual may be known last: there is a place for it until then.
            names = names or (*(name for name in sources if name != _RESIDUAL), _RESIDUAL)
            has_residual = has_residual or _RESIDUAL in sources
            energies = {n: energy_of(stft._forward(x, rate, mono=False).values) for n, x in sources.items()}
            nothing = 0 * next(iter(energies.values()))
            with_opinion(logs, [energies.pop(name, nothing) for name in names], weight)
        if names and not has_residual and names[-1] == _RESIDUAL:
            names = names[:-1]
            logs.pop()
        *masked, last = names or ()
        spectrogram = stft._forward(samples, rate, mono=False)
        pooled: dict[str, Array] = {}
        remainder = _backend.namespace(samples).asarray(samples, copy=True)
        for name, mask in zip(masked, normalised(logs), strict=False):
            pooled[name] = stft._inverse(spectrogram, mask)
            remainder = remainder - pooled[name]
        pooled[last] = remainder
        return pooled

    def __repr__(self) -> str:
        settings = [f"[{', '.join(map(repr, self.members))}]"]
        if self.weights is not None:
            settings.append(f"weights={self.weights!r}")
        settings += [f"method={self.method!r}", f"stft={self.stft!r}"]
        return f"Ensemble({', '.join(settings)})"

    def _lines(self) -> list[str]:
        lines = [f"Ensemble: {self.method}"]
        for weight, member in zip(shares_of(self.weights, len(self.members)), self.members, strict=True):
            first, *more = member._lines()
            share = f"  {weight:.2g} of "
            lines += [share + first, *(" " * len(share) + line for line in more)]
        return lines


@dataclass(frozen=True)
class _Pool:
    """An ensemble's rule as a refiner of what `SideBySide` gives."""

    combined: Callable[[Array, float, Mapping[str, Array]], Mapping[str, Array]]
    sample_rate: float
    names: tuple[str, ...]

    def of_blocks(self, mixture: Array, sources: Mapping[str, Array]) -> Mapping[str, Array]:
        combined = self.combined(mixture, self.sample_rate, sources)
        return {name: combined[name] for name in self.names}

    def refine(self, mixture: Array, sources: Sources) -> Mapping[str, Array]:
        return self.of_blocks(mixture, sources)


def _mean(weights: Sequence[float], estimates: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    # As often as not all weights are equal: then this is a sum, and one multiplication.
    largest = max(weights)
    total: dict[str, Array] = {}
    for weight, sources in zip(weights, estimates, strict=True):
        for name, source in sources.items():
            share = source if weight == largest else (weight / largest) * source
            total[name] = total[name] + share if name in total else share
    return {name: largest * sum_ for name, sum_ in total.items()}
