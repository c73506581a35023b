"""What was measured on, without the machine's name."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path


def description() -> dict[str, str]:
    """Return what a reader needs to compare."""
    return {
        "cores": str(os.cpu_count()),
        "processor": _told("/proc/cpuinfo", "model name"),
        "memory": _told("/proc/meminfo", "MemTotal"),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        **{name: version(name) for name in ("SQLAlchemy", "orjson", "psycopg")},
        "load when it began": f"{os.getloadavg()[0]:.1f}",
    }


def _told(file: str, key: str) -> str:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "unknown")
