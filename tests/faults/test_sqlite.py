"""What may become of a SQLite file while a run is at work: it is waited for, or told in one line and exits 6."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import either
from tests.faults.fault_scenario import FaultScenario


@pytest.fixture
def ready(scenario: Any, sandbox: Any, migrated_sqlite_url: str) -> FaultScenario:
    return scenario(sandbox(tasks=200, cap=20), migrated_sqlite_url)


def file_of(scenario: FaultScenario) -> Path:
    return Path(scenario.url.removeprefix("sqlite:///"))


def assert_told(done: Any, *words: str) -> None:
    assert done.returncode == 6, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("kore-etl: error: ")]
    assert all(word in line for word in words), line


def completes(scenario: FaultScenario, ledger: Any, fault: str, *, of: str = "", end: int = 6) -> None:
    scenario.check_soundness()
    done = scenario.run("sync")
    assert done.returncode == 0, done.stderr[-2000:]
    scenario.check_soundness()
    ledger("database", fault, "SQLite", of=of, trials=1, lost=len(scenario.lost()), ends={end})
    assert scenario.lost() == []


@contextmanager
def another_writer(scenario: FaultScenario) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file_of(scenario), isolation_level=None)) as other:
        other.execute("begin immediate")
        yield other


def test_another_writer_is_waited_for(ready: FaultScenario, ledger: Any) -> None:
    with another_writer(ready) as other:
        process = ready.start("sync")
        assert not process.ends_within(either(1.0, 5.0))
        other.execute("commit")
        assert process.wait().returncode == 0
    completes(ready, ledger, "another writer for seconds", end=0)


def test_a_lasting_lock_is_told_after_the_set_wait(ready: FaultScenario, ledger: Any) -> None:
    wait = either("?timeout=0.3", "")  # half a minute where nothing is said
    with another_writer(ready):
        assert_told(ready.on(f"{ready.url}{wait}").run("sync"), "is locked", "try again when it is done")
    completes(ready, ledger, "another writer for longer than is waited")


def test_a_file_that_can_only_be_read_is_told(ready: FaultScenario, ledger: Any) -> None:
    read_only = ready.on(f"sqlite:///file:{file_of(ready)}?mode=ro&uri=true")
    assert_told(read_only.run("sync"), "cannot be written")
    completes(ready, ledger, "a file that can only be read")


@pytest.mark.parametrize("room", either((450_000,), (300_000, 400_000, 500_000, 600_000, 700_000, 800_000)))
def test_a_disk_that_is_full_is_told_and_loses_nothing(ready: FaultScenario, ledger: Any, room: int) -> None:
    ready.server.configure(latency_ms=20)
    process = ready.start("sync")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    assert_told(process.wait(), "nothing half is kept")
    assert ready.value("select inserted from sync_runs") == ready.value("select count(*) from tasks")
    completes(ready, ledger, "a full disk", of=f"{room // 1000} kB")


def test_a_newer_database_is_refused_and_not_touched(ready: FaultScenario, ledger: Any) -> None:
    before = ready.value("select version_num from alembic_version")
    ready.execute("update alembic_version set version_num = '9999'")
    content = file_of(ready).read_bytes()
    for command in (["sync"], ["db", "upgrade"], ["status"]):
        assert ready.run(*command).returncode == 6
    assert_told(ready.run("sync"), "9999", "install the kore-etl that made it")
    assert file_of(ready).read_bytes() == content
    ready.execute(f"update alembic_version set version_num = '{before}'")
    completes(ready, ledger, "a database of a newer version")


@pytest.mark.parametrize("place", either((0.5,), (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)))
def test_a_damaged_file_is_told_and_not_overwritten(ready: FaultScenario, ledger: Any, place: float) -> None:
    assert ready.run("sync").returncode == 0
    with closing(sqlite3.connect(file_of(ready))) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    whole = file_of(ready).read_bytes()
    begin = int(len(whole) * place) // 4096 * 4096
    damaged = whole[:begin] + b"\xff" * len(whole[begin : begin + 60_000]) + whole[begin + 60_000 :]
    file_of(ready).write_bytes(damaged)
    ready.server.change(update=200)
    done = ready.run("sync", "--full")
    if done.returncode:
        assert_told(done, "the file is damaged")
        assert file_of(ready).read_bytes()[begin : begin + 60_000] == damaged[begin : begin + 60_000]
    for file in file_of(ready).parent.glob(f"{file_of(ready).name}-*"):
        if "lock" not in file.name:
            file.unlink()
    file_of(ready).write_bytes(whole)
    completes(
        ready,
        ledger,
        "a file damaged at a part of its length, then restored",
        of=f"{place * 100:.0f} %",
        end=done.returncode,
    )


def test_a_table_that_someone_dropped_is_told(ready: FaultScenario, ledger: Any) -> None:
    ready.execute("alter table task_fields rename to taken_away")
    assert_told(ready.run("sync"), "task_fields", "db check")
    assert ready.run("db", "check").returncode == 6
    ready.execute("alter table taken_away rename to task_fields")
    completes(ready, ledger, "a table dropped")
