"""``on_failure``: who is told that a run failed, of what, and that being told never gets in the way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from etl.load.database.engine import open_engine
from etl.load.database.locks import held, named_lock

REFUSED = {"KORE_ETL_CLIENT_SECRET": "not-the-right-secret-of-the-app-0123456789"}
COUNTS = {
    *("requests", "retries", "rate_limited", "windows", "unverified"),
    *("fetched", "inserted", "updated", "unchanged", "stale", "rejected"),
    *("server_total", "stored_live", "quarantined", "hidden", "missing", "mended"),
}

Fail = Callable[..., Any]


@pytest.fixture
def told(tmp_path: Path) -> Path:
    return tmp_path / "told.json"


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Write a shell script and give the setting that runs it."""

    def write(body: str) -> str:
        path = tmp_path / "notify"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture
def fail(sandbox, environment, sqlite_url, run_cli) -> Fail:
    """Run a sync that the API refuses, with these settings."""

    def run(action: str, *options: str, **more: str) -> Any:
        env = environment(sandbox(tasks=20), sqlite_url) | REFUSED | {"KORE_ETL_ON_FAILURE": action} | more
        return run_cli("sync", *options, env=env)

    return run


class Webhook:
    """A server that keeps what is posted to it."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        self.posted: list[tuple[str, Mapping[str, str], bytes]] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                webhook.posted.append((self.path, dict(self.headers), body))
                answer(self)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/T000/B000-its-own-secret"


@pytest.fixture
def webhook() -> Iterator[Callable[..., Webhook]]:
    started: list[Webhook] = []

    def start(status: int = 200, headers: Mapping[str, str] | None = None, wait: threading.Event | None = None):
        def answer(handler: BaseHTTPRequestHandler) -> None:
            if wait is not None:
                wait.wait(60)
            handler.send_response(status)
            for name, value in (headers or {}).items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        started.append(Webhook(answer))
        threading.Thread(target=started[-1].server.serve_forever, daemon=True).start()
        return started[-1]

    yield start
    for each in started:
        each.server.shutdown()
        each.server.server_close()


def warnings(done: Any) -> list[str]:
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    return [line["reason"] for line in lines if line["event"] == "notice.failed"]


class TestCommand:
    def test_gets_a_summary_on_its_standard_input(self, fail, script, told):
        done = fail(script(f'cat > "{told}"'))
        assert (done.returncode, warnings(done)) == (4, [])
        summary = json.loads(told.read_text())
        assert summary.items() >= {"program": "kore-etl", "source": "default", "command": "sync", "run": 1}.items()
        assert summary["exit_code"] == 4
        assert summary["error"].startswith("the API refused the token")
        assert summary["hint"]
        assert set(summary["counts"]) == COUNTS
        assert summary["counts"]["requests"] == 2
        assert summary["started_at"] <= summary["finished_at"]

    def test_is_run_as_a_list_of_words_without_a_shell(self, fail, script, told):
        command = script(f'echo "$1" > {told}')
        assert fail(f"{command} 'a $HOME; b'").returncode == 4
        assert told.read_text() == "a $HOME; b\n"

    def test_knows_no_secret(self, fail, script, told):
        done = fail(f"{script(f'env > {told}; cat >> {told}')}", MINE=REFUSED["KORE_ETL_CLIENT_SECRET"], OTHER="1")
        assert done.returncode == 4
        text = told.read_text()
        assert REFUSED["KORE_ETL_CLIENT_SECRET"] not in text
        assert "KORE_ETL" not in text
        assert "OTHER=1" in text

    def test_that_hangs_is_ended_with_all_that_it_started(self, fail, script, told):
        body = f'sleep 600 & echo $! > "{told}"; cat > /dev/null; wait'
        done = fail(script(body), KORE_ETL_ON_FAILURE_TIMEOUT="2")
        assert (done.returncode, warnings(done)) == (4, ["the command took longer than 2 s and was ended"])
        child = Path(f"/proc/{told.read_text().strip()}/stat")
        assert not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z"

    @pytest.mark.parametrize(
        ("action", "reason"),
        [
            ("/no/such/command", "the command cannot be run: No such file or directory"),
            ("false", "the command ended with 1"),
        ],
    )
    def test_that_fails_is_a_warning_and_no_more(self, fail, action, reason):
        done = fail(action)
        assert (done.returncode, warnings(done)) == (4, [reason])

    def test_that_writes_a_lot_disturbs_nothing(self, fail, script):
        done = fail(script("yes | head -c 1000000; yes | head -c 1000000 >&2"))
        assert (done.returncode, done.stdout) == (4, "")
        assert "y\ny" not in done.stderr


class TestWebhook:
    def test_gets_the_summary_as_json(self, fail, webhook):
        hook = webhook()
        done = fail(hook.url)
        assert (done.returncode, warnings(done)) == (4, [])
        ((path, headers, body),) = hook.posted
        assert path == "/services/T000/B000-its-own-secret"
        assert headers["Content-Type"] == "application/json"
        assert json.loads(body)["exit_code"] == 4
        assert REFUSED["KORE_ETL_CLIENT_SECRET"].encode() not in body

    def test_that_does_not_answer_is_left(self, fail, webhook):
        wait = threading.Event()
        done = fail(webhook(wait=wait).url, KORE_ETL_ON_FAILURE_TIMEOUT="2")
        wait.set()
        assert done.returncode == 4
        assert len(warnings(done)) == 1

    def test_that_sends_elsewhere_is_not_followed(self, fail, webhook):
        other = webhook()
        done = fail(webhook(status=307, headers={"Location": other.url}).url)
        assert (done.returncode, warnings(done)) == (4, ["the webhook answered 307"])
        assert other.posted == []

    @pytest.mark.parametrize("options", [(), ("--verbose",)], ids=["usual", "verbose"])
    def test_is_a_secret(self, fail, webhook, tmp_path, options):
        log = tmp_path / "log"
        done = fail(webhook(status=500).url, "--log-file", str(log), *options)
        assert warnings(done) == ["the webhook answered 500"]
        assert "B000" not in done.stderr + done.stdout + log.read_text()

    def test_is_shown_nowhere(self, run_cli, sandbox, environment, sqlite_url):
        env = environment(sandbox(tasks=20), sqlite_url) | {
            "KORE_ETL_ON_FAILURE": "https://hooks.example/T0/B000-secret"
        }
        assert "https://hooks.example/***" in run_cli("config", "show", env=env).stdout
        assert "B000" not in run_cli("config", "show", env=env).stdout
        assert run_cli("sync", env=env).returncode == 0
        database = sqlite_url.removeprefix("sqlite:///")
        assert b"B000" not in b"".join(path.read_bytes() for path in Path(database).parent.glob("kore-etl.db*"))

    @pytest.mark.parametrize("address", ["http://hooks.example/T0/B000-secret", "https:///B000-secret"])
    def test_that_is_no_https_is_refused_without_being_repeated(self, fail, address):
        done = fail(address)
        assert done.returncode == 2
        assert "on_failure (KORE_ETL_ON_FAILURE): is no https address" in done.stderr
        assert "B000" not in done.stderr


@pytest.fixture
def noticed(script, told) -> dict[str, str]:
    return {"KORE_ETL_ON_FAILURE": script(f"cat > {told}")}


class TestOccasion:
    def test_a_run_that_is_done_is_none(self, noticed, told, sandbox, environment, sqlite_url, run_cli):
        env = environment(sandbox(tasks=20), sqlite_url)
        assert run_cli("sync", env=env | noticed).returncode == 0
        assert not told.exists()

    @pytest.mark.parametrize("wanted", ["true", "false"])
    def test_one_with_a_rejected_record_is_one_if_wanted(self, fail, noticed, told, sandbox, wanted):
        server = sandbox(tasks=3)
        server.put([{"name": "who am I", "updatedAt": "2025-05-28T12:05:38.807Z"}])
        done = fail(noticed["KORE_ETL_ON_FAILURE"], **server.environment, KORE_ETL_NOTIFY_INCOMPLETE=wanted)
        assert done.returncode == 3
        assert told.exists() == (wanted == "true")

    def test_a_database_that_cannot_be_opened_is_one(self, fail, script, told):
        done = fail(script(f"cat > {told}"), KORE_ETL_DATABASE_URL="sqlite:////no/such/folder/kore-etl.db")
        assert done.returncode == 6
        summary = json.loads(told.read_text())
        assert (summary["exit_code"], summary["run"]) == (6, None)
        assert "/no/such/folder" in summary["error"]

    def test_a_run_beside_another_is_none(self, fail, script, told, sandbox, sqlite_url):
        engine, known = open_engine(sqlite_url), sandbox(tasks=0).options
        with held(named_lock(engine, f"sync 127.0.0.1 {known.account_id} {known.stream_id}"), "it"):
            done = fail(script(f"cat > {told}"))
        engine.dispose()
        assert done.returncode == 75
        assert not told.exists()


class TestSuccess:
    @pytest.fixture
    def pinged(self, webhook) -> Webhook:
        return webhook()

    @pytest.fixture
    def sync(self, sandbox, environment, sqlite_url, run_cli, pinged) -> Callable[..., Any]:
        server = sandbox(tasks=3)

        def run(*arguments: str, bad: bool = False, **more: str) -> Any:
            if bad:
                dates = dict.fromkeys(("createdAt", "updatedAt"), "2025-05-28T12:05:38.807Z")
                server.put([{"_id": None, "name": "bad", **dates}])
            env = environment(server, sqlite_url) | {"KORE_ETL_ON_SUCCESS": pinged.url} | more
            return run_cli(*arguments, env=env)

        return run

    def test_a_sync_that_succeeds_pings_a_webhook(self, pinged, sync):
        done = sync("sync")
        assert done.returncode == 0, done.stderr
        ((_, _, body),) = pinged.posted
        told = json.loads(body)
        assert (told["command"], told["exit_code"], told["hint"], told["counts"]["inserted"]) == ("sync", 0, None, 3)
        assert "its-own-secret" not in done.stderr + sync("config", "show").stdout

    def test_a_failure_or_another_command_pings_nothing(self, pinged, fail, sync):
        assert fail("true", KORE_ETL_ON_SUCCESS=pinged.url).returncode == 4
        assert sync("probe").returncode == 0
        assert pinged.posted == []

    @pytest.mark.parametrize(("is_failure", "number"), [("true", 0), ("false", 1)])
    def test_an_incomplete_run_is_one_if_it_is_no_failure(self, pinged, sync, is_failure, number):
        assert sync("sync", bad=True, KORE_ETL_NOTIFY_INCOMPLETE=is_failure).returncode == 3
        assert len(pinged.posted) == number
