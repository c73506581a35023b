"""The server without its sockets: answers one getTasks request after the other."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from random import Random
from threading import RLock
from typing import Any, Protocol

from etl.sandbox.data.changes import Changes
from etl.sandbox.data.generator import TaskGenerator
from etl.sandbox.data.store import Row, Store
from etl.sandbox.options import Options
from etl.sandbox.server import faults
from etl.sandbox.server.requests_and_replies import Found, Refusal, Reply, read_body, read_request, refuse, write_page
from etl.sandbox.server.row_search import Finder, is_hidden
from etl.sandbox.server.tokens_and_limits import RateLimiter, TokenChecker

PREFIX = "/caseManagement/api/public/analytics/"
SUFFIX = "/getTasks"


class Headers(Protocol):
    """The headers of a request, whose names are read in any case."""

    def get(self, name: str, /) -> str | None:
        """The value of a header, if it was sent."""


class Service:
    """Holds the tasks and the account; every method may be called from any thread."""

    def __init__(self, options: Options, clock: Callable[[], float] = time.time) -> None:
        self.options = options
        self.request_count = 0
        self._log: deque[dict[str, Any]] = deque(maxlen=options.log_size)
        self._clock = clock
        self._lock = RLock()
        self._random = Random(f"{options.seed} behaviour")
        self._store = Store()
        self._finder = Finder(self._store, self._random)
        self._token_checker = TokenChecker()
        self._rate_limiter = RateLimiter()
        self._outage_since: float | None = None
        self._generator = TaskGenerator(options, Random(options.seed))
        self._changes = Changes(self._store, self._generator, self._random, self._now_ms)
        self._changes.load_history()

    def now(self) -> float:
        """The server's clock, in seconds since 1970."""
        return self._clock() + self.options.clock_skew

    def get_tasks(self, stream_id: str, headers: Headers, body: bytes) -> Reply:
        """Answer a request, and write it to the log."""
        with self._lock:
            self.request_count += 1
            self._churn("before")
            asked: Any = None
            try:
                asked = read_body(body)
                reply = self._read(asked, me=self._admit(stream_id, headers))
            except Refusal as refusal:
                reply = refuse(refusal, self.options.error_key)
            reply = self._apply_faults(reply)
            self._churn("after")
            line = {"body": asked, "status": reply.status, "rows": reply.rows, "fault": reply.fault}
            self._log.append(line)
            return reply

    def change(
        self, update: int = 0, insert: int = 0, delete: int = 0, *, same_instant: bool = False, days_ago: float = 0
    ) -> dict[str, list[str]]:
        """Update and delete random tasks, add new ones; gives the ids ``updated``, ``inserted`` and ``deleted``.

        New tasks are dated ``days_ago``, as an import dates them.
        """
        with self._lock:
            self._changes.apply_due()
            return self._changes.make(
                self.options,
                update=update,
                insert=insert,
                delete=delete,
                same_instant=same_instant,
                days_ago=days_ago,
            )

    def put(self, records: Iterable[Any]) -> list[str]:
        """Store records exactly as given, however odd, in place of those with the same ``_id``; gives their names."""
        with self._lock:
            return self._changes.put(records)

    def remove(self, names: Iterable[str]) -> None:
        """Remove records at once."""
        with self._lock:
            self._changes.remove(names)

    def rename(self, old: str, new: str) -> int:
        """Rename a status, priority, queue or person in all tasks, whose dates stay; gives how many show it."""
        with self._lock:
            return self._changes.rename(old, new)

    def back_up(self) -> None:
        """Remember all tasks as they are now."""
        with self._lock:
            self._changes.back_up()

    def restore(self) -> None:
        """Serve the tasks of the last backup in place of today's."""
        with self._lock:
            self._changes.restore()

    def configure(self, **changes: Any) -> Options:
        """Behave differently from the next request on; raises ValueError for what is not accepted."""
        with self._lock:
            self.options = self.options.changed(changes)
            if not {"outage", "outage_after", "outage_seconds"}.isdisjoint(changes):
                self._outage_since = None
            return self.options

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The getTasks requests so far, each with body, status, rows and fault; only the last ones of many."""
        with self._lock:
            return list(self._log)

    def reset_requests(self) -> None:
        """Forget the requests: the count is 0, the log empty, the rate limit not used."""
        with self._lock:
            self.request_count = 0
            self._log.clear()
            self._rate_limiter = RateLimiter()

    def texts(self) -> list[bytes]:
        """The JSON text of every record that is served now, in order of insertion."""
        return [row.text for row in self._rows()]

    def tasks(self) -> list[Any]:
        """Every record that is served now, in order of insertion."""
        return [row.record for row in self._rows()]

    def _rows(self) -> list[Row]:
        with self._lock:
            self._changes.apply_due()
            return [row for row in self._store.index("").rows if not is_hidden(row, self.options)]

    def status_histories(self) -> dict[str, Any]:
        """The statuses of each task of a support desk: since when in milliseconds, and the status."""
        return {} if self._generator.desk is None else dict(self._generator.desk.status_histories)

    def _now_ms(self) -> int:
        return int(self.now() * 1000)

    def _admit(self, stream_id: str, headers: Headers) -> object:
        """Whom the token speaks for; raises Refusal for a request that is not let in."""
        options = self.options
        token_clock = self.now() if options.skew_tokens else self._clock()
        claims = self._token_checker.check(headers.get("auth"), options, token_clock)
        if headers.get("AccountId") != options.account_id:
            raise Refusal(401, "the account is not the app's", 4002)
        if stream_id != options.stream_id:
            raise Refusal(options.wrong_stream, "Invalid StreamId", 4002 if options.wrong_stream == 401 else 400)
        self._rate_limiter.acquire(options, time.monotonic(), self.now())
        return claims.get("sub")

    def _read(self, body: Mapping[str, Any], me: object) -> Reply:
        self._changes.apply_due()
        asked = read_request(body, self.options, self._now_ms())
        is_empty = self.options.outage == "empty" and self._is_out()
        found = Found([], 0, more=False) if is_empty else self._finder.page(asked, self.options, me)
        if self.options.totals == "all" and not is_empty:
            found = found._replace(total=len(self._store))
        return write_page(found, asked, self.options, self._random)

    def _apply_faults(self, reply: Reply) -> Reply:
        """Let an outage or a fault take the place of the answer, but never of a refusal."""
        is_out = self.options.outage == "503" and self._is_out()
        kind = "503" if is_out else faults.draw(self.options, self._random)
        return reply if kind is None or reply.status != 200 else faults.apply(kind, reply, self.options, self.now())

    def _is_out(self) -> bool:
        if not self.options.outage_after or self.request_count <= self.options.outage_after:
            return False
        if self._outage_since is None:
            self._outage_since = time.monotonic()
        return time.monotonic() < self._outage_since + self.options.outage_seconds

    def _churn(self, moment: str) -> None:
        options = self.options
        if options.churn_every and options.churn_when == moment and self.request_count % options.churn_every == 0:
            self.change(options.churn_change, options.churn_add, options.churn_delete)

    def date_header(self) -> str | None:
        """The Date header of an answer given now."""
        return (
            formatdate(self.now() + self.options.date_offset, usegmt=True)
            if self.options.date_header == "present"
            else None
        )
