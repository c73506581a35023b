"""``kore-etl check`` as a process: each thing that can be wrong, in its line, with its exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from etl.jobs.diagnostics.check_database import check_file
from etl.load.database.engine import open_engine
from etl.load.database.locks import held, named_lock
from tests.e2e.terminal import on_terminal
from tests.integration.mirror import Mirror

Run = Callable[..., subprocess.CompletedProcess[str]]
LINES = ("settings", "permissions", "database", "disk", "tables", "dns", "tls", "clock", "token", "scope", "stream")


@pytest.fixture
def server(sandbox):
    return sandbox(tasks=5)


@pytest.fixture
def settings(server, environment, sqlite_url) -> dict[str, str]:
    """A server, and a database that was synced with it."""
    assert Mirror(server, sqlite_url).sync().exit_code == 0
    server.reset_requests()
    return environment(server, sqlite_url)


@pytest.fixture
def found(run_cli: Run, settings):
    """Run the check and give its exit code and its lines: what -> (state, detail, to do)."""

    def run(**other: str) -> tuple[int, dict[str, tuple[str, str, str]]]:
        done = run_cli("check", "--output", "json", env={**settings, **other})
        told = json.loads(done.stdout)
        assert done.returncode == told["exit_code"], done.stderr
        return done.returncode, {
            each["what"]: (each["state"], each["detail"], each["to_do"]) for each in told["findings"]
        }

    return run


def test_all_is_well_for_one_request(found, server):
    code, lines = found()
    assert code == 0
    assert {state for state, _, _ in lines.values()} == {"ok"}
    assert tuple(lines) == (*LINES, "budget", "lock")
    assert server.request_count == 1


def test_the_free_space_is_told_in_gibibytes(found, tmp_path):
    detail = found()[1]["disk"][1]
    told, unit, *_ = detail.split()
    assert (float(told), unit) == (pytest.approx(shutil.disk_usage(tmp_path).free / 2**30, rel=0.2, abs=0.1), "GiB")


@pytest.mark.parametrize(
    ("free", "state"),
    [(2**30, "ok"), (2**30 - 1, "warning"), (100 * 2**20, "warning"), (100 * 2**20 - 1, "failed")],
)
def test_little_free_space_is_warned_of(monkeypatch, tmp_path, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    *_, room = check_file(tmp_path / "kore-etl.db")
    assert (room.what, room.state) == ("disk", state)


@pytest.mark.parametrize(
    ("name", "value", "what", "code"),
    [
        ("OVERLAP", "often", "settings", 2),
        ("CLIENT_SECRET", "x" * 40, "token", 4),
        ("CLIENT_ID", "cs-other", "token", 4),
        ("STREAM_ID", "st-other", "stream", 4),
        ("BASE_URL", "https://nowhere.invalid", "dns", 5),
        ("BASE_URL", "http://127.0.0.1:1", "tls", 5),
        ("DATABASE_URL", "sqlite:////nowhere/at/all.db", "database", 6),
    ],
)
def test_what_is_wrong_fails_in_its_line_with_what_to_do(found, name, value, what, code):
    ended, lines = found(**{f"KORE_ETL_{name}": value})
    failures = {key: line for key, line in lines.items() if line[0] == "failed"}
    if value == "https://nowhere.invalid":
        assert "kore-etl check --moved" in " ".join(failures.pop("source"))  # another host than that of the sync before
    assert (ended, list(failures)) == (code, [what])
    assert failures[what][2]


def test_a_scope_that_is_missing_is_told_apart_from_a_bad_token(sandbox, environment, sqlite_url, run_cli):
    done = run_cli("check", env=environment(sandbox(tasks=0, scope="missing"), sqlite_url))
    assert done.returncode == 4
    lines = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()}
    assert (lines["token"], lines["scope"], lines["stream"]) == ("ok", "failed", "unknown")
    (told,) = (line for line in done.stdout.splitlines() if line.startswith("failed"))
    assert "publish the app" in told


def test_a_certificate_that_nobody_vouches_for_fails(found):
    with socket.create_server(("127.0.0.1", 0)) as plain:  # speaks no TLS at all
        plain.listen()
        code, lines = found(KORE_ETL_BASE_URL=f"https://127.0.0.1:{plain.getsockname()[1]}", KORE_ETL_TIMEOUT="1s")
    assert (code, lines["tls"][0], lines["token"][0]) == (5, "failed", "unknown")


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_warns_of_a_wrong_clock_and_uses_the_servers(sandbox, environment, sqlite_url, run_cli, seconds):
    done = run_cli("check", env=environment(sandbox(tasks=1, clock_skew=seconds, skew_tokens=True), sqlite_url))
    assert done.returncode == 0, done.stdout
    side = "behind" if seconds > 0 else "ahead of"
    assert re.search(rf"warning  clock        this machine is (3599|3600|3601) s {side}", done.stdout), done.stdout
    assert "ok       token" in done.stdout


def test_a_server_without_date_leaves_the_clock_unknown(sandbox, environment, sqlite_url, run_cli):
    done = run_cli("check", env=environment(sandbox(tasks=1, date_header="missing"), sqlite_url))
    assert done.returncode == 0, done.stderr
    assert "unknown  clock        the server sends no Date" in done.stdout
    assert "ok       token" in done.stdout


def test_old_tables_warn_or_fail_where_migrating_is_forbidden(run_cli, settings, tmp_path):
    url = {"KORE_ETL_DATABASE_URL": f"sqlite:///{tmp_path}/old.db"}
    run_cli("db", "upgrade", env={**settings, **url})
    run_cli("db", "downgrade", "base", "--yes", env={**settings, **url})
    done = run_cli("check", env={**settings, **url})
    assert (done.returncode, "warning  tables" in done.stdout) == (0, True)
    done = run_cli("check", env={**settings, **url, "KORE_ETL_MIGRATE": "false"})
    assert done.returncode == 6
    assert "run: kore-etl db upgrade" in done.stdout
    assert run_cli("db", "current", env={**settings, **url}).stdout == "base\n"


def test_a_database_that_is_not_there_yet_is_not_made(run_cli, settings, tmp_path):
    done = run_cli("check", env={**settings, "KORE_ETL_DATABASE_URL": f"sqlite:///{tmp_path}/new.db"})
    assert done.returncode == 0
    assert "does not exist yet; the first sync creates it" in done.stdout
    assert not (tmp_path / "new.db").exists()


def test_a_database_that_a_uri_names_is_found(found, sqlite_url):
    path = sqlite_url.removeprefix("sqlite:///")
    code, lines = found(KORE_ETL_DATABASE_URL=f"sqlite:///file:{path}?uri=true")
    assert (code, lines["tables"][0]) == (0, "ok")


def test_a_database_without_tables_is_warned_of(found, tmp_path):
    (tmp_path / "empty.db").touch()
    code, lines = found(KORE_ETL_DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
    assert (code, lines["tables"]) == (0, ("warning", "none yet", "the next sync makes them"))


def test_a_database_of_another_program_is_told_by_every_command(run_cli, settings, tmp_path):
    file = tmp_path / "theirs.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("create table tasks (a)")
    theirs = {**settings, "KORE_ETL_DATABASE_URL": f"sqlite:///{file}"}
    for command in (["check"], ["status"], ["runs"], ["db", "upgrade"], ["sync"]):
        done = run_cli(*command, env=theirs)
        assert (done.returncode, "it holds tables of something else" in done.stdout + done.stderr) == (6, True)
    assert run_cli("db", "downgrade", "base", "--yes", env=theirs).returncode == 0
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("select name from sqlite_master").fetchall() == [("tasks",)]


def test_a_read_only_database_fails(run_cli, settings, postgres_url):
    url = {**settings, "KORE_ETL_DATABASE_URL": postgres_url}
    assert run_cli("db", "upgrade", env=url).returncode == 0
    assert "ok       database" in run_cli("check", env=url).stdout
    engine = open_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text(f"alter database {engine.url.database} set default_transaction_read_only = on"))
    engine.dispose()
    done = run_cli("check", env=url)
    assert done.returncode == 6
    assert "failed   database     is read-only" in done.stdout


def test_another_run_is_a_warning_and_a_bare_lock_is_75(found, server, sqlite_url):
    engine = open_engine(sqlite_url)
    lock = named_lock(engine, f"sync 127.0.0.1 {server.options.account_id} {server.options.stream_id}")
    assert lock.acquire(wait=False)
    code, lines = found()
    assert (code, lines["lock"][0]) == (75, "failed")
    with engine.begin() as connection:
        connection.execute(text("update sync_runs set state = 'running'"))
    code, lines = found()
    lock.release()
    engine.dispose()
    assert (code, lines["lock"][0]) == (0, "warning")
    assert "run 1, a sync, has been running since" in lines["lock"][1]


def test_a_minute_whose_requests_are_used_up_is_not_waited_for(found, server):
    code, lines = found(KORE_ETL_REQUESTS_PER_MINUTE="1")
    assert (code, lines["budget"][0], lines["token"][0]) == (0, "warning", "unknown")
    assert server.request_count == 0


def test_a_secret_that_anyone_can_read_is_warned_of(found, settings, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(settings["KORE_ETL_CLIENT_SECRET"])
    secret.chmod(0o644)
    code, lines = found(KORE_ETL_CLIENT_SECRET="", KORE_ETL_CLIENT_SECRET_FILE=str(secret))
    assert (code, lines["permissions"][0]) == (0, "warning")
    assert "chmod 600" in lines["permissions"][2]


def test_writes_nothing_but_the_request_in_the_budget(run_cli, settings, tmp_path: Path):
    def state() -> dict[str, int]:
        files = (path for path in tmp_path.iterdir() if "-" not in path.suffix and path.suffix != ".budget")
        return {path.name: path.stat().st_mtime_ns for path in files}

    before = state()
    assert run_cli("check", env=settings).returncode == 0
    assert state() == before


def test_colors_stand_on_a_terminal_alone(settings, tmp_path):
    assert "\x1b[32mok" in on_terminal(["check"], tmp_path, settings)[1]
    assert "\x1b" not in on_terminal(["check"], tmp_path, {**settings, "NO_COLOR": "1"})[1]


def test_what_root_locks_the_databases_owner_can_lock_too(settings, sqlite_url, tmp_path):
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    if os.geteuid() == 0:
        os.chown(database, 12345, 12345)
    engine = open_engine(sqlite_url)
    with held(named_lock(engine, "sync s-1"), "it"):
        owners = {path.stat().st_uid for path in tmp_path.glob("*.lock-*")}
    engine.dispose()
    assert owners == {database.stat().st_uid}
