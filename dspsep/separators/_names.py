"""Names of sources that have none but a number."""

from __future__ import annotations

__all__ = ["numbered"]


def numbered(n_sources: int) -> tuple[str, ...]:
    """Return the names of so many sources."""
    return tuple(f"source_{number}" for number in range(n_sources))
