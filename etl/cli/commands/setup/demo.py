"""``kore-etl demo``: the whole path in a minute, against a server that stands in for the vendor's.

Server and syncs are processes of their own, started as a person would start them.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import requests
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from etl.cli.signals import graceful
from etl.errors import ConfigError, EtlError

QUESTIONS = {
    "What is open, by status and priority?": """
SELECT status, priority, count(*) AS tasks
FROM task_overview
WHERE deleted_at IS NULL AND status_category NOT IN ('resolved', 'closed')
GROUP BY status, priority
ORDER BY tasks DESC
LIMIT 8""",
    "Which tasks have been open the longest?": """
SELECT ref_id, date(created_at) AS created, status, priority, assignee
FROM task_overview
WHERE deleted_at IS NULL AND status_category NOT IN ('resolved', 'closed')
ORDER BY created_at
LIMIT 5""",
    "Which queues are behind?": """
SELECT coalesce(queue, '(no queue)') AS queue, count(*) AS open,
       sum(assignee IS NULL) AS unassigned, sum(due_at < datetime('now')) AS overdue
FROM task_overview
WHERE deleted_at IS NULL AND status_category NOT IN ('resolved', 'closed')
GROUP BY 1
ORDER BY overdue DESC, open DESC""",
}
_CHANGES = {"update": 120, "insert": 12}
_DAYS = 200  # of history
_CHANGE = """
INSERT INTO task_changes (task_id, source_id, field, old_id, new_id, old_value, new_value, changed_at, seen_at, run_id)
VALUES (?, 1, 'status', ?, ?, ?, ?, ?, ?, 1)"""
_COUNT = """
INSERT INTO daily_counts (source_id, stream_id, day, created, resolved, reopened, deleted)
SELECT source_id, stream_id, day, sum(created), sum(resolved), sum(reopened), sum(deleted)
FROM daily_events GROUP BY 1, 2, 3"""
# The derived tables and what computes each.
_DERIVED = {
    "daily_counts": _COUNT,
    "status_intervals": """
INSERT INTO status_intervals (task_id, source_id, position, status_id, value, started_at, ended_at)
SELECT task_id, source_id, position, status_id, value, started_at, ended_at FROM computed_status_intervals""",
    "task_progress": """
INSERT INTO task_progress (task_id, source_id, first_response_at, first_resolved_at, last_resolved_at, reopened)
SELECT task_id, source_id, first_response_at, first_resolved_at, last_resolved_at, reopened
FROM computed_task_progress""",
}
_PATIENCE = 60  # seconds for the server to start, or to answer


@click.command(short_help="Run two syncs against a sandbox and show the tables.")
@click.option("--tasks", type=click.IntRange(200, 50_000), default=2000, show_default=True, help="Tasks on the server.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Leave the database in this folder, in place of that of an earlier demo.",
)
def demo(tasks: int, keep: Path | None) -> None:
    """Start a server with made-up tasks, sync, change some, sync again, and ask three questions.

    \b
    Example:
      kore-etl demo --keep demo
    """
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    with graceful(), _folder(keep) as folder, _server(tasks, folder) as settings:
        database = folder / "kore-etl.db"
        environment = _environment(settings, database)
        url = settings["KORE_ETL_BASE_URL"]
        console.print(f"A server with {tasks:,} made-up tasks listens at {url}.\n")
        console.print(f"First sync:   {_told(*_sync(environment))}")
        number = _remember(database, _call(url, "GET", "courses"))
        console.print(
            f"Given:        {number:,} changes of status of the months before, as earlier syncs would have seen them."
        )
        _call(url, "POST", "change", _CHANGES)
        console.print(f"On the server {_CHANGES['update']} tasks are changed and {_CHANGES['insert']} are new.")
        console.print(f"Second sync:  {_told(*_sync(environment))}")
        console.print(f"Compared:     {_compared(database, _call(url, 'GET', 'tasks'))}\n")
        for question, statement in QUESTIONS.items():
            _answer(console, database, question, statement)
    console.print(_further(keep))


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Give the folder to work in, without what an earlier demo left there."""
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
    for name in ("kore-etl.db", "kore-etl.db-wal", "kore-etl.db-shm", "sandbox.env"):
        (keep / name).unlink(missing_ok=True)
    yield keep


@contextmanager
def _server(tasks: int, folder: Path) -> Iterator[dict[str, str]]:
    """Run the sandbox as a process; give the settings with which it is reached."""
    log, settings = folder / "sandbox.log", folder / "sandbox.env"
    command = _command(
        *("sandbox", "--tasks", str(tasks), "--pattern", "desk", "--days", str(_DAYS)),
        *("--requests-per-minute", "0", "--port", "0", "--env-file", str(settings)),
    )
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:  # noqa: S603 - our own
        try:
            yield _settings_when_listening(process, settings, log)
        finally:
            process.terminate()


def _settings_when_listening(process: subprocess.Popen[bytes], settings: Path, log: Path) -> dict[str, str]:
    give_up = time.monotonic() + _PATIENCE
    while not settings.exists():
        if process.poll() is not None or time.monotonic() > give_up:
            raise EtlError(f"the sandbox did not start: {_last_line(log.read_text())}")
        time.sleep(0.05)
    words = shlex.split(settings.read_text())
    return dict(word.split("=", 1) for word in words if "=" in word)


def _further(keep: Path | None) -> str:
    if keep is None:
        return "With --keep DIR the database stays, for questions of your own."
    file = shlex.quote(str(keep / "kore-etl.db"))
    page = shlex.quote(str(keep / "report.html"))
    url = shlex.quote(f"sqlite:///{keep / 'kore-etl.db'}")
    return (
        f"See it:           {_program()} report --database-url {url} --out {page} --open\n"
        f"Ask it yourself:  sqlite3 {file}  (or, from Python 3.12 on: python3 -m sqlite3 {file})"
    )


def _program() -> str:
    """The command as it can be typed here: by its name where that is found, else by its path."""
    installed = Path(sys.executable).with_name("kore-etl")
    found = shutil.which("kore-etl")
    if (found is not None and Path(found).resolve() == installed.resolve()) or not installed.exists():
        return "kore-etl"
    return shlex.quote(os.path.relpath(installed))


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "etl", *arguments]


def _environment(settings: Mapping[str, str], database: Path) -> dict[str, str]:
    """Give the sync these settings and none of the person's own."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith("KORE_ETL_")}
    return {
        **foreign,
        **settings,
        "KORE_ETL_CONFIG": os.devnull,
        "KORE_ETL_DATABASE_URL": f"sqlite:///{database.resolve()}",
        "KORE_ETL_REQUESTS_PER_MINUTE": "6000",  # the sandbox has no budget
    }


def _sync(environment: Mapping[str, str]) -> tuple[dict[str, Any], float]:
    """Run ``kore-etl sync``; give what it reports of the source, and the seconds that it took."""
    began = time.monotonic()
    command = _command("sync", "--output", "json")
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)  # noqa: S603 - our own
    if done.returncode != 0:
        click.echo(done.stderr, err=True, nl=False)
        raise EtlError(f"the sync ended with {done.returncode}")
    return json.loads(done.stdout)["sources"][0], time.monotonic() - began


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


def _remember(database: Path, courses: Mapping[str, list[tuple[int, str, str]]]) -> int:
    """Write the history that nobody was there to see, and count how many changes that is."""
    changes = [
        (key, *(one[1], other[1]), *(one[2], other[2]), *(_moment(other[0]), _moment(other[0])))
        for key, course in courses.items()
        for one, other in pairwise(course)
    ]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(_CHANGE, changes)
        connection.execute("UPDATE tasks SET first_seen_at = created_at")
        for table, computed in _DERIVED.items():
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            connection.execute(computed)
    return len(changes)


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(" ", "milliseconds")[:23]


def _compared(database: Path, served: list[dict[str, Any]]) -> str:
    with closing(sqlite3.connect(database)) as connection:
        stored = {row[0]: json.loads(row[1]) for row in connection.execute("SELECT _id, raw FROM tasks")}
    equal = sum(stored.get(task["_id"]) == task for task in served)
    return f"the server holds {len(served):,} tasks, the database {len(stored):,}; {equal:,} are equal, key by key."


def _answer(console: Console, database: Path, question: str, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        cursor = connection.execute(statement)
        table = Table(*(column[0] for column in cursor.description), box=SIMPLE, pad_edge=False)
        for row in cursor:
            table.add_row(*("" if value is None else str(value) for value in row))
    console.print(question, style="bold")
    console.print(statement.strip(), style="dim")
    console.print(table)
