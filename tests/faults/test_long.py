"""A day of syncs of a server that changes all the while: what they take stays what it was, and nothing is lost."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests
from structlog.testing import capture_logs

from etl.cli.run_job_on_sources import Work, work_on_sources
from etl.jobs.sync import sync
from etl.settings import load_settings
from tests.conftest import CHECKOUT, clean_environment
from tests.faults.conftest import either

SPEED = 720  # a day in two minutes
SECONDS = either(4.0, 24 * 3600 / SPEED)


@dataclass(frozen=True, slots=True)
class Served:
    """A server in a process of its own, seen over its control plane."""

    environment: dict[str, str]

    def tasks(self) -> list[Any]:
        return requests.get(f"{self.environment['KORE_ETL_BASE_URL']}/_sandbox/tasks", timeout=60).json()


@contextmanager
def accelerated(folder: Path) -> Iterator[tuple[Served, subprocess.Popen[str]]]:
    command = [sys.executable, str(CHECKOUT / "tests/faults/accelerated.py"), str(SPEED), "400", "10"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=clean_environment(folder), encoding="utf-8", **pipes) as process:
        assert process.stdin
        assert process.stdout
        yield Served(json.loads(process.stdout.readline())), process
        process.stdin.close()


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """What this process takes."""

    memory: int
    files: int
    threads: int
    objects: int


def synced(settings: Any) -> None:
    with capture_logs():
        assert work_on_sources(settings, Work("sync", sync), output="text") == 0


def resource_use() -> ResourceUse:
    gc.collect()
    process = psutil.Process()
    return ResourceUse(process.memory_info().rss, process.num_fds(), process.num_threads(), len(gc.get_objects()))


def test_a_day_of_syncs_does_not_grow_slower(
    scenario: Any, migrated_sqlite_url: str, ledger: Any, tmp_path: Path
) -> None:
    with accelerated(tmp_path) as (served, process):
        ready = scenario(served, migrated_sqlite_url)
        settings = load_settings(None, ready.environment(), {}).settings
        began, rounds = time.monotonic(), 0
        before, warm = None, 0
        while time.monotonic() < began + SECONDS or rounds < warm + 3:
            synced(settings)
            rounds += 1
            if before is None and time.monotonic() > began + SECONDS / 3:
                before, warm = resource_use(), rounds
        after = resource_use()
        assert process.stdin
        assert process.stdout
        print("stop", file=process.stdin, flush=True)
        assert process.stdout.readline() == "stopped\n"
        synced(settings)
        lost = ready.lost()
        ready.check_soundness()
        assert_growth_is_accounted_for(ready, rounds + 1)
    assert before is not None
    grown = after.memory / before.memory - 1
    told = f"memory {grown:+.1%}, files {after.files - before.files:+d}, threads {after.threads - before.threads:+d}"
    fault = f"{SECONDS * SPEED / 3600:.1f} hours of changes in {SECONDS:.0f} s, sync after sync in one process"
    ledger("long run", fault, "SQLite", trials=rounds + 1, lost=len(lost), told=told)
    assert lost == []
    assert (after.files, after.threads) == (before.files, before.threads)
    assert grown < 0.1
    assert after.objects - before.objects < 10 * (rounds - warm), "each sync left something behind"


def assert_growth_is_accounted_for(ready: Any, runs: int) -> None:
    """There is a row for each task, run and change, and next to no room in the file that nothing takes."""
    assert ready.value("select count(*) from tasks") == len(ready.served())
    assert ready.value("select count(*) from sync_runs") == runs
    assert ready.value("select count(*) from sync_windows") <= runs + 2
    never_changed = "select count(*) from task_changes where task_id not in (select _id from tasks)"
    assert ready.value(never_changed) == 0
    pages, free = ready.value("pragma page_count"), ready.value("pragma freelist_count")
    assert free < pages / 10
