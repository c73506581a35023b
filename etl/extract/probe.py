"""Finding out what a server does, with a handful of requests: each question has its own small experiment.

What the rows at hand cannot show stays unknown. Nothing is concluded from what one experiment alone might show by
chance: an order counts as obeyed only if both directions came back in order and differ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from etl.errors import RefusedError
from etl.extract.abilities import END_OF_TIME, MILLISECOND, SECOND, Abilities, Question
from etl.extract.page import Page, moment_of, record_id
from etl.extract.query import Direction, Field, Query
from etl.extract.reading import Fetch, is_sorted, moments

MOST_REQUESTS = 12
_LIMITS = (1000, 200, 50, 10)
_RANGES = (timedelta(days=366), timedelta(days=31), timedelta(days=7), timedelta(days=1))
_EARLY = datetime.fromisoformat("1970-01-02T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found: the abilities, where history begins by each field, and the requests that it took."""

    abilities: Abilities
    beginnings: dict[Field, datetime]
    requests: int


@dataclass(slots=True)
class _Probe:
    """An experiment series: counts its requests and remembers the records that it was shown."""

    send: Fetch
    known: Abilities
    limit: int = 0
    requests: int = 0
    records: dict[str, Any] = field(default_factory=dict)
    beginnings: dict[Field, datetime] = field(default_factory=dict)

    def ask(self, query: Query) -> Page | None:
        """Return the page, None if the server refuses the query or the series is at its end."""
        if self.requests >= MOST_REQUESTS:
            return None
        self.requests += 1
        try:
            page = self.send(query)
        except RefusedError:
            return None
        self.records.update((key, record) for record in page.records if (key := record_id(record)))
        return page

    def learn(self, question: Question, answer: Any, evidence: str) -> None:
        self.known = self.known.learnt(question, answer, evidence)

    def wants(self, question: Question) -> bool:
        return getattr(self.known, question) is None


def probe(fetch: Fetch, known: Abilities) -> Finding:
    """Ask what ``known`` leaves open, in at most twelve requests, and return what is known then."""
    series = _Probe(fetch, known)
    first = _most_rows(series)
    if first is not None and first.records:
        _sorting(series, "updatedAt", "sort_updated", first)
        _sorting(series, "createdAt", "sort_created", None)
        _window_field(series)
        _ends(series)
        _longest_range(series)
    return Finding(series.known, series.beginnings, series.requests)


def _most_rows(series: _Probe) -> Page | None:
    """Ask for many rows, newest change first; a refusal means to ask for fewer."""
    limits = (series.known.page_rows,) if series.known.page_rows else _LIMITS
    for limit in limits:
        page = series.ask(Query(limit=limit, sort_by=("updatedAt", "desc")))
        if page is not None:
            series.limit = limit
            if series.wants("page_rows"):
                _learn_page_rows(series, page, limit)
            return page
    return None


def _learn_page_rows(series: _Probe, page: Page, limit: int) -> None:
    rows = len(page)
    if rows and (rows == limit or page.total is None or page.total > rows or page.has_more):
        series.learn("page_rows", rows, f"{rows} rows came when {limit} were asked for")
    elif page.limit is not None and 0 < page.limit <= limit and rows:
        series.learn("page_rows", page.limit, f"limit {page.limit} in the answer when {limit} were asked for")


def _sorting(series: _Probe, name: Field, question: Question, newest: Page | None) -> None:
    """Both directions have to come in order, and differ: a fixed order cannot do that."""
    if not series.wants(question) and name in series.beginnings:
        return
    oldest = _sorted_page(series, name, "asc")
    if not series.wants(question) and not getattr(series.known, question):
        return
    newest = newest if newest is not None else _sorted_page(series, name, "desc")
    if oldest is None or newest is None:
        return
    up, down = moments(oldest, name), moments(newest, name)
    in_order = is_sorted(up) and is_sorted(down, descending=True)
    if not in_order:
        series.learn(question, answer=False, evidence=f"rows out of order although sorted by {name}")
    elif up and down and up[0] < down[0]:
        series.learn(question, answer=True, evidence=f"{name} ascending begins {up[0]}, descending {down[0]}")
        series.beginnings[name] = up[0]


def _sorted_page(series: _Probe, name: Field, direction: Direction) -> Page | None:
    return series.ask(Query(limit=series.limit, sort_by=(name, direction)))


def _window_field(series: _Probe) -> None:
    """Ask for the instant of a task's update and for that of its creation: which one returns it."""
    if not series.wants("window_field"):
        return
    task = _most_apart(series.records.values())
    if task is None:
        return
    key, created, updated = task
    by_updated, by_created = (_has(series, key, moment - SECOND, moment + SECOND) for moment in (updated, created))
    if by_updated == by_created or by_updated is None or by_created is None:
        return
    answer = "updatedAt" if by_updated else "createdAt"
    evidence = f"{key}, created {created}, updated {updated}, came when {answer} was asked for"
    series.learn("window_field", answer, evidence)


def _most_apart(records: Iterable[Any]) -> tuple[str, datetime, datetime] | None:
    """Return (id, created, updated) of the task with the most time between the two; some seconds at least."""
    found = []
    for record in records:
        created, updated, key = moment_of(record, "createdAt"), moment_of(record, "updatedAt"), record_id(record)
        if key and created and updated and updated - created > 5 * SECOND:
            found.append((key, created, updated))
    return max(found, key=lambda task: task[2] - task[1], default=None)


def _has(series: _Probe, key: str, start: datetime, end: datetime) -> bool | None:
    """Tell whether the dates return a task; None if the server refuses, or more rows match than came."""
    page = series.ask(Query(limit=series.limit, start=start, end=end))
    if page is None:
        return None
    if any(record_id(record) == key for record in page.records):
        return True
    return False if page.is_last(0) else None


def _ends(series: _Probe) -> None:
    """Ask for a single instant, then for what begins a millisecond after it."""
    name = series.known.window_field
    if name is None or not (series.wants("ends_inclusive") or series.wants("tick")):
        return
    task = _within_a_second(series.records.values(), name)
    if task is None:
        return
    key, moment = task
    if series.wants("ends_inclusive"):
        inside = _has(series, key, moment, moment)
        if inside is not None:
            words = "came" if inside else "did not come"
            series.learn("ends_inclusive", inside, f"{key} {words} when its own instant {moment} was both ends")
    if series.wants("tick"):
        _tick(series, key, moment)


def _tick(series: _Probe, key: str, moment: datetime) -> None:
    after = _has(series, key, moment + MILLISECOND, moment + SECOND)
    if after is None:
        return
    words = "still came" if after else "did not come"
    series.learn("tick", SECOND if after else MILLISECOND, f"{key} {words} a millisecond after its instant {moment}")


def _within_a_second(records: Iterable[Any], name: Field) -> tuple[str, datetime] | None:
    """Return a task whose moment is not on a whole second: only such a one shows whether dates are cut.

    Best is one whose second few others share, so that the answer fits a page.
    """
    found = [(record_id(record), moment_of(record, name)) for record in records]
    dated = [(key, moment) for key, moment in found if key and moment]
    sharing = Counter(moment.replace(microsecond=0) for _, moment in dated)
    usable = [task for task in dated if 0 < task[1].microsecond < 990_000]
    return min(usable, key=lambda task: sharing[task[1].replace(microsecond=0)], default=None)


def _longest_range(series: _Probe) -> None:
    """Ask for all of time, then for less."""
    if not series.wants("any_range") or series.known.longest_range:
        return
    everything = Query(limit=1, start=_EARLY, end=END_OF_TIME)
    before = series.requests
    if series.ask(everything) is not None:
        series.learn("any_range", answer=True, evidence=f"{_EARLY:%Y} to {END_OF_TIME:%Y} was answered")
        return
    latest = max(_all_moments(series.records.values()), default=_EARLY + _RANGES[0])
    for length in _RANGES:
        if series.ask(replace(everything, start=latest - length, end=latest)) is not None:
            refused = series.requests - before - 1
            evidence = f"{length.days} days were answered, {refused} longer ranges refused"
            series.learn("longest_range", length, evidence)
            series.learn("any_range", answer=False, evidence=evidence)
            return


def _all_moments(records: Iterable[Any]) -> Iterable[datetime]:
    for record in records:
        for name in ("createdAt", "updatedAt"):
            if moment := moment_of(record, name):
                yield moment
