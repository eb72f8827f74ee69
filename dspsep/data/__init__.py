"""Synthetic scenes, audio files and collections."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dspsep.data import _forks as _forks

if TYPE_CHECKING:
    from dspsep.data import files, scenes

__all__ = ["files", "scenes"]


def __getattr__(name: str) -> Any:
    # So that `dspsep.data.scenes` works after `import dspsep` alone, and costs nothing before.
    if name in __all__:
        return importlib.import_module(f"dspsep.data.{name}")
    raise AttributeError(f"module 'dspsep.data' has no attribute {name!r}")
