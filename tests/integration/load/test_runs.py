"""Every run has its row: what it counted, how it ended, and what became of it if it could not say so itself."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import select

from etl import __version__
from etl.errors import LockedError
from etl.load.database.engine import reading
from etl.load.ledger import runs, windows
from etl.load.schema.ledger_tables import sync_runs, sync_windows
from tests.integration.conftest import NOW, Database, minute

COUNTS = {
    name: number
    for number, name in enumerate(
        ("requests", "retries", "rate_limited", "windows", "unverified", "fetched", "inserted", "updated"), start=1
    )
} | {"unchanged": 9, "stale": 10, "rejected": 11, "mended": 12}


def begin(
    database: Database, command: str = "sync", *, at: float = 0, source_id: int | None = None, **settings: Any
) -> int:
    with database.engine.begin() as connection:
        source_id = source_id or database.source_id
        return runs.begin(connection, source_id, command, settings=settings, now=minute(at))


def finish(database: Database, run_id: int, *, state: str = "finished", exit_code: int = 0, **more: Any) -> None:
    values: dict[str, Any] = {"counts": {}, "now": minute(9), **more}
    with database.engine.begin() as connection:
        runs.finish(connection, run_id, state=state, exit_code=exit_code, **values)


def open_window(database: Database, run_id: int, *, start: float = 0, reached: float = 0) -> int:
    with database.engine.begin() as connection:
        return windows.open_window(
            connection, source_id=database.source_id, run_id=run_id, job="first", field="updatedAt",
            start_at=minute(start), end_at=minute(60), checkpoint_at=minute(reached), strategy="keyset", opened_at=NOW,
        )  # fmt: skip


def row(database: Database, run_id: int) -> Mapping[str, Any]:
    with reading(database.engine) as connection:
        return connection.execute(select(sync_runs).where(sync_runs.c.id == run_id)).mappings().one()


def window(database: Database, window_id: int) -> Mapping[str, Any]:
    with reading(database.engine) as connection:
        return connection.execute(select(sync_windows).where(sync_windows.c.id == window_id)).mappings().one()


def test_what_a_job_left_uncovered_is_told(database: Database) -> None:
    run_id = begin(database)
    for start, reached in ((0, 10), (5, 15), (20, 20), (30, 40)):  # the third one was opened and committed nothing
        open_window(database, run_id, start=start, reached=reached)
    for end, left in ((60, [(15, 30), (40, 60)]), (25, [(15, 25)]), (10, [])):
        with reading(database.engine) as connection:
            found = windows.uncovered(connection, database.source_id, "first", "updatedAt", minute(0), minute(end))
        assert found == [(minute(start), minute(until)) for start, until in left]


def test_a_run_begins_with_no_counts_and_its_settings(database: Database) -> None:
    run_id = begin(database, overlap="5m", client_secret="***", start=None)
    found = row(database, run_id)
    assert (found["state"], found["command"], found["source_id"]) == ("running", "sync", database.source_id)
    assert (found["started_at"], found["finished_at"], found["exit_code"], found["error"]) == (NOW, None, None, None)
    assert {found[name] for name in COUNTS} == {0}
    assert found["version"] == __version__
    assert found["settings"] == {"overlap": "5m", "client_secret": "***", "start": None}


def test_settings_of_any_kind_are_kept(database: Database) -> None:
    run_id = begin(database, start=NOW, names=["a", "ü"])
    assert row(database, run_id)["settings"] == {"start": "2025-05-28T12:05:38.807000+00:00", "names": ["a", "ü"]}


def test_progress_is_seen_while_a_run_is_at_work(database: Database) -> None:
    runs_before = begin(database)
    with database.engine.begin() as connection:
        runs.progress(connection, runs_before, COUNTS)
    found = row(database, runs_before)
    assert {name: found[name] for name in COUNTS} == COUNTS
    assert found["state"] == "running"


def test_a_finished_run_tells_every_count_and_both_watermarks(database: Database) -> None:
    run_id = begin(database)
    counts = {**COUNTS, "watermark_before": None, "watermark_after": minute(5)}
    finish(database, run_id, counts=counts)
    found = row(database, run_id)
    assert {name: found[name] for name in counts} == counts
    assert (found["state"], found["exit_code"], found["finished_at"], found["error"]) == (
        "finished", 0, minute(9), None,
    )  # fmt: skip


def test_every_count_of_the_table_is_one_that_this_test_knows() -> None:
    integers = {column.name for column in sync_runs.columns if column.server_default is not None}
    assert integers - {"runs"} == set(COUNTS)  # runs: for how many the row stands


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("the API cannot be reached", "the API cannot be reached"),
        ("x" * 5000, "x" * 2000),
        ("half\0a \ud83d character", "half\ufffda ? character"),
        ("", None),
        (None, None),
    ],
    ids=["short", "long", "what no database holds", "empty", "none"],
)
def test_a_failed_run_tells_its_error(database: Database, said: str | None, kept: str | None) -> None:
    run_id = begin(database)
    finish(database, run_id, state="failed", exit_code=5, error=said)
    found = row(database, run_id)
    assert (found["state"], found["exit_code"], found["error"]) == ("failed", 5, kept)


@pytest.mark.parametrize("exit_code", [1, 4, 5, 6, 130, 143])
def test_open_windows_of_a_failed_run_close_where_they_stand(database: Database, exit_code: int) -> None:
    run_id = begin(database)
    left, done = open_window(database, run_id), open_window(database, run_id)
    with database.engine.begin() as connection:
        windows.note(connection, left, checkpoint_at=minute(30))
        windows.note(connection, done, state="verified")
    finish(database, run_id, state="failed", exit_code=exit_code)
    found = window(database, left)
    assert (found["state"], found["checkpoint_at"], found["error"]) == ("failed", minute(30), "the run ended half-way")
    assert (window(database, done)["state"], window(database, done)["error"]) == ("verified", None)


def test_a_run_that_died_is_closed_by_the_next_of_its_command(database: Database) -> None:
    dead = database.run_id
    left = open_window(database, dead)
    begin(database, at=5)
    found = row(database, dead)
    assert (found["state"], found["finished_at"], found["exit_code"]) == ("abandoned", minute(5), None)
    assert found["error"] == "ended without closing its row"
    assert window(database, left)["state"] == "failed"


@pytest.mark.parametrize("command", ["reconcile", "replay", "probe"])
def test_a_dead_run_of_a_command_of_the_lock_is_closed(database: Database, command: str) -> None:
    dead = begin(database, command)
    begin(database, "sync", at=5)
    assert row(database, dead)["state"] == "abandoned"


def test_what_runs_beside_or_on_another_source_is_left_alone(database: Database) -> None:
    other = begin(database, source_id=database.another_source("s-2"))
    at_work = open_window(database, database.run_id)
    begin(database, "backfill")
    assert (row(database, database.run_id)["state"], row(database, other)["state"]) == ("running", "running")
    assert window(database, at_work)["state"] == "running"


def test_a_run_that_ended_well_is_not_abandoned_later(database: Database) -> None:
    finish(database, database.run_id)
    begin(database)
    assert row(database, database.run_id)["state"] == "finished"


@pytest.mark.parametrize("told", [5, None, 2**31 - 1])
def test_the_total_of_a_window_is_kept(database: Database, told: int | None) -> None:
    window_id = open_window(database, database.run_id)
    with database.engine.begin() as connection:
        windows.note(connection, window_id, reported_total=told)
    assert window(database, window_id)["reported_total"] == told


def test_a_run_owns_its_source_until_another_one_begins(database: Database) -> None:
    first = begin(database)
    with database.engine.begin() as connection:
        runs.require_owner(connection, first)
    second = begin(database, at=1)
    with pytest.raises(LockedError, match=f"another run has taken over from run {first}") as raised:
        finish(database, first)
    assert raised.value.exit_code == 75
    with database.engine.begin() as connection:
        runs.require_owner(connection, second)
    assert (row(database, first)["state"], row(database, first)["finished_at"]) == ("abandoned", minute(1))


def test_a_backfill_and_a_sync_own_their_source_side_by_side(database: Database) -> None:
    both = begin(database), begin(database, "backfill")
    with database.engine.begin() as connection:
        for run_id in both:
            runs.require_owner(connection, run_id)


def test_a_successor_waits_for_the_owners_transaction(database: Database) -> None:
    first = begin(database)
    with database.engine.begin() as connection:
        runs.require_owner(connection, first)
        successor = threading.Thread(target=begin, args=(database,))
        successor.start()
        successor.join(0.3)
        assert successor.is_alive()
    successor.join(30)
    assert row(database, first)["state"] == "abandoned"


@pytest.mark.parametrize(("counts", "has_stored"), [((0, 0), False), ((2, 0), True), ((0, 2), True), ((2, 2), True)])
def test_a_run_has_stored_what_was_new_or_changed(
    database: Database, counts: tuple[int, int], has_stored: object
) -> None:
    run_id = begin(database)
    before = row(database, run_id)["started_at"]
    finish(database, run_id, counts={"inserted": counts[0], "updated": counts[1]})
    with reading(database.engine) as connection:
        assert runs.have_stored_since(connection, database.source_id, before) is has_stored
