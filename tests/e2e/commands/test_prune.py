"""``kore-etl prune``: old entries of the ledgers go, and what they said stays true."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, text, update

from etl.load.database.engine import open_engine
from etl.load.database.locks import held, named_lock
from etl.load.schema.ledger_tables import rejected_records, sync_runs, sync_windows
from tests.integration.mirror import Mirror

NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=100)
AGES = ("--runs", "90d", "--windows", "90d", "--rejected", "30d")
HOUR = timedelta(hours=1)


@pytest.fixture
def settings(sandbox, environment, migrated_url) -> dict[str, str]:
    """A database that was synced twice."""
    server = sandbox(tasks=20)
    server.put([{"name": "who am I", "updatedAt": "2025-05-28T12:05:38.807Z"}])
    mirror = Mirror(server, migrated_url)
    for _ in range(2):
        assert mirror.sync().exit_code == 3
    return environment(server, migrated_url)


@pytest.fixture
def engine(settings) -> Iterator[Engine]:
    engine = open_engine(settings["KORE_ETL_DATABASE_URL"])
    yield engine
    engine.dispose()


@pytest.fixture
def aged(engine) -> Engine:
    """All that was done so far was done long ago, and the rejected record is gone from the server since then."""
    with engine.begin() as connection:
        connection.execute(update(sync_runs).values(started_at=OLD, finished_at=OLD))
        connection.execute(update(sync_windows).values(finished_at=OLD))
        connection.execute(update(rejected_records).values(last_seen_at=OLD, vanished_at=OLD))
    return engine


Prune = Callable[..., dict[str, Any]]


@pytest.fixture
def prune(run_cli, settings) -> Prune:
    def run(*options: str) -> dict[str, Any]:
        done = run_cli("prune", *options, "--output", "json", env=settings)
        assert (done.returncode, done.stderr) == (0, "")
        (told,) = json.loads(done.stdout)["sources"]
        return told

    return run


def window(start: datetime, end: datetime, **more: Any) -> dict[str, Any]:
    place = {"source_id": 1, "run_id": 1, "job": "sync", "field": "updatedAt", "strategy": "keyset"}
    times = {"start_at": start, "end_at": end, "checkpoint_at": end, "opened_at": OLD, "finished_at": OLD}
    return place | times | {"state": "verified", "rows": 1} | more


def put_windows(engine: Engine, *windows: dict[str, Any]) -> None:
    with engine.begin() as connection:
        connection.execute(update(rejected_records).values(window_id=None))
        connection.execute(sync_windows.delete())
        for each in windows:
            connection.execute(insert(sync_windows).values(**each))


def windows(engine: Engine) -> list[tuple[int, int, str]]:
    """The windows' starts and ends as hours since OLD, and their states."""
    columns = (sync_windows.c.start_at, sync_windows.c.checkpoint_at, sync_windows.c.state)
    with engine.connect() as connection:
        rows = connection.execute(select(*columns).order_by(*columns)).all()
    return [(round((start - NOW) / HOUR), round((end - NOW) / HOUR), state) for start, end, state in rows]


def everything(engine: Engine) -> dict[str, list[Any]]:
    tables = ("tasks", "task_changes", "sync_runs", "sync_windows", "rejected_records", "watermarks")
    with engine.connect() as connection:
        return {name: sorted(map(repr, connection.execute(text(f"select * from {name}")))) for name in tables}


def gaps(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text("select gap_start, gap_end from coverage_gaps order by gap_start")))


def test_what_is_young_stays(prune, engine):
    before = everything(engine)
    assert prune(*AGES) == {"source": "default", "rejected": 0, "windows": 0, "runs": 0}
    assert everything(engine) == before


def test_a_dry_run_tells_and_changes_nothing(prune, aged):
    before = everything(aged)
    told = prune(*AGES, "--dry-run")
    assert everything(aged) == before
    assert told["rejected"] == 1
    assert told == prune(*AGES)
    assert everything(aged) != before


def test_only_what_is_asked_for_goes(prune, aged):
    told = prune("--rejected", "30d")
    assert (told["rejected"], told["windows"], told["runs"]) == (1, 0, 0)


def test_old_runs_go_but_those_that_a_sync_asks_for(prune, aged):
    with aged.begin() as connection:
        for _ in range(1200):
            connection.execute(
                insert(sync_runs).values(
                    source_id=1, command="sync", state="finished", exit_code=0, version="1", settings="{}",
                    started_at=OLD, finished_at=OLD,
                )
            )  # fmt: skip
        cut_off = {
            "source_id": 1,
            "command": "sync",
            "state": "failed",
            "exit_code": 5,
            "version": "1",
            "settings": "{}",
        }
        moments = {"started_at": OLD, "finished_at": OLD}
        for stored in (0, 3, 0):
            connection.execute(insert(sync_runs).values(**cut_off, **moments, inserted=stored))
        *_, newest = connection.execute(select(sync_runs.c.id).order_by(sync_runs.c.id)).scalars()
    before = everything(aged)
    assert prune("--runs", "90d")["runs"] == 1201
    with aged.connect() as connection:
        left = set(connection.execute(select(sync_runs.c.id)).scalars())
        of_watermark = connection.execute(text("select run_id from watermarks")).scalar_one()
    assert left == {of_watermark, newest - 3, newest - 1, newest}
    after = everything(aged)
    assert {name: rows for name, rows in after.items() if name != "sync_runs"} == {
        name: rows for name, rows in before.items() if name != "sync_runs"
    }


def test_adjoining_windows_become_one_without_a_gap(prune, aged):
    points = [NOW - 200 * HOUR + number * HOUR for number in range(100)]
    put_windows(
        aged,
        *(window(start, start + HOUR * 1.5) for start in points[:50]),
        *(window(start, start + HOUR) for start in points[60:]),
        window(points[20], points[30], job="full"),
        window(points[70], points[80], field="createdAt"),
    )
    before = gaps(aged)
    assert before
    assert prune("--windows", "90d")["windows"] == 88
    assert gaps(aged) == before
    together = [(-200, -150), (-180, -170), (-140, -100), (-130, -120)]
    assert windows(aged) == [(*each, "verified") for each in together]


def test_a_window_that_was_not_verified_is_told_of_until_it_is(prune, aged):
    start = NOW - 200 * HOUR
    put_windows(
        aged,
        window(start, start + HOUR, state="unverified"),
        window(start + HOUR, start + 2 * HOUR, state="unverified"),
        window(start, start + HOUR),
        window(start + 5 * HOUR, start + 6 * HOUR, state="failed", checkpoint_at=start + 5 * HOUR),
        window(start + 7 * HOUR, start + 9 * HOUR, state="failed", checkpoint_at=start + 8 * HOUR),
    )
    assert prune("--windows", "90d")["windows"] == 2
    assert windows(aged) == [(-200, -199, "verified"), (-199, -198, "unverified"), (-193, -192, "failed")]


def test_after_it_the_next_sync_finds_what_it_needs(prune, aged, run_cli, settings):
    prune(*AGES)
    assert run_cli("sync", env=settings).returncode in (0, 3)
    assert gaps(aged) == []


def test_it_does_not_run_beside_a_sync(run_cli, settings, engine, aged):
    before = everything(aged)
    with held(
        named_lock(engine, f"sync 127.0.0.1 {settings['KORE_ETL_ACCOUNT_ID']} {settings['KORE_ETL_STREAM_ID']}"), "it"
    ):
        done = run_cli("prune", *AGES, env=settings)
    assert done.returncode == 75
    assert "another run is working on source default" in done.stderr
    assert everything(aged) == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "Choose what to delete"),
        (("--runs", "1h"), "--runs 1h: is under a day"),
        (("--runs", "soon"), "'soon'"),
        (("--runs", "740000d"), "--runs 740000d: is over 36525 days"),
        (("--runs", "90d", "--source", "elsewhere"), "no such source; accepted: default"),
    ],
    ids=["nothing", "too young", "no age", "too old", "no source"],
)
def test_a_slip_changes_nothing(run_cli, settings, options, told):
    done = run_cli("prune", *options, env=settings)
    assert done.returncode == 2
    assert told in done.stderr


def test_it_tells_what_went(run_cli, settings, aged):
    done = run_cli("prune", "--rejected", "30d", env=settings)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "kore-etl: default: 0 runs, 0 windows and 1 rejected record went\n"
