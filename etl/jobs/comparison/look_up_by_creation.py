"""Looks up deletion candidates in the order of creation, where the date that the server filters on may have gone back.

Where dates filter on updatedAt, a task whose date went back may stand in a range from which another task was deleted.
The counts of that range agree, so nothing else shows the task. Its creation tells its place among all tasks.
"""

from __future__ import annotations

from datetime import datetime

from etl.errors import SkipRefusedError
from etl.extract.capabilities import END_OF_TIME, MILLISECOND
from etl.extract.http.query import Direction, Query
from etl.extract.http.response_page import Page, moment_of
from etl.extract.paging.end_of_rows import rows_asked
from etl.extract.paging.page_checks import check_order, moments
from etl.jobs.comparison.deletion_candidates import DeletionCandidates
from etl.load.queries import stored_tasks

_BEGINNING = datetime.fromisoformat("0001-01-01T00:00:00+00:00")
_MOST_PAGES = 4  # for one candidate: the first one misses it by the tasks that were deleted before it


def look_up_by_creation(candidates: DeletionCandidates) -> bool:
    """Clear and store the candidates that the server still shows; tell whether the others are proven to be gone.

    It takes a request for the candidates that one page shows. It takes none, and proves nothing, where dates filter on
    createdAt, where the server does not sort by it, and where tasks from before the setting ``start`` are not stored.
    """
    run = candidates.run
    if candidates.field == "createdAt" or candidates.start or not run.capabilities.current.sorts("createdAt"):
        return False
    records = run.store.read(stored_tasks.records, candidates.gone)
    created = [moment_of(record, "createdAt") for record in records.values()]
    left = sorted(moment for moment in created if moment is not None)
    while left:
        shown = _read_around(candidates, left[-1])
        if shown is None:
            return False
        first, last = shown
        left = [moment for moment in left if not first < moment < last]
    return None not in created


def _read_around(candidates: DeletionCandidates, created: datetime) -> tuple[datetime, datetime] | None:
    """Read the tasks around a time of creation; return between which times one page shows all, None if none does."""
    run, limit = candidates.run, candidates.run.capabilities.current.limit()
    direction: Direction = min("asc", "desc", key=lambda order: _count_before(candidates, created, order))
    before = _count_before(candidates, created, direction)
    for _ in range(_MOST_PAGES):
        query = Query(skip=max(0, before - limit // 2), limit=limit, sort_by=("createdAt", direction))
        try:
            page = run.fetch(query)
        except SkipRefusedError:
            return None
        check_order(page, "createdAt", descending=direction == "desc")
        candidates.keep(page, takes_back=True)
        shown = moments(page, "createdAt")
        if not shown or _is_withheld(candidates, page, query):
            return None
        is_from_end = query.skip == 0 or page.created[0] is None
        end = _BEGINNING if direction == "asc" else END_OF_TIME
        first, last = sorted((end if is_from_end else shown[0], shown[-1]))
        if first < created < last:
            return first, last
        before += query.skip + page.created.index(shown[0]) - _count_before(candidates, shown[0], direction)
    return None


def _is_withheld(candidates: DeletionCandidates, page: Page, query: Query) -> bool:
    """Tell whether the server counts rows of a page that it does not show, and that the account does not know."""
    asked = rows_asked(query, page, candidates.run.capabilities.current)
    return page.total is not None and len(page.records) < min(asked, page.total - query.skip) and not candidates.hidden


def _count_before(candidates: DeletionCandidates, created: datetime, direction: Direction) -> int:
    """Count the stored tasks that stand before a time of creation in an order."""
    start, end = (_BEGINNING, created) if direction == "asc" else (created + MILLISECOND, END_OF_TIME)
    return candidates.run.store.read(stored_tasks.count_between, "createdAt", start, end)
