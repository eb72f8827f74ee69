"""What is audio, a mixture or a source by its name: one rule for folders of stems, wherever they are read."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["AUDIO_SUFFIXES", "LEFT_OVER", "MIXTURES", "is_mixture", "listed"]

#: By name, since a folder of music holds pictures and lists, too.
AUDIO_SUFFIXES = frozenset({
    ".aac", ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3", ".mp4", ".oga", ".ogg", ".opus",
    ".rf64", ".w64", ".wav", ".webm", ".wma",
})  # fmt: skip

#: Names of what was separated, in any case, and of what a separation gives to nobody: no sources.
MIXTURES = ("mixture", "mix")
LEFT_OVER = "residual"


def is_mixture(name: str) -> bool:
    """Tell whether a file of this name is what was separated."""
    return name.casefold() in MIXTURES


def listed(names: Sequence[str]) -> str:
    """Return names as errors list them: the first ten, quoted."""
    more = f", … ({len(names)} in all)" if len(names) > 10 else ""
    return ", ".join(repr(name)[:60] for name in names[:10]) + more
