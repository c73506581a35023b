"""Reads the tasks without the date that the server filters on, which no window of dates holds."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from etl.extract.capabilities import END_OF_TIME
from etl.extract.http.query import DIRECTIONS, Field, Query
from etl.extract.http.response_page import Page
from etl.extract.probe.probe_session import EARLY, WITHOUT_ROWS
from etl.jobs.run.run_context import RunContext


def undated_pages(run: RunContext, field: Field) -> Iterator[Page]:
    """Yield the pages with tasks without a date, from both ends of its order; none where the server does not sort.

    A page that holds nothing new ends an order: the server ignores skip.

    Raises:
        SkipRefusedError: the server refuses a page behind tasks without a date.
    """
    capabilities = run.capabilities.current
    for direction in DIRECTIONS if capabilities.sorts(field) else ():
        query = Query(limit=capabilities.limit(), sort_by=(field, direction))
        page, shown = run.fetch(query), set[str | None]()
        while None in page.moments(field) and not shown.issuperset(page.ids):
            shown.update(page.ids)
            yield page
            query = replace(query, skip=query.skip + len(page))
            page = run.fetch(query)


def all_are_dated(run: RunContext) -> bool:
    """Tell whether totals prove it: the server counts by dates, and as many with any date as in all."""
    if run.capabilities.current.any_range is not True:
        return False
    queries = (WITHOUT_ROWS, Query(limit=1, start=EARLY, end=END_OF_TIME), Query(limit=1))
    nowhere, dated, every = [run.fetch(query).total for query in queries]
    return nowhere == 0 and dated is not None and dated == every
