"""Which method for what, in decibels: ``python -m benchmarks.quality vocals``, ``rooms`` or ``same_start``.

Scores are kept in benchmarks/results/quality_*.json, recording by recording, each
as soon as it is there. Tables are written between two comments of a page in docs/methods. ``--resume``
measures only what is missing: after an interruption, for a new method, or with a library installed that was
not.
``--write`` and ``--check`` measure nothing: they write the page of what is kept, or tell whether it is up to
date.
"""

from __future__ import annotations
