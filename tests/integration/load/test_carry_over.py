"""A database of kore-etl 0.1.0 is carried over by one command, with its history, tombstones and ledgers.

``database_0005.sql`` holds one that the last commit before the change of keys has made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from etl.jobs.diagnostics.check_derived import differences_from_views
from etl.load.database.engine import open_engine, reading
from etl.load.schema import migrate

OLD = (Path(__file__).parent / "database_0005.sql").read_text("utf-8")
NEW_NAMES = {"newest": "newest_first", "verified": "split_windows"}


def make_old(url: str, statements: str = OLD) -> None:
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(statements)
        return
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("set time zone 'UTC'")
        connection.execute(statements)


def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    engine = open_engine(url)
    with reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found


ROUTES = ["sqlite to sqlite", "sqlite to postgresql", "postgresql to sqlite", "postgresql to another schema"]


@pytest.fixture(params=ROUTES)
def carried(request: pytest.FixtureRequest, tmp_path: Path, run_cli: Callable[..., Any]) -> tuple[str, str]:
    """The old database and the one that its rows were carried over into."""
    kind, _, to = request.param.partition(" to ")
    old = request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres_url")
    if to == "sqlite":
        new = f"sqlite:///{tmp_path / 'carried.db'}"
    elif to == "postgresql":
        new = request.getfixturevalue("postgres_url")
    else:
        make_old(old, "create schema carried")
        new = f"{old}{'&' if '?' in old else '?'}options=-csearch_path%3Dcarried"
    make_old(old)
    done = run_cli("db", "copy", "--to", new, env={"KORE_ETL_DATABASE_URL": old})
    assert done.returncode == 0, done.stderr
    return old, new


def test_every_row_is_carried_over(carried: tuple[str, str]) -> None:
    old, new = carried
    for table, columns in {
        "tasks": "_id, source_id, status_id, case_id, deleted_at, forgotten_at, first_seen_at, run_id, name",
        "tasks where raw is not null": "_id, cast(raw as text)",
        "task_changes": "id, task_id, field, old_id, new_id, old_value, new_value, changed_at, seen_at, run_id",
        "task_fields": "task_id, position, field_id, text, number",
        "task_tags": "task_id, position, tag",
        "sync_runs": "id, source_id, command, state, exit_code, requests, inserted, watermark_before, watermark_after",
        "watermarks": "source_id, value, moved_at, run_id",
        "rejected_records": "id, source_id, record_id, reason, raw, times_seen, last_run_id, window_id",
        "unknown_keys": "source_id, key, example, task_id, run_id",
        "sources": "id, name, base_url, account_id, stream_id, history_start, probed_at",
    }.items():
        query = f"select {columns} from {table} order by 1, 2"
        before, after = asked(old, query), asked(new, query)
        assert before, table
        assert [[plain(value) for value in row] for row in after] == [[plain(value) for value in row] for row in before]
    windows = "select id, source_id, run_id, job, start_at, end_at, {}, state, {} from sync_windows order by id"
    before = asked(old, windows.format("covered_until", "reading"))
    after = asked(new, windows.format("checkpoint_at", "strategy"))
    assert [[*map(plain, row[:-1])] for row in after] == [[*map(plain, row[:-1])] for row in before]
    assert [row[-1] for row in after] == [NEW_NAMES.get(row[-1], row[-1]) for row in before]
    assert asked(new, "select name, host from sources order by id") == [
        ("north", "north.example.com"),
        ("south", "south.example.com"),
    ]


def plain(value: Any) -> Any:
    """A value as either database gives it."""
    if hasattr(value, "isoformat"):
        return value.isoformat(" ", "milliseconds")[:23]
    text = value.replace(": ", ":").replace(", ", ",") if isinstance(value, str) else value
    return sorted(text) if isinstance(text, str) and text.startswith("{") else text


def test_each_source_has_the_names_that_its_tasks_use(carried: tuple[str, str]) -> None:
    old, new = carried
    queues = """
        select queue_id, source_id from tasks where queue_id is not null union
        select q.queue_id, t.source_id from task_queues q join tasks t on t._id = q.task_id union
        select _id, source_id from queues
    """
    assert {*asked(new, "select _id, source_id from queues")} == {*asked(old, queues)}
    names = "select _id, source_id, name from statuses order by 1, 2"
    shared = [row for row in asked(new, names) if row[0] in ("sts-o", "sts-r")]
    assert shared == [("sts-o", 1, "Open"), ("sts-o", 2, "Open"), ("sts-r", 1, "Resolved"), ("sts-r", 2, "Resolved")]
    without = "select count(*) from task_overview where status is null and _id <> 'ti-a0007'"
    assert asked(new, without) == [(0,)]
    assert {row[0] for row in asked(new, "select source from task_overview")} == {"north", "south"}


def test_what_is_derived_is_computed_again(carried: tuple[str, str]) -> None:
    old, new = carried
    engine = open_engine(new)
    with reading(engine) as connection:
        assert list(differences_from_views(connection)) == []
    engine.dispose()
    any_count = "created + resolved + reopened + deleted <> 0"
    counts = f"select stream_id, day, created, resolved, reopened, deleted from daily_counts where {any_count}"
    counts += " order by 1, 2"
    assert [[*map(str, row)] for row in asked(new, counts)] == [[*map(str, row)] for row in asked(old, counts)]
    progress = "select task_id, reopened from task_progress order by 1"
    assert asked(new, progress) == asked(old, progress) != []
    engine = open_engine(new)
    assert migrate.differences(engine) == []
    engine.dispose()


@pytest.mark.parametrize(
    ("at", "advice"),
    [
        ("0004", "first run kore-etl db upgrade of version 0.1.0"),
        ("0007", "install the kore-etl that made it"),
        ("ae1027a6acf4", "install the kore-etl that made it"),
    ],
)
def test_another_version_is_refused(
    database_url: str, tmp_path: Path, run_cli: Callable[..., Any], at: str, advice: str
) -> None:
    make_old(database_url, OLD.replace("values ('0005')", f"values ('{at}')"))
    target = tmp_path / "carried.db"
    done = run_cli("db", "copy", "--to", f"sqlite:///{target}", env={"KORE_ETL_DATABASE_URL": database_url})
    assert done.returncode == 6
    assert f"schema is at {at}, " in done.stderr
    assert advice in done.stderr
    assert not target.exists() or target.stat().st_size == 0


@pytest.mark.parametrize("command", [["sync"], ["status"], ["db", "upgrade"], ["db", "check"], ["check"]], ids=" ".join)
def test_each_command_says_how_to_carry_it_over(
    sqlite_url: str,
    run_cli: Callable[..., Any],
    sandbox: Callable[..., Any],
    environment: Callable[..., Any],
    command: list[str],
) -> None:
    make_old(sqlite_url)
    done = run_cli(*command, env=environment(sandbox(tasks=1), sqlite_url))
    assert done.returncode == 6
    assert "kore-etl db copy --to URL" in done.stdout + done.stderr
    assert asked(sqlite_url, "select count(*) from tasks") == [(16,)]
