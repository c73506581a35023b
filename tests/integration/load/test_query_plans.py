"""What the documented questions read whole: a join by two columns must not make one of them scan another table."""

from __future__ import annotations

import re

from sqlalchemy.dialects import postgresql, sqlite

from etl.load.database.engine import reading
from etl.load.schema.task_tables import is_of, metadata
from tests.e2e.test_readme import QUESTIONS
from tests.integration.conftest import Database

STATE = {"tasks", "statuses"}
LEDGER = {
    "sources",
    "watermarks",
    "sync_windows",
}  # the index of a source's windows, which the view coverage_gaps reads
SCANNED = {
    "What is open, by priority?": STATE,
    "Is the backlog growing?": {"daily_counts"},
    "The ledger": LEDGER,
    "How old are the open tasks?": STATE,
    "Where do open tasks wait?": STATE,
    "Who has too much?": STATE,
    "What is most overdue?": {"statuses"},
    "How long do tasks take?": STATE,
    "In which status is the time spent?": {"status_intervals", "tasks"},
    "How did one task go?": {"status_intervals", "tasks"},
    "Are the figures fresh?": LEDGER,
    "What was the state at a moment?": {"task_changes", "tasks"},
    "1. What is open, by status and priority?": STATE,
    "3. What is overdue, and with whom?": {"statuses"},
    "2. Which open tasks are the oldest?": STATE,
    "4. Which queues are behind?": STATE,
    "5. How many open tasks does each agent have?": STATE,
    "6. Do we keep up? Of each month's tasks, how many are done?": STATE,
    "7. How many days do tasks take, by priority?": STATE,
    "9. Where do we breach, by one of our own fields?": {"tasks"},
    "10. How fresh are these numbers, and is anything missing?": LEDGER,
}


def test_documented_questions_scan_no_more_tables(sqlite_database: Database) -> None:
    more = {}
    with reading(sqlite_database.engine) as connection:
        for question in QUESTIONS:
            if question.dialect in ("", "sqlite"):
                steps = [row[3] for row in connection.exec_driver_sql(f"explain query plan {question.sql}")]
                found = {each[1] for step in steps if (each := re.match(r"SCAN (\w+)", step))} & metadata.tables.keys()
                if found - SCANNED.get(question.title, set()):
                    more[question.title] = found
    assert more == {}


def test_only_sqlite_is_kept_from_the_index_of_sources() -> None:
    conditions = [str(is_of(1).compile(dialect=kind.dialect())) for kind in (postgresql, sqlite)]
    assert [condition.split(" = ")[0] for condition in conditions] == ["tasks.source_id", "+tasks.source_id"]
