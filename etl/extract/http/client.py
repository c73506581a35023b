"""The HTTP client: one query in, one page out. The only place that retries, and only what may pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from tenacity import RetryCallState, Retrying, wait_random_exponential
from tenacity.stop import stop_base

from etl.errors import ApiError, TransientApiError
from etl.extract.http.page import Page, read_page
from etl.extract.http.responses import (
    BadTokenError,
    NoConnectionError,
    SlowAnswerError,
    TooLargeAnswerError,
    UnusableAnswerError,
    judge,
    read_date,
)
from etl.extract.http.transport import Endpoint, Transport
from etl.stop import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from etl.extract.http.auth import Token
    from etl.extract.http.query import Query
    from etl.extract.http.rate_limiter import RateLimiter

_LEAST_WAIT = 0.5  # seconds
_MINUTE = 60.0
_KNOCK = 20.0  # seconds
_FIRST_TRIES = 3  # to connect to a server that has not answered yet
_EXCESSIVE_ANSWERS = 3  # in a row, too slow or too large, until the query itself is taken for the cause
_BACKOFF = wait_random_exponential(multiplier=1, min=_LEAST_WAIT, max=30)
NOTICEABLE_SKEW = timedelta(seconds=5)  # Date tells whole seconds, and an answer takes its time


@dataclass(slots=True)
class Usage:
    """What was spent: attempts sent, of these retries, and refusals because there were too many."""

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0


class Client:
    """Asks one server for pages, within its account's budget.

    ``latency`` is the shortest time that an answer took, ``newest_update`` the newest updatedAt of a page, and ``skew``
    how far ``Date`` is ahead of this machine's clock.
    """

    def __init__(  # noqa: PLR0913 what tests put in the place of time
        self,
        endpoint: Endpoint,
        token: Token,
        budget: RateLimiter,
        *,
        clock: Callable[[], datetime],
        on_retry: Callable[[str, float], None] = lambda _reason, _seconds: None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        stop: Stop | None = None,
    ) -> None:
        self.usage = Usage()
        self.skew: timedelta | None = None
        self.newest_update: datetime | None = None
        self.latency: float | None = None
        self.has_answered = False
        self.per_minute = budget.per_minute
        self._deadline = endpoint.deadline
        self._token = token
        self._budget = budget
        self._clock = clock
        self._on_retry = on_retry
        self._sleep = sleep
        self._monotonic = monotonic
        self._transport = Transport(endpoint)
        self._stop = stop or Stop()
        self._stop.interrupts.append(self._transport.interrupt)
        self._is_token_proven = False

    def fetch(self, query: Query) -> Page:
        """Return the page that answers ``query``; raises as :meth:`answer` does."""
        page = read_page(self.answer(query))
        shown = [moment for moment in (self.newest_update, *page.updated) if moment is not None]
        self.newest_update = max(shown, default=None)
        return page

    def answer(self, query: Query) -> dict[str, Any]:
        """Return the whole answer to ``query``, whose ``results`` is a list.

        Raises:
            AuthError: token, scope or stream were refused, a fresh token included.
            RefusedError: the query was refused.
            SlowAnswerError: several times no answer came in time.
            TooLargeAnswerError: several times the answer was larger than what is read.
            TransientApiError, ApiError: all tries failed within the deadline, or no try can help.
        """
        body = orjson.dumps(query.body())
        patience = _Patience(self._deadline, self._monotonic, may_ask_for_less=query.limit != 1)
        retrying = Retrying(
            stop=patience,
            wait=_wait,
            retry=self._may_pass,
            before_sleep=self._note_retry,
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(self._ask, body, patience)

    def ping(self) -> None:
        """Learn that the host can be reached, and its time, without a request that counts.

        Raises:
            TransientApiError, ApiError: it cannot.
        """
        self._note_date(self._transport.ping(within=_KNOCK))

    def ask_once(self, query: Query) -> dict[str, Any]:
        """Return the answer to one request, which is never sent again; its token goes by the server's time if known.

        Raises:
            EtlError: as :meth:`answer` does.
        """
        if self.skew is not None and abs(self.skew) > NOTICEABLE_SKEW:
            self._token.set_ahead(self.skew)
        return self._send(orjson.dumps(query.body()), _Patience(self._deadline, self._monotonic))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _may_pass(self, state: RetryCallState) -> bool:
        """Tell whether another try may help. Until the server has answered once, an outage is not the likely reason."""
        error = _error(state)
        if isinstance(error, NoConnectionError) and not self.has_answered:
            return not error.is_lasting and state.attempt_number < _FIRST_TRIES
        return isinstance(error, TransientApiError)

    def _ask(self, body: bytes, patience: _Patience) -> dict[str, Any]:
        """Send with the token at hand and, if that is refused, with a fresh one by each clock in question."""
        try:
            return self._send(body, patience)
        except BadTokenError as error:
            refused = error
        before = self._token.ahead
        for ahead in self._clocks():
            self._note_try(refused, 0.0)
            self._token.set_ahead(ahead)
            try:
                return self._send(body, patience)
            except BadTokenError as error:
                refused = error
        self._token.set_ahead(before)
        raise refused

    def _clocks(self) -> list[timedelta]:
        """Return how far ahead of this machine's clock the next tokens should be, in the order to try.

        The server may check tokens by the clock that its ``Date`` shows, or be right while that one is wrong. The clock
        of a token that was taken before comes first: the token may just have grown old.
        """
        same = self._token.ahead
        known = (self.skew or timedelta(), timedelta())
        other = [ahead for ahead in known if abs(ahead - same) > NOTICEABLE_SKEW][:1]
        return [same, *other] if self._is_token_proven else [*other, same]

    def _send(self, body: bytes, patience: _Patience) -> dict[str, Any]:
        self._stop.check()
        before = self._monotonic()
        self._budget.acquire()
        patience.prolong(self._monotonic() - before)  # the account's other requests are no fault of the server's
        token = self._token.text()
        self.usage.requests += 1
        sent = self._monotonic()
        try:
            answer = self._transport.post(body, token, within=patience.left())
        except ApiError:
            self._stop.check()
            raise
        finally:
            self._budget.answered()
        self.has_answered = True
        took = self._monotonic() - sent
        self.latency = took if self.latency is None else min(took, self.latency)
        self._note_date(answer.headers)
        page = judge(answer.status, answer.headers, answer.body)
        self._is_token_proven = True
        return page

    def _note_date(self, headers: Mapping[str, str]) -> None:
        date = read_date(headers.get("Date", ""))
        if date is not None:
            self.skew = date - self._clock()

    def _note_retry(self, state: RetryCallState) -> None:
        self._note_try(_error(state), state.upcoming_sleep)

    def _note_try(self, error: BaseException | None, wait: float) -> None:
        self.usage.retries += 1
        if isinstance(error, UnusableAnswerError) and error.rate_limited:
            self.usage.rate_limited += 1
        self._on_retry(str(error), wait)


class _Patience(stop_base):
    """The time for one query with all its tries; over, too, when it is the query that asks for too much."""

    def __init__(self, seconds: float, monotonic: Callable[[], float], *, may_ask_for_less: bool = True) -> None:
        self._may_ask_for_less = may_ask_for_less
        self._monotonic = monotonic
        self._ends = monotonic() + seconds
        self._excessive = 0

    def __call__(self, retry_state: RetryCallState) -> bool:
        """Tell whether there is no time for one more try."""
        error = _error(retry_state)
        is_excessive = isinstance(error, SlowAnswerError) or (
            self._may_ask_for_less and isinstance(error, TooLargeAnswerError)
        )
        self._excessive = self._excessive + 1 if is_excessive else 0
        return self._excessive >= _EXCESSIVE_ANSWERS or retry_state.upcoming_sleep >= self.left()

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._ends - self._monotonic()

    def prolong(self, seconds: float) -> None:
        """Leave some time out of account."""
        self._ends += seconds


def _wait(state: RetryCallState) -> float:
    """Return the seconds until the next try: longer each time, and no less than the server asks for."""
    error, backoff = _error(state), max(_LEAST_WAIT, _BACKOFF(state))
    if not isinstance(error, UnusableAnswerError):
        return backoff
    if error.retry_after is not None:
        return max(backoff, error.retry_after)
    return _MINUTE if error.minute_is_full else backoff


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
