"""The sandbox without its socket, at the border where a page is fetched: for examples by the thousand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import jwt
import orjson

from etl.errors import RefusedError, SkipRefusedError
from etl.extract.http.query import Query
from etl.extract.http.response_errors import parse_response
from etl.extract.http.response_page import Page, read_page
from etl.sandbox import Options
from etl.sandbox.server.answer_requests import Service
from etl.times import format_time

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
DEFAULTS = Options()
GRANULARITIES = {
    MILLISECOND: "ms",
    timedelta(seconds=1): "second",
    timedelta(minutes=1): "minute",
    timedelta(hours=1): "hour",
    timedelta(days=1): "day",
}
CLAIMS = {"appId": DEFAULTS.client_id, "exp": int(time.time()) + 86_400}
HEADERS = {"auth": jwt.encode(CLAIMS, DEFAULTS.client_secret), "AccountId": DEFAULTS.account_id}


class TooManyRequestsError(AssertionError):
    """A reading that does not end."""


@dataclass
class Server:
    """Answers queries by the sandbox's own code; before each answer ``meanwhile`` may change tasks.

    ``refuses`` may refuse a query first, by its words. ``options`` are further ones of the sandbox.
    """

    window_field: str = "updatedAt"
    cap: int = 5
    inclusive: bool = True
    granularity: timedelta = MILLISECOND
    totals: bool = True
    has_more: bool = True
    sorted: bool = True
    stable: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[Server], None] = lambda _server: None
    refuses: Callable[[Query], str | None] = lambda _query: None
    most_requests: int = 1500
    seed: int = 1
    now: datetime = BEGIN
    tasks: dict[str, tuple[datetime, datetime, int]] = field(default_factory=dict)
    asked: list[Query] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self._behaviour: Mapping[str, Any] = {}
        self._service = Service(Options(tasks=0, seed=self.seed, requests_per_minute=0), time.time)

    @property
    def requests(self) -> int:
        return len(self.asked)

    def insert(self, created: datetime | None = None, updated: datetime | None = None) -> str:
        name = f"ti-{self.random.randrange(10**6)}-{len(self.tasks)}-{self._service.request_count}"
        created = created or self.now
        self._put(name, created, updated or created, 1)
        return name

    def update(self, name: str) -> None:
        created, _, version = self.tasks[name]
        self._put(name, created, self.now, version + 1)

    def delete(self, name: str) -> None:
        del self.tasks[name]
        self._service.remove([name])

    def _put(self, name: str, created: datetime, updated: datetime, version: int) -> None:
        self.tasks[name] = (created, updated, version)
        dates = {"createdAt": format_time(created), "updatedAt": format_time(updated)}
        self._service.put([{"_id": name, **dates, "version": version}])

    def fetch(self, query: Query) -> Page:
        self.asked.append(query)
        if self.requests > self.most_requests:
            raise TooManyRequestsError
        self.meanwhile(self)
        if (words := self.refuses(query)) is not None:
            refused = SkipRefusedError if query.skip else RefusedError
            raise refused(f'the API refused the request (HTTP 400, "{words}")')
        self._behave()
        reply = self._service.get_tasks(DEFAULTS.stream_id, HEADERS, orjson.dumps(query.body()))
        return read_page(parse_response(reply.status, reply.headers, reply.body))

    def _behave(self) -> None:
        behaviour = {
            "window_field": self.window_field,
            "cap": self.cap,
            "page_default": self.cap,
            "ends": "inclusive" if self.inclusive else "exclusive",
            "granularity": GRANULARITIES[self.granularity],
            "totals": "present" if self.totals else "missing",
            "has_more": "present" if self.has_more else "missing",
            "sort": "obeyed" if self.sorted else "ignored",
            "tie_break": "id" if self.stable else "random",
            **self.options,
        }
        if behaviour != self._behaviour:
            self._service.configure(**behaviour)
            self._behaviour = behaviour
