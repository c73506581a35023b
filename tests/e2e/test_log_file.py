"""Where the log goes: stderr, a file that bounds itself, systemd's journal; what each line carries, and never shows."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from etl.logs.rotation import LogFile
from tests.conftest import CHECKOUT, clean_environment


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "kore-etl.log"


@pytest.fixture
def settings(sandbox, environment, sqlite_url) -> dict[str, str]:
    return environment(sandbox(tasks=20), sqlite_url)


def write(file: LogFile, line: str) -> None:
    file.handle(logging.makeLogRecord({"msg": line}))


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


class TestLines:
    def test_of_a_quiet_sync_are_one(self, run_cli, settings):
        run_cli("sync", env=settings)
        (line,) = events(run_cli("sync", env=settings).stderr)
        assert (line["event"], line["source"], line["run"], line["exit_code"]) == ("run.finished", "default", 2, 0)

    def test_carry_source_run_and_window_while_they_are_known(self, run_cli, sandbox, environment, sqlite_url):
        server = sandbox(tasks=60, outage_after=10, outage_seconds=0.1)
        done = run_cli("sync", env=environment(server, sqlite_url) | {"KORE_ETL_PAGE_SIZE": "5"})
        assert done.returncode == 0
        retried = [line for line in events(done.stderr) if line["event"] == "request.retried"]
        assert retried
        assert all(line["source"] == "default" and line["run"] == 1 for line in retried)
        window = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/(\.\.|\d{4}-\S+Z)"
        assert [line for line in retried if re.fullmatch(window, line.get("window", ""))]


class TestFile:
    def test_gets_what_stderr_gets(self, run_cli, settings, log):
        done = run_cli("sync", "--log-file", str(log), env=settings)
        assert events(log.read_text()) == events(done.stderr)
        assert stat.S_IMODE(log.stat().st_mode) == 0o640

    def test_is_added_to(self, run_cli, settings, log):
        for _ in range(2):
            run_cli("sync", env=settings | {"KORE_ETL_LOG_FILE": str(log)})
        assert [line["run"] for line in events(log.read_text()) if line["event"] == "run.finished"] == [1, 2]

    def test_tells_what_a_quiet_stderr_does_not(self, run_cli, settings, log):
        done = run_cli("sync", "--quiet", "--log-file", str(log), env=settings)
        assert done.stderr == ""
        assert events(log.read_text())[-1]["event"] == "run.finished"

    def test_tells_why_a_run_failed(self, run_cli, settings, log):
        done = run_cli("sync", "--quiet", "--log-file", str(log), env=settings | {"KORE_ETL_CLIENT_SECRET": "x" * 40})
        assert done.returncode == 4
        (line,) = [line for line in events(log.read_text()) if line["event"] == "run.finished"]
        assert line["error"].startswith("the API refused the token")

    @pytest.mark.parametrize("place", ["no/such/folder/log", "."], ids=["no folder", "a folder"])
    def test_that_cannot_be_opened_is_told_before_any_request(self, run_cli, sandbox, environment, sqlite_url, place):
        server = sandbox(tasks=20)
        done = run_cli("sync", "--log-file", place, env=environment(server, sqlite_url))
        assert done.returncode == 2
        assert done.stderr.startswith(f"kore-etl: error: log_file (--log-file): {place} cannot be opened: ")
        assert len(done.stderr.splitlines()) == 1
        assert server.request_count == 0

    def test_that_fails_later_is_told_once_and_stops_nothing(self, run_cli, settings):
        done = run_cli("sync", "--verbose", "--log-file", "/dev/full", env=settings)
        assert done.returncode == 0
        told = [line for line in done.stderr.splitlines() if not line.startswith("{")]
        assert told == ["kore-etl: warning: log file /dev/full: No space left on device; the work goes on"]

    def test_bounds_itself_while_two_write_it(self, tmp_path, log):
        one, two = (LogFile(log, size=1000, keep=3) for _ in range(2))
        for number in range(100):
            write((one, two)[number % 2], f"{number:03} {'x' * 90}")
        one.close()
        two.close()
        files = [log, *(log.with_name(f"{log.name}.{number}") for number in (1, 2, 3))]
        assert sorted(tmp_path.iterdir()) == sorted(files)
        assert all(0 < path.stat().st_size <= 1000 for path in files)
        numbers = [int(line[:3]) for path in reversed(files) for line in path.read_text().splitlines()]
        assert numbers == list(range(100 - len(numbers), 100))

    def test_that_was_moved_away_is_made_again(self, log):
        file = LogFile(log)
        write(file, "before")
        log.rename(log.with_name("moved"))
        write(file, "after")
        file.close()
        assert (log.read_text(), log.with_name("moved").read_text()) == ("after\n", "before\n")

    def test_takes_a_line_that_is_larger_than_a_file_may_be(self, log):
        file = LogFile(log, size=1000, keep=1)
        for _ in range(3):
            write(file, "x" * 2000)
        file.close()
        assert log.stat().st_size == 2001


class TestJournal:
    @pytest.fixture
    def to_journal(self, tmp_path: Path) -> Callable[..., str]:
        """Run the command with stderr where JOURNAL_STREAM says that the journal is."""

        def run(*arguments: str, env: dict[str, str], is_journal: bool = True) -> str:
            with (tmp_path / "stderr").open("wb") as stream:
                status = os.fstat(stream.fileno())
                place = f"{status.st_dev}:{status.st_ino + (not is_journal)}"
                subprocess.run(
                    [sys.executable, "-m", "etl", *arguments],
                    cwd=tmp_path,
                    env=clean_environment(tmp_path, env | {"JOURNAL_STREAM": place}),
                    stderr=stream,
                    check=False,
                )
            return (tmp_path / "stderr").read_text()

        return run

    def test_is_told_how_grave_each_line_is(self, to_journal, settings):
        lines = to_journal("sync", env=settings | {"KORE_ETL_CLIENT_SECRET": "x" * 40}).splitlines()
        assert [line[:3] for line in lines if line.startswith("<3>kore-etl: error: default: the API refused")] == [
            "<3>"
        ]
        rest = [line for line in lines if "kore-etl: error" not in line]
        assert rest
        assert all(json.loads(line[3:])["level"] == "info" for line in rest if line.startswith("<6>"))
        assert {line[:3] for line in rest} == {"<6>"}

    def test_gets_each_line_of_a_usage_error_marked(self, to_journal, settings):
        assert to_journal("sync", "--nonsense", env=settings).startswith("<3>kore-etl: error: ")

    def test_what_is_no_journal_is_not_used_as_one(self, to_journal, settings):
        assert to_journal("sync", env=settings, is_journal=False).startswith("{")


HELD = "try: broken()\n    except LibraryError as error: "
WAYS = {
    "logged with its traceback": f"{HELD}logging.getLogger('urllib3').exception(held)",
    "logged as a value": "logs.get_logger().error('failed', error=LibraryError(held), more=[{held: held}])",
    "warned of": "warnings.warn(held)",
    "raised to the end": "broken()",
    "raised in a thread": "thread = threading.Thread(target=broken); thread.start(); thread.join()",
    "chained": f"{HELD}raise RuntimeError(held) from error",
}


class TestSecrets:
    SECRET = "a-secret+of/the=tests-0123456789"
    TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJhcHBJZCI6ImNzLTEifQ.kQ5bB3-x_Yz"
    BODY = """
import logging, sys, threading, warnings
from pathlib import Path
from etl import logs
from etl.cli.exit_codes import run
from etl.logs.rotation import LogFile
logs.hide(SECRET)
logs.configure(1, file=LogFile(Path("log")))
held = f"{SECRET} {TOKEN}"
class LibraryError(Exception):
    def __repr__(self): return f"LibraryError({self.args[0]})"
def broken():
    raise LibraryError(f"POST https://user:{SECRET}@host/ with {{'auth': held}}")
def command(args):
    WAY
sys.exit(run(command, []))
"""

    @pytest.mark.parametrize("way", WAYS)
    def test_are_in_no_line_whatever_a_library_does_with_them(self, tmp_path, way):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                f"SECRET, TOKEN = {self.SECRET!r}, {self.TOKEN!r}\n{self.BODY.replace('WAY', WAYS[way])}",
            ],
            cwd=tmp_path,
            env={"PYTHONPATH": str(CHECKOUT), "PATH": os.environ["PATH"], "PYTHONWARNINGS": "always"},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        shown = done.stderr + done.stdout + (tmp_path / "log").read_text()
        assert "***" in shown
        assert self.SECRET not in shown
        assert self.TOKEN not in shown
