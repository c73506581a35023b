"""Later syncs where dates filter on createdAt and sortBy is not obeyed: no cheap exact way exists.

Read are the tasks created lately, the unresolved ones, those that were open here and are no longer among them, and a
slice of the rest of history, so that in the end each slice has its turn. ``sync --full`` reads everything.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from etl.extract.http.page import Page, record_id
from etl.extract.http.query import Query
from etl.extract.paging.base import Window
from etl.extract.paging.split_windows import read_split_windows
from etl.extract.paging.strategy import ReadStrategy
from etl.jobs.pipeline.run import Run
from etl.jobs.pipeline.window_record import WindowEntry
from etl.jobs.pipeline.windows import TimeRange, read_windows
from etl.load.database.engine import reading
from etl.load.ledger import windows
from etl.load.queries import deletions, statistics
from etl.logs import get_logger

log = get_logger()

SLICE_REQUESTS = 10
_MOST_LEFT = 20  # tasks that are looked up one by one in a run


def sweep(run: Run, strategy: ReadStrategy, since: datetime, start: datetime) -> None:
    """Read what most likely changed, and the slice of history that was read longest ago."""
    read_windows(run, TimeRange("sync", strategy.field, "verified", since))
    open_before = _open_here(run)
    seen = _read_unresolved(run, strategy, start, len(open_before))
    if seen is not None:
        left = sorted((created, key) for key, created in open_before.items() if key not in seen)
        for created, _ in left[:_MOST_LEFT]:
            read_windows(
                run, TimeRange("left", strategy.field, "verified", created, created + run.capabilities.smallest())
            )
    _read_slice(run, strategy, start, since)


def _open_here(run: Run) -> dict[str, datetime]:
    with reading(run.engine) as connection:
        return statistics.creation_of_open(connection, run.source.id)


def _read_unresolved(run: Run, strategy: ReadStrategy, start: datetime, open_here: int) -> set[str] | None:
    """Read the unresolved tasks and return their ids; None where the server does not seem to obey that filter."""
    window = Window(strategy.field, start, run.opened_at(), filters=Query(unresolved=True))
    with reading(run.engine) as connection:
        live = deletions.count(connection, run.source.id)
    first = run.fetch(Query(unresolved=True, limit=1))
    if first.total is not None and first.total >= live and open_here < live:
        log.info("sweep.unresolved_ignored", total=first.total, known=live)
        return None
    seen: set[str] = set()

    def fetch(query: Query) -> Page:
        page = run.fetch(query)
        seen.update(key for record in page.records if (key := record_id(record)))
        return page

    for chunk in read_split_windows(fetch, window, run.capabilities):
        run.store(run.take(chunk))
    return seen


def _read_slice(run: Run, strategy: ReadStrategy, start: datetime, end: datetime) -> None:
    """Go on where the last sweep ended, for so many requests; begin anew behind the end."""
    with reading(run.engine) as connection:
        last = windows.latest_of_job(connection, run.source.id, "sweep")
    begin = last if last is not None and last < end - timedelta(seconds=1) else start
    if begin >= end:
        return
    window = Window(strategy.field, begin, end)
    entry = WindowEntry(run, "sweep", strategy.field, "verified", begin, lambda: end)
    before = run.client.usage.requests
    for chunk in read_split_windows(run.fetch, window, run.capabilities):
        entry.store(run.take(replace(chunk, total=None)))
        if run.client.usage.requests - before >= SLICE_REQUESTS and chunk.covered_until is not None:
            break
    entry.finish_early()
