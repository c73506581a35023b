"""``kore-etl export``: what is stored, for other tools, whole and without holding it in memory."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from sqlalchemy import Engine, func, inspect, select, text

from etl.cli.commands.publish.export_formats import write_parquet
from etl.errors import ConfigError
from etl.load.database.engine import open_engine, reading
from etl.load.queries.export import find_view
from etl.load.schema.task_tables import task_tags, tasks
from etl.load.schema.view_columns import VIEWS
from tests.conftest import clean_environment
from tests.integration.mirror import Mirror

ODD = '=cmd|" /C calc", "quoted"\nand more, 東京 \x00'
MOMENT = "2025-05-28T12:05:38.807Z"
FILL = """
insert into tasks (_id, source_id, stream_id, ref_id, name, raw, first_seen_at, stored_at, updated_at, run_id)
with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < :count)
select 'ti-' || n, 1, 'st-1', 'TS' || n, 'A name of some length, as tasks have it ' || n, '{}',
       '2025-01-01 00:00:00.000', '2025-01-01 00:00:00.000', '2025-01-01 00:00:00.000', 1 from numbers
"""
SOURCE = """
insert into sources (id, name, base_url, host, account_id, stream_id, created_at)
values (:id, :name, '', '', '', :stream, '2025-01-01 00:00:00.000')
"""
RUN = """
insert into sync_runs (id, source_id, command, state, started_at, version, settings)
values (1, 1, 'sync', 'finished', '2025-01-01 00:00:00.000', '1', '{}')
"""
# Not getrusage: on Linux that begins with the memory of the process that started this one.
MEASURED = """
import re, sys
from etl.cli.main import main
try:
    main(sys.argv[1:])
finally:
    with open("/proc/self/status") as status:
        print(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1], file=sys.stderr)
"""


@pytest.fixture
def settings(sandbox, environment, migrated_url) -> dict[str, str]:
    server = sandbox(tasks=20)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    server.put([{"_id": "ti-odd", "name": ODD, "createdAt": MOMENT, "updatedAt": now}])
    assert Mirror(server, migrated_url).sync().exit_code == 0
    return environment(server, migrated_url)


@pytest.fixture
def engine(settings) -> Iterator[Engine]:
    engine = open_engine(settings["KORE_ETL_DATABASE_URL"])
    yield engine
    engine.dispose()


Export = Callable[..., str]


@pytest.fixture
def export(run_cli, settings) -> Export:
    def run(*options: str) -> str:
        done = run_cli("export", *options, env=settings)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def rows_of(engine: Engine, query: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def test_csv_has_every_row_and_column(export, engine):
    lines = list(csv.DictReader(io.StringIO(export())))
    stored = rows_of(engine, "select * from task_overview order by _id")
    assert [line["_id"] for line in lines] == sorted(row["_id"] for row in stored)
    assert [list(line) for line in lines[:1]] == [list(stored[0])]
    odd = next(line for line in lines if line["_id"] == "ti-odd")
    assert odd["name"] == next(row["name"] for row in stored if row["_id"] == "ti-odd")
    assert odd["name"].startswith('=cmd|" /C calc", "quoted"\nand more, 東京')
    assert (odd["created_at"], odd["due_at"]) == (MOMENT, "")


def in_csv(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def test_lines_of_json_have_what_csv_has(export):
    lines = [json.loads(line) for line in export("--format", "jsonl").splitlines()]
    table = list(csv.DictReader(io.StringIO(export())))
    assert [{key: in_csv(value) for key, value in line.items()} for line in lines] == table


def test_parquet_has_types(export, tmp_path, run_cli, settings):
    done = run_cli("export", "--format", "parquet", "--out", "tasks.parquet", env=settings)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "kore-etl: 21 rows of task_overview written to tasks.parquet\n"
    table = parquet.read_table(tmp_path / "tasks.parquet")
    lines = [json.loads(line) for line in export("--format", "jsonl").splitlines()]
    assert str(table.schema.field("updated_at").type) == "timestamp[ms, tz=UTC]"
    assert table.column("_id").to_pylist() == [line["_id"] for line in lines]
    assert table.column("name").to_pylist() == [line["name"] for line in lines]
    created = [moment.isoformat(timespec="milliseconds")[:23] for moment in table.column("created_at").to_pylist()]
    assert created == [line["created_at"][:23] for line in lines]


def test_any_table_or_view_can_be_written(engine):
    inspector = inspect(engine)
    with reading(engine) as connection:
        for name in [*inspector.get_table_names(), *inspector.get_view_names()]:
            if name == "alembic_version":
                continue
            view, file = find_view(connection, name), io.BytesIO()
            count = write_parquet(file, view.fields, view.read(connection))
            stored = connection.execute(text(f"select count(*) from {name}")).scalar_one()
            assert (name, count, parquet.read_table(file).num_rows) == (name, stored, stored)


def test_columns_of_views_have_the_same_types_on_both_databases(migrated_sqlite_url, migrated_postgres_url):
    found = []
    for url in (migrated_sqlite_url, migrated_postgres_url):
        engine = open_engine(url)
        with reading(engine) as connection:
            found.append({view.name: find_view(connection, view.name).fields for view in VIEWS})
        engine.dispose()
    assert found[0] == found[1]


def test_since_works_for_every_table_with_a_time(engine):
    refused, wrong = set(), {}
    with reading(engine) as connection:
        inspector = inspect(connection)
        for name in [*inspector.get_table_names(), *inspector.get_view_names()]:
            if name == "alembic_version":
                continue
            counts = []
            for moment in (datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)):
                view = find_view(connection, name)
                try:
                    view.since(moment)
                except ConfigError:
                    refused.add(name)
                else:
                    counts.append(len(list(view.read(connection))))
            every = len(list(find_view(connection, name).read(connection)))
            if name not in refused and (counts[1] or (every > 0) != (counts[0] > 0)):
                wrong[name] = (every, counts)
    assert wrong == {}
    # Sums over open tasks have no time of their own, and a budget is replaced whole.
    assert refused == {"open_backlog", "agent_load", "request_budgets"}


def test_json_columns_are_objects_in_json_and_text_in_csv(export):
    (line,) = (
        json.loads(line) for line in export("--view", "tasks", "--format", "jsonl").splitlines() if "ti-odd" in line
    )
    assert line["raw"]["_id"] == "ti-odd"
    lines = csv.DictReader(io.StringIO(export("--view", "tasks")))
    assert json.loads(next(each for each in lines if each["_id"] == "ti-odd")["raw"]) == line["raw"]


@pytest.mark.parametrize("since", ["1d", (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")])
def test_since_takes_what_was_changed_or_found_gone(export, engine, since):
    assert [line["_id"] for line in csv.DictReader(io.StringIO(export("--since", since)))] == ["ti-odd"]
    key = rows_of(engine, "select min(_id) as key from tasks where _id <> 'ti-odd'")[0]["key"]
    with engine.begin() as connection:
        gone = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.000")
        connection.execute(text(f"update tasks set deleted_at = '{gone}' where _id = '{key}'"))
    found = [line["_id"] for line in csv.DictReader(io.StringIO(export("--since", since)))]
    assert found == sorted([key, "ti-odd"])


def test_since_takes_the_details_of_a_task_of_that_moment(engine):
    latest = select(func.max(tasks.c.updated_at)).where(tasks.c["_id"].in_(select(task_tags.c.task_id)))
    with reading(engine) as connection:
        view = find_view(connection, "task_tags")
        view.since(connection.scalar(latest))
        assert list(view.read(connection))


def test_since_takes_versions_that_the_server_went_back_to(export, engine):
    key = rows_of(engine, "select min(_id) as key from tasks where _id <> 'ti-odd'")[0]["key"]
    columns = "task_id, source_id, field, old_value, new_value, changed_at, seen_at, run_id"
    seen = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.000")
    with engine.begin() as connection:
        values = f"'{key}', 1, 'name', 'new', 'old', null, '{seen}', 1"
        connection.execute(text(f"insert into task_changes ({columns}) values ({values})"))
    for view, column in (("task_overview", "_id"), ("tasks", "_id"), ("task_changes", "task_id")):
        found = csv.DictReader(io.StringIO(export("--view", view, "--since", "1d")))
        assert key in [line[column] for line in found]


def test_a_source_has_its_rows_alone(export, engine):
    with engine.begin() as connection:
        connection.execute(text(SOURCE), {"id": 2, "name": "other", "stream": "st-2"})
    for view, rows in (("task_overview", 21), ("tasks", 21), ("sync_runs", 1)):
        assert len(list(csv.DictReader(io.StringIO(export("--view", view, "--source", "default"))))) == rows
        assert list(csv.DictReader(io.StringIO(export("--view", view, "--source", "other")))) == []


def test_a_name_that_a_former_stream_had_selects_both(export, engine):
    with engine.begin() as connection:
        connection.execute(text(SOURCE), {"id": 2, "name": "default", "stream": "st-typo"})
    for view, rows in (("task_overview", 21), ("tasks", 21), ("sync_runs", 1)):
        assert len(list(csv.DictReader(io.StringIO(export("--view", view, "--source", "default"))))) == rows


def test_no_text_is_a_formula_where_that_is_asked(export):
    usual, safe = (list(csv.reader(io.StringIO(export(*options)))) for options in ((), ("--spreadsheet-safe",)))
    changed = [(a, b) for one, two in zip(usual, safe, strict=True) for a, b in zip(one, two, strict=True) if a != b]
    assert [b for a, b in changed if a.startswith("=cmd")] == [f"'{a}" for a, _ in changed if a.startswith("=cmd")]
    assert all(a[0] in "=+-@\t\r" and b == f"'{a}" for a, b in changed)
    assert not [cell for row in safe for cell in row if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--view", "nonsense"), "no such table or view; accepted: "),
        (("--view", "tasks; drop table tasks"), "no such table or view"),
        (("--source", "elsewhere"), "no such source; accepted: default"),
        (("--view", "open_backlog", "--since", "1d"), "has no column with the time"),
        (("--since", "lately"), "'lately' is no date or time"),
        (("--out", "no/such/folder/file"), "cannot be written: No such file or directory"),
        (("--format", "jsonl", "--spreadsheet-safe"), "is for --format csv"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_slip_is_told(run_cli, settings, options, told):
    done = run_cli("export", *options, env=settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_what_fails_on_the_way_leaves_the_earlier_file(run_cli, settings, tmp_path, engine):
    (tmp_path / "tasks.csv").write_text("earlier\n")
    with engine.begin() as connection:
        connection.execute(text("create view broken as select _id, 1 / (length(_id) - length(_id)) as x from tasks"))
        if engine.dialect.name == "sqlite":  # where that is NULL
            connection.execute(text("drop view broken"))
            connection.execute(text("create view broken as select _id, abs(-9223372036854775807 - 1) as x from tasks"))
    done = run_cli("export", "--view", "broken", "--out", "tasks.csv", env=settings)
    assert done.returncode == 6
    assert (tmp_path / "tasks.csv").read_text() == "earlier\n"
    assert [path.name for path in tmp_path.iterdir() if "tasks.csv" in path.name] == ["tasks.csv"]


@pytest.mark.parametrize(
    ("url", "form"),
    [("migrated_sqlite_url", "csv"), ("migrated_sqlite_url", "parquet"), ("migrated_postgres_url", "csv")],
)
def test_memory_does_not_grow_with_the_rows(request, tmp_path: Path, url, form):
    migrated_url = request.getfixturevalue(url)
    engine = open_engine(migrated_url)

    def peak(count: int) -> int:
        with engine.begin() as connection:
            connection.execute(text("delete from tasks"))
            connection.execute(text(FILL), {"count": count})
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, "export", "--format", form, "--out", "out", "--quiet"],
            cwd=tmp_path,
            env=clean_environment(tmp_path, {"KORE_ETL_DATABASE_URL": migrated_url}),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        return int(done.stderr)

    with engine.begin() as connection:
        connection.execute(text(SOURCE), {"id": 1, "name": "one", "stream": "st-1"})
        connection.execute(text(RUN))
    few, many = peak(10_000), peak(100_000)
    engine.dispose()
    assert (tmp_path / "out").stat().st_size > 500_000
    assert many < few * 1.2, f"{few:,} kB for 10,000 rows, {many:,} kB for 100,000"


def test_a_full_disk_is_told_with_the_files_name(run_cli, migrated_sqlite_url):
    done = run_cli("export", "--out", "/dev/full", env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url})
    assert (done.returncode, done.stderr) == (1, "kore-etl: error: cannot write /dev/full: No space left on device\n")
