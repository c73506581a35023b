"""What a report and the documented questions cost: statements, the database's work and memory, all of them counted."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, event

from benchmarks.filling import fill
from etl.explore.datasette_metadata import questions
from etl.load.database.engine import open_engine, reading
from etl.load.schema.metadata import metadata
from etl.load.schema.postgres_upkeep import count_rows
from etl.load.upsert import refresh_derived
from etl.report.period import period_until
from etl.report.query_numbers import figures

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PERIOD = period_until(NOW, timedelta(days=90), [ZoneInfo("UTC")])
FEW, MANY = 300, 1200
STATEMENTS = 13
# For each task, a tenth more than was measured. Steps of SQLite's virtual machine; on PostgreSQL, rows that were read
# and index scans.
MOST_WORK = {"sqlite": 560, "postgresql": 42}
MOST_BYTES = 570
STEPS_AT_ONCE = 10


@contextmanager
def counted(engine: Engine) -> Iterator[dict[str, int]]:
    """Count the statements, the database's work for them, and the most bytes that Python held at once."""
    counts = {"statements": 0, "work": 0}

    def step() -> None:
        counts["work"] += STEPS_AT_ONCE

    def connect(connection: Any, _: Any) -> None:
        if engine.dialect.name == "sqlite":
            connection.set_progress_handler(step, STEPS_AT_ONCE)

    def executed(_: Any, cursor: Any, *__: Any) -> None:
        counts["statements"] += 1
        if engine.dialect.name == "postgresql":  # of the transaction until now
            with cursor.connection.cursor() as another:
                another.execute("select sum(seq_tup_read + idx_tup_fetch + idx_scan) from pg_stat_xact_user_tables")
                counts["work"] = int(another.fetchone()[0])

    engine.dispose()
    event.listen(engine, "connect", connect)
    event.listen(engine, "after_cursor_execute", executed)
    tracemalloc.start()
    yield counts
    counts["bytes"] = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    event.remove(engine, "connect", connect)
    event.remove(engine, "after_cursor_execute", executed)
    engine.dispose()


def refill(engine: Engine, tasks: int) -> None:
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
        fill(connection, tasks, NOW)
        refresh_derived.rebuild(connection, source_id=1)
        count_rows(connection)


def test_a_report_costs_no_more_than_its_tasks(migrated_url: str) -> None:
    engine = open_engine(migrated_url)
    found: dict[int, dict[str, int]] = {}
    for tasks in (FEW, MANY):
        refill(engine, tasks)
        with counted(engine) as found[tasks]:
            figures(engine, PERIOD)
    few, many = found[FEW], found[MANY]
    assert few["statements"] == many["statements"] <= STATEMENTS, found
    assert many["work"] <= MANY * MOST_WORK[engine.dialect.name], found
    assert many["work"] <= 1.1 * MANY / FEW * few["work"], found
    assert many["bytes"] <= MANY * MOST_BYTES, found
    assert many["bytes"] <= 0.85 * MANY / FEW * few["bytes"], found


def test_no_question_reads_a_table_once_for_each_task(migrated_url: str) -> None:
    engine = open_engine(migrated_url)
    work: dict[str, dict[int, int]] = {question.title: {} for question in questions()}
    for tasks in (FEW, MANY):
        refill(engine, tasks)
        for question in questions():
            with counted(engine) as found, reading(engine) as connection:
                connection.exec_driver_sql(question.sql).all()
            work[question.title][tasks] = found["work"]
    assert {title: each for title, each in work.items() if each[MANY] > 1.5 * MANY / FEW * each[FEW] + 1000} == {}
