"""A server in memory, at the border where a page is fetched: what the vendor leaves open, and a live history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from etl.errors import RefusedError
from etl.extract.http.page import Page
from etl.extract.http.query import Query
from etl.times import format_time

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class TooManyRequestsError(AssertionError):
    """A reading that does not end."""


@dataclass
class Server:
    """Answers queries; before each answer ``meanwhile`` may change tasks."""

    window_field: str = "updatedAt"
    cap: int = 5
    inclusive: bool = True
    tick: timedelta = MILLISECOND
    totals: bool = True
    has_more: bool = True
    sorted: bool = True
    stable: bool = True
    longest: timedelta | None = None
    meanwhile: Callable[[Server], None] = lambda _server: None
    most_requests: int = 1500
    requests: int = 0
    now: datetime = BEGIN
    tasks: dict[str, tuple[datetime, datetime, int]] = field(default_factory=dict)
    random: Random = field(default_factory=lambda: Random(1))
    _number: int = 0

    def insert(self, moment: datetime | None = None) -> str:
        self._number += 1
        name = f"ti-{self.random.randrange(10**6)}-{self._number}"
        at = moment or self.now
        self.tasks[name] = (at, at, 1)
        return name

    def update(self, name: str, moment: datetime | None = None) -> None:
        created, _, version = self.tasks[name]
        self.tasks[name] = (created, moment or self.now, version + 1)

    def delete(self, name: str) -> None:
        del self.tasks[name]

    def fetch(self, query: Query) -> Page:
        self.requests += 1
        if self.requests > self.most_requests:
            raise TooManyRequestsError
        self.meanwhile(self)
        if self.longest and query.start and query.end and query.end - query.start > self.longest:
            raise RefusedError("the range is too long")
        found = [name for name in self._ordered(query) if self._is_dated(name, query)]
        limit = min(query.limit or self.cap, self.cap)
        rows = found[query.skip : query.skip + limit]
        return Page(
            [self.record(name) for name in rows],
            limit=limit,
            has_more=query.skip + len(rows) < len(found) if self.has_more else None,
            total=len(found) if self.totals else None,
        )

    def record(self, name: str) -> dict[str, Any]:
        created, updated, version = self.tasks[name]
        moments = {"createdAt": format_time(created), "updatedAt": format_time(updated)}
        return {"_id": name, **moments, "version": version}

    def _ordered(self, query: Query) -> list[str]:
        if not self.sorted or query.sort_by is None:
            return list(self.tasks)
        by, direction = query.sort_by
        place = 0 if by == "createdAt" else 1
        names = sorted(self.tasks)
        if not self.stable:
            self.random.shuffle(names)
        return sorted(names, key=lambda name: self.tasks[name][place], reverse=direction == "desc")

    def _is_dated(self, name: str, query: Query) -> bool:
        moment = self._cut(self.tasks[name][0 if self.window_field == "createdAt" else 1])
        start = self._cut(query.start) if query.start else None
        end = self._cut(query.end) if query.end else None
        if self.inclusive:
            return (start is None or start <= moment) and (end is None or moment <= end)
        return (start is None or start < moment) and (end is None or moment < end)

    def _cut(self, moment: datetime) -> datetime:
        return moment - (moment - BEGIN) % self.tick
