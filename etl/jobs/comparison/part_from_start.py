"""What counts where the setting ``start`` is set: the tasks from there on, and those without a date."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from etl.errors import RefusedError
from etl.extract.http.query import Query
from etl.extract.http.response_page import Page
from etl.extract.probe.probe_session import WITHOUT_ROWS
from etl.jobs.run.run_context import RunContext
from etl.load.queries import stored_tasks

_BEFORE = ("before start", 0, 0, 0)


def of_source(run: RunContext) -> Query:
    """Return the query for every task that counts; for all tasks where the server takes no range from ``start`` on."""
    start, capabilities = run.start, run.capabilities.current
    if start is None or capabilities.any_range is False:
        return Query()
    return Query(start=capabilities.first_date(start))


def without_earlier(run: RunContext, page: Page) -> Page:
    """Return a page without the tasks from before ``start``, but for stored ones: their date went back."""
    start = run.start
    if start is None:
        return page
    rows = [*zip(page.ids, page.records, page.moments(run.strategy.field), strict=True)]
    earlier = {key for key, _, moment in rows if key is not None and moment is not None and moment < start}
    earlier -= run.store.read(stored_tasks.versions_of, earlier).keys()
    return replace(page, records=[record for key, record, _ in rows if key not in earlier])


def store_page(run: RunContext, page: Page, *, takes_back: bool = False) -> int:
    """Store a page and return how many of its tasks were new or had changed."""
    batch = run.transformer.transform(without_earlier(run, page))
    counts = run.writer.store(batch, takes_back=takes_back).counts
    return counts.inserted + counts.updated


def count_source(run: RunContext, every: int | None = None) -> int | None:
    """Ask how many tasks the server counts of those that count here; None where it tells none, or refuses to.

    A range from ``start`` on may leave out the tasks without a date, so those before it are counted and taken from
    ``every``, the total of all tasks where an answer has told it. Then they are counted only once in a run.
    """
    start, capabilities = run.start, run.capabilities.current
    is_told = every is not None or run.fetch.tells_totals is not False
    if not is_told or (start is not None and capabilities.any_range is False):  # all before it is too long a range
        return None
    try:
        if every is None:
            every = run.fetch(Query(limit=1)).total
            run.counted.pop(_BEFORE, None)
        if start is None or every is None:
            return every
        if _BEFORE not in run.counted:
            run.counted[_BEFORE] = None  # where it refuses
            run.counted[_BEFORE] = _count_before(run, start, every)
    except RefusedError:
        return None
    before = run.counted[_BEFORE]
    return None if before is None else every - before


def _count_before(run: RunContext, start: datetime, every: int) -> int | None:
    """Ask how many of ``every`` tasks are dated before ``start``; None where totals do not go by dates."""
    before = run.fetch(Query(limit=1, end=run.capabilities.current.date_before(start))).total
    return None if before == every and run.fetch(WITHOUT_ROWS).total else before


def latest_total(run: RunContext) -> int | None:
    """Return the total of the tasks that count as an answer told it last; where ``start`` is set, ask for it."""
    return run.fetch.undated_total if run.start is None else count_source(run)
