"""Probes what startDate and endDate do: the field to filter on, whether ends are included, and the granularity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from msgspec import Struct

from etl.extract.capabilities import EARLY, END_OF_TIME, GRANULARITIES, SECOND
from etl.extract.http.query import Field, Query
from etl.extract.http.response_page import Page, moment_of
from etl.extract.paging.page_checks import moments
from etl.extract.probe.probe_session import ProbeSession
from etl.times import EPOCH, format_time

_DAY = timedelta(days=1)
#: How far around a task to ask, and whether its instant came: a server may cut what is asked to any granularity.
_MARGINS = ((timedelta(), True), *((granularity, False) for granularity in GRANULARITIES[1:]))
_APART = 5 * SECOND
_FIELDS: tuple[Field, Field] = ("createdAt", "updatedAt")


class _Task(Struct, frozen=True):
    """A task whose two dates are far enough apart to tell which one a server uses."""

    created: datetime
    updated: datetime

    def moment(self, field: Field) -> datetime:
        return self.created if field == "createdAt" else self.updated

    def __str__(self) -> str:
        return f"a task created {format_time(self.created)}, updated {format_time(self.updated)}"


def learn_dates(session: ProbeSession) -> None:
    """Find out what the dates of a query mean, as far as the known tasks can show it."""
    if session.wants("window_field"):
        _learn_window_field(session)
    if session.known.window_field is None:
        return
    if session.wants("ends_inclusive"):
        _learn_ends(session, session.known.window_field)
    if session.wants("granularity"):
        _learn_granularity(session, session.known.window_field)


def _learn_window_field(session: ProbeSession) -> None:
    """Ask for the instants of a task's creation and of its update; if neither gives rows, ask around them."""
    task = _most_apart(session.records.values())
    if task is None:
        return
    instant_refused = False
    for margin, inclusive in _MARGINS:
        if session.known.ends_inclusive not in (None, inclusive):
            continue
        pages = {field: _around(session, task.moment(field), margin) for field in _FIELDS}
        field = _field_shown(task, pages)
        if field is not None:
            session.learn("window_field", field, f"{task}, came for its {field} alone")
            if not instant_refused:
                _learn_from_margin(session, task.moment(field), margin, inclusive=inclusive)
            return
        if not margin:
            instant_refused = all(page is None for page in pages.values())
        if any(page and page.records for page in pages.values()):
            return


def _around(session: ProbeSession, moment: datetime, margin: timedelta) -> Page | None:
    """Return the page of the time around a moment; None if it proves nothing: it is refused or withheld."""
    page = session.ask(Query(limit=session.limit, start=moment - margin, end=moment + margin))
    return page if page is not None and page.verified else None


def _field_shown(task: _Task, pages: dict[Field, Page | None]) -> Field | None:
    """Return the only field that can explain both answers; None if no field can, or both can.

    A filter on a field returns rows at the task's own time of that field, and no rows far from the asked time.
    """
    far = (task.updated - task.created) / 3  # so that nothing is near both of the task's times
    possible = [
        field
        for field in _FIELDS
        if (own := pages[field]) is not None
        and own.records
        and all(_is_near(page, field, task.moment(asked), far) for asked, page in pages.items())
    ]
    return possible[0] if len(possible) == 1 else None


def _is_near(page: Page | None, field: Field, moment: datetime, far: timedelta) -> bool:
    return page is not None and all(abs(value - moment) < far for value in moments(page, field))


def _most_apart(records: Iterable[Any]) -> _Task | None:
    found = (_task(record) for record in records)
    return max((task for task in found if task), key=lambda task: task.updated - task.created, default=None)


def _task(record: Any) -> _Task | None:
    created, updated = _usable(record, "createdAt"), _usable(record, "updatedAt")
    if created is None or updated is None or updated - created <= _APART:
        return None
    return _Task(created, updated)


def _usable(record: Any, field: Field) -> datetime | None:
    """Return a record's time; None if it is too near the ends of time to ask around it."""
    moment = moment_of(record, field)
    return moment if moment and EARLY < moment < END_OF_TIME - 2 * _DAY else None


def _learn_ends(session: ProbeSession, field: Field) -> None:
    """Ask for one instant as both ends; an empty answer counts only if rows come around it."""
    moment = _lonely_moment(session.records.values(), field)
    if moment is None:
        return
    for margin, inclusive in _MARGINS:
        page = _around(session, moment, margin)
        if page is None:
            return
        if moment in moments(page, field):
            _learn_from_margin(session, moment, margin, inclusive=inclusive)
            return


def _learn_from_margin(session: ProbeSession, moment: datetime, margin: timedelta, *, inclusive: bool) -> None:
    """Learn from the smallest margin with which a task came; a second tells nothing of a shorter granularity."""
    words = "came" if inclusive else "came with some time around it, but not"
    evidence = f"a task of {format_time(moment)} {words} when that instant was both dates"
    session.learn("ends_inclusive", inclusive, evidence)
    if margin > SECOND and not _is_edge(moment):
        session.learn("granularity", margin, f"a task of {format_time(moment)} came with it as margin, not with less")


def _learn_granularity(session: ProbeSession, field: Field) -> None:
    moment = _lonely_moment(session.records.values(), field)
    if moment is None:
        return
    granularity = (_granularity_of_included if session.known.ends_inclusive else _granularity_of_excluded)(
        session, field, moment
    )
    if granularity is not None:
        session.learn("granularity", granularity, f"seen by asking just beside a task of {format_time(moment)}")


def _granularity_of_included(session: ProbeSession, field: Field, moment: datetime) -> timedelta | None:
    """Ask for later and later instants after a task's, until the task no longer comes."""
    for granularity, coarser in pairwise(GRANULARITIES):
        after = moment - _past(moment, granularity) + granularity
        page = _around(session, after, timedelta())
        if page is None:
            return None
        if all(value >= after for value in moments(page, field)):
            is_empty = not page.records and (page.total == 0 or page.has_more is False)
            is_clear = (is_empty or page.is_last(0)) and _past(after, coarser)
            return granularity if is_clear else None
    return GRANULARITIES[-1]


def _granularity_of_excluded(session: ProbeSession, field: Field, moment: datetime) -> timedelta | None:
    """Ask for wider and wider ranges around a task, until it comes."""
    for granularity in GRANULARITIES:
        page = _around(session, moment, granularity)
        if page is None:
            return None
        if moment in moments(page, field):
            return granularity
    return None


def _past(moment: datetime, granularity: timedelta) -> timedelta:
    return (moment - EPOCH) % granularity


def _is_edge(moment: datetime) -> bool:
    """Tell whether a granularity and a coarser one end together after a time, so that it cannot distinguish them."""
    return any(_past(moment, coarser) >= coarser - granularity for granularity, coarser in pairwise(GRANULARITIES))


def _lonely_moment(records: Iterable[Any], field: Field) -> datetime | None:
    """Return a time that shows the granularity: the fewest tasks share its second, so that the answer fits a page.

    It is the oldest of them, because its task hardly changes meanwhile.
    """
    found = [moment for record in records if (moment := _usable(record, field))]
    sharing = Counter(moment.replace(microsecond=0) for moment in found)
    return min(
        found, key=lambda moment: (_is_edge(moment), sharing[moment.replace(microsecond=0)], moment), default=None
    )
