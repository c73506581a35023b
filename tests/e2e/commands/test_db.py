"""``kore-etl db`` as a process, on both databases."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url

from etl.load.schema import migrate
from tests.conftest import clean_environment

NEWEST = migrate.newest()


@pytest.fixture
def db(run_cli, database_url) -> Callable[..., subprocess.CompletedProcess[str]]:
    return partial(run_cli, "db", env={"KORE_ETL_DATABASE_URL": database_url})


def tables(url: str) -> set[str]:
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names()) - {"alembic_version"}
    finally:
        engine.dispose()


def execute(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


class TestUpgrade:
    def test_makes_the_tables_without_a_source_and_says_so(self, db, database_url):
        done = db("upgrade")
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.endswith(f": the tables went from base to {NEWEST}\n")
        assert {"tasks", "watermarks", "sync_windows"} <= tables(database_url)

    def test_says_that_there_was_nothing_to_do(self, db):
        db("upgrade")
        done = db("upgrade", NEWEST.lstrip("0"))
        assert done.returncode == 0
        assert done.stderr.endswith(f": the tables were at {NEWEST} already; there was nothing to do\n")

    def test_writes_json_for_a_pipe(self, db):
        assert json.loads(db("upgrade", "--output", "json").stdout) == {"from": None, "to": NEWEST, "changed": True}
        assert json.loads(db("upgrade", "--output", "json").stdout) == {"from": NEWEST, "to": NEWEST, "changed": False}

    def test_is_silent_if_told_so(self, db):
        assert db("upgrade", "--quiet").stderr == ""

    @pytest.mark.parametrize("revision", ["9000", "nonsense", "'; drop"])
    def test_refuses_a_version_that_there_is_not(self, db, revision):
        done = db("upgrade", revision)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"kore-etl: error: revision {revision}: ")
        assert done.stderr.endswith(f"accepted: {NEWEST}, head, base\n")

    def test_leaves_tables_of_a_newer_version_alone(self, db, database_url):
        db("upgrade")
        execute(database_url, "update alembic_version set version_num = '9000'")
        for arguments in (["upgrade"], ["downgrade", "base", "--yes"]):
            done = db(*arguments)
            assert done.returncode == 6
            assert "install the kore-etl that made it" in done.stderr
        assert "tasks" in tables(database_url)


class TestDowngrade:
    def test_to_base_drops_every_table(self, db, database_url):
        db("upgrade")
        done = db("downgrade", "base", "--yes")
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.endswith(f": the tables went from {NEWEST} to base\n")
        assert tables(database_url) == set()
        assert db("upgrade").returncode == 0

    def test_is_refused_where_nobody_can_be_asked(self, db, database_url):
        db("upgrade")
        done = db("downgrade", "base", input="y\n")
        assert done.returncode == 2
        assert "add --yes" in done.stderr
        assert "tasks" in tables(database_url)

    @pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, False), ("n", 130, True), ("", 130, True)])
    def test_asks_on_a_terminal(self, run_cli, sqlite_url, tmp_path, answer, code, left):
        run_cli("db", "upgrade", env={"KORE_ETL_DATABASE_URL": sqlite_url})
        parent, child = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "etl", "db", "downgrade", "base"],
            cwd=tmp_path,
            env=clean_environment(tmp_path, {"KORE_ETL_DATABASE_URL": sqlite_url}),
            stdin=child,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        os.close(child)
        os.write(parent, f"{answer}\n".encode())
        said = process.communicate(timeout=60)[1]
        os.close(parent)
        assert process.returncode == code
        assert " ".join(said.split()).startswith(
            f"This drops all tables with all their data, in {sqlite_url}. Continue?"
        )
        assert ("tasks" in tables(sqlite_url)) is left

    def test_of_an_empty_database_does_nothing(self, db, database_url):
        execute(database_url, "select 1")  # SQLite makes the file
        done = db("downgrade", "base")
        assert done.returncode == 0
        assert done.stderr.endswith(": the tables were at base already; there was nothing to do\n")


class TestCurrent:
    def test_prints_the_number_alone(self, db):
        db("upgrade")
        done = db("current")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{NEWEST}\n", "")
        assert json.loads(db("current", "--output", "json").stdout) == {"current": NEWEST, "newest": NEWEST}

    def test_prints_base_where_there_are_no_tables(self, db, database_url):
        execute(database_url, "select 1")
        assert db("current").stdout == "base\n"


class TestCheck:
    def test_is_content_with_the_newest_tables_and_those_of_others(self, db, database_url):
        db("upgrade")
        execute(database_url, "create table theirs (id int primary key)", "create index ix_theirs on theirs (id)")
        done = db("check")
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.endswith(f": the tables are at {NEWEST}, as needed\n")

    def test_ends_with_6_where_there_are_no_tables(self, db, database_url):
        execute(database_url, "select 1")
        done = db("check")
        assert done.returncode == 6
        assert done.stderr.endswith(f"the tables are at base, but {NEWEST} is needed; run: kore-etl db upgrade\n")

    def test_ends_with_6_for_tables_of_a_newer_version(self, db, database_url):
        db("upgrade")
        execute(database_url, "update alembic_version set version_num = '9000'")
        done = db("check")
        assert done.returncode == 6
        assert done.stderr.endswith(
            f"at 9000, but {NEWEST} is needed; install the kore-etl that made it, or choose another database\n"
        )

    def test_ends_with_6_and_names_what_was_changed_by_hand(self, db, database_url):
        db("upgrade")
        execute(
            database_url,
            "alter table tasks add column mine int",
            "alter table watermarks add column mine int",
            "drop index ix_tasks_forgotten_at",
            "drop table unknown_keys",
        )
        done = db("check", "--output", "json")
        assert done.returncode == 6
        assert f"the tables differ from migration {NEWEST}: " in done.stderr
        assert done.stderr.count("\n") == 1
        shown = json.loads(done.stdout)
        assert (shown["ok"], shown["current"]) == (False, NEWEST)
        assert set(shown["differences"]) == {
            "remove_column tasks.mine",
            "remove_column watermarks.mine",
            "add_index tasks.ix_tasks_forgotten_at",
            "add_table unknown_keys",
        }

    def test_names_every_kind_of_difference(self, run_cli, postgres_url):
        settings = {"KORE_ETL_DATABASE_URL": postgres_url}
        run_cli("db", "upgrade", env=settings)
        execute(
            postgres_url,
            "alter table tasks alter column name set not null",
            "alter table tasks alter column org_id type varchar(9)",
            "alter table rejected_records drop constraint uq_rejected_records_source_id_digest",
            "comment on table tasks is 'ours'",
        )
        done = run_cli("db", "check", "--output", "json", env=settings)
        assert done.returncode == 6
        assert done.stderr.endswith(" and 1 more\n")
        assert set(json.loads(done.stdout)["differences"]) == {
            "modify_nullable tasks.name",
            "modify_type tasks.org_id",
            "add_constraint rejected_records.uq_rejected_records_source_id_digest",
            "add_table_comment tasks",
        }


@pytest.mark.parametrize("arguments", [["check"], ["current"], ["downgrade", "base", "--yes"]], ids=" ".join)
def test_makes_no_file_where_there_is_none(run_cli, sqlite_url, tmp_path, arguments):
    done = run_cli("db", *arguments, env={"KORE_ETL_DATABASE_URL": sqlite_url})
    assert done.returncode == 6
    assert "there is no such file; run: kore-etl db upgrade" in done.stderr
    assert not (tmp_path / "kore-etl.db").exists()


def test_ends_with_6_where_the_file_is_no_database(run_cli, tmp_path: Path):
    (tmp_path / "notes.db").write_text("milk, bread and some more so that it is no empty page " * 20)
    done = run_cli("db", "upgrade", "--database-url", "sqlite:///notes.db")
    assert done.returncode == 6
    assert done.stderr.startswith("kore-etl: error: sqlite:///notes.db: file is not a database")


@pytest.mark.parametrize("command", ["upgrade", "downgrade", "current", "check"])
def test_help_has_an_example(run_cli, command):
    assert f"  Example:\n    kore-etl db {command}" in run_cli("db", command, "--help").stdout


def test_hides_the_password_of_the_database(run_cli):
    url = "postgresql://me:hunter2@127.0.0.1:1/support"
    done = run_cli("db", "upgrade", env={"KORE_ETL_DATABASE_URL": url})
    assert done.returncode == 6
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("words", ["export", "why ti-1", "rejected list", "rejected show 1", "schema unknown"])
def test_a_command_that_reads_makes_no_table(run_cli, sqlite_url, words):
    path = Path(make_url(sqlite_url).database)
    path.touch()
    done = run_cli(*words.split(), env={"KORE_ETL_DATABASE_URL": sqlite_url})
    assert done.returncode == 6
    assert "there are no tables yet" in done.stderr
    assert path.stat().st_size < 10_000


def test_a_downgrade_to_an_unknown_version_asks_nothing(run_cli, sqlite_url):
    env = {"KORE_ETL_DATABASE_URL": sqlite_url}
    run_cli("db", "upgrade", env=env)
    done = run_cli("db", "downgrade", "0001", env=env)
    assert (done.returncode, "accepted: 0006, head, base" in done.stderr) == (2, True)
