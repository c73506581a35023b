"""Writes docs/reliability.md from what the fault tests put down in one run.

python tests/faults/table.py LEDGER docs/reliability.md
"""

from __future__ import annotations

import json
import platform
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

TOP = """# Reliability

Each line is a fault that was really made around the running command: killed processes, cut connections, full disks,
broken answers. After the next undisturbed run, the database is compared with the server, row by row. A task is *lost*
if it is missing, has another version, or should not be there. After a kill, the database's own checks, its foreign keys
and its watermark are checked as well.

`make faults` makes all faults and writes this page from one run, if all of it passed. `make test` makes a few of each.
The columns of the databases count the trials there. "exits" lists the exit codes of the runs that met the fault.
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
ANYWHERE = {None: "trials", "SQLite": "SQLite", "PostgreSQL": "PostgreSQL"}
MOST_NAMED = 4

Line = dict[str, Any]


def main() -> None:
    """Write the page."""
    ledger, page = map(Path, sys.argv[1:])
    lines = [json.loads(line) for line in ledger.read_text(encoding="utf-8").splitlines()]
    missing = GROUPS.keys() - {line["group"] for line in lines}
    if missing:
        sys.exit(f"{page} stays as it was: it is written from a whole run, and nothing was tried of {sorted(missing)}")
    page.write_text(written(lines), encoding="utf-8")


def written(lines: list[Line]) -> str:
    trials, lost = (sum(line[name] for line in lines if line["group"] != "fuzzing") for name in ("trials", "lost"))
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()}"
    parts = [TOP, f"**{trials:,} trials, {lost:,} tasks lost** ({versions}; fuzzing not counted).\n"]
    for group, title in GROUPS.items():
        own = [line for line in lines if line["group"] == group]
        parts.append(f"## {title}\n\n{table(own)}\n")
    return "\n".join(parts)


def table(lines: list[Line]) -> str:
    """One row a fault, in the order of their names; a column that says nothing is left out."""
    databases = [place for place in ANYWHERE if any(line["place"] == place for line in lines)]
    columns = ["fault", *(ANYWHERE[place] for place in databases), "lost", "exits", "told"]
    faults = sorted({line["fault"] for line in lines}, key=lambda fault: fault.replace("`", "").lower())
    rows = [row([line for line in lines if line["fault"] == fault], databases) for fault in faults]
    kept = [number for number in range(len(columns)) if any(cells[number] for cells in rows)]
    aligned = ["---:" if column in {*ANYWHERE.values(), "lost"} else "---" for column in columns]
    return "\n".join(f"| {' | '.join(cells[number] for number in kept)} |" for cells in [columns, aligned, *rows])


def row(lines: list[Line], databases: list[str | None]) -> list[str]:
    """The cells of the lines of one fault."""
    kinds = named({line["of"] for line in lines} - {""})
    return [
        lines[0]["fault"] + (f": {kinds}" if kinds else ""),
        *(count(line["trials"] for line in lines if line["place"] == place) for place in databases),
        f"{sum(line['lost'] for line in lines):,}",
        ", ".join(map(str, sorted({end for line in lines for end in line["ends"]}))),
        "; ".join(sorted({line["told"] for line in lines} - {""})),
    ]


def count(trials: Any) -> str:
    return f"{total:,}" if (total := sum(trials)) else ""


def named(kinds: set[str]) -> str:
    """Name some kinds one by one, many numbers by the first and the last."""
    ordered = sorted(kinds, key=lambda kind: (_number(kind) or 0.0, kind))
    if len(ordered) > MOST_NAMED and all(_number(kind) is not None for kind in ordered):
        return f"{ordered[0]} to {ordered[-1]}"
    return ", ".join(ordered)


def _number(kind: str) -> float | None:
    found = re.match(r"[-+]?\d+(\.\d+)?", kind)
    return float(found[0]) if found else None


if __name__ == "__main__":
    main()
