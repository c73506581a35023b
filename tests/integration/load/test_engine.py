"""Opening a database: private, patient, and one clear line whatever is wrong with it."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, text
from sqlalchemy.engine import make_url

from etl.errors import ConfigError, DatabaseError, EtlError
from etl.load.database.engine import open_engine, reading
from etl.load.schema import migrate
from etl.load.schema.task_tables import tasks
from etl.load.upsert.batch_and_counts import Batch
from etl.load.upsert.store_batch import store
from tests.conftest import CHECKOUT, clean_environment
from tests.integration.conftest import NOW, Database
from tests.integration.load.test_store import task

PASSWORD = "not-to-be-printed"


def refused(database_url: str) -> str:
    """What is said of a database when a sync begins."""
    engine = open_engine(database_url)
    with pytest.raises(DatabaseError) as raised:
        migrate.require_newest(engine, migrate=True)
    engine.dispose()
    return one_line(raised.value)


def one_line(error: EtlError) -> str:
    assert error.exit_code == 6
    said = str(error)
    assert "\n" not in said
    assert len(said) < 600
    return said


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# A new SQLite file


def test_a_new_sqlite_file_and_its_wal_are_private(sqlite_url: str, tmp_path: Path) -> None:
    with umask(0):
        engine = open_engine(sqlite_url)
        migrate.upgrade(engine)
        with engine.begin() as connection:
            connection.execute(text("create table notes (note text)"))
            modes = {path.name: mode(path) for path in tmp_path.iterdir()}
        engine.dispose()
    assert modes == dict.fromkeys(("kore-etl.db", "kore-etl.db-wal", "kore-etl.db-shm"), 384)


def test_a_file_that_was_there_keeps_its_mode(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "kore-etl.db"
    path.touch()
    path.chmod(0o640)
    open_engine(sqlite_url)
    assert mode(path) == 0o640


def test_a_new_file_behind_a_link_is_its_owners_alone(tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "target.db")
    with umask(0):
        engine = open_engine(f"sqlite:///{link}")
        migrate.upgrade(engine)
        engine.dispose()
    assert mode(tmp_path / "target.db") == 0o600


def test_a_file_named_as_sqlites_own_kind_of_address_is_found(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///file:{tmp_path / 'kore-etl.db'}?uri=true")
    migrate.upgrade(engine)
    engine.dispose()
    assert {path.name for path in tmp_path.iterdir()} == {"kore-etl.db"}


def test_a_database_in_memory_makes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite://", "sqlite:///:memory:"):
        engine = open_engine(url)
        with reading(engine) as connection:
            assert connection.execute(text("select 1")).scalar() == 1
        engine.dispose()
    assert list(tmp_path.iterdir()) == []


# What may be wrong with a SQLite file


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as raised:
        open_engine(f"sqlite:///{tmp_path / 'missing' / 'kore-etl.db'}")
    assert one_line(raised.value) == (
        f"sqlite:///{tmp_path}/missing/kore-etl.db: cannot be made: No such file or directory; "
        "make its folder, or choose another database_url"
    )


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    assert "check that it is a file" in refused(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_told_and_not_touched(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "kore-etl.db"
    path.write_text("Dear diary, " * 100, encoding="utf-8")
    before = path.read_bytes()
    assert refused(sqlite_url).endswith("it was not touched; restore it or choose another")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["kore-etl.db"]


@pytest.mark.parametrize("size", [5000, 20_000], ids=["most is missing", "half is missing"])
def test_a_file_that_was_cut_off_is_told_and_not_touched(sqlite_database: Database, size: int) -> None:
    sqlite_database.engine.dispose()
    path = Path(sqlite_database.engine.url.database or "")
    with path.open("r+b") as file:
        file.truncate(size)
    before = path.read_bytes()
    assert "malformed; the file is damaged; it was not touched; restore it" in refused(str(sqlite_database.engine.url))
    assert path.read_bytes() == before


UNPRIVILEGED = """
import os, sys
import alembic.command, alembic.config, alembic.autogenerate, alembic.runtime.migration
from etl.errors import DatabaseError
from etl.load.schema import migrate as schema
from etl.load.database.engine import open_engine
open_engine("sqlite://").connect().close()  # imports the driver while that can be read
if os.geteuid() == 0:  # root may write anything
    os.setegid(65534)
    os.seteuid(65534)
try:
    engine = open_engine(sys.argv[1])
    schema.require_newest(engine, migrate=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("delete from task_changes")
    print("written")
except DatabaseError as error:
    print(error)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users get at, as those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="kore-etl-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


def as_somebody(database_url: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED, database_url],
        cwd=folder,
        env=clean_environment(folder) | {"PYTHONPATH": str(CHECKOUT)},
        check=False,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stderr == ""
    return done.stdout


def test_a_file_that_can_only_be_read_is_told(open_folder: Path) -> None:
    path = open_folder / "kore-etl.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)
    engine.dispose()
    path.chmod(0o666)
    assert as_somebody(f"sqlite:///{path}", open_folder) == "written\n"
    path.chmod(0o444)
    assert as_somebody(f"sqlite:///{path}", open_folder).endswith(
        "readonly database; its file or folder cannot be written; check their owner and mode\n"
    )


def test_a_folder_that_cannot_be_written_is_told(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    said = as_somebody(f"sqlite:///{open_folder / 'kore-etl.db'}", open_folder)
    open_folder.chmod(0o777)
    assert "kore-etl.db: cannot be made: Permission denied; use sudo, or choose another" in said


def test_a_full_database_is_told_and_keeps_what_it_had(sqlite_database: Database) -> None:
    engine = sqlite_database.engine
    with engine.begin() as connection:
        store(connection, Batch([task("t-1")]), run_id=1, now=NOW)
        pages = connection.exec_driver_sql("pragma page_count").scalar()
    engine.dispose()
    limit = f"pragma max_page_count={pages}"
    event.listen(engine, "connect", lambda connection, _record: connection.execute(limit))
    with pytest.raises(DatabaseError) as raised:
        write(engine, Batch([task("t-2", name="x" * 100_000)]))
    assert one_line(raised.value).endswith("free some space and run again; nothing half is kept")
    assert stored_ids(engine) == ["t-1"]


def write(engine: Engine, batch: Batch) -> None:
    with engine.begin() as connection:
        store(connection, batch, run_id=1, now=NOW)


def stored_ids(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.execute(select(tasks.c["_id"])).scalars())


LIMITED = """
import resource, signal, sys
from etl.errors import DatabaseError
from etl.load.schema import migrate as schema
from etl.load.database.engine import open_engine
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    schema.require_newest(open_engine(sys.argv[1]), migrate=True)
except DatabaseError as error:
    print(error)
"""


def test_a_full_disk_is_told_and_leaves_no_half_schema(sqlite_url: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, sqlite_url],
        cwd=tmp_path,
        env=clean_environment(tmp_path) | {"PYTHONPATH": str(CHECKOUT)},
        check=True,
        capture_output=True,
        encoding="utf-8",
    )
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    assert "nothing half is kept" in done.stdout
    engine = open_engine(sqlite_url)
    assert migrate.current(engine) is None
    migrate.require_newest(engine, migrate=True)
    assert migrate.differences(engine) == []
    engine.dispose()


# Who writes at the same time


@contextmanager
def another_writer(engine: Engine) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(engine.url.database or "", isolation_level=None, check_same_thread=False)) as other:
        other.execute("begin immediate")
        yield other


def test_a_writer_waits_for_another(sqlite_database: Database) -> None:
    with another_writer(sqlite_database.engine) as other:
        threading.Timer(0.5, other.execute, ["commit"]).start()
        write(sqlite_database.engine, Batch([task("t-1")]))
    assert stored_ids(sqlite_database.engine) == ["t-1"]


def test_a_database_that_stays_busy_is_told(sqlite_database: Database) -> None:
    engine = open_engine(f"{sqlite_database.engine.url}?timeout=0.1")
    with another_writer(engine), pytest.raises(DatabaseError) as raised:
        write(engine, Batch([task("t-1")]))
    engine.dispose()
    assert one_line(raised.value).endswith("is locked; another program writes to it; try again when it is done")


def test_a_reader_waits_for_nobody(sqlite_database: Database) -> None:
    with another_writer(sqlite_database.engine):
        assert stored_ids(sqlite_database.engine) == []


# What may be wrong with PostgreSQL


def test_a_wrong_postgresql_address_is_told_with_a_remedy(pg_server: Callable[[str], str]) -> None:
    good = make_url(pg_server("postgres"))
    for changes in (
        {"database": "missing"},
        {"username": "nobody"},
        {"host": "missing.invalid", "query": {}},
        {"host": "127.0.0.1", "port": 1, "query": {}},
        {"query": {"host": "/missing"}},
        {"query": {**good.query, "nosuch": "1"}},
        {"query": {**good.query, "sslmode": "sideways"}},
    ):
        wrong = good.set(password=PASSWORD).set(**changes)  # type: ignore[arg-type]
        said = refused(wrong.render_as_string(hide_password=False))
        assert re.search("(check host, port, database, user, password and|correct the) options in database_url", said)
        assert said.startswith("postgresql://")
        assert PASSWORD not in said


def test_a_password_among_the_parameters_is_not_told(pg_server: Callable[[str], str]) -> None:
    said = refused(f"{pg_server('missing')}&password={PASSWORD}")
    assert "missing" in said
    assert PASSWORD not in said


def test_a_role_without_rights_is_told(postgres_database: Database) -> None:
    with postgres_database.engine.begin() as connection:
        connection.execute(text("drop role if exists reader"))
        connection.execute(text("create role reader login"))
    url = postgres_database.engine.url.set(username="reader").render_as_string(hide_password=False)
    said = refused(url)
    with postgres_database.engine.begin() as connection:
        connection.execute(text("drop role reader"))
    assert said.endswith("give the role the rights that it needs")


def test_a_server_that_goes_away_is_told(postgres_database: Database) -> None:
    def go_on() -> None:
        with postgres_database.engine.begin() as connection:
            own = connection.execute(text("select pg_backend_pid()")).scalar()
            with postgres_database.engine.begin() as other:
                other.execute(text("select pg_terminate_backend(:own)"), {"own": own})
            store(connection, Batch([task()]), run_id=1, now=NOW)

    with pytest.raises(DatabaseError) as raised:
        go_on()
    assert one_line(raised.value).endswith("run again when PostgreSQL is back")
    write(postgres_database.engine, Batch([task()]))


def test_a_database_that_cannot_hold_every_text_is_refused(pg_server: Callable[[str], str], postgres_url: str) -> None:
    admin = open_engine(pg_server("postgres")).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("drop database if exists latin with (force)"))
        connection.execute(text("create database latin encoding 'LATIN1' locale 'C' template template0"))
    said = refused(pg_server("latin"))
    with admin.connect() as connection:
        connection.execute(text("drop database latin with (force)"))
    admin.dispose()
    assert said.endswith("its encoding LATIN1 cannot hold every task's text; create the database with ENCODING 'UTF8'")


# The advice goes by the error's code

MISLEADING = "disk is full, permission denied for table, connection refused, already exists"


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("08006", "run again when PostgreSQL is back"),
        ("23505", "kore-etl db check says where"),
        ("25006", "or set default_transaction_read_only to off for this role and database"),
        ("26000", "or name PostgreSQL itself in database_url"),
        ("28P01", "and pg_hba.conf on the server"),
        ("3F000", "or correct the role's search_path"),
        ("40001", "another session changed the same rows; run again"),
        ("42501", "give the role the rights that it needs"),
        ("42P01", "kore-etl db check says what is missing: restore it"),
        ("42P07", "choose another database"),
        ("53100", "free some space and run again; nothing half is kept"),
        ("53300", "try again when others are done"),
        ("55P03", "or allow more time"),
        ("57014", "or allow more time"),
        ("57P01", "run again when PostgreSQL is back"),
        ("58030", "nothing half is kept"),
        ("99999", "see the database's own log"),
    ],
)
def test_the_advice_on_postgresql_goes_by_the_code_alone(postgres_url: str, state: str, advice: str) -> None:
    engine = open_engine(postgres_url)
    with pytest.raises(DatabaseError) as raised, engine.begin() as connection:
        connection.exec_driver_sql(f"do $$ begin raise exception '{MISLEADING}' using errcode = '{state}'; end $$")
    engine.dispose()
    assert one_line(raised.value).endswith(advice)


def test_the_advice_on_sqlite_goes_by_the_code_alone(sqlite_url: str) -> None:
    engine = open_engine(sqlite_url)
    with pytest.raises(DatabaseError) as raised, reading(engine) as connection:
        connection.exec_driver_sql(f'select * from "{MISLEADING}"')
    engine.dispose()
    assert one_line(raised.value).endswith("kore-etl db check says what is missing: restore it")


def test_a_text_that_cannot_be_read_is_a_damaged_file(sqlite_url: str) -> None:
    engine = open_engine(sqlite_url)
    with (
        reading(engine) as connection,
        pytest.raises(DatabaseError, match=r"Could not decode.*the file is damaged; it was not touched; restore it"),
    ):
        connection.exec_driver_sql("select cast(x'ffff' as text) as name").all()
    engine.dispose()


def test_a_database_with_foreign_tables_is_not_touched(database_url: str) -> None:
    engine = open_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("create table tasks (task text)"))
    said = refused(database_url)
    assert said.endswith("it holds tables of something else, such as tasks; choose another database")
    assert migrate.current(engine) is None
    engine.dispose()


# Settings of a session


def shown(database_url: str, name: str) -> Any:
    engine = open_engine(database_url)
    with reading(engine) as connection:
        value = connection.execute(text(f"show {name}")).scalar()
    engine.dispose()
    return value


def test_a_session_is_the_same_whoever_starts_it(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text(f"alter database {engine.url.database} set timezone to 'Asia/Kolkata'"))
    engine.dispose()
    monkeypatch.setenv("PGAPPNAME", "psql")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    assert shown(postgres_url, "timezone") == "UTC"
    assert shown(postgres_url, "application_name") == "kore-etl"
    assert shown(postgres_url, "client_encoding") == "UTF8"


@pytest.mark.parametrize(
    ("parameter", "name", "value"),
    [
        ("application_name=nightly", "application_name", "nightly"),
        ("options=-csearch_path%3Dsupport", "search_path", "support"),
        ("options=-csearch_path%3Dsupport", "timezone", "UTC"),
    ],
)
def test_what_the_url_says_of_a_session_counts(postgres_url: str, parameter: str, name: str, value: str) -> None:
    assert shown(f"{postgres_url}&{parameter}", name) == value


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 1), ("busy_timeout", 30_000)]
)
def test_a_connection_to_sqlite_is_set_up(sqlite_url: str, pragma: str, value: str | int) -> None:
    engine = open_engine(sqlite_url)
    with reading(engine) as connection:
        assert connection.exec_driver_sql(f"pragma {pragma}").scalar() == value
    engine.dispose()


# What is no matter of the database


def test_a_bug_is_not_reported_as_a_failing_database(database: Database) -> None:
    def slip() -> None:
        with reading(database.engine) as connection:
            connection.execute(text("select :missing"), {})

    with pytest.raises(Exception, match="missing") as raised:
        slip()
    assert not isinstance(raised.value, EtlError)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///k.db?timeout=soon",
        "sqlite:///k.db?timeout=1&timeout=2",
        "sqlite:///k.db?detect_types=x",
        "postgresql+psycopg://127.0.0.1:1/x?port=2&port=3",
    ],
)
def test_options_without_a_meaning_are_refused(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="a value of its options"):
        open_engine(url)
