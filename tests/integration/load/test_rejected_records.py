"""Records that could not be stored are kept once each, and none is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import select

from etl.load.database.engine import reading
from etl.load.ledger import rejected_records as rejected
from etl.load.ledger import windows
from etl.load.schema.ledger_tables import rejected_records
from etl.load.upsert.replace_rows import replace_rejected
from tests.integration.conftest import NOW, Database, minute

Rejected = tuple[str, str | None, str]


def keep(database: Database, *rejections: Rejected, at: float = 0, source_id: int | None = None, **origin: int) -> None:
    values = {"run_id": database.run_id, **origin, "now": minute(at)}
    with database.engine.begin() as connection:
        rejected.keep(connection, source_id or database.source_id, rejections, **values)


def kept(database: Database) -> list[Mapping[str, Any]]:
    with reading(database.engine) as connection:
        return list(connection.execute(select(rejected_records).order_by(rejected_records.c.id)).mappings())


def open_window(database: Database) -> int:
    with database.engine.begin() as connection:
        return windows.open_window(
            connection, source_id=database.source_id, run_id=database.run_id, job="first", field="updatedAt",
            start_at=NOW, end_at=minute(60), checkpoint_at=NOW, strategy="keyset", opened_at=NOW,
        )  # fmt: skip


def test_a_rejected_record_is_kept_with_reason_and_window(database: Database) -> None:
    window_id = open_window(database)
    keep(database, ("updatedAt is unreadable: soon", "t-1", '{"_id":"t-1"}'), window_id=window_id)
    (row,) = kept(database)
    assert (row["reason"], row["record_id"], row["raw"]) == ("updatedAt is unreadable: soon", "t-1", '{"_id":"t-1"}')
    assert (row["source_id"], row["window_id"], row["times_seen"]) == (database.source_id, window_id, 1)
    assert (row["first_seen_at"], row["last_seen_at"]) == (NOW, NOW)
    assert (row["first_run_id"], row["last_run_id"]) == (database.run_id, database.run_id)


def test_a_record_that_is_seen_again_is_kept_once_and_counted(database: Database) -> None:
    keep(database, ("_id is missing", None, "{}"))
    run_id = database.another_run()
    keep(database, ("_id is no text", None, "{}"), at=5, run_id=run_id)
    (row,) = kept(database)
    assert (row["times_seen"], row["reason"]) == (2, "_id is no text")
    assert (row["first_seen_at"], row["last_seen_at"]) == (NOW, minute(5))
    assert (row["first_run_id"], row["last_run_id"]) == (database.run_id, run_id)


def test_a_record_that_stands_twice_in_a_page_is_counted_twice(database: Database) -> None:
    keep(database, ("_id is missing", None, "{}"), ("_id is missing", None, "{}"))
    assert [row["times_seen"] for row in kept(database)] == [2]


def test_records_that_differ_in_one_letter_are_kept_apart(database: Database) -> None:
    keep(database, ("_id is missing", None, '{"name":"a"}'), ("_id is missing", None, '{"name":"A"}'))
    assert [row["times_seen"] for row in kept(database)] == [1, 1]


def test_each_source_keeps_its_own(database: Database) -> None:
    keep(database, ("_id is missing", None, "{}"))
    keep(database, ("_id is missing", None, "{}"), source_id=database.another_source("s-2"))
    assert [row["times_seen"] for row in kept(database)] == [1, 1]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("x" * 3_000_000, id="three million characters"),
        pytest.param("[" * 5000 + "]" * 5000, id="deeper than JSON may be"),
        pytest.param('{"number":' + "9" * 150_000 + "}", id="a number that PostgreSQL's JSON refuses"),
        pytest.param("no JSON at all: {", id="no JSON"),
        pytest.param("", id="empty"),
    ],
)
def test_any_text_is_kept_as_it_is(database: Database, raw: str) -> None:
    keep(database, ("no object", None, raw))
    keep(database, ("no object", None, raw))
    assert [(row["raw"], row["times_seen"]) for row in kept(database)] == [(raw, 2)]


def test_nothing_is_kept_of_a_transaction_that_fails(database: Database) -> None:
    def fail() -> None:
        with database.engine.begin() as connection:
            record = ("_id is missing", None, "{}")
            rejected.keep(connection, database.source_id, [record], run_id=database.run_id, now=NOW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert kept(database) == []


def test_a_text_is_replaced_and_two_equal_ones_become_one(database: Database) -> None:
    keep(database, ("_id is missing", None, '{"a":1}'), ("_id is missing", None, '{"a":2}'))
    for each in kept(database):
        with database.engine.begin() as connection:
            replace_rejected(connection, database.source_id, each["id"], "{}")
        assert "{}" in {row["raw"] for row in kept(database)}
    assert [row["raw"] for row in kept(database)] == ["{}"]
