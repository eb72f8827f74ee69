"""``python -m dspsep``: the same as the command ``dspsep``."""

from __future__ import annotations

import sys

from dspsep.cli import main

if __name__ == "__main__":
    sys.exit(main())
