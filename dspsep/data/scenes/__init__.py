"""Synthetic mixtures whose sources are known: made from a seed, offline, each within a second.

They are for lessons, examples and tests: what a method gets right and wrong can be heard and measured
on them, with nothing to download. They are simpler than recordings. A score on a scene says that a
method works where its assumptions hold; only real audio says how often they do.
"""

from __future__ import annotations

from dspsep.data.scenes._drums import drum_loop
from dspsep.data.scenes._mixtures import instantaneous, panned
from dspsep.data.scenes._rooms import reverberant
from dspsep.data.scenes._scene import Scene
from dspsep.data.scenes._song import song

__all__ = ["Scene", "drum_loop", "instantaneous", "panned", "reverberant", "song"]
