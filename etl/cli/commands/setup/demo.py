"""``kore-etl demo``: show the whole path in a minute, against a sandbox.

Server and syncs are processes of their own, started the way a person starts them.
"""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import requests

from etl.cli.commands.setup.demo_history import store_status_history
from etl.cli.output import print_record, print_table
from etl.errors import ConfigError, EtlError
from etl.stop_request import graceful

QUESTIONS = {
    "What is open, by status and priority?": """
SELECT status, priority, count(*) AS tasks
FROM task_overview
WHERE is_open
GROUP BY status, priority
ORDER BY tasks DESC
LIMIT 8""",
    "Which tasks have been open the longest?": """
SELECT ref_id, created_day AS created, status, priority, assignee
FROM task_overview
WHERE is_open
ORDER BY created_at
LIMIT 5""",
    "Which queues are behind?": """
SELECT coalesce(queue, '(no queue)') AS queue, count(*) AS open,
       sum(assignee IS NULL) AS unassigned,
       sum(due_at < datetime('now')) AS overdue
FROM task_overview
WHERE is_open
GROUP BY 1
ORDER BY overdue DESC, open DESC""",
}
_CHANGES = {"update": 120, "insert": 12}
_DAYS = 200  # of history
_PATIENCE = 60  # seconds for the server to start, or to answer
_MISSING_EXTRA = 2  # exit code of a report without its libraries


@click.command(short_help="Run two syncs against a sandbox and show the tables.")
@click.option("--tasks", type=click.IntRange(200, 50_000), default=2000, show_default=True, help="Tasks on the server.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the database and its report in this folder. It replaces those of an earlier demo.",
)
def demo(tasks: int, keep: Path | None) -> None:
    """Start a server with made-up tasks, sync, change some tasks, sync again, and run three queries.

    \b
    Example:
      kore-etl demo --keep demo
    """
    with graceful(patience=0), _folder(keep) as folder, _server(tasks, folder) as settings:
        database = folder / "kore-etl.db"
        environment = _environment(settings, database)
        url = settings["KORE_ETL_BASE_URL"]
        click.echo(f"A server with {tasks:,} made-up tasks listens at {url}.\n")
        _show("First sync:", _told(*_sync(environment)))
        number = store_status_history(database, _call(url, "GET", "status-histories"))
        _show("History:", f"{number:,} changes of status were added, as the syncs of earlier months would have stored.")
        _call(url, "POST", "change", _CHANGES)
        _show("On the server:", f"{_CHANGES['update']} tasks were changed and {_CHANGES['insert']} were added.")
        _show("Second sync:", _told(*_sync(environment)))
        _show("Compared:", _compared(database, _call(url, "GET", "tasks")))
        click.echo()
        for question, statement in QUESTIONS.items():
            _answer(database, question, statement)
        if keep is None:
            click.echo("Use --keep DIR to keep the database and a report of it.")
            return
        _show("Report:", _report(environment, keep / "report.html"))
        _show("Your questions:", _question_yourself(keep / "kore-etl.db"))


def _show(label: str, text: str) -> None:
    print_record({f"{label:<15}": text})


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Give the folder to work in; delete the files of an earlier demo."""
    if keep is None:
        with TemporaryDirectory(prefix="kore-etl-demo-") as name:
            yield Path(name)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--keep {keep}: the folder cannot be made: {error.strerror}") from error
    if (keep / "kore-etl.db").exists() and not (keep / "sandbox.env").exists():
        raise ConfigError(f"--keep {keep}: holds a kore-etl.db that no demo made; choose another folder")
    for name in ("kore-etl.db", "kore-etl.db-wal", "kore-etl.db-shm", "sandbox.env", "report.html"):
        (keep / name).unlink(missing_ok=True)
    yield keep


@contextmanager
def _server(tasks: int, folder: Path) -> Iterator[dict[str, str]]:
    """Run the sandbox as a process and give the settings for it."""
    log, settings = folder / "sandbox.log", folder / "sandbox.env"
    command = _command(
        *("sandbox", "--tasks", str(tasks), "--pattern", "desk", "--days", str(_DAYS)),
        *("--requests-per-minute", "0", "--port", "0", "--env-file", str(settings)),
    )
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:  # noqa: S603 - our own
        try:
            yield _settings_when_listening(process, settings, log)
        finally:
            process.terminate()


def _settings_when_listening(process: subprocess.Popen[bytes], settings: Path, log: Path) -> dict[str, str]:
    give_up = time.monotonic() + _PATIENCE
    while not settings.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            raise EtlError(
                f"the sandbox did not start: {_last_line(log.read_text(encoding='utf-8', errors='replace'))}"
            )
        time.sleep(0.05)
    words = shlex.split(settings.read_text(encoding="utf-8"))
    return dict(word.split("=", 1) for word in words if "=" in word)


def _report(environment: Mapping[str, str], page: Path) -> str:
    """Write the report; return its path, or how to install what it needs."""
    done = _run(environment, "report", "--quiet", "--out", str(page))
    if done.returncode == _MISSING_EXTRA:
        return _last_line(done.stderr).removeprefix("kore-etl: error: ")
    _require_success(done)
    return f"{page} (open it in a browser)"


def _question_yourself(database: Path) -> str:
    file = shlex.quote(str(database))
    return f"sqlite3 {file}  (or, from Python 3.12 on: python3 -m sqlite3 {file})"


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "etl", *arguments]


def _environment(settings: Mapping[str, str], database: Path) -> dict[str, str]:
    """Return an environment with these settings and none of the user's own."""
    from etl.load.database.engine import sqlite_url

    foreign = {name: value for name, value in os.environ.items() if not name.startswith("KORE_ETL_")}
    return {
        **foreign,
        **settings,
        "PYTHONIOENCODING": "utf-8",
        "KORE_ETL_DATABASE_URL": sqlite_url(database.resolve()),
    }


def _sync(environment: Mapping[str, str]) -> tuple[dict[str, Any], float]:
    """Run ``kore-etl sync``; return its report on the source and the seconds it took."""
    began = time.monotonic()
    done = _run(environment, "sync", "--output", "json")
    _require_success(done)
    return json.loads(done.stdout)["sources"][0], time.monotonic() - began


def _run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(*arguments), env=environment, capture_output=True, encoding="utf-8", check=False)  # noqa: S603 - our own


def _require_success(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode != 0:
        click.echo(done.stderr, err=True, nl=False)
        raise click.exceptions.Exit(done.returncode)


def _last_line(text: str) -> str:
    return next(reversed(text.strip().splitlines()), "it said nothing")


def _told(run: Mapping[str, Any], seconds: float) -> str:
    counts = ", ".join(f"{run[name]:,} {name}" for name in ("inserted", "updated", "unchanged", "rejected"))
    return f"{run['requests']} requests gave {run['fetched']:,} tasks in {seconds:.1f} s: {counts}."


def _call(url: str, method: str, act: str, arguments: Mapping[str, int] | None = None) -> Any:
    """Use the sandbox's control plane."""
    answer = requests.request(method, f"{url}/_sandbox/{act}", json=arguments, timeout=_PATIENCE)
    answer.raise_for_status()
    return answer.json()


def _compared(database: Path, served: list[dict[str, Any]]) -> str:
    with closing(sqlite3.connect(database)) as connection:
        stored = {row[0]: json.loads(row[1]) for row in connection.execute("SELECT _id, raw FROM tasks")}
    equal = sum(stored.get(task["_id"]) == task for task in served)
    return f"the server holds {len(served):,} tasks, the database {len(stored):,}; {equal:,} are equal, key by key."


def _answer(database: Path, question: str, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        cursor = connection.execute(statement)
        columns = [column[0] for column in cursor.description]
        rows = [dict(zip(columns, row, strict=True)) for row in cursor]
    click.secho(question, bold=True)
    click.secho(f"{statement.strip()}\n", dim=True)
    print_table(columns, rows)
    click.echo()
