"""The right to work on a source: a backfill makes way for a sync, a sync for nobody."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Event, Thread

import pytest
from sqlalchemy import Engine
from structlog.testing import capture_logs

from etl.jobs.run import source_lease
from etl.jobs.run.source_lease import hold_source
from etl.load.database.engine import open_engine

LONG_ENOUGH = 1.5  # seconds: longer than a backfill keeps the lease


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


@pytest.mark.parametrize(("command", "other", "makes_way"), [("backfill", "sync", True), ("sync", "backfill", False)])
def test_only_a_backfill_makes_way_for_the_other(engine: Engine, command: str, other: str, *, makes_way: bool) -> None:
    got_it = Event()

    def wait_for_lease() -> None:
        with hold_source(engine, other, source="s-1", name="main"):
            got_it.set()

    waiting = Thread(target=wait_for_lease)
    with ExitStack() as held:
        lease = held.enter_context(hold_source(engine, command, source="s-1", name="main"))
        waiting.start()
        until = time.monotonic() + (30 if makes_way else LONG_ENOUGH)
        while not got_it.is_set() and time.monotonic() < until:
            lease.make_way()
        assert got_it.is_set() is makes_way
    waiting.join(30)
    assert got_it.is_set()


def test_a_long_wait_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other run may stand still, and nothing else shows why this one does nothing."""
    monkeypatch.setattr(source_lease, "_LONG", 0.2)

    def wait_for_lease() -> None:
        with hold_source(engine, "sync", source="s-1", name="main"):
            pass

    with capture_logs() as told:
        waiting = Thread(target=wait_for_lease)
        with hold_source(engine, "backfill", source="s-1", name="main"):
            waiting.start()
            time.sleep(1)
        waiting.join(30)
    assert [each["event"] for each in told] == ["lease.waiting"]
