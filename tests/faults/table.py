"""Writes docs/reliability.md from what the fault tests put down.

python tests/faults/table.py LEDGER docs/reliability.md
"""

from __future__ import annotations

import json
import platform
import sqlite3
import sys
from collections import Counter
from pathlib import Path
from typing import Any

TOP = """# Reliability

Each line is a fault that was made for real around the running command: processes are killed, lines cut, disks filled,
answers broken. Afterwards the database is compared with the server, row by row; what is lost is counted in tasks that
are missing, stand in another version, or should not be there, once the next undisturbed run has ended. After a kill the
database's own checks, its foreign keys and its watermark are looked at as well.

`make faults` tries all of it and writes this page; `make test` tries a little of each. The trials are those of the run
that wrote the page; "told" is how the runs ended that met the fault, by their exit codes, where that differs.
"""
GROUPS = {
    "kill": "Killed, or without power",
    "api": "A server that fails or lies",
    "database": "A database that fails",
    "together": "Several at once",
    "time": "Clocks and dates",
    "long run": "A day of syncs",
    "independent": "A server written by its description alone",
    "fuzzing": "Answers made of anything",
}


def main() -> None:
    """Write the page."""
    ledger, page = map(Path, sys.argv[1:3])
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    page.write_text(written(lines, " ".join(sys.argv[3:])), encoding="utf-8")


def written(lines: list[dict[str, Any]], note: str) -> str:
    trials, lost = (sum(line[name] for line in lines if line["group"] != "fuzzing") for name in ("trials", "lost"))
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()}"
    parts = [TOP, f"**{trials:,} trials, {lost:,} tasks lost** ({versions}; fuzzing not counted).\n"]
    parts += [f"{note}\n"] if note else []
    for group, title in GROUPS.items():
        rows = joined([line for line in lines if line["group"] == group])
        if rows:
            parts.append(f"## {title}\n\n| fault | where | trials | lost | told |\n| --- | --- | ---: | ---: | --- |")
            parts[-1] += "".join(f"\n| {' | '.join(row)} |" for row in rows) + "\n"
    return "\n".join(parts)


def joined(lines: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row a fault and place, in the order of their names."""
    trials, lost, told = Counter(), Counter(), {}
    for line in lines:
        key = (line["fault"], line["place"])
        trials[key] += line["trials"]
        lost[key] += line["lost"]
        told.setdefault(key, set()).add(line["told"])
    return [
        (*key, f"{trials[key]:,}", f"{lost[key]:,}", "; ".join(sorted(filter(None, told[key]))))
        for key in sorted(trials)
    ]


if __name__ == "__main__":
    main()
