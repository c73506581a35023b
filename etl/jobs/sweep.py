"""Later syncs where dates filter on createdAt and sortBy is not obeyed: no cheap exact strategy exists.

A sweep reads the tasks created lately, the unresolved ones, those that were open here and are no longer among them,
and a slice of the rest of history, so that in the end each slice is read. ``sync --full`` reads everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from etl.extract.http.page import Page
from etl.extract.http.query import Query
from etl.extract.paging.checked_pages import Window
from etl.extract.paging.read_strategy import Paging, ReadStrategy
from etl.extract.paging.split_windows import read_split_windows
from etl.jobs.pipeline.outage_check import require_plausible
from etl.jobs.pipeline.read_windows import TimeRange, read_windows
from etl.jobs.pipeline.window_progress import WindowProgress
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import windows
from etl.load.queries import deletions, statistics
from etl.logs import get_logger

log = get_logger()

SLICE_REQUESTS = 10
_MOST_LEFT = 20  # tasks that are looked up one by one in a run


def sweep_history(run: RunContext, strategy: ReadStrategy, since: datetime, start: datetime) -> None:
    """Read what most likely changed, and the slice of history that was read longest ago."""
    require_plausible(run)
    read_windows(run, TimeRange("sync", strategy.field, Paging.SPLIT_WINDOWS, since))
    open_before = run.store.read(statistics.creation_of_open)
    if run.capabilities.current.any_range is False:  # long empty ranges before the oldest task take many requests
        start = run.store.read(deletions.value_at, strategy.field, start, since, place=0) or since
    seen = _read_unresolved(run, strategy, start, len(open_before))
    if seen is not None:
        left = sorted((created, key) for key, created in open_before.items() if key not in seen)
        step = run.capabilities.current.smallest()
        for created, _ in left[:_MOST_LEFT]:
            read_windows(run, TimeRange("left", strategy.field, Paging.SPLIT_WINDOWS, created, created + step))
    _read_slice(run, strategy, start, since)


def _read_unresolved(run: RunContext, strategy: ReadStrategy, start: datetime, open_here: int) -> set[str] | None:
    """Read the unresolved tasks and return their ids; None where the server does not seem to obey that filter."""
    window = Window(strategy.field, start, run.server_clock.earliest_start(), filters=Query(unresolved=True))
    stored = run.store.read(deletions.count)
    first = run.fetch(Query(unresolved=True, limit=1))
    if first.total is not None and first.total >= stored and open_here < stored:
        log.info("sweep.unresolved_ignored", total=first.total, known=stored)
        return None
    seen: set[str] = set()
    for page in _split_windows(run, window):
        seen.update(key for key in page.ids if key)
        run.writer.store(run.transformer.transform(page))
    return seen


def _read_slice(run: RunContext, strategy: ReadStrategy, start: datetime, end: datetime) -> None:
    """Go on where the last sweep ended, for a number of requests; begin again behind the end."""
    last = run.store.read(windows.latest_of_job, "sweep")
    begin = last if last is not None and last < end - timedelta(seconds=1) else start
    if begin >= end:
        return
    record = WindowProgress.begin("sweep", strategy.field, Paging.SPLIT_WINDOWS, begin)
    before = run.fetch.requests
    for page in _split_windows(run, Window(strategy.field, begin, end)):
        batch = run.transformer.transform(replace(page, total=None))
        after = record.extended(batch, end=end, requests=run.fetch.requests - before)
        record = run.writer.store(batch, after, takes_back=True).window or after
        if run.fetch.requests - before >= SLICE_REQUESTS and page.checkpoint is not None:
            break
    if record.is_open:
        run.writer.close_window(record.cut_short())


def _split_windows(run: RunContext, window: Window) -> Iterator[Page]:
    """Read a window in parts as long as the server takes."""
    start = window.start
    while start < window.end:
        capabilities = run.capabilities.current
        part = replace(window, start=start, end=min(window.end, capabilities.latest_end(start)))
        yield from read_split_windows(run.fetch, part, capabilities)
        start = part.end
