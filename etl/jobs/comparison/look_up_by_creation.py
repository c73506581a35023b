"""Looks up deletion candidates in the order of creation, where the date that the server filters on may have gone back.

Where dates filter on updatedAt, a task whose date went back may stand in a range from which another task was deleted.
The counts of that range agree, so nothing else shows the task. Its creation tells its place among all tasks.
"""

from __future__ import annotations

from datetime import datetime
from operator import gt, lt

from etl.errors import SkipRefusedError
from etl.extract.capabilities import END_OF_TIME, MILLISECOND
from etl.extract.http.query import DIRECTIONS, Direction, Query
from etl.extract.http.response_page import Page, moment_of
from etl.extract.paging.end_of_rows import rows_asked
from etl.extract.paging.page_checks import check_order, moments
from etl.jobs.comparison.deletion_candidates import DeletionCandidates
from etl.load.queries import stored_tasks
from etl.times import EARLIEST, shifted

_MOST_PAGES = 4  # for one candidate: the first one misses it by the tasks that were deleted before it


def look_up_by_creation(candidates: DeletionCandidates) -> None:
    """Clear and store the candidates that the server still shows at the place of their creation.

    It takes a request for the candidates that one page shows. It takes none where dates filter on createdAt, where the
    server does not sort by it, and where tasks from before the setting ``start`` are not stored.
    """
    run = candidates.run
    if candidates.field == "createdAt" or candidates.start or not run.capabilities.current.sorts("createdAt"):
        return
    records = run.store.read(stored_tasks.records, candidates.gone)
    created = {moment_of(record, "createdAt") for record in records.values()}
    left = sorted(moment for moment in created if moment is not None)
    while left:
        moment = left.pop()
        first, last = _read_around(candidates, moment) or (moment, moment)
        left = [other for other in left if not first < other < last]


def _read_around(candidates: DeletionCandidates, created: datetime) -> tuple[datetime, datetime] | None:
    """Read the tasks around a time of creation; return between which times all were shown, None if that is unsure.

    Pages are taken from the nearer end of the order. Tasks of one instant may stand on several.
    """
    run, limit = candidates.run, candidates.run.capabilities.current.limit()
    before, direction = min((_count_before(candidates, created, order), order) for order in DIRECTIONS)
    begin, end, is_before = (EARLIEST, END_OF_TIME, lt) if direction == "asc" else (END_OF_TIME, EARLIEST, gt)
    alike = run.store.read(stored_tasks.count_between, "createdAt", created, shifted(created, MILLISECOND))
    skip, near, anchor = max(0, before - limit // 2), created, None
    for _ in range(_MOST_PAGES + alike // limit):
        query = Query(skip=skip, limit=limit, sort_by=("createdAt", direction))
        try:
            page = run.fetch(query)
        except SkipRefusedError:
            return None
        check_order(page, "createdAt", descending=direction == "desc")
        candidates.keep(page, takes_back=True)
        shown = moments(page, "createdAt")
        if not shown or _is_withheld(candidates, page, query) or anchor not in (None, page.ids[0]):
            return None
        if anchor is None:
            near = begin if skip == 0 else shown[0]
        far = end if skip == 0 and page.is_last(0) else shown[-1]
        if is_before(near, created) and is_before(created, far):
            return min(near, far), max(near, far)
        if is_before(near, created) and far == created:
            skip, anchor = skip + len(page.records) - 1, page.ids[-1]
        else:
            shift = skip + page.created.index(shown[0]) - _count_before(candidates, shown[0], direction)
            step = limit // 2 if is_before(far, created) else -(limit // 2)
            place = max(0, before + shift - limit // 2)
            skip, anchor = place if place != skip else max(0, skip + step), None
    return None


def _is_withheld(candidates: DeletionCandidates, page: Page, query: Query) -> bool:
    """Tell whether the server counts rows of a page that it does not show, and that the account does not know."""
    asked = rows_asked(query, page, candidates.run.capabilities.current)
    return page.total is not None and len(page) < min(asked, page.total - query.skip) and not candidates.hidden


def _count_before(candidates: DeletionCandidates, created: datetime, direction: Direction) -> int:
    """Count the stored tasks that stand before a time of creation in an order."""
    start, end = (EARLIEST, created) if direction == "asc" else (shifted(created, MILLISECOND), END_OF_TIME)
    return candidates.run.store.read(stored_tasks.count_between, "createdAt", start, end)
