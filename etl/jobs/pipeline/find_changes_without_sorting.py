"""Reads the unresolved tasks, for servers whose dates filter on createdAt and that do not sort.

Most changes happen to them. Rolling verification finds the changes of the others.
"""

from __future__ import annotations

from etl.extract.http.query import Query
from etl.extract.paging.page_checks import Window
from etl.extract.paging.read_strategy import READERS, Paging, ReadStrategy
from etl.jobs.pipeline.read_windows import TimeRange, read_windows
from etl.jobs.run.history_start import history_start
from etl.jobs.run.run_context import RunContext
from etl.load.queries import stored_tasks
from etl.logs import get_logger
from etl.times import shifted

log = get_logger()

_MOST_LEFT = 20  # moments of creation that are looked up one by one in a run


def read_unresolved_tasks(run: RunContext, strategy: ReadStrategy) -> None:
    """Read and store the unresolved tasks, and those that were unresolved here and are no longer among them."""
    open_before = run.store.read(stored_tasks.creation_of_open)
    stored = run.store.read(stored_tasks.count)
    first = run.fetch(Query(unresolved=True, limit=1))
    if first.total is not None and first.total >= stored and len(open_before) < stored:
        log.info("unresolved.ignored", total=first.total, known=stored)
        return
    start, end = history_start(run), run.server_clock.earliest_start()
    if run.capabilities.current.any_range is False:  # long empty ranges before the oldest task take many requests
        start = run.store.read(stored_tasks.value_at, strategy.field, start, end) or end
    seen: set[str] = set()
    while start < end:
        stop = min(end, run.capabilities.current.latest_end(start))
        window = Window(strategy.field, start, stop, filters=Query(unresolved=True))
        for page in READERS[Paging.SPLIT_WINDOWS](run.fetch, window, run.capabilities.current):
            seen.update(key for key in page.ids if key)
            run.writer.store(run.transformer.transform(page))
            run.note_unverified(page.reason)
        start = stop
    left = sorted({created for key, created in open_before.items() if key not in seen})
    step = run.capabilities.current.smallest()
    for created in left[:_MOST_LEFT]:
        read_windows(run, TimeRange("left", strategy.field, Paging.SPLIT_WINDOWS, created, shifted(created, step)))
