"""``kore-etl sync`` as a process, against the sandbox over a real socket, into both databases."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import create_engine, text

from etl.load.database.engine import open_engine
from etl.load.database.locks import named_lock
from etl.sandbox import Sandbox

#: What mirrors the server; the other tables say what was done to get it.
MIRROR = ("tasks", "statuses", "priorities", "cases", "task_changes")
COUNTS = (
    *("requests", "retries", "rate_limited", "windows", "unverified"),
    *("fetched", "inserted", "updated", "unchanged", "stale", "rejected"),
    *("server_total", "stored_live", "quarantined", "hidden", "missing", "mended"),
)


class Database:
    """A look into what the command left behind."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")

    def rows(self, query: str) -> list[Any]:
        engine = create_engine(self.url)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query))]
        finally:
            engine.dispose()

    def execute(self, *statements: str) -> None:
        engine = create_engine(self.url)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def value(self, query: str) -> Any:
        ((value,),) = self.rows(query)
        return value

    def run(self) -> dict[str, Any]:
        """The latest run's row."""
        columns = ("state", "exit_code", "finished_at", "error", "inserted", "requests")
        (row,) = self.rows(f"select {', '.join(columns)} from sync_runs order by id desc limit 1")
        return dict(zip(columns, row, strict=True))

    def records(self) -> dict[str, Any]:
        return {key: json.loads(raw) for key, raw in self.rows("select _id, cast(raw as text) from tasks")}

    def mirror(self) -> dict[str, list[Any]]:
        """Every row of what mirrors the server; PostgreSQL says with it which transaction wrote it last."""
        written_by = "" if self.is_sqlite else ", xmin::text"
        return {table: sorted(map(repr, self.rows(f"select *{written_by} from {table}"))) for table in MIRROR}

    def all_bytes(self) -> bytes:
        """Whatever is stored, as bytes: each file of SQLite, each row of each table of PostgreSQL."""
        if self.is_sqlite:
            file = Path(self.url.removeprefix("sqlite:///"))
            return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
        tables = [name for (name,) in self.rows("select tablename from pg_tables where schemaname = 'public'")]
        return repr([self.rows(f'select t::text from "{table}" t') for table in tables]).encode()


@pytest.fixture
def database(migrated_url) -> Database:
    return Database(migrated_url)


@pytest.fixture
def sync(run_cli, environment) -> Callable[..., Any]:
    """Sync once and give the process's outcome: ``sync(server, database, "--full", overlap="0")``."""

    def run(server: Sandbox, database: Database | str, *arguments: str, **settings: str) -> Any:
        url = database if isinstance(database, str) else database.url
        mine = {f"KORE_ETL_{name.upper()}": value for name, value in settings.items()}
        return run_cli("sync", *arguments, env={**environment(server, url), **mine})

    return run


@pytest.fixture
def start_sync(start_cli, environment) -> Callable[..., Any]:
    return lambda server, database: start_cli("sync", env=environment(server, database.url))


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.005)


def hold(server: Sandbox, after: int = 1) -> None:
    """Let the server answer ``after`` requests, and then so slowly that a sync is at work for a while.

    Before that, too, each answer should take longer than it takes to notice here that it was asked for.
    """
    wait_for(lambda: server.request_count >= after)
    server.configure(latency_ms=2000)


def equals(database: Database, server: Sandbox) -> bool:
    return database.records() == {record["_id"]: record for record in server.tasks()}


def moment(value: object) -> str | None:
    """A date of the API in any of the sandbox's spellings, as text to the millisecond."""
    if isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds")
    return datetime.fromisoformat(value).isoformat(timespec="milliseconds") if value else None


def expected_row(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "ref_id": record["refId"],
        "name": record["name"],
        "status": record["status"]["name"],
        "status_category": record["status"]["statusCategory"],
        "priority": record["priority"]["name"],
        "case_id": record["caseId"],
        "case_ref_id": record["caseRefId"],
        "assignee": record["currAssignee"].get("name"),
        "queue": record["queues"][0]["name"] if record["queues"] else None,
        "stream_id": record["iId"],
        "due_at": moment(record.get("dueDate")) or moment(record["ETA"]),
        "created_at": moment(record["createdAt"]),
        "updated_at": moment(record["updatedAt"]),
        "deleted_at": None,
    }


def stored_rows(database: Database, names: list[str]) -> dict[str, dict[str, Any]]:
    def shown(value: Any) -> Any:
        if isinstance(value, datetime):
            value = value.astimezone(UTC).isoformat()
        is_moment = isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", value)
        if not is_moment:
            return value
        found = datetime.fromisoformat(value)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC).isoformat(timespec="milliseconds")

    rows = database.rows(f"select _id, {', '.join(names)} from task_overview")
    return {key: dict(zip(names, map(shown, values), strict=True)) for key, *values in rows}


class TestExactness:
    def test_rows_equal_the_servers_and_a_quiet_sync_writes_none(self, sandbox, sync, database):
        server = sandbox(tasks=5000)
        first = sync(server, database)
        assert (first.returncode, equals(database, server)) == (0, True), first.stderr

        server.change(update=300, insert=50)
        server.reset_requests()
        second = sync(server, database, "--output", "json")
        assert second.returncode == 0
        (told,) = json.loads(second.stdout)["sources"]
        assert (told["inserted"], told["updated"]) == (50, 300)
        assert server.request_count < 30
        assert equals(database, server)
        expected = {record["_id"]: expected_row(record) for record in server.tasks()}
        assert len(expected) == 5050
        assert stored_rows(database, list(next(iter(expected.values())))) == expected
        assert database.value("select count(distinct task_id) from task_changes where field = 'name'") == 300

        before = database.mirror()
        server.reset_requests()
        assert sync(server, database).returncode == 0
        assert server.request_count <= 2
        assert database.mirror() == before

    def test_a_quiet_sync_asks_the_database_to_write_no_row(self, sandbox, sync, migrated_sqlite_url):
        server, database = sandbox(tasks=300), Database(migrated_sqlite_url)
        assert sync(server, database).returncode == 0
        database.execute(
            "create table touched (name text)",
            *(
                f"create trigger {table}_{act} after {act} on {table} begin insert into touched values ('{table}'); end"
                for table in MIRROR
                for act in ("insert", "update", "delete")
            ),
        )
        assert sync(server, database).returncode == 0
        assert database.rows("select name from touched") == []
        server.change(update=1)
        assert sync(server, database).returncode == 0
        assert ("tasks",) in database.rows("select name from touched")

    def test_bad_weather_changes_nothing_of_the_outcome(self, sandbox, sync, migrated_sqlite_url):
        kinds = ("401", "429", "500", "502", "503", "reset", "half", "cut", "html200", "errors200", "empty200")
        server = sandbox(tasks=400, faults=dict.fromkeys(kinds, 0.02), retry_after="seconds", seed=5)
        done = sync(server, migrated_sqlite_url)
        assert done.returncode == 0
        assert any(entry["fault"] for entry in server.requests)
        assert equals(Database(migrated_sqlite_url), server)

    def test_a_rejected_record_ends_in_3_and_others_are_stored(self, sandbox, sync, database):
        server = sandbox(tasks=60)
        good = server.tasks()
        now = good[-1]["updatedAt"]
        odd = [{"name": "nobody", "updatedAt": now}, {"_id": "ti-odd", "updatedAt": "soon"}, "no object", None]
        server.put(odd)
        done = sync(server, database, "--output", "json")
        assert done.returncode == 3
        assert json.loads(done.stdout)["exit_code"] == 3
        assert json.loads(done.stdout)["sources"][0]["rejected"] >= len(odd)
        assert database.records() == {record["_id"]: record for record in good}
        kept = [json.loads(raw) for (raw,) in database.rows("select raw from rejected_records")]
        assert sorted(map(repr, kept)) == sorted(map(repr, odd))
        assert database.run()["exit_code"] == 3


class TestRefusals:
    def test_a_wrong_secret_ends_in_4_within_4_requests(self, sandbox, sync, database):
        server = sandbox(tasks=60)
        done = sync(server, database, client_secret="not the secret, though it is long enough")
        assert done.returncode == 4
        assert server.request_count == 2
        assert "client_secret" in done.stderr
        assert done.stderr.count("error: ") == 1
        assert database.run()["state"] == "failed"
        assert database.run()["exit_code"] == 4

    @pytest.mark.parametrize(
        ("options", "settings"),
        [
            ({}, {"account_id": "another"}),
            ({}, {"stream_id": "st-another"}),
            ({"scope": "missing"}, {}),
        ],
        ids=["account", "stream", "scope"],
    )
    def test_whoever_is_not_let_in_ends_in_4(self, sandbox, sync, migrated_sqlite_url, options, settings):
        server = sandbox(tasks=60, **options)
        done = sync(server, migrated_sqlite_url, **settings)
        assert done.returncode == 4
        assert server.request_count <= 4
        assert len([line for line in done.stderr.splitlines() if line.startswith("kore-etl: error: default: ")]) == 1
        assert "Traceback" not in done.stderr

    def test_a_silent_host_ends_in_5_within_the_deadline(self, sandbox, sync, migrated_sqlite_url):
        server = sandbox(tasks=1)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        done = sync(server, migrated_sqlite_url, base_url=nobody, deadline="1s")
        assert (done.returncode, time.monotonic() - began < 15) == (5, True)
        assert f"{nobody}: the host refuses the connection" in done.stderr

    def test_a_server_that_only_fails_ends_in_5(self, sandbox, sync, migrated_sqlite_url):
        server = sandbox(tasks=1, faults={"503": 1.0})
        done = sync(server, migrated_sqlite_url, deadline="2s")
        assert done.returncode == 5
        assert Database(migrated_sqlite_url).run()["exit_code"] == 5

    @pytest.mark.parametrize(
        "url", ["sqlite:////no/such/folder/x.db", "postgresql://me@127.0.0.1:1/none"], ids=["sqlite", "postgresql"]
    )
    def test_a_database_that_cannot_be_opened_ends_in_6(self, sandbox, sync, url):
        server = sandbox(tasks=1)
        done = sync(server, url)
        assert (done.returncode, server.request_count) == (6, 0)
        assert len(done.stderr.splitlines()) == 1

    def test_a_missing_setting_ends_in_2_and_is_named(self, run_cli, sandbox, environment, migrated_sqlite_url):
        server = sandbox(tasks=1)
        settings = environment(server, migrated_sqlite_url)
        del settings["KORE_ETL_CLIENT_ID"]
        done = run_cli("sync", env=settings)
        assert (done.returncode, server.request_count) == (2, 0)
        assert "client_id" in done.stderr
        assert len(done.stderr.splitlines()) == 1


class TestOneAtATime:
    def test_of_two_at_once_one_works_and_the_other_ends_at_once(self, sandbox, sync, start_sync, database):
        server = sandbox(tasks=60, latency_ms=200)
        working = start_sync(server, database)
        hold(server)
        other = sync(server, database, "--output", "json")
        assert other.returncode == 75
        assert working.poll() is None, "the other should have ended while this one was at work"
        assert "kore-etl: error: default: another run" in other.stderr
        (told,) = json.loads(other.stdout)["sources"]
        assert (told["run"], told["exit_code"], told["requests"]) == (None, 75, 0)
        server.configure(latency_ms=0)
        assert working.wait(60) == 0
        assert equals(database, server)
        assert database.value("select count(*) from sync_runs") == 1


class TestInterruption:
    TASKS = 600

    def whole(self, sandbox, sync, url: str) -> int:
        """How many requests an undisturbed first sync takes."""
        server = sandbox(tasks=self.TASKS)
        assert sync(server, url).returncode == 0
        return server.request_count

    @pytest.mark.parametrize(
        ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
    )
    def test_a_signal_keeps_what_is_complete_for_the_next_run(self, sandbox, sync, start_sync, database, number, code):
        server = sandbox(tasks=self.TASKS, latency_ms=80)
        process = start_sync(server, database)
        hold(server, after=14)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
        assert process.returncode == code
        assert "Traceback" not in told
        assert re.search(r"^kore-etl: stopped", told, re.MULTILINE)
        assert '"summary": "Stopped: ' in told

        run, records = database.run(), database.records()
        assert (run["state"], run["exit_code"], run["finished_at"] is not None) == ("interrupted", code, True)
        assert 0 < len(records) < self.TASKS
        assert run["inserted"] == len(records)
        served = {record["_id"]: record for record in server.tasks()}
        assert all(served[key] == record for key, record in records.items())
        assert database.value("select count(*) from sync_windows where state = 'running'") == 0

        server.configure(latency_ms=0)
        assert sync(server, database).returncode == 0
        assert equals(database, server)

    def test_after_a_kill_the_next_run_completes_and_repeats_little(
        self, sandbox, sync, start_sync, database, tmp_path
    ):
        needed = self.whole(sandbox, sync, f"sqlite:///{tmp_path / 'undisturbed.db'}")
        server = sandbox(tasks=self.TASKS, latency_ms=80)
        process = start_sync(server, database)
        hold(server, after=needed * 2 // 3)
        process.kill()
        process.wait()
        assert 0 < len(database.records()) < self.TASKS

        server.configure(latency_ms=0)
        assert sync(server, database).returncode == 0
        assert equals(database, server)
        assert server.request_count <= 1.4 * needed  # pages that were read and not stored yet are read again
        assert [state for (state,) in database.rows("select state from sync_runs order by id")] == [
            "abandoned",
            "finished",
        ]

    def test_a_kill_at_any_request_is_completed_by_the_next_run(self, sandbox, sync, start_sync, migrated_sqlite_url):
        server, database = sandbox(tasks=self.TASKS, latency_ms=20), Database(migrated_sqlite_url)
        for number in (3, 9):
            server.reset_requests()
            process = start_sync(server, database)
            wait_for(lambda number=number: server.request_count >= number)
            server.change(update=20, insert=5, delete=0)
            process.kill()
            process.wait()
        assert sync(server, database).returncode == 0
        assert equals(database, server)


class TestSecrecy:
    SECRET = "Zp7+not-to-be-seen/9Q==not-to-be-seen"

    def no_secret_in(self, *texts: bytes | str) -> None:
        for given in texts:
            content = given.encode() if isinstance(given, str) else given
            for secret in (self.SECRET, self.SECRET.replace("/", "\\/"), "not-to-be-seen", "eyJ"):
                assert secret.encode() not in content

    def test_neither_secret_nor_token_is_told_or_stored(self, sandbox, sync, database):
        server = sandbox(tasks=120, client_secret=self.SECRET, faults={"503": 0.12, "401": 0.12}, seed=38)
        done = sync(server, database, "-v", "--output", "json")
        assert done.returncode == 0
        assert {entry["fault"] for entry in server.requests} == {None, "503", "401"}
        self.no_secret_in(done.stdout, done.stderr)
        server.configure(client_secret="another secret that is long enough for all that")
        done = sync(server, database, "-v", client_secret=self.SECRET)
        assert done.returncode == 4
        self.no_secret_in(done.stderr, database.all_bytes())
        assert b"ti-" in database.all_bytes()

    @pytest.mark.parametrize("status", [401, 500])
    def test_nor_what_the_server_sends_back_of_them(self, sync, sandbox, migrated_sqlite_url, status):
        with _echo(status, self.SECRET) as url:
            server = sandbox(tasks=1, client_secret=self.SECRET)
            done = sync(server, migrated_sqlite_url, "-v", base_url=url, deadline="1s")
        assert done.returncode in (4, 5)
        assert "***" in done.stderr
        self.no_secret_in(done.stderr, Database(migrated_sqlite_url).all_bytes())


@contextmanager
def _echo(status: int, secret: str) -> Iterator[str]:
    """A server that answers each request with an error that repeats the request's token and the secret."""

    class Echo(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            said = f"cannot verify {self.headers['auth']} with {secret}"
            body = json.dumps({"errors": [{"msg": said, "code": 500}]}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class TestSources:
    @pytest.fixture(autouse=True)
    def three(self, sandbox, tmp_path, migrated_sqlite_url) -> list[Sandbox]:
        """Three sources in a file; the secret of the second is wrong."""
        names = ("europe", "asia", "africa")
        servers = [
            sandbox(tasks=20, seed=number, account_id=f"a-{number}", stream_id=f"st-{number}") for number in range(3)
        ]
        tables = []
        for number, (name, server) in enumerate(zip(names, servers, strict=True)):
            secret = tmp_path / f"{name}.secret"
            secret.write_text(server.options.client_secret + ("" if number != 1 else " no more") + "\n")
            secret.chmod(0o600)
            lines = {
                "name": name,
                "base_url": server.url,
                "account_id": server.options.account_id,
                "stream_id": server.options.stream_id,
                "client_id": server.options.client_id,
                "client_secret_file": str(secret),
            }
            tables.append("[[source]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))
        folder = tmp_path / "config"
        folder.mkdir()
        (folder / "kore-etl.toml").write_text(
            f"database_url = {json.dumps(migrated_sqlite_url)}\n\n" + "\n".join(tables)
        )
        return servers

    def test_one_that_fails_does_not_stop_the_next(self, run_cli, migrated_sqlite_url):
        done = run_cli("sync", "--output", "json")
        assert done.returncode == 4
        told = json.loads(done.stdout)
        assert [(each["name"], each["exit_code"]) for each in told["sources"]] == [
            ("europe", 0),
            ("asia", 4),
            ("africa", 0),
        ]
        assert told["exit_code"] == 4
        assert "kore-etl: error: asia: the API refused the token" in done.stderr
        count = "select name, (select count(*) from tasks where source_id = sources.id) from sources order by name"
        assert Database(migrated_sqlite_url).rows(count) == [("africa", 20), ("asia", 0), ("europe", 20)]

    def test_some_can_be_chosen(self, three, run_cli):
        done = run_cli("sync", "--source", "africa", "--output", "json")
        assert done.returncode == 0
        assert [each["name"] for each in json.loads(done.stdout)["sources"]] == ["africa"]
        assert [server.request_count > 0 for server in three] == [False, False, True]

    def test_one_that_does_not_exist_is_told(self, three, run_cli):
        done = run_cli("sync", "--source", "europa")
        assert done.returncode == 2
        assert "europe, asia, africa" in done.stderr
        assert not any(server.request_count for server in three)


class TestOutput:
    def test_json_has_the_same_keys_whatever_happened(self, sandbox, sync, migrated_sqlite_url):
        server = sandbox(tasks=20)
        good = sync(server, migrated_sqlite_url, "--output", "json")
        bad = sync(server, migrated_sqlite_url, "--output", "json", client_secret="x" * 40)
        (done,), (failed,) = (json.loads(each.stdout)["sources"] for each in (good, bad))
        keys = {"name", "run", "exit_code", "error", *COUNTS, "watermark", "seconds"}
        assert set(done) == set(failed) == keys
        assert {name: done[name] for name in ("name", "run", "exit_code", "error", "inserted", "fetched")} | {
            "fetched": 0
        } == {"name": "default", "run": 1, "exit_code": 0, "error": None, "inserted": 20, "fetched": 0}
        assert done["requests"] == server.request_count - failed["requests"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", done["watermark"])
        assert (failed["exit_code"], failed["requests"], failed["inserted"]) == (4, 2, 0)
        assert failed["error"].startswith("the API refused the token")
        assert failed["watermark"] == done["watermark"]

    def test_logs_are_lines_of_json_with_one_that_closes_the_run(self, sandbox, sync, migrated_sqlite_url):
        server = sandbox(tasks=20)
        done = sync(server, migrated_sqlite_url)
        assert done.stdout == ""
        events = [json.loads(line) for line in done.stderr.splitlines()]
        closing = [event for event in events if event["event"] == "run.finished"]
        assert closing == events[-1:]
        assert closing[0].items() >= {"source": "default", "run": 1, "exit_code": 0, "inserted": 20}.items()
        assert len(events) < 5

    def test_quiet_says_nothing(self, sandbox, sync, migrated_sqlite_url):
        done = sync(sandbox(tasks=20), migrated_sqlite_url, "--quiet")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    @pytest.mark.parametrize(("written", "name"), [("what%3F.db", "what?.db"), ("a#b%.db", "a#b%.db")])
    def test_a_file_may_have_any_name(self, sandbox, sync, tmp_path, written, name):
        assert sync(sandbox(tasks=2), f"sqlite:///{tmp_path}/{written}").returncode == 0
        assert (tmp_path / name).stat().st_size

    def test_a_new_file_is_its_owners_alone(self, sandbox, sync, sqlite_url, tmp_path):
        before = os.umask(0o022)
        try:
            assert sync(sandbox(tasks=20), sqlite_url).returncode == 0
        finally:
            os.umask(before)
        files = [*tmp_path.glob("kore-etl.db*")]
        assert tmp_path / "kore-etl.db" in files
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_waits_for_another_run_if_told_so(sandbox, environment, migrated_sqlite_url, run_cli, start_cli):
    server = sandbox(tasks=3)
    env, known = environment(server, migrated_sqlite_url), server.options
    engine = open_engine(migrated_sqlite_url)
    lock = named_lock(engine, f"sync 127.0.0.1 {known.account_id} {known.stream_id}")
    assert lock.acquire(wait=False)
    assert run_cli("sync", "--wait", "1s", env=env).returncode == 75
    waiting = start_cli("sync", "--wait", "1m", env=env)
    assert "lock.awaited" in waiting.stderr.readline()
    lock.release()
    engine.dispose()
    assert waiting.wait(timeout=60) == 0


def dry(run_cli: Any, env: Any, *options: str) -> dict[str, Any]:
    done = run_cli("sync", "--dry-run", "--output", "json", *options, env=env)
    assert done.returncode == 0, done.stderr
    (source,) = json.loads(done.stdout)["sources"]
    return source


def test_a_first_dry_run_makes_no_request_and_no_file(sandbox, environment, sqlite_url, run_cli, tmp_path):
    server = sandbox(tasks=20)
    told = dry(run_cli, environment(server, sqlite_url))
    assert told["reads"].startswith("after a probe of at most 12 requests, all of history")
    assert (server.request_count, list(tmp_path.glob("*.db*"))) == (0, [])
    assert dry(run_cli, environment(server, sqlite_url), "--sample", "5")["new"] == 5
    assert (server.request_count, list(tmp_path.glob("*.db*"))) == (1, [])


def test_a_dry_run_says_what_would_change_and_stores_nothing(sandbox, environment, database_url, run_cli):
    server = sandbox(tasks=60)
    env = environment(server, database_url)
    assert run_cli("sync", env=env).returncode == 0
    changed = requests.post(f"{server.url}/_sandbox/change", json={"update": 4, "insert": 2}, timeout=30)
    changed.raise_for_status()
    database = Database(database_url)
    before = database.mirror(), database.value("select count(*) from sync_runs"), server.request_count
    told = dry(run_cli, env, "--sample", "55")
    assert (told["sampled"], told["new"], len(told["changes"]), told["unchanged"]) == (55, 2, 4, 49)
    assert all("updated_at" in columns for columns in told["changes"].values())
    assert told["reads"].startswith("what changed, newest first, down to ")
    assert told["request"] == {"skip": 0, "limit": 50, "sortBy": {"updatedAt": "desc"}}
    assert (database.mirror(), database.value("select count(*) from sync_runs")) == before[:2]
    assert server.request_count == before[2] + 2
    assert (
        "of 55 tasks: 2 new, 4 changed, 49 unchanged" in run_cli("sync", "--dry-run", "--sample", "55", env=env).stdout
    )


def test_a_dry_run_tells_of_the_probe_of_what_is_no_longer_set(sandbox, environment, sqlite_url, run_cli):
    env = environment(sandbox(tasks=60), sqlite_url)
    by_hand = {"KORE_ETL_SORT_UPDATED": "false"}
    assert run_cli("sync", env=env | by_hand).returncode == 0
    assert "a probe" not in dry(run_cli, env | by_hand)["reads"]
    assert dry(run_cli, env)["reads"].startswith("after a probe of at most 12 requests, ")


def test_a_sample_goes_with_a_dry_run(run_cli):
    done = run_cli("sync", "--sample", "5")
    assert (done.returncode, "--sample goes with --dry-run" in done.stderr) == (2, True)
