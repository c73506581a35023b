"""``kore-etl backup`` and ``kore-etl restore`` as processes, on both databases."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
import requests

from etl.load.database.engine import open_engine
from etl.load.database.locks import held, named_lock
from tests.e2e.terminal import on_terminal
from tests.integration.jobs.test_copy_database import rows

IS_ROOT = os.geteuid() == 0
SERVICE = 12345 if IS_ROOT else os.geteuid()  # only root can give files to another user


@pytest.fixture
def server(sandbox):
    return sandbox(tasks=20)


@pytest.fixture
def settings(server, environment, database_url) -> dict[str, str]:
    return environment(server, database_url)


@pytest.fixture
def synced(run_cli, settings):
    assert run_cli("sync", env=settings).returncode == 0
    return settings


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "backups"


def backup(run_cli, settings, folder, *options) -> Path:
    done = run_cli("backup", "--to", str(folder), "--output", "json", *options, env=settings)
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["file"])


def test_a_restored_backup_has_all_rows_and_the_sync_goes_on(run_cli, synced, server, folder, database_url):
    before = rows(database_url)
    file = backup(run_cli, synced, folder)
    requests.post(f"{server.url}/_sandbox/change", json={"update": 5, "insert": 2}, timeout=30).raise_for_status()
    assert run_cli("sync", env=synced).returncode == 0
    assert rows(database_url) != before
    done = run_cli("restore", str(file), "--yes", env=synced)
    assert done.returncode == 0, done.stderr
    assert "holds 20 tasks of" in done.stderr
    assert rows(database_url) == before
    again = json.loads(run_cli("sync", "--output", "json", env=synced).stdout)["sources"][0]
    assert (again["exit_code"], again["inserted"], again["updated"]) == (0, 2, 5)


def test_is_one_private_file_and_leaves_nothing_beside_it(run_cli, synced, folder):
    file = backup(run_cli, synced, folder)
    assert list(folder.iterdir()) == [file]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run_cli("restore", str(file), "--yes", env=synced).returncode == 0
    assert list(folder.iterdir()) == [file]


def test_keeps_the_latest_only(run_cli, migrated_sqlite_url, folder):
    folder.mkdir()
    names = [f"kore-etl-2026010{day}T000000Z.db" for day in range(1, 6)]
    for name in (*names, "mine.db"):
        (folder / name).touch()
    file = backup(run_cli, {"KORE_ETL_DATABASE_URL": migrated_sqlite_url}, folder, "--keep", "2")
    assert sorted(path.name for path in folder.iterdir()) == [names[-1], file.name, "mine.db"]


def test_an_old_backup_that_cannot_be_deleted_is_told(run_cli, migrated_sqlite_url, folder):
    old = folder / "kore-etl-20260101T000000Z.db"
    old.mkdir(parents=True)
    settings = {"KORE_ETL_DATABASE_URL": migrated_sqlite_url}
    done = run_cli("backup", "--to", str(folder), "--keep", "1", env=settings)
    assert (done.returncode, f"wrote {folder}" in done.stderr) == (2, True)
    assert f"{old}: cannot be deleted" in done.stderr


def test_without_a_folder_it_is_beside_the_file(run_cli, migrated_sqlite_url, tmp_path, postgres_url):
    assert run_cli("backup", env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url}).returncode == 0
    assert len(list((tmp_path / "backups").glob("kore-etl-*.db"))) == 1
    done = run_cli("backup", env={"KORE_ETL_DATABASE_URL": postgres_url})
    assert (done.returncode, "add --to DIR" in done.stderr) == (2, True)


def test_without_a_file_the_latest_backup_is_restored(run_cli, migrated_sqlite_url, folder, postgres_url):
    env = {"KORE_ETL_DATABASE_URL": migrated_sqlite_url}
    missing = run_cli("restore", "--yes", env=env)
    assert (missing.returncode, "No such file or directory; name the FILE" in missing.stderr) == (2, True)
    folder.mkdir()
    (folder / "kore-etl-20260101T000000Z.db").touch()
    empty = run_cli("restore", "--yes", env=env)
    assert empty.returncode == 6
    assert run_cli("backup", env=env).returncode == 0
    done = run_cli("restore", "--yes", env=env)
    assert (done.returncode, "holds 0 tasks of" in done.stderr) == (0, True)
    refused = run_cli("restore", "--yes", env={"KORE_ETL_DATABASE_URL": postgres_url})
    assert (refused.returncode, "name the FILE" in refused.stderr) == (2, True)


def test_two_databases_of_a_folder_keep_their_own(run_cli, migrated_sqlite_url, tmp_path):
    folder = tmp_path / "backups"
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two")]
    for url in urls:
        assert run_cli("db", "upgrade", "--database-url", url).returncode == 0
        assert run_cli("backup", "--keep", "1", "--database-url", url).returncode == 0
    assert sorted(path.name.split("-")[0] for path in folder.iterdir()) == ["one", "two"]
    done = run_cli("restore", "--yes", "--database-url", urls[0])
    assert (done.returncode, "backups/one-" in done.stderr) == (0, True)


def test_is_made_while_a_sync_holds_the_lock(run_cli, synced, server, folder, database_url):
    engine = open_engine(database_url)
    known = server.options
    with held(named_lock(engine, f"sync 127.0.0.1 {known.account_id} {known.stream_id}"), "it"):
        file = backup(run_cli, synced, folder)
        assert run_cli("restore", str(file), "--yes", env=synced).returncode == 75
    engine.dispose()


def test_what_replaces_all_tables_waits_for_no_run(run_cli, synced, server, database_url, tmp_path):
    """A run that goes on would store into tables that are gone, or into another source that now has its number."""
    engine = open_engine(database_url)
    other = {"KORE_ETL_DATABASE_URL": f"sqlite:///{tmp_path}/other.db"}
    assert run_cli("db", "upgrade", env=other).returncode == 0
    known = server.options
    with held(named_lock(engine, f"sync 127.0.0.1 {known.account_id} {known.stream_id}"), "it"):
        for arguments in (("downgrade", "base"), ("copy", "--to", database_url, "--replace")):
            done = run_cli("db", *arguments, "--yes", env=synced if "base" in arguments else other)
            assert done.returncode == 75
    engine.dispose()
    assert run_cli("db", "check", env=synced).returncode == 0


@pytest.mark.parametrize("content", [b"no database", b"", None], ids=["text", "empty", "missing"])
def test_a_file_that_is_no_backup_changes_nothing(run_cli, migrated_sqlite_url, tmp_path, content):
    if content is not None:
        (tmp_path / "x.db").write_bytes(content)
    done = run_cli("restore", "x.db", "--yes", env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url})
    assert done.returncode == 6
    assert "x.db" in done.stderr
    assert "Traceback" not in done.stderr
    assert run_cli("db", "check", env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url}).returncode == 0


def test_a_damaged_or_newer_backup_is_refused(run_cli, migrated_sqlite_url, folder):
    env = {"KORE_ETL_DATABASE_URL": migrated_sqlite_url}
    file = backup(run_cli, env, folder)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("update alembic_version set version_num = '0999'")
    done = run_cli("restore", str(file), "--yes", env=env)
    assert (done.returncode, "its tables are at 0999" in done.stderr) == (6, True)
    content = bytearray(file.read_bytes())
    content[4096:60_000] = b"\xff" * (60_000 - 4096)
    file.write_bytes(content)
    assert run_cli("restore", str(file), "--yes", env=env).returncode == 6


def test_asks_before_it_overwrites(run_cli, migrated_sqlite_url, folder, tmp_path):
    env = {"KORE_ETL_DATABASE_URL": migrated_sqlite_url}
    file = backup(run_cli, env, folder)
    refused = run_cli("restore", str(file), env=env)
    assert (refused.returncode, "add --yes" in refused.stderr) == (2, True)
    code, shown = on_terminal(["restore", str(file)], tmp_path, env, typed=["n"], columns=250)
    assert (code, "This replaces 0 tasks in sqlite:///" in shown) == (130, True)


def test_what_root_makes_belongs_to_the_services_user(run_cli, server, environment, sqlite_url, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, SERVICE, -1)
    env = environment(server, f"sqlite:///{state / 'kore-etl.db'}")
    assert run_cli("sync", env=env).returncode == 0
    file = backup(run_cli, env, state / "backups")
    (state / "kore-etl.db").chmod(0o640)
    assert run_cli("restore", str(file), "--yes", env=env).returncode == 0
    assert {path.stat().st_uid for path in (*state.iterdir(), file)} == {SERVICE}
    assert stat.S_IMODE((state / "kore-etl.db").stat().st_mode) == 0o640
    (state / "kore-etl.db").unlink()
    assert run_cli("restore", str(file), "--yes", env=env).returncode == 0
    assert {path.stat().st_uid for path in state.iterdir()} == {SERVICE}


def test_check_warns_root_of_a_file_the_service_cannot_write(run_cli, server, environment, sqlite_url, tmp_path):
    env = environment(server, sqlite_url)
    assert run_cli("sync", env=env).returncode == 0
    assert "chown" not in run_cli("check", env=env).stdout
    os.chown(tmp_path, SERVICE, -1)
    done = run_cli("check", env=env)
    assert (done.returncode, "who cannot write the file; chown --reference=" in done.stdout) == (0, IS_ROOT)


def test_copy_replaces_what_is_there_if_told_so(run_cli, synced, database_url, request, tmp_path):
    other = request.getfixturevalue("another_postgres_url") if database_url.startswith("postgresql") else None
    target = other or f"sqlite:///{tmp_path / 'other.db'}"
    arguments = ["db", "copy", "--to", target]
    assert run_cli(*arguments, env=synced).returncode == 0
    assert "add --replace" in run_cli(*arguments, env=synced).stderr
    refused = run_cli(*arguments, "--replace", env=synced)
    assert (refused.returncode, "add --yes" in refused.stderr) == (2, True)
    assert run_cli(*arguments, "--replace", "--yes", env=synced).returncode == 0
    assert rows(target) == rows(database_url)
    another_way = database_url.replace("sqlite:///", "sqlite:////./")
    itself = run_cli("db", "copy", "--to", another_way, "--replace", "--yes", env=synced)
    assert (itself.returncode, "names the database that is copied" in itself.stderr) == (2, True)
    unknown = run_cli("db", "copy", "--to", "mysql://kore:s3cret@host/kore", env=synced)
    assert unknown.stderr.startswith("kore-etl: error: --to: is for no database that kore-etl knows; accepted: sqlite:")
    assert (unknown.returncode, "s3cret" in unknown.stderr) == (2, False)
