"""Odd records from the server on: the legal ones stored, the impossible ones kept aside, replayed, let go of."""

from __future__ import annotations

import orjson
import pytest
from sqlalchemy import text

from etl.jobs.maintenance.retry_rejected import replay
from etl.load.database.engine import open_engine
from tests.integration.mirror import Mirror, Outcome

NEIGHBOURS = 300
MOMENT = "2025-05-28T12:05:38.807Z"


def nested(levels: int) -> object:
    value: object = "deep"
    for _ in range(levels):
        value = {"in": value}
    return value


def task(number: int, **keys: object) -> dict[str, object]:
    return {"_id": f"ti-odd-{number}", "name": "odd", "createdAt": MOMENT, "updatedAt": MOMENT, **keys}


ODD = [
    {"_id": "ti-odd-0", "updatedAt": MOMENT},
    task(1, name="x" * 300_000),
    task(2, tags=[f"tag {number}" for number in range(10_000)]),
    task(3, status="Waiting", priority="High"),
    task(4, custom=nested(10)),
    task(5, name="NUL \x00 and half a pair \ud83d", status={}, priority=[], userInfo=""),
    task(6, score=10**30, createdAt="2025-05-28T17:35:38.807+05:30"),
    task(7, updatedAt=None, dueDate="next week", ETA="soon"),
    task(8, currAssignee="Ada", queues=["First", {"name": "Second"}], fields={"a": 1}, isActive="yes"),
]
IMPOSSIBLE = [
    {"name": "no _id at all", "createdAt": MOMENT, "updatedAt": MOMENT},
    {"_id": "", "updatedAt": MOMENT},
    {"_id": {"$oid": "1"}, "updatedAt": MOMENT},
    {"_id": "ti-" + "x" * 300, "updatedAt": MOMENT},
    {"_id": "ti-bad-date", "name": "not yet", "createdAt": MOMENT, "updatedAt": "yesterday"},
    {"_id": "ti-too-deep", "updatedAt": MOMENT, "custom": nested(400)},
    "no object",
]


@pytest.fixture
def begin(sandbox, migrated_url):
    """Start a mirror with so many good records, and all odd and impossible ones; nothing is synced yet."""

    def start(neighbours: int) -> Mirror:
        mirrored = Mirror(sandbox(tasks=neighbours), migrated_url)
        mirrored.server.put([*ODD, *IMPOSSIBLE])
        return mirrored

    return start


@pytest.fixture
def mirror(begin):
    """A mirror after its first sync."""
    mirrored = begin(5)
    mirrored.sync()
    return mirrored


def replay_all(mirrored: Mirror, *ids: int) -> Outcome:
    return mirrored.work("replay", lambda run: replay(run, ids or None))


def execute(mirrored: Mirror, statement: str, **values: object) -> None:
    engine = open_engine(mirrored.database_url)
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def kept(mirrored: Mirror) -> dict[int, tuple[str, int]]:
    """Reason and times seen by the id of each record that is kept aside."""
    return {row[0]: (row[1], row[2]) for row in mirrored.rows("select id, reason, times_seen from rejected_records")}


def mend(mirrored: Mirror, record: dict[str, object], *, reason: str = "updatedAt is unreadable") -> int:
    """Put a record in the place of the text that is kept for a reason, as if today's rules took that; give its id."""
    ((number,),) = mirrored.rows(f"select id from rejected_records where reason like '{reason}%'")
    raw = orjson.dumps(record, option=orjson.OPT_SORT_KEYS).decode()
    execute(mirrored, "update rejected_records set raw = :raw where id = :id", raw=raw, id=number)
    return number


def test_odd_records_are_stored_and_impossible_ones_kept(begin):
    mirror = begin(NEIGHBOURS)
    assert mirror.sync().exit_code == 3
    here = mirror.stored()
    assert {record["_id"] for record in ODD} <= here.keys()
    assert len(here) == NEIGHBOURS + len(ODD)
    neighbours = [record for record in mirror.server.tasks() if record not in [*ODD, *IMPOSSIBLE]]
    assert len(neighbours) == NEIGHBOURS
    assert all(here[record["_id"]] == record for record in neighbours)
    assert sorted(reason for reason, _ in kept(mirror).values()) == [
        "_id is longer than 256 characters",
        "_id is missing",
        "_id is missing",
        "_id is not text",
        "the record is nested too deeply",
        "the record is not an object",
        'updatedAt is unreadable: "yesterday"',
    ]


def test_a_replay_stores_what_is_good_now_and_lets_go_of_it(mirror):
    number = mend(mirror, task(20, name="mended"))
    before = kept(mirror)
    replayed = replay_all(mirror)
    assert (replayed.exit_code, replayed.requests) == (3, 0)
    assert mirror.stored()["ti-odd-20"]["name"] == "mended"
    assert kept(mirror) == {key: value for key, value in before.items() if key != number}
    run = mirror.rows(
        "select command, state, exit_code, requests, fetched, inserted, rejected from sync_runs order by id"
    )
    assert tuple(run[-1]) == ("replay", "finished", 3, 0, len(IMPOSSIBLE), 1, len(IMPOSSIBLE) - 1)


def test_a_replay_of_one_record_leaves_the_others_alone(mirror):
    number = mend(mirror, task(20))
    before = kept(mirror)
    replayed = replay_all(mirror, number)
    assert replayed.exit_code == 0
    assert kept(mirror) == {key: value for key, value in before.items() if key != number}


def test_what_is_still_bad_stays_with_todays_reason(mirror):
    query = "select times_seen, last_seen_at, last_run_id, window_id, reason from rejected_records order by id"
    before = mirror.rows(query)
    execute(mirror, "update rejected_records set reason = 'the rules of another day'")
    replay_all(mirror)
    assert mirror.rows(query) == before


def test_a_replay_never_puts_an_older_version_over_a_newer_one(mirror):
    newest = mirror.stored()["ti-odd-1"]
    number = mend(mirror, task(1, name="older", updatedAt="2025-05-01T00:00:00.000Z"))
    replay_all(mirror)
    assert mirror.stored()["ti-odd-1"] == newest
    assert number not in kept(mirror)


def test_a_replay_brings_no_task_back_that_was_found_gone_since(mirror):
    number = mend(mirror, task(1, name="newer", updatedAt="2025-06-01T00:00:00.000Z"))
    execute(mirror, "update rejected_records set record_id = 'ti-odd-1' where id = :id", id=number)
    later = "2099-01-01 00:00:00.000" if "sqlite" in mirror.database_url else "2099-01-01T00:00:00Z"
    execute(mirror, "update tasks set deleted_at = :later where _id = 'ti-odd-1'", later=later)
    replay_all(mirror)
    assert mirror.value("select deleted_at from tasks where _id = 'ti-odd-1'") is not None
    assert number in kept(mirror)


def test_a_replay_leaves_a_record_that_the_server_no_longer_has(mirror):
    mirror.server.remove(["ti-bad-date"])
    mirror.sync(full=True)
    number = mend(mirror, task(20, name="mended"))
    replay_all(mirror)
    assert "ti-odd-20" not in mirror.stored()
    assert number in kept(mirror)


def test_a_text_that_cannot_be_read_is_kept(mirror):
    ((number,),) = mirror.rows("select id from rejected_records where raw = '\"no object\"'")
    execute(mirror, "update rejected_records set raw = '{half' where id = :id", id=number)
    assert replay_all(mirror).exit_code == 3
    assert number in kept(mirror)
    assert mirror.value("select rejected from sync_runs order by id desc limit 1") == len(IMPOSSIBLE)


def test_a_second_replay_changes_nothing(mirror):
    mend(mirror, task(20))
    replay_all(mirror)
    before = kept(mirror)
    again = replay_all(mirror)
    assert (again.exit_code, kept(mirror)) == (3, before)
