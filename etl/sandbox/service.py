"""The server without its sockets: a getTasks request in, its answer out, one at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from random import Random
from threading import RLock
from typing import Any, Protocol

from etl.sandbox import faults
from etl.sandbox.auth import Gate
from etl.sandbox.budget import Budget
from etl.sandbox.changes import Changes
from etl.sandbox.errors import Refusal, Reply, refuse
from etl.sandbox.options import Options
from etl.sandbox.pages import write_page
from etl.sandbox.query import Finder
from etl.sandbox.request import read_body, read_request
from etl.sandbox.store import Store
from etl.sandbox.tasks import Author

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
        self.count = 0
        self.log: deque[dict[str, Any]] = deque(maxlen=options.log_size)
        self._clock = clock
        self._lock = RLock()
        self._random = Random(f"{options.seed} behaviour")
        self._store = Store()
        self._finder = Finder(self._store, self._random)
        self._gate = Gate()
        self._budget = Budget()
        self._outage_since: float | None = None
        self._author = Author(options, Random(options.seed))
        self._changes = Changes(self._store, self._author, self._random, self._now_ms)
        self._changes.begin()

    def now(self) -> float:
        """The server's clock, in seconds since 1970."""
        return self._clock() + self.options.clock_skew

    def get_tasks(self, stream_id: str, headers: Headers, body: bytes) -> Reply:
        """Answer a request, and write it to the log."""
        with self._lock:
            self.count += 1
            self._churn("before")
            asked: Any = None
            try:
                asked = read_body(body)
                reply = self._read(asked, me=self._admit(stream_id, headers))
            except Refusal as refusal:
                reply = refuse(refusal, self.options.error_key)
            reply = self._spoil(reply)
            self._churn("after")
            self.note(asked, reply)
            return reply

    def note(self, body: Any, reply: Reply) -> None:
        """Write a line to the log."""
        self.log.append({"body": body, "status": reply.status, "rows": reply.rows, "fault": reply.fault})

    def change(self, *, update: int, insert: int, delete: int, same_instant: bool) -> dict[str, list[str]]:
        """Change random tasks, as ``Changes.make`` does."""
        with self._lock:
            self._changes.show()
            return self._changes.make(
                self.options, update=update, insert=insert, delete=delete, same_instant=same_instant
            )

    def put(self, records: Iterable[Any]) -> list[str]:
        """Store records as they are, as ``Changes.put`` does."""
        with self._lock:
            return self._changes.put(records)

    def remove(self, names: Iterable[str]) -> None:
        """Take records away at once."""
        with self._lock:
            self._changes.remove(names)

    def configure(self, changes: Mapping[str, Any]) -> Options:
        """Behave differently from now on; raises ValueError for an option that is not accepted."""
        with self._lock:
            self.options = self.options.changed(changes)
            return self.options

    def reset_requests(self) -> None:
        """Begin counting anew, with an empty log and a whole budget."""
        with self._lock:
            self.count = 0
            self.log.clear()
            self._budget = Budget()

    def requests(self) -> list[dict[str, Any]]:
        """The log so far."""
        with self._lock:
            return list(self.log)

    def texts(self) -> list[bytes]:
        """The JSON text of every record that is served now, in order of insertion."""
        with self._lock:
            self._changes.show()
            return [row.text for row in self._store.index("").rows]

    def records(self) -> list[Any]:
        """Every record that is served now, in order of insertion."""
        with self._lock:
            self._changes.show()
            return [row.record for row in self._store.index("").rows]

    def courses(self) -> dict[str, Any]:
        """What each task of a desk went through: moments in milliseconds, and the status from then on."""
        return {} if self._author.desk is None else dict(self._author.desk.courses)

    def _now_ms(self) -> int:
        return int(self.now() * 1000)

    def _admit(self, stream_id: str, headers: Headers) -> object:
        """Whom the token speaks for; raises Refusal for a request that is not let in."""
        options = self.options
        token_clock = self.now() if options.skew_tokens else self._clock()
        claims = self._gate.admit(headers.get("auth"), options, token_clock)
        if headers.get("AccountId") != options.account_id:
            raise Refusal(401, "the account is not the app's", 4002)
        if stream_id != options.stream_id:
            raise Refusal(options.wrong_stream, "Invalid StreamId", 4002 if options.wrong_stream == 401 else 400)
        self._budget.spend(options, time.monotonic(), self.now())
        return claims.get("sub")

    def _read(self, body: Mapping[str, Any], me: object) -> Reply:
        self._changes.show()
        asked = read_request(body, self.options, self._now_ms())
        rows, total = self._finder.page(asked, self.options, me)
        return write_page(rows, total, asked, self.options, self._random)

    def _spoil(self, reply: Reply) -> Reply:
        """Let an outage or a fault take the place of the answer, but never of a refusal."""
        kind = "503" if self._is_out() else faults.draw(self.options, self._random)
        return reply if kind is None or reply.status != 200 else faults.spoil(kind, reply, self.options, self.now())

    def _is_out(self) -> bool:
        if not self.options.outage_after or self.count <= self.options.outage_after:
            return False
        if self._outage_since is None:
            self._outage_since = time.monotonic()
        return time.monotonic() < self._outage_since + self.options.outage_seconds

    def _churn(self, moment: str) -> None:
        options = self.options
        if options.churn_every and options.churn_when == moment and self.count % options.churn_every == 0:
            self.change(
                update=options.churn_change,
                insert=options.churn_add,
                delete=options.churn_delete,
                same_instant=False,
            )

    def date_header(self) -> str | None:
        """The Date header of an answer given now."""
        return formatdate(self.now(), usegmt=True) if self.options.date_header == "present" else None
