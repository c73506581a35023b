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
from etl.extract.paging.split_windows import read_verified
from etl.extract.paging.strategy import Way
from etl.jobs.pipeline.run import Run
from etl.jobs.pipeline.window_record import WindowEntry
from etl.jobs.pipeline.windows import Stretch, read_stretch
from etl.load.database.engine import reading
from etl.load.ledger import windows
from etl.load.queries import deletions, statistics
from etl.logs import get_logger

log = get_logger()

SLICE_REQUESTS = 10
_MOST_LEFT = 20  # tasks that are looked up one by one in a run


def sweep(run: Run, way: Way, since: datetime, start: datetime) -> None:
    """Read what most likely changed, and the slice of history that was read longest ago."""
    read_stretch(run, Stretch("sync", way.field, "split_windows", since))
    open_before = _open_here(run)
    seen = _read_unresolved(run, way, start, len(open_before))
    if seen is not None:
        left = sorted((created, key) for key, created in open_before.items() if key not in seen)
        for created, _ in left[:_MOST_LEFT]:
            read_stretch(run, Stretch("left", way.field, "split_windows", created, created + run.abilities.smallest()))
    _read_slice(run, way, start, since)


def _open_here(run: Run) -> dict[str, datetime]:
    with reading(run.engine) as connection:
        return statistics.creation_of_open(connection, run.source.id)


def _read_unresolved(run: Run, way: Way, start: datetime, open_here: int) -> set[str] | None:
    """Read the unresolved tasks and return their ids; None where the server does not seem to obey that filter."""
    window = Window(way.field, start, run.opened_at(), filters=Query(unresolved=True))
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

    for chunk in read_verified(fetch, window, run.abilities):
        run.store(run.take(chunk))
    return seen


def _read_slice(run: Run, way: Way, start: datetime, end: datetime) -> None:
    """Go on where the last sweep ended, for so many requests; begin anew behind the end."""
    with reading(run.engine) as connection:
        last = windows.latest_of_job(connection, run.source.id, "sweep")
    begin = last if last is not None and last < end - timedelta(seconds=1) else start
    if begin >= end:
        return
    window = Window(way.field, begin, end)
    entry = WindowEntry(run, "sweep", way.field, "split_windows", begin, lambda: end)
    before = run.client.usage.requests
    for chunk in read_verified(run.fetch, window, run.abilities):
        entry.store(run.take(replace(chunk, total=None)))
        if run.client.usage.requests - before >= SLICE_REQUESTS and chunk.covered_until is not None:
            break
    entry.finish_early()
