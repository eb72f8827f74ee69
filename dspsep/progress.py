"""What is told as work goes on, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from dspsep.model import Model

__all__ = ["Callback", "Progress"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a callback is told.

    Parameters
    ----------
    stage : str
        What is being done, for example ``"transform"``, ``"fit"`` or the name of the source being made.
    iteration : int
        Steps of this stage that are done.
    n_iterations : int or None
        Steps that this stage has, where that is known.
    loss : float or None
        The objective, for iterative methods.
    model : Model or None
        What is learned so far.

    Examples
    --------
    >>> import dspsep
    >>> scene = dspsep.data.scenes.drum_loop(duration=1.0, sample_rate=8000)
    >>> told = []
    >>> sources = dspsep.HPSS().separate(scene.mixture, scene.sample_rate, callback=told.append)
    >>> [progress.stage for progress in told]
    ['transform', 'fit', 'harmonic']
    """

    stage: str
    iteration: int = 0
    n_iterations: int | None = None
    loss: float | None = None
    model: Model | None = None


#: Called as work goes on. Returning True ends the iterations of the present stage: what was learned so far is
#: used.
Callback: TypeAlias = Callable[[Progress], bool | None]
