"""What stands behind a task: people and queues by their newest mention, children replaced as a set."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Table, select

from etl.load.database.engine import reading
from etl.load.schema.dimension_tables import agents, users
from etl.load.schema.task_tables import CHILDREN, task_fields, task_participants, task_tags
from etl.load.upsert.batch_and_counts import Batch
from etl.load.upsert.store_batch import store
from tests.integration.conftest import NOW, Database, minute
from tests.integration.load.test_store import task

Row = dict[str, Any]


def agent(key: str, at: float, name: str | None) -> Row:
    told = {} if name is None else {"name": name}
    return {"_id": key, "source_id": 1, **told, "seen_at": minute(at)}


def tagged(key: str, *tags: str) -> dict[str, list[Row]]:
    return {
        "task_tags": [{"task_id": key, "source_id": 1, "position": place, "tag": tag} for place, tag in enumerate(tags)]
    }


def stored(database: Database, *what: tuple[Row, dict[str, list[Row]]]) -> None:
    batch = Batch(tasks=[row for row, _ in what], details=[behind for _, behind in what])
    with database.engine.begin() as connection:
        store(connection, batch, run_id=database.run_id, now=NOW)


def rows(database: Database, table: Table) -> list[tuple[Any, ...]]:
    with reading(database.engine) as connection:
        columns = [column for column in table.columns if column.name != "source_id" or "_id" in table.columns]
        return [tuple(row) for row in connection.execute(select(*columns).order_by(*table.primary_key.columns))]


def test_a_changed_task_has_its_children_replaced_as_a_set(database: Database) -> None:
    stored(database, (task("t-1", 0), tagged("t-1", "a", "b", "c")), (task("t-2", 0), tagged("t-2", "z")))
    stored(database, (task("t-1", 1), tagged("t-1", "b")))
    assert rows(database, task_tags) == [("t-1", 0, "b"), ("t-2", 0, "z")]


def test_an_unchanged_or_older_task_keeps_the_children(database: Database) -> None:
    stored(database, (task("t-1", 1), tagged("t-1", "new")))
    stored(database, (task("t-1", 1), tagged("t-1", "other")))
    stored(database, (task("t-1", 0), tagged("t-1", "old")))
    assert rows(database, task_tags) == [("t-1", 0, "new")]


def test_two_versions_in_a_batch_leave_the_newer_children(database: Database) -> None:
    stored(database, (task("t-1", 2), tagged("t-1", "new", "er")), (task("t-1", 1), tagged("t-1", "old")))
    assert rows(database, task_tags) == [("t-1", 0, "new"), ("t-1", 1, "er")]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=str)
def test_an_agent_keeps_the_newest_name_in_any_order(database: Database, order: tuple[int, ...]) -> None:
    mentions = [agent("a-1", 0, "First"), agent("a-1", 1, "Second"), agent("a-1", 2, None)]
    for place in order:
        stored(database, (task(f"t-{place}", place), {"agents": [mentions[place]]}))
    assert [row[2] for row in rows(database, agents)] == ["Second"]


def test_many_agents_in_a_batch_keep_the_newest_names(database: Database) -> None:
    for at, count, name in ((0, 20, "First"), (1, 21, "Second")):
        mentions = [agent(f"a-{number}", at, name) for number in range(count)]
        stored(database, *((task(mention["_id"], at), {"agents": [mention]}) for mention in mentions))
    assert [row[2] for row in rows(database, agents)] == ["Second"] * 21


def test_mentions_within_one_batch_come_to_the_same(database: Database) -> None:
    newest_first = [agent("a-1", 2, None), agent("a-1", 0, "First"), agent("a-1", 1, "Second")]
    stored(database, *((task(f"t-{place}", place), {"agents": [row]}) for place, row in enumerate(newest_first)))
    assert [(row[2], row[3]) for row in rows(database, agents)] == [("Second", minute(1))]


def test_a_mention_without_an_email_does_not_forget_it(database: Database) -> None:
    user = {"_id": "u-1", "source_id": 1, "name": "Ana", "email": "ana@example.com", "seen_at": minute(0)}
    stored(database, (task("t-1", 0), {"users": [user]}))
    later = {"_id": "u-1", "source_id": 1, "name": "Ana Li", "seen_at": minute(1)}
    stored(database, (task("t-1", 1), {"users": [later]}))
    assert [row[2:4] for row in rows(database, users)] == [("Ana Li", "ana@example.com")]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "backwards"])
@pytest.mark.parametrize("batches", [1, 2])
def test_a_value_that_was_cleared_stays_cleared(database: Database, order: tuple[int, ...], batches: int) -> None:
    user = {"_id": "u-1", "source_id": 1, "name": "Ana", "email": "ana@example.com", "seen_at": minute(0)}
    mentions = [user, {**user, "email": "", "seen_at": minute(1)}]
    found = [(task(f"t-{place}", place), {"users": [mentions[place]]}) for place in order]
    for some in [found] if batches == 1 else [[each] for each in found]:
        stored(database, *some)
    assert [row[2:4] for row in rows(database, users)] == [("Ana", "")]


@pytest.mark.parametrize(
    "batches", [["Zoe", "Ann"], ["Ann", "Zoe"], ["Zoe Ann"], ["Ann Zoe"], ["Ann Zoe Ann"]], ids=str
)
def test_of_two_names_at_one_instant_the_one_read_last_is_kept(database: Database, batches: list[str]) -> None:
    for names in batches:
        mentions = [agent("a-1", 0, name) for name in names.split()]
        stored(database, *((task(f"t-{place}", 0), {"agents": [row]}) for place, row in enumerate(mentions)))
    assert [row[2] for row in rows(database, agents)] == [batches[-1].split()[-1]]


def test_fields_of_similar_names_are_stored_side_by_side(database: Database) -> None:
    from etl.transform import Stream, TaskRows, transform

    names = ["Region", "Region ", "Re\u0301gion", "R\u00e9gion", "region"]
    made = transform({"_id": "t-1", **{name: {"selectedValue": name} for name in names}}, Stream(1, "s-1"))
    assert isinstance(made, TaskRows)
    stored(database, (task("t-1", 0), {"task_fields": list(made.task_fields)}))
    with reading(database.engine) as connection:
        found = connection.execute(select(task_fields.c.key, task_fields.c.text)).all()
    assert sorted(tuple(row) for row in found) == sorted((name, name) for name in names)


def test_all_kinds_of_children_are_stored(database: Database, sandbox_record: Row) -> None:
    from etl.transform import Stream, TaskRows, transform

    result = transform(sandbox_record, Stream(1, "s-1"))
    assert isinstance(result, TaskRows)
    behind = {name: list(getattr(result, name)) for name in ("agents", "queues", "users", *(t.name for t in CHILDREN))}
    stored(database, (dict(result.task) | {"status_id": None, "priority_id": None, "case_id": None}, behind))
    assert {table.name: len(rows(database, table)) for table in CHILDREN} == {
        "task_queues": 1,
        "task_participants": 1,
        "task_tags": 2,
        "task_channels": 1,
        "task_fields": 3,
    }
    by_key = {row[3]: row for row in rows(database, task_fields)}
    assert by_key["Amount"][7] == 12.5
    assert by_key["Renewal"][8] is not None
    assert by_key["new field"][6] == "eleven"
    assert rows(database, task_participants)[0][2] == "a-1"


@pytest.fixture
def sandbox_record() -> Row:
    return {
        "_id": "t-9",
        "updatedAt": "2026-01-02T03:04:05.678Z",
        "tags": ["b2b", "vip"],
        "channel": ["rtm"],
        "queues": [{"_id": "qu-1", "name": "First", "status": "active", "startTime": "2026-01-01T00:00:00Z"}],
        "participants": [{"agentId": "a-1", "name": "Ana", "pStatus": "active"}],
        "fields": [
            {"_id": "fd-1", "displayName": "Amount", "dataType": "number", "selectedValue": "12.5"},
            {"_id": "fd-2", "displayName": "Renewal", "dataType": "date", "selectedValue": "2026-03-01"},
        ],
        "new field": {"id": "fd-3", "displayName": "New field", "lname": "new field", "selectedValue": "eleven"},
    }
