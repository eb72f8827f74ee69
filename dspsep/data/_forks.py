"""What soundfile leaves behind in a forked child."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

__all__: list[str] = []


def _renew_lock() -> None:
    """Give soundfile a lock that nobody holds.

    From version 0.14 on it opens files under one, and a child that was forked while another thread opened a
    file would wait for a thread that it does not have.
    """
    kind: Any = getattr(sys.modules.get("soundfile"), "SoundFile", None)
    if hasattr(kind, "_sf_error_lock"):
        kind._sf_error_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
