"""``kore-etl status``, ``runs`` and ``watermark`` as processes; what asks the database most, on both databases."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from etl.load.database.engine import open_engine
from etl.load.database.locks import named_lock
from tests.e2e.terminal import on_terminal
from tests.integration.load.test_carry_over import make_old
from tests.integration.mirror import Mirror

both = pytest.mark.parametrize("url", ["sqlite_url", "postgres_url"], indirect=True)


@pytest.fixture
def url(request) -> str:
    return request.getfixturevalue(getattr(request, "param", "sqlite_url"))


@pytest.fixture
def server(sandbox):
    return sandbox(tasks=30)


@pytest.fixture
def settings(server, environment, url) -> dict[str, str]:
    """A server, and a database that was synced with it twice."""
    mirror = Mirror(server, url)
    assert mirror.sync().exit_code == mirror.sync().exit_code == 0
    return environment(server, url)


@pytest.fixture
def database(settings, url) -> dict[str, str]:
    """The settings with nothing in them but the database: no credentials, and no server to ask."""
    return {"KORE_ETL_DATABASE_URL": url}


@pytest.fixture
def cli(run_cli, settings) -> Callable[..., object]:
    return partial(run_cli, env=settings)


def change(url: str, statement: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def content(url: str) -> dict[str, list[object]]:
    """Every row of the tables that a sync writes."""
    engine = open_engine(url)
    with engine.begin() as connection:
        names = ("sources", "watermarks", "sync_runs", "sync_windows", "tasks")
        found = {name: list(connection.execute(text(f"select * from {name} order by 1"))) for name in names}
    engine.dispose()
    return found


def _states(run_cli, database) -> list[str]:
    """The states that ``runs`` and ``runs show 2`` tell."""
    listed = json.loads(run_cli("runs", "--output", "json", env=database).stdout)
    shown = json.loads(run_cli("runs", "show", "2", "--output", "json", env=database).stdout)
    return [run["state"] for run in (*listed, shown)]


class TestStatus:
    def test_shows_a_source_without_credentials_or_network(self, run_cli, database):
        done = run_cli("status", env=database)
        assert (done.returncode, done.stderr) == (0, "")
        lines = dict(re.findall(r"^  (.+?)  +(.*)$", done.stdout, re.MULTILINE))
        assert lines["tasks"] == "30"
        assert lines["last run"].startswith("2, a sync, finished with exit code 0 (")
        assert (lines["rejected"], lines["gaps"], lines["unverified"]) == ("none", "none", "none")
        assert lines["the server"].startswith("filters on createdAt, sorts by updatedAt and createdAt, 50 rows")

    @both
    def test_a_dead_run_is_not_at_work(self, run_cli, server, database, url):
        change(url, "update sync_runs set state = 'running', finished_at = null, exit_code = null where id = 2")
        told = run_cli("status", env=database).stdout
        assert "at work now" not in told
        assert "last run        2, a sync, abandoned (" in told
        assert _states(run_cli, database) == ["abandoned", "finished", "abandoned"]
        engine = open_engine(url)
        lock = named_lock(engine, f"sync 127.0.0.1 {server.options.account_id} {server.options.stream_id}")
        assert lock.acquire(wait=False)
        assert "at work now     2, a sync" in run_cli("status", env=database).stdout
        assert _states(run_cli, database) == ["running", "finished", "running"]
        lock.release()
        engine.dispose()

    @both
    def test_gives_a_monitor_json(self, run_cli, database):
        (source,) = json.loads(run_cli("status", "--output", "json", env=database).stdout)["sources"]
        assert (source["name"], source["tasks"], source["rejected"], source["gaps"]) == ("default", 30, 0, [])
        assert 0 <= source["age"] <= source["watermark_age"]
        assert source["last_sync"]["id"] == 2
        assert source["answers"]["sort_updated"] is True
        assert source["stale"] is None
        parts = {"server_total": 30, "stored_live": 30, "quarantined": 0, "hidden": 0, "missing": 0}
        assert source["account"] == parts

    @both
    def test_writes_nothing_and_works_while_a_sync_holds_its_lock(self, run_cli, database, url, server):
        before = content(url)
        engine = open_engine(url)
        lock = named_lock(engine, f"sync 127.0.0.1 {server.options.account_id} {server.options.stream_id}")
        assert lock.acquire(wait=False)
        with engine.begin() as connection:  # as one that stores does
            connection.execute(text("update tasks set name = name"))
            done = run_cli("status", env=database)
        lock.release()
        engine.dispose()
        assert done.returncode == 0, done.stderr
        assert content(url) == before

    @pytest.mark.parametrize(("age", "code", "stale"), [("3h", 0, False), ("1h", 3, True)])
    def test_exits_3_when_stale(self, run_cli, database, url, age, code, stale):
        for column in ("sync_runs.started_at", "watermarks.value"):
            table, name = column.split(".")
            change(url, f"update {table} set {name} = strftime('%Y-%m-%d %H:%M:%f', 'now', '-2 hours')")
        done = run_cli("status", "--max-age", age, "--output", "json", env=database)
        told = json.loads(done.stdout)
        assert (done.returncode, told["stale"], told["sources"][0]["stale"]) == (code, stale, stale)

    def test_a_failed_sync_does_not_make_it_fresh(self, run_cli, database, url):
        change(url, "update sync_runs set started_at = '2025-01-01 00:00:00.000'")
        change(url, "update watermarks set value = '2025-01-01 00:00:00.000'")
        change(url, "update sync_runs set state = 'failed', exit_code = 5, started_at = '2026-11-01' where id = 2")
        done = run_cli("status", "--max-age", "7d", "--output", "json", env=database)
        assert done.returncode == 3
        (source,) = json.loads(done.stdout)["sources"]
        assert (source["complete_until"], source["last_run"]["id"]) == ("2025-01-01T00:00:00Z", 2)

    @both
    def test_shows_what_is_missing(self, run_cli, database, url):
        change(url, "delete from sync_windows where job = 'first'")
        change(url, "update sync_windows set state = 'unverified'")
        done = run_cli("status", env=database)
        assert re.search(r"gaps +20.* to 20.*; see: kore-etl backfill", done.stdout)
        assert re.search(r"unverified +20.* to 20.*; see: kore-etl sync --full", done.stdout)

    def test_of_an_unknown_source_is_refused(self, run_cli, database):
        done = run_cli("status", "--source", "elsewhere", env=database)
        assert done.returncode == 2
        assert "--source 'elsewhere': no such source in the database" in done.stderr

    def test_a_database_without_a_source_is_stale(self, run_cli, sqlite_url):
        environ = {"KORE_ETL_DATABASE_URL": sqlite_url}
        run_cli("db", "upgrade", env=environ)
        done = run_cli("status", "--max-age", "15m", env=environ)
        assert (done.returncode, done.stdout) == (3, "no source was synced yet; run: kore-etl sync\n")

    def test_does_not_touch_a_schema_of_another_version(self, run_cli, sqlite_url):
        environ = {"KORE_ETL_DATABASE_URL": sqlite_url}
        make_old(sqlite_url)
        done = run_cli("status", env=environ)
        assert done.returncode == 6
        assert "kore-etl db copy --to URL" in done.stderr
        assert run_cli("db", "current", env=environ).stdout == "0005\n"

    @pytest.mark.parametrize("sort", ["obeyed", "ignored"])
    def test_shows_since_when_all_is_verified(self, sandbox, sqlite_url, run_cli, sort):
        server = sandbox(tasks=30, sort=sort)
        assert Mirror(server, sqlite_url).sync().exit_code == 0
        done = run_cli("status", env={"KORE_ETL_DATABASE_URL": sqlite_url})
        assert re.search(r"verified +100 % within 1 day, 0 differences mended", done.stdout)
        done = run_cli("status", "--output", "json", env={"KORE_ETL_DATABASE_URL": sqlite_url})
        oldest = json.loads(done.stdout)["sources"][0]["oldest_reading"]
        assert oldest is not None
        assert datetime.fromisoformat(oldest).year >= 2024


class TestRuns:
    @pytest.mark.parametrize("words", [["runs"], ["runs", "list"]], ids=" ".join)
    def test_are_listed_the_latest_first(self, run_cli, database, words):
        header, *lines = run_cli(*words, env=database).stdout.splitlines()
        assert header.split()[:3] == ["id", "command", "state"]
        assert [line.split()[:3] for line in lines] == [["2", "sync", "finished"], ["1", "sync", "finished"]]

    def test_are_limited_and_chosen(self, run_cli, database, url):
        assert len(json.loads(run_cli("runs", "--limit", "1", "--output", "json", env=database).stdout)) == 1
        change(url, "update sync_runs set exit_code = 5 where id = 1")
        failed = json.loads(run_cli("runs", "--failed", "--output", "json", env=database).stdout)
        assert [run["id"] for run in failed] == [1]
        assert run_cli("runs", "--source", "default", "--failed", env=database).returncode == 0
        unknown = run_cli("runs", "--source", "elsewhere", env=database)
        assert (unknown.returncode, "no such source; accepted: default" in unknown.stderr) == (2, True)

    @both
    def test_one_is_shown_with_its_windows_and_settings(self, run_cli, database):
        run = json.loads(run_cli("runs", "show", "1", "--output", "json", env=database).stdout)
        assert (run["command"], run["inserted"], run["exit_code"]) == ("sync", 30, 0)
        assert run["settings"]["overlap"] == "5m"
        assert [window["job"] for window in run["read"]] == ["first", "sync"]
        shown = run_cli("runs", "show", "1", env=database).stdout
        assert re.search(r"^inserted +30$", shown, re.MULTILINE)
        assert "\nWindows\n" in shown

    def test_one_that_is_not_there_is_refused(self, run_cli, database):
        done = run_cli("runs", "show", "99", env=database)
        assert (done.returncode, done.stderr) == (
            2,
            "kore-etl: error: ID 99: there is no such run; see: kore-etl runs\n",
        )


class TestWatermark:
    def test_is_shown(self, run_cli, database):
        (line,) = json.loads(run_cli("watermark", "--output", "json", env=database).stdout)
        assert set(line) == {"source", "watermark", "moved_at", "run_id"}
        assert "ago" in run_cli("watermark", "show", env=database).stdout

    @both
    def test_is_moved_back_and_the_next_sync_reads_again(self, run_cli, sandbox, environment, url):
        server = sandbox(tasks=60, cap=10)
        assert Mirror(server, url).sync().exit_code == 0
        cli = partial(run_cli, env=environment(server, url))
        done = cli("watermark", "set", "2025-06-01", "--yes")
        assert done.returncode == 0, done.stderr
        assert "the next sync reads the changes since then again" in done.stderr
        assert json.loads(cli("runs", "--output", "json").stdout)[0]["command"] == "watermark"
        exported = cli("export", "--since", "2025-06-01", "--format", "jsonl").stdout.splitlines()
        assert 25 < len(exported) <= json.loads(cli("sync", "--output", "json").stdout)["sources"][0]["unchanged"]

    def test_is_not_moved_ahead_of_what_is_covered_but_by_force(self, cli):
        known = json.loads(cli("watermark", "--output", "json").stdout)[0]["watermark"]
        assert cli("watermark", "set", "2025-01-01", "--yes").returncode == 0
        refused = cli("watermark", "set", known, "--yes")
        assert refused.returncode == 2
        assert "is ahead of the watermark" in refused.stderr
        assert json.loads(cli("watermark", "--output", "json").stdout)[0]["watermark"].startswith("2025-01-01")
        forced = cli("watermark", "set", known, "--yes", "--force")
        assert forced.returncode == 0
        assert "only a backfill or sync --full will read" in forced.stderr

    def test_is_never_moved_into_the_future(self, cli):
        done = cli("watermark", "set", "2999-01-01", "--yes", "--force")
        assert (done.returncode, "in the future" in done.stderr) == (2, True)

    def test_is_not_set_before_a_first_sync(self, run_cli, sandbox, environment, sqlite_url):
        done = run_cli("watermark", "set", "2025-01-01", "--yes", env=environment(sandbox(tasks=0), sqlite_url))
        assert done.returncode == 2
        assert "this would skip the first sync" in done.stderr

    def test_waits_for_no_other_run(self, cli, server, url):
        engine = open_engine(url)
        lock = named_lock(engine, f"sync 127.0.0.1 {server.options.account_id} {server.options.stream_id}")
        assert lock.acquire(wait=False)
        done = cli("watermark", "set", "2025-01-01", "--yes")
        lock.release()
        engine.dispose()
        assert done.returncode == 75

    def test_asks_where_there_is_somebody_to_ask(self, cli, settings, tmp_path: Path):
        refused = cli("watermark", "set", "2025-01-01")
        assert (refused.returncode, "add --yes" in refused.stderr) == (2, True)
        for typed, code, moved in (("n", 130, False), ("y", 0, True)):
            ended, shown = on_terminal(["watermark", "set", "2025-01-01"], tmp_path, settings, typed=[typed])
            assert "This moves the watermark of default from 20" in shown
            assert ended == code
            told = json.loads(cli("watermark", "--output", "json").stdout)[0]["watermark"]
            assert told.startswith("2025-01-01") is moved


class TestTerminal:
    @pytest.mark.parametrize("words", [["runs"], ["runs", "show", "1"], ["status"], ["watermark"]], ids=" ".join)
    def test_of_forty_columns_is_readable(self, database, tmp_path, words):
        code, shown = on_terminal(words, tmp_path, database, columns=40)
        assert code == 0
        assert "2026" in re.sub(r"20\d\d", "2026", shown)  # no number is torn apart
        if words == ["runs"]:
            assert re.search(r"^exit code +0$", shown, re.MULTILINE)

    def test_without_color_has_none(self, database, tmp_path):
        assert "\x1b[" in on_terminal(["runs"], tmp_path, database, columns=160)[1]
        plain = on_terminal(["runs"], tmp_path, {**database, "NO_COLOR": "1"}, columns=160)[1]
        assert re.findall(r"\x1b\[[0-9;]*3\dm", plain) == []


def test_a_run_that_ctrl_c_ended_is_told_in_words(run_cli, start_cli, sandbox, environment, sqlite_url):
    server = sandbox(tasks=400, cap=10, latency_ms=50)
    process = start_cli("sync", "--verbose", env=environment(server, sqlite_url))
    assert any("batch" in line or "window" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    shown = run_cli("status", env=environment(server, sqlite_url)).stdout
    assert re.search(r"interrupted with exit code 130 \(.* ago\): stopped by Ctrl-C", shown)


def test_a_windows_rows_count_its_first_page(run_cli, server, settings, url):
    requests.post(f"{server.url}/_sandbox/change", json={"update": 7}, timeout=30).raise_for_status()
    done = json.loads(run_cli("sync", "--output", "json", env=settings).stdout)["sources"][0]
    window = json.loads(run_cli("runs", "show", str(done["run"]), "--output", "json", env=settings).stdout)["read"][-1]
    assert window["rows"] == done["fetched"]


def test_a_first_sync_that_failed_proved_nothing(run_cli, server, environment, sqlite_url):
    wrong = {**environment(server, sqlite_url), "KORE_ETL_CLIENT_SECRET": "wrong" * 8}
    assert run_cli("sync", env=wrong).returncode == 4
    shown = run_cli("status", env=wrong).stdout
    assert re.search(r"^  account +none: no sync was completed yet$", shown, re.MULTILINE)
    assert re.search(r"^  verified +not yet$", shown, re.MULTILINE)
