"""Quiet runs roll up: one row an hour after a day, and what the ledger told before stays true."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select, update

from etl.load.database.engine import reading
from etl.load.ledger import runs, schedules, watermarks
from etl.load.ledger.prune_old_rows import roll_up_quiet_runs
from etl.load.queries.status import run_rows
from etl.load.schema.ledger_tables import sync_runs
from tests.integration.conftest import NOW, Database, minute

ACCOUNT = {"server_total": 20, "stored_live": 20, "quarantined": 0, "hidden": 0, "missing": 0}


def put(database: Database, at: float, **more: Any) -> int:
    """Add a quiet sync of a minute after NOW, which is 12:05:38; it took two requests and ten seconds."""
    values = {
        "source_id": database.source_id,
        "command": "sync",
        "state": "finished",
        "exit_code": 0,
        "started_at": minute(at),
        "finished_at": minute(at + 1 / 6),
        "requests": 2,
        "fetched": 50,
        "version": "1",
        "settings": "{}",
        "watermark_before": minute(at - 5),
        "watermark_after": minute(at),
        **ACCOUNT,
        **more,
    }
    with database.engine.begin() as connection:
        return connection.execute(insert(sync_runs).values(**values).returning(sync_runs.c.id)).scalar_one()


def roll_up(database: Database, before: float = 600) -> int:
    with database.engine.begin() as connection:
        return roll_up_quiet_runs(connection, database.source_id, minute(before))


def rows(database: Database) -> dict[int, int]:
    """How many runs each row but the first one stands for."""
    query = select(sync_runs.c.id, sync_runs.c.runs).where(sync_runs.c.id != database.run_id)
    with reading(database.engine) as connection:
        return dict(connection.execute(query).all())


def test_quiet_runs_of_an_hour_become_one_row_with_sums(database: Database) -> None:
    *_, third = [put(database, at) for at in (0, 5, 10)]
    other_hour = [put(database, at) for at in (60, 65)]
    young = put(database, 700)
    assert roll_up(database) == 3
    assert rows(database) == {third: 3, other_hour[-1]: 2, young: 1}
    with reading(database.engine) as connection:
        row = connection.execute(select(sync_runs).where(sync_runs.c.id == third)).mappings().one()
        (listed,) = [each for each in run_rows(connection) if each["id"] == third]
    assert (row["started_at"], row["finished_at"]) == (NOW, minute(10 + 1 / 6))
    assert (row["watermark_before"], row["watermark_after"]) == (minute(-5), minute(10))
    assert (row["requests"], row["fetched"], listed["runs"], listed["requests"]) == (6, 150, 3, 6)


def test_a_later_roll_up_adds_to_the_row(database: Database) -> None:
    first, second = put(database, 0), put(database, 5)
    with database.engine.begin() as connection:
        watermarks.put(connection, database.source_id, minute(5), run_id=second, now=minute(5))
    assert roll_up(database) == 0  # the run that moved the watermark stays
    third = put(database, 10)
    assert roll_up(database) == 1
    assert rows(database) == {second: 1, third: 2}
    with database.engine.begin() as connection:
        watermarks.put(connection, database.source_id, minute(10), run_id=database.run_id, now=minute(10))
    assert roll_up(database) == 1
    assert rows(database) == {third: 3}
    assert first != third


def test_only_quiet_syncs_of_one_account_roll_up(database: Database) -> None:
    other = database.another_source("s-2")
    loud = [
        *(put(database, 1, **{name: 1}) for name in ("inserted", "updated", "mended")),
        *(
            put(database, 1, **dict.fromkeys(names, 1))
            for names in 2 * (("inserted", "updated"), ("inserted", "mended"))
        ),
        put(database, 2, exit_code=3, missing=1),
        put(database, 3, state="failed", exit_code=5, server_total=3),
        put(database, 4, command="backfill"),
        put(database, 5, server_total=21),
        put(database, 6, source_id=other),
    ]
    untold = [put(database, at, server_total=None, stored_live=None) for at in (7, 8)]
    assert roll_up(database) == 1
    assert rows(database) == {**dict.fromkeys(loud, 1), untold[-1]: 2}


def test_what_the_ledger_tells_stays(database: Database) -> None:
    for at, total in enumerate([20, 20, 19, 19, 20, 20]):
        put(database, at, server_total=total)

    def told() -> tuple[object, ...]:
        with reading(database.engine) as connection:
            found = [
                query(connection, database.source_id)
                for query in (runs.last_account, runs.hidden, schedules.usual_requests)
            ]
            surplus = [
                runs.last_surplus(connection, database.source_id, None, at_least=total) for total in (19, 20, 21)
            ]
            return (*found, *surplus)

    before = told()
    assert roll_up(database) == 4
    assert told() == before


def test_a_total_that_may_be_capped_proves_no_surplus(database: Database) -> None:
    put(database, 0, server_total=20, stored_live=25)
    with reading(database.engine) as connection:
        told = [runs.last_surplus(connection, database.source_id, None, at_least=total) for total in (19, 20, 21)]
    assert told == [5, None, None]


def test_a_row_of_several_runs_counts_as_several(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(update(sync_runs).values(state="failed"))
    put(database, 0, runs=9, requests=9)
    with reading(database.engine) as connection:
        assert schedules.usual_requests(connection, database.source_id) == 1
    put(database, 60, requests=11)
    with reading(database.engine) as connection:
        assert schedules.usual_requests(connection, database.source_id) == 2
