"""``python -m benchmarks.counting``: what a sync costs in counts that are the same on every machine.

They are compared with expected.json, and a rise of 10 % fails. The server takes its time, so that each page is stored
by itself: where this machine is slow the pages come together, which only makes fewer statements.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from benchmarks.contenders import settings_for
from benchmarks.processes import Server, page_server
from etl import logs
from etl.cli.run_job_on_sources import Work, work_on_sources
from etl.jobs.sync import sync
from etl.settings import load_settings

EXPECTED = Path(__file__).with_name("expected.json")
TASKS, CHANGES = 2000, 200
LATENCY = 0.05
MOST = 1.1
_STEPS_AT_ONCE = 100  # of SQLite's virtual machine: what a statement does, whatever the machine below it
_TIMES = 5  # a few of the counts depend on the millisecond in which a task is changed

Counts = dict[str, dict[str, int]]


def main() -> int:
    """Count, and compare or, with ``--write``, keep what was found."""
    if "--write" in sys.argv[1:]:
        found = _largest([counted() for _ in range(_TIMES)])
        EXPECTED.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
        return 0
    found = counted()
    expected: Counts = orjson.loads(EXPECTED.read_bytes())
    risen = False
    for step, counts in found.items():
        for name, count in counts.items():
            known = expected.get(step, {}).get(name, 0)
            is_more = count > known * MOST
            risen |= is_more
            print(f"{step:8} {name:12} {count:>10,} expected {known:>10,}{'  MORE' if is_more else ''}")
    if risen:
        print("more than 10 % over benchmarks/expected.json; if it is worth it: python -m benchmarks.counting --write")
    return int(risen)


def counted() -> Counts:
    """Return the counts of a first sync, of a quiet one, and of one after changes."""
    logs.configure(-1)
    found: Counts = {}
    with tempfile.TemporaryDirectory() as folder, page_server(TASKS, "full", latency=LATENCY) as server:
        url = f"sqlite:///{folder}/tasks.db"
        for step, changes in (("first", 0), ("quiet", 0), ("changed", CHANGES)):
            if changes:
                server.ask("/change", update=changes)
            found[step] = _counts_of_sync(server, url)
    return found


def _largest(several: list[Counts]) -> Counts:
    return {
        step: {name: max(counts[step][name] for counts in several) for name in several[0][step]} for step in several[0]
    }


def _counts_of_sync(server: Server, url: str) -> dict[str, int]:
    counts: Counter[str] = Counter()

    def statement(*_: Any) -> None:
        counts["statements"] += 1

    def commit(_: Any) -> None:
        counts["commits"] += 1

    def close(connection: Any, _: Any) -> None:
        counts["rows written"] += connection.total_changes

    def step() -> None:
        counts["SQLite steps"] += _STEPS_AT_ONCE

    def connect(connection: Any, _: Any) -> None:
        connection.set_progress_handler(step, _STEPS_AT_ONCE)

    listeners = (
        *((Engine, "before_cursor_execute", statement), (Engine, "commit", commit)),
        *((Pool, "connect", connect), (Pool, "close", close)),
    )
    for target, name, listener in listeners:
        event.listen(target, name, listener)
    server.ask("/spent")
    settings = load_settings(None, settings_for(server, url), {}).settings
    try:
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):
            code = work_on_sources(settings, Work("sync", partial(sync, workers=1)), output="text")
    finally:
        for target, name, listener in listeners:
            event.remove(target, name, listener)
    if code:
        message = f"the sync ended with {code}"
        raise RuntimeError(message)
    return {**counts, **server.ask("/spent")}


if __name__ == "__main__":
    sys.exit(main())
