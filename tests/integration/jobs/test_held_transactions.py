"""What a run reads and writes between two requests is one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event, insert

from etl.errors import DatabaseError
from etl.extract.http.query import Query
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import sources
from etl.load.schema.ledger_tables import sources as table
from tests.integration.mirror import Mirror


@pytest.fixture
def mirrored(sandbox: Callable[..., Any], migrated_url: str) -> Mirror:
    mirrored = Mirror(sandbox(tasks=60), migrated_url)
    assert mirrored.sync().exit_code == 0
    return mirrored


def test_a_quiet_sync_commits_twice(mirrored: Mirror) -> None:
    commits: list[None] = []
    event.listen(mirrored.engine, "commit", lambda _connection: commits.append(None))
    assert (mirrored.sync().requests, len(commits)) == (1, 2)


def test_a_request_commits_what_was_held(mirrored: Mirror) -> None:
    def work(run: RunContext) -> None:
        assert run.store.is_holding  # the run's own row
        run.store.write(sources.put, name="other")
        run.fetch(Query(limit=1))
        assert not run.store.is_holding
        assert mirrored.value("select name from sources") == "other"
        assert mirrored.value("select state from sync_runs order by id desc limit 1") == "running"

    assert mirrored.work("sync", work).exit_code == 0


def test_an_error_rolls_back_all_that_is_held_and_its_counts(mirrored: Mirror) -> None:
    def work(run: RunContext) -> None:
        run.store.commit()
        run.store.hold()
        run.store.write(sources.put, name="other")
        run.counters.inserted += 1
        with pytest.raises(DatabaseError):
            run.store.write(lambda connection, _source: connection.execute(insert(table).values(id=1)))
        assert (run.counters.inserted, run.store.is_holding) == (0, False)

    assert mirrored.work("sync", work).exit_code == 0
    assert mirrored.value("select name from sources") == "default"
    assert mirrored.value("select state from sync_runs order by id desc limit 1") == "finished"
