"""Tells from one page of the latest changes whether anything is new, so that a quiet sync reads no further."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from etl.errors import RefusedError
from etl.extract.http.page import Page, record_id
from etl.extract.http.query import Query
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import watermarks
from etl.load.queries import statistics
from etl.load.upsert.tasks import Counts

_LONGEST_HOLD = timedelta(hours=1)


def nothing_is_new(
    run: RunContext, query: Query, page: Page, counts: Counts, *, stored: int, watermark: datetime
) -> bool:  # fmt: skip
    """Tell whether a page of the latest changes held nothing new and the server has as many tasks as are ``stored``.

    ``query`` asked for the page and ``counts`` tells what storing it did. The check proves nothing where a run stored
    some of the page's rows and was cut off before it had the changes further down. It holds for an hour at most, so
    that late rows are looked for again. It does not hold where timestamps are rounded, because then a new row may
    stand anywhere among known ones.
    """
    if stored and not page.records:  # the server withholds the rows
        return False
    if any((counts.inserted, counts.updated, counts.stale, run.counters.rejected)):
        return False
    if run.clock() - watermark > _LONGEST_HOLD or run.store.read(statistics.rounding):
        return False
    if run.store.read(watermarks.is_behind, [key for key in map(record_id, page.records) if key]):
        return False
    return stored == page.total if page.total is not None else _ends_at(run, query, stored)


def _ends_at(run: RunContext, query: Query, rows: int) -> bool:
    """Tell whether a query has exactly this number of rows, where the server does not count."""
    try:
        page = run.fetch(replace(query, skip=rows - 1, limit=2))
    except RefusedError:
        return False
    return len(page) == 1
