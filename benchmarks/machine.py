"""What a figure depends on besides the code: processor, system, versions. Nothing that names the machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from pathlib import Path

import dspsep

__all__ = ["available_cores", "machine", "versions"]

_INSTRUCTION_SETS = ("avx2", "avx512f", "asimd", "sve")


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> dict[str, str | int]:
    """Return processor, number of cores, memory and system."""
    return {
        "processor": _processor(),
        "instruction_sets": _instruction_sets(),
        "cores": os.cpu_count() or 1,
        "memory_gb": _memory_gb(),
        "system": _system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of each package that is installed, and of what all of them stand on."""
    found = {"dspsep": dspsep.__version__}
    for package in sorted({"numpy", "scipy", "numba", *packages} - {"dspsep"}):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu_field(*names: str) -> str:
    """Return the first of these fields of Linux's description of the first processor, or nothing."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    fields = dict(reversed([line.split(":", 1) for line in lines if ":" in line]))
    by_name = {key.strip(): value.strip() for key, value in fields.items()}
    return next((by_name[name] for name in names if name in by_name), "")


def _processor() -> str:
    return _cpu_field("model name", "Model") or platform.processor() or platform.machine()


def _instruction_sets() -> str:
    flags = _cpu_field("flags", "Features").split()
    return ", ".join(name for name in _INSTRUCTION_SETS if name in flags)


def _memory_gb() -> int:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return 0


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.mac_ver()[0]}".strip()
