"""The watermark moves forward, and counts only with the rows that it covers."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from etl.load.database.engine import reading
from etl.load.ledger import watermarks
from etl.load.schema.ledger_tables import watermarks as table
from etl.load.schema.task_tables import tasks
from etl.load.upsert.batch_and_counts import Batch
from etl.load.upsert.store_batch import store
from tests.integration.conftest import NOW, Database, minute
from tests.integration.load.test_store import task


def advance(database: Database, number: float, *, source_id: int | None = None, run_id: int | None = None) -> bool:
    source_id, run_id = source_id or database.source_id, run_id or database.run_id
    with database.engine.begin() as connection:
        return watermarks.advance(connection, source_id, minute(number), run_id=run_id, now=minute(100 + number))


def known(database: Database, source_id: int | None = None) -> object:
    with reading(database.engine) as connection:
        return watermarks.read(connection, source_id or database.source_id)


def test_there_is_none_before_the_first_sync(database: Database) -> None:
    assert known(database) is None


def test_it_moves_forward_and_remembers_when_and_by_which_run(database: Database) -> None:
    run_id = database.another_run()
    assert advance(database, 1)
    assert advance(database, 2, run_id=run_id)
    with reading(database.engine) as connection:
        row = connection.execute(select(table)).one()
    assert (row.value, row.moved_at, row.run_id) == (minute(2), minute(102), run_id)


@pytest.mark.parametrize("number", [5, 4.9, -1000], ids=["the same", "a little earlier", "long before"])
def test_it_never_moves_back(database: Database, number: float) -> None:
    advance(database, 5)
    run_id = database.another_run()
    assert not advance(database, number, run_id=run_id)
    with reading(database.engine) as connection:
        row = connection.execute(select(table)).one()
    assert (row.value, row.moved_at, row.run_id) == (minute(5), minute(105), database.run_id)


def test_each_source_has_its_own(database: Database) -> None:
    other = database.another_source("s-2")
    advance(database, 5)
    assert known(database, other) is None
    advance(database, 1, source_id=other)
    assert (known(database), known(database, other)) == (minute(5), minute(1))


def test_a_part_of_a_millisecond_is_never_rounded_up(database: Database) -> None:
    with database.engine.begin() as connection:
        value = NOW.replace(microsecond=807_999)
        watermarks.advance(connection, database.source_id, value, run_id=database.run_id, now=NOW)
    assert known(database) == NOW


def test_it_stays_where_the_rows_that_it_covers_are_not_kept(database: Database) -> None:
    advance(database, 1)

    def fail() -> None:
        with database.engine.begin() as connection:
            store(connection, Batch([task()]), run_id=database.run_id, now=NOW)
            watermarks.advance(connection, database.source_id, minute(2), run_id=database.run_id, now=NOW)
            raise SystemExit(143)

    with pytest.raises(SystemExit):
        fail()
    assert known(database) == minute(1)
    with reading(database.engine) as connection:
        assert connection.execute(select(tasks)).all() == []
