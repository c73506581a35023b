"""The migrations make the schema that the code works with, on both databases, all or nothing."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, insert, inspect, text

from etl.errors import DatabaseError
from etl.load.database.engine import open_engine, reading
from etl.load.database.types import Moment
from etl.load.ledger import runs, sources, watermarks, windows
from etl.load.ledger.rejected_records import keep
from etl.load.schema import migrate as schema
from etl.load.schema.dimension_tables import DIMENSIONS
from etl.load.schema.ledger_tables import request_budgets, unknown_keys
from etl.load.schema.task_tables import CHILDREN, metadata, status_intervals, task_changes, task_progress, tasks
from etl.load.schema.view_columns import VIEWS
from etl.load.upsert.batch_and_counts import Batch
from etl.load.upsert.replace_rows import use_time_zone
from etl.load.upsert.store_batch import store
from etl.times import utc_offsets
from tests.conftest import CHECKOUT, clean_environment

pytestmark = pytest.mark.slow  # make check-migrations runs it alone

NOW = datetime(2025, 5, 28, 12, 5, 38, 807_000, tzinfo=UTC)
ALL = list(metadata.tables.items())
OVERVIEW = [
    *("_id", "ref_id", "case_id", "case_ref_id", "name", "status", "status_category", "priority", "assignee", "queue"),
    *("created_at", "updated_at", "due_at", "deleted_at", "stream_id", "source", "source_id", "is_open", "is_breached"),
    *("first_response_at", "resolved_at", "reopened", "created_day", "due_day", "resolved_day"),
    *("status_id", "priority_id", "assignee_id", "queue_id", "user_id"),
]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def migrated(engine: Engine) -> Engine:
    schema.upgrade(engine, schema.newest())  # each migration, which an empty database is spared otherwise
    return engine


@pytest.fixture
def from_models(request: pytest.FixtureRequest, database_url: str) -> Iterator[Engine]:
    """A second database, whose tables the models made themselves."""
    if database_url.startswith("sqlite"):
        url = database_url.replace(".db", "-models.db")
    else:
        url = request.getfixturevalue("pg_server")("models")
        with closing(administrator(request)) as admin:
            admin.execute("drop database if exists models with (force)")
            admin.execute("create database models")
    engine = open_engine(url)
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def administrator(request: pytest.FixtureRequest) -> Any:
    import psycopg

    return psycopg.connect(request.getfixturevalue("pg_server")("postgres").replace("+psycopg", ""), autocommit=True)


def tables_and_views(engine: Engine) -> set[str]:
    found = inspect(engine)
    return {*found.get_table_names(), *found.get_view_names()}


def constraints(engine: Engine) -> dict[str, set[str | None]]:
    found = inspect(engine)
    return {
        table: {
            found.get_pk_constraint(table)["name"],
            *(key["name"] for key in found.get_foreign_keys(table)),
            *(key["name"] for key in found.get_unique_constraints(table)),
            *(index["name"] for index in found.get_indexes(table)),
        }
        for table in metadata.tables
    }


def shape(engine: Engine) -> dict[str, Any]:
    """All that the database itself tells of the tables of the models."""
    found = inspect(engine)
    return {table: _shape_of(found, table) for table in metadata.tables}


def _shape_of(found: Any, table: str) -> dict[str, Any]:
    columns = {
        column["name"]: (str(column["type"].compile(found.dialect)), column["nullable"], column["default"])
        for column in found.get_columns(table)
    }
    keys = {
        key["name"]: (key["constrained_columns"], key["referred_table"], key["referred_columns"])
        for key in found.get_foreign_keys(table)
    }
    uniques = {key["name"]: key["column_names"] for key in found.get_unique_constraints(table)}
    indexes = {
        index["name"]: (
            index["column_names"],
            index["unique"],
            index.get("dialect_options", {}).get("postgresql_using"),
        )
        for index in found.get_indexes(table)
    }
    primary = found.get_pk_constraint(table)["constrained_columns"]
    return {
        "columns": columns,
        "order": list(columns),
        "keys": keys,
        "uniques": uniques,
        "indexes": indexes,
        "primary": primary,
    }


def types(engine: Engine, table: str) -> dict[str, str]:
    query = text(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = cast(:name as regclass) and attnum > 0"
    )
    with reading(engine) as connection:
        return {row[0]: row[1] for row in connection.execute(query, {"name": table})}


def fill(connection: Connection) -> None:
    """Put a row into every table."""
    source = sources.register(
        connection, name="main", base_url="https://host", account_id="a-1", stream_id="s-1", now=NOW
    )
    run = runs.begin(connection, source.id, "sync", settings={"overlap": "5m"}, now=NOW)
    window = windows.open_window(
        connection, source_id=source.id, run_id=run, job="first", field="updatedAt",
        start_at=NOW - timedelta(days=1), end_at=NOW, checkpoint_at=NOW, strategy="keyset", opened_at=NOW,
    )  # fmt: skip
    task = {
        column.name: None
        for column in tasks.columns
        if column.name
        not in ("first_seen_at", "first_updated_at", "stored_at", "run_id", "deleted_at", "gone_at", "forgotten_at")
    }
    named = {"_id": "st-1", "source_id": source.id, "name": "Open", "category": "open", "seen_at": NOW, "raw": "{}"}
    batch = Batch(
        [
            task
            | {
                "_id": "t-1",
                "source_id": source.id,
                "stream_id": "s-1",
                "case_id": "c-1",
                "status_id": "st-1",
                "priority_id": "p-1",
                "raw": "{}",
            }
        ],
        [named | {"type": None, "description": None, "is_enabled": True, "is_active": True}],
        [
            {
                "_id": "p-1",
                "source_id": source.id,
                "name": "High",
                "color": None,
                "score": 1.5,
                "type": None,
                "description": None,
                "is_enabled": True,
                "is_active": None,
                "seen_at": NOW,
                "raw": "{}",
            }
        ],
        [{"_id": "c-1", "source_id": source.id, "ref_id": "CS1", "seen_at": NOW}],
    )
    store(connection, batch, run_id=run, now=NOW)
    of_task = {"task_id": "t-1", "source_id": source.id}
    for table in DIMENSIONS:
        connection.execute(insert(table).values(_id="x-1", source_id=source.id))
    for table in CHILDREN:
        connection.execute(insert(table).values(**of_task, position=0))
    connection.execute(insert(status_intervals).values(**of_task, position=1, started_at=NOW))
    connection.execute(insert(task_progress).values(**of_task, reopened=0))
    connection.execute(insert(task_changes).values(**of_task, field="name", seen_at=NOW, run_id=run))
    keep(connection, source.id, [("_id is missing", None, "{}")], run_id=run, window_id=window, now=NOW)
    seen = {"key": "new", "example": "1", "task_id": "t-1", "first_seen_at": NOW, "run_id": run}
    connection.execute(insert(unknown_keys).values(source_id=source.id, **seen))
    watermarks.advance(connection, source.id, NOW, run_id=run, now=NOW)
    use_time_zone(connection, source.id, "Asia/Kolkata", utc_offsets("Asia/Kolkata")[1:2])
    connection.execute(insert(request_budgets).values(account_id="a-1", version=1, usage=""))


def counts(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        return {name: connection.execute(text(f"select count(*) from {name}")).scalar_one() for name in metadata.tables}


def test_models_and_the_migrated_schema_agree(migrated: Engine) -> None:
    assert schema.differences(migrated) == []


@pytest.mark.parametrize(
    "change",
    [
        "drop index ix_task_changes_field",
        "alter table tasks add column one_more text",
        "drop index ix_tasks_forgotten_at",
    ],
)
def test_a_difference_would_be_seen(migrated: Engine, change: str) -> None:
    with migrated.begin() as connection:
        connection.execute(text(change))
    assert schema.differences(migrated) != []


def test_a_deferred_index_is_no_difference_and_goes_down(migrated: Engine) -> None:
    with migrated.begin() as connection:
        connection.execute(text("drop index ix_tasks_updated_at"))
    assert schema.differences(migrated) == []
    schema.downgrade(migrated, "base")
    assert tables_and_views(migrated) == {"alembic_version"}


def test_migrated_tables_equal_those_of_the_models(migrated: Engine, from_models: Engine) -> None:
    assert shape(migrated) == shape(from_models)


def test_the_newest_migration_is_where_an_upgraded_database_is(migrated: Engine) -> None:
    assert schema.current(migrated) == schema.newest()


def test_constraints_have_equal_names_on_both_databases(sqlite_url: str, postgres_url: str) -> None:
    names = []
    for url in (sqlite_url, postgres_url):
        engine = open_engine(url)
        schema.upgrade(engine)
        names.append(constraints(engine))
        engine.dispose()
    assert names[0] == names[1]
    assert all(name for table in names[0].values() for name in table)


def test_postgresql_keeps_timestamptz_to_the_millisecond(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    schema.upgrade(engine)
    found = {name: types(engine, name) for name in metadata.tables}
    engine.dispose()
    for name, table in metadata.tables.items():
        for column in table.columns:
            is_moment = isinstance(column.type, Moment)
            assert (found[name][column.name] == "timestamp(3) with time zone") == is_moment, column


def test_a_schema_with_rows_goes_down_and_up_again(migrated: Engine) -> None:
    before = shape(migrated)
    with migrated.begin() as connection:
        fill(connection)
    assert set(counts(migrated).values()) == {1}

    schema.downgrade(migrated, "base")
    assert tables_and_views(migrated) == {"alembic_version"}

    schema.upgrade(migrated)
    assert shape(migrated) == before
    assert set(counts(migrated).values()) == {0}


def test_upgrading_again_changes_nothing(migrated: Engine) -> None:
    with migrated.begin() as connection:
        fill(connection)
    schema.upgrade(migrated)
    assert set(counts(migrated).values()) == {1}


def test_task_overview_has_the_promised_columns_in_order(migrated: Engine) -> None:
    with migrated.begin() as connection:
        fill(connection)
        result = connection.execute(text("select * from task_overview"))
        assert list(result.keys()) == OVERVIEW
        row = result.one()
    assert (row.status, row.status_category, row.priority, row.case_ref_id) == ("Open", "open", "High", "CS1")


GAPS = [
    pytest.param([(0, 5), (5, 10)], [], id="none"),
    pytest.param([(2, 10)], [(0, 2)], id="at the start"),
    pytest.param([(0, 3), (5, 10)], [(3, 5)], id="in the middle"),
    pytest.param([(0, 8)], [(8, 10)], id="before the watermark"),
    pytest.param([], [(0, 10)], id="nothing but gaps"),
    pytest.param([(0, 8), (1, 2), (6, 10)], [], id="windows that overlap"),
    pytest.param([(0, 4), (1, 2), (6, 7), (8, 10)], [(4, 6), (7, 8)], id="two gaps"),
    pytest.param([(0, 9), (1, 2), (3, 4), (9, 10)], [], id="windows inside a window"),
    pytest.param([(0, 12)], [], id="a window beyond the watermark"),
    pytest.param([(0, 10), (12, 14)], [], id="not read yet, after the watermark"),
]


@pytest.mark.parametrize(("covered", "gaps"), GAPS)
def test_coverage_gaps_shows_what_no_window_covers(
    migrated: Engine, covered: list[tuple[int, int]], gaps: list[tuple[int, int]]
) -> None:
    """Hours after NOW; history begins at 0, the watermark is at 10."""
    with migrated.begin() as connection:
        source_id, run_id = a_run(connection)
        sources.put(connection, source_id, history_start=NOW)
        watermarks.advance(connection, source_id, hour(10), run_id=run_id, now=NOW)
        for start, end in covered:
            a_window(connection, source_id, run_id, start, end)
    assert found_gaps(migrated) == gaps


def test_what_a_window_has_not_covered_yet_is_a_gap(migrated: Engine) -> None:
    with migrated.begin() as connection:
        source_id, run_id = a_run(connection)
        watermarks.advance(connection, source_id, hour(10), run_id=run_id, now=NOW)
        a_window(connection, source_id, run_id, 0, 5, checkpoint_at=hour(3))
        a_window(connection, source_id, run_id, 5, 10)
        a_window(connection, source_id, run_id, 3, 4, checkpoint_at=hour(3))
    assert found_gaps(migrated) == [(3, 5)]


def test_one_source_covers_nothing_of_another(migrated: Engine) -> None:
    with migrated.begin() as connection:
        for stream in ("s-1", "s-2"):
            source_id, run_id = a_run(connection, stream)
            sources.put(connection, source_id, history_start=NOW)
            watermarks.advance(connection, source_id, hour(10), run_id=run_id, now=NOW)
        a_window(connection, source_id, run_id, 0, 10)
    assert found_gaps(migrated) == [(0, 10)]


def hour(number: int) -> datetime:
    return NOW + timedelta(hours=number)


def a_run(connection: Connection, stream: str = "s-1") -> tuple[int, int]:
    source = sources.register(
        connection, name=stream, base_url="https://host", account_id="a-1", stream_id=stream, now=NOW
    )
    return source.id, runs.begin(connection, source.id, "sync", settings={}, now=NOW)


def a_window(
    connection: Connection, source_id: int, run_id: int, start: int, end: int, checkpoint_at: datetime | None = None
) -> None:
    window = windows.open_window(
        connection, source_id=source_id, run_id=run_id, job="first", field="updatedAt",
        start_at=hour(start), end_at=hour(end), checkpoint_at=hour(start), strategy="keyset", opened_at=NOW,
    )  # fmt: skip
    windows.note(connection, window, checkpoint_at=checkpoint_at or hour(end))


def found_gaps(engine: Engine) -> list[tuple[int, int]]:
    query = text("select gap_start, gap_end from coverage_gaps order by source_id, gap_start")
    with reading(engine) as connection:
        found = connection.execute(query.columns(gap_start=Moment, gap_end=Moment)).all()
    return [tuple((moment - NOW) // timedelta(hours=1) for moment in row) for row in found]


@pytest.mark.parametrize(
    ("at", "work"),
    [
        pytest.param("9999", lambda engine: schema.require_newest(engine, migrate=True), id="migrating"),
        pytest.param("9999", lambda engine: schema.require_newest(engine, migrate=False), id="working"),
        pytest.param("9999", schema.upgrade, id="upgrading"),
        pytest.param("9999", lambda engine: schema.downgrade(engine, "base"), id="downgrading"),
        pytest.param("ae1027a6acf4", lambda engine: schema.require_newest(engine, migrate=True), id="another program"),
        pytest.param("0000", lambda engine: schema.require_newest(engine, migrate=True), id="withdrawn"),
    ],
)
def test_a_schema_that_this_version_does_not_know_is_refused(
    migrated: Engine, at: str, work: Callable[[Engine], None]
) -> None:
    with migrated.begin() as connection:
        connection.execute(text("update alembic_version set version_num = :at"), {"at": at})
    with pytest.raises(DatabaseError, match=rf"schema is at {at}, which this version does not know .*; install"):
        work(migrated)
    assert schema.current(migrated) == at
    assert "tasks" in tables_and_views(migrated)


def test_an_old_schema_is_left_alone_where_migrating_is_off(engine: Engine) -> None:
    with pytest.raises(DatabaseError, match=r"there are no tables yet, needed is \d{4}; run: kore-etl db upgrade"):
        schema.require_newest(engine, migrate=False)
    assert tables_and_views(engine) == set()


@pytest.mark.parametrize("migrate", [True, False])
def test_the_newest_schema_is_left_as_it_is(migrated: Engine, *, migrate: bool) -> None:
    with migrated.begin() as connection:
        fill(connection)
    schema.require_newest(migrated, migrate=migrate)
    assert set(counts(migrated).values()) == {1}


def test_tables_of_something_else_are_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("create table tasks (title text)"))
    with pytest.raises(DatabaseError, match="something else"):
        schema.require_newest(engine, migrate=True)
    assert tables_and_views(engine) == {"tasks"}


START = """
import sys
from sqlalchemy import event
from etl.load.schema import migrate as schema
from etl.load.database.engine import open_engine
engine = open_engine(sys.argv[1])
"""
TOGETHER = """
print("ready", flush=True)
input()
schema.require_newest(engine, migrate=True)
print(schema.current(engine))
"""
KILLED = """
import os, signal
statements = iter(range(25))
def die(*_of_what):
    if next(statements, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(engine, "after_cursor_execute", die)
schema.upgrade(engine, {revision})
"""


def start(script: str, database_url: str, folder: Path, code: Path = CHECKOUT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START + script, database_url],
        cwd=folder,
        env=clean_environment(folder) | {"PYTHONPATH": str(code)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def test_processes_that_migrate_at_once_find_one_schema(database_url: str, tmp_path: Path) -> None:
    processes = [start(TOGETHER, database_url, tmp_path) for _ in range(3)]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 3
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate() for process in processes] == [(f"{schema.newest()}\n", "")] * 3


@pytest.mark.parametrize("revision", ["'head'", "schema.newest()"])
def test_a_migration_killed_half_way_leaves_the_old_schema(
    engine: Engine, database_url: str, tmp_path: Path, revision: str
) -> None:
    process = start(KILLED.replace("{revision}", revision), database_url, tmp_path)
    assert process.communicate() == ("", "")
    assert process.returncode == -signal.SIGKILL
    assert tables_and_views(engine) == set()

    schema.upgrade(engine)
    assert schema.differences(engine) == []


NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{newest}"


def upgrade():
    cascade = "cascade" if op.get_bind().dialect.name == "postgresql" else ""
    for view in sa.inspect(op.get_bind()).get_view_names():
        op.execute(f"drop view if exists {{view}} {{cascade}}")
    with op.batch_alter_table("tasks") as batch:
        batch.drop_constraint("fk_tasks_user_id", type_="foreignkey")  # what SQLite does only by a new table
        batch.add_column(sa.Column("made_anew", sa.Text(), server_default="yes"))
    {last}


def downgrade():
    raise AssertionError
"""
UPGRADE = """
schema.upgrade(engine)
"""


@pytest.fixture
def next_version(tmp_path: Path) -> Callable[..., Path]:
    """Lay kore-etl out as it is installed, with one migration more, and return where."""

    def lay_out(last: str, template: str = NEXT) -> Path:
        package = tmp_path / "installed" / "etl"
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / "etl", package, ignore=ignore)
        shutil.copytree(CHECKOUT / "migrations", package / "migrations", ignore=ignore)
        ours = [view.name for view in reversed(VIEWS)]
        text = template.format(newest=schema.newest(), last=last, ours=ours)
        (package / "migrations/versions/9999_next.py").write_text(text, encoding="utf-8")
        return package.parent

    return lay_out


def test_a_later_migration_keeps_what_refers_to_a_new_table(
    migrated: Engine, database_url: str, tmp_path: Path, next_version: Callable[..., Path]
) -> None:
    with migrated.begin() as connection:
        fill(connection)
    process = start(UPGRADE, database_url, tmp_path, next_version("pass"))
    assert process.communicate() == ("", "")
    assert schema.current(migrated) == "9999"
    assert set(counts(migrated).values()) == {1}
    with reading(migrated) as connection:
        assert connection.execute(text("select made_anew from tasks")).scalar() == "yes"


def test_a_failing_migration_leaves_schema_and_rows(
    migrated: Engine, database_url: str, tmp_path: Path, next_version: Callable[..., Path]
) -> None:
    with migrated.begin() as connection:
        fill(connection)
    before = shape(migrated)
    process = start(UPGRADE, database_url, tmp_path, next_version("raise ValueError('a slip')"))
    assert process.communicate()[1].endswith("ValueError: a slip\n")
    assert schema.current(migrated) == schema.newest()
    assert (shape(migrated), set(counts(migrated).values())) == (before, {1})
    assert [column["name"] for column in inspect(migrated).get_columns("task_overview")] == OVERVIEW


def test_a_migration_that_breaks_a_key_is_undone_on_sqlite(
    sqlite_url: str, tmp_path: Path, next_version: Callable[..., Path]
) -> None:
    engine = open_engine(sqlite_url)
    schema.upgrade(engine)
    with engine.begin() as connection:
        fill(connection)
    process = start(UPGRADE, sqlite_url, tmp_path, next_version("op.execute('delete from statuses')"))
    assert "a row of tasks without its statuses; nothing was changed\n" in process.communicate()[1]
    assert schema.current(engine) == schema.newest()
    assert set(counts(engine).values()) == {1}
    engine.dispose()


OWN = """
create view my_open as select _id, name, source from task_overview where deleted_at is null;
create view my_count as select count(*) as tasks from my_open
"""
OWN_TRIGGER = """
create trigger my_trigger after update on tasks begin insert into my_notes values (new._id); end
"""
# As a later version may do it: a table that SQLite makes anew, and a view that others read replaced.
ALTERS_TASKS = """
    op.execute("create view task_overview as select tasks.*, sources.name as source from tasks"
               " join sources on sources.id = tasks.source_id")
"""
NEXT_KEEPING = NEXT.replace(
    'cascade = "cascade" if op.get_bind().dialect.name == "postgresql" else ""', 'cascade = ""'
).replace("sa.inspect(op.get_bind()).get_view_names()", "{ours}")


def test_own_views_and_triggers_survive_a_migration(
    migrated: Engine, database_url: str, tmp_path: Path, next_version: Callable[..., Path]
) -> None:
    is_sqlite = migrated.dialect.name == "sqlite"
    with migrated.begin() as connection:
        fill(connection)
        connection.execute(text("create table my_notes (what text)"))
        for statement in [*OWN.split(";"), *([OWN_TRIGGER] if is_sqlite else [])]:
            connection.exec_driver_sql(statement)
        if not is_sqlite:
            connection.exec_driver_sql("create role analyst")
            connection.exec_driver_sql("grant select on my_open to analyst")
            connection.exec_driver_sql("comment on view my_open is 'mine'")
    process = start(UPGRADE, database_url, tmp_path, next_version(ALTERS_TASKS, NEXT_KEEPING))
    assert process.communicate() == ("", "")
    assert schema.current(migrated) == "9999"
    with migrated.begin() as connection:
        assert connection.execute(text("select _id, source from my_open")).all() == [("t-1", "main")]
        assert connection.execute(text("select tasks from my_count")).scalar() == 1
        if is_sqlite:
            connection.execute(text("update tasks set name = 'new'"))
            assert connection.execute(text("select what from my_notes")).scalars().all() == ["t-1"]
        else:
            told = "select obj_description('my_open'::regclass), has_table_privilege('analyst', 'my_open', 'select')"
            assert connection.exec_driver_sql(told).one() == ("mine", True)
            connection.exec_driver_sql("drop owned by analyst")
            connection.exec_driver_sql("drop role analyst")


LACKS_A_COLUMN = ALTERS_TASKS.replace("tasks.*, sources.name as source", "tasks._id")


@pytest.mark.parametrize("own", ["view", "trigger"])
def test_an_own_object_that_cannot_be_kept_is_named(
    migrated: Engine, database_url: str, tmp_path: Path, next_version: Callable[..., Path], own: str
) -> None:
    is_sqlite = migrated.dialect.name == "sqlite"
    with migrated.begin() as connection:
        fill(connection)
        if own == "view":
            connection.exec_driver_sql(OWN.split(";", maxsplit=1)[0])
        elif is_sqlite:
            connection.exec_driver_sql(
                "create trigger my_open instead of update on task_overview begin select new.source; end"
            )
        else:
            connection.exec_driver_sql("create materialized view my_open as select _id from task_overview")
    before = shape(migrated)
    process = start(UPGRADE, database_url, tmp_path, next_version(LACKS_A_COLUMN, NEXT_KEEPING))
    said = process.communicate()[1].splitlines()[-1]
    assert "my_open is not part of kore-etl and does not fit the new tables: " in said
    assert said.endswith("drop or change it and run again; nothing was changed")
    assert (schema.current(migrated), shape(migrated)) == (schema.newest(), before)
    assert set(counts(migrated).values()) == {1}


def alembic(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "alembic", "--config", str(CHECKOUT / "alembic.ini"), *arguments],
        cwd=folder,
        env=clean_environment(folder),
        check=False,
        capture_output=True,
        encoding="utf-8",
    )


def test_alembic_can_be_used_by_hand(engine: Engine, database_url: str, tmp_path: Path) -> None:
    url = f"url={database_url}"
    assert alembic("-x", url, "upgrade", "head", folder=tmp_path).returncode == 0
    assert schema.differences(engine) == []
    assert f"{schema.newest()} (head)" in alembic("-x", url, "current", folder=tmp_path).stdout
    assert "No new upgrade operations" in alembic("-x", url, "check", folder=tmp_path).stdout


def test_alembic_by_hand_makes_no_database_where_none_is_named(tmp_path: Path) -> None:
    done = alembic("current", folder=tmp_path)
    assert done.returncode != 0
    assert "alembic -x url=" in done.stdout
    assert list(tmp_path.iterdir()) == []
