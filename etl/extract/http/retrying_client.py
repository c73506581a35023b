"""The HTTP client: one query in, one page out. Only it retries, and only transient errors."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from msgspec import Struct
from tenacity import RetryCallState, Retrying, wait_random_exponential
from tenacity.stop import stop_base

from etl.errors import ApiError, RefusedError, SkipRefusedError, TransientApiError
from etl.extract.http.connection import Endpoint, Transport
from etl.extract.http.rate_limiter import MINUTE
from etl.extract.http.response_errors import (
    BadTokenError,
    BudgetUsedError,
    HourlyLimitError,
    NoConnectionError,
    SlowAnswerError,
    TooLargeAnswerError,
    UnusableAnswerError,
    parse_response,
    read_date,
)
from etl.extract.http.response_page import Page, read_page
from etl.stop_request import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from etl.extract.http.auth import Token
    from etl.extract.http.query import Query
    from etl.extract.http.rate_limiter import RateLimiter

_LEAST_WAIT = 0.5  # seconds
_LEAST_LEFT = 1.0  # seconds for a last try: with less its own end would hide why the others failed
_KNOCK = 20.0  # seconds
_SPARE = 0.9  # of the budget: up to here requests are left for what is not urgent
_FIRST_TRIES = 3  # to connect to a server that has not answered yet
_EXCESSIVE_ANSWERS = 3  # in a row, too slow or too large, until the query itself counts as the cause
_BACKOFF = wait_random_exponential(multiplier=1, min=_LEAST_WAIT, max=30)
NOTICEABLE_SKEW = timedelta(seconds=5)  # Date has whole seconds, and an answer takes time


class Usage(Struct):
    """Counts of a client: attempts sent, retries among them, and refusals as too many requests."""

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0


class Client:
    """Asks one server for pages, within its account's budget.

    ``latency`` is the shortest time that an answer took, ``newest_update`` the newest updatedAt of a page, and ``skew``
    how far ``Date`` is ahead of this machine's clock. ``percent`` is the part of the budget that it and its like have
    while syncs are due. A client that may not wait raises BudgetUsedError where a request would have to.
    """

    def __init__(  # noqa: PLR0913 tests replace time
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
        percent: int = 100,
        may_wait: bool = True,
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
        self._percent = percent
        self.may_wait = may_wait
        self._clock = clock
        self._on_retry = on_retry
        self._sleep = sleep
        self._monotonic = monotonic
        self._transport = Transport(endpoint)
        self._stop = stop or Stop()
        self._stop.interrupts.append(self._transport.interrupt)
        self._is_token_proven = False

    def fetch(self, query: Query) -> Page:
        """Return the page that answers ``query``.

        Raises:
            SkipRefusedError: the server refused a query with a skip.
            EtlError: as :meth:`answer` does.
        """
        try:
            page = read_page(self.answer(query))
        except RefusedError as error:
            if not query.skip:
                raise
            raise SkipRefusedError(f"the server refuses skip {query.skip}: {error}") from error
        shown = [moment for moment in (self.newest_update, *page.updated) if moment is not None]
        self.newest_update = max(shown, default=None)
        return page

    def answer(self, query: Query) -> dict[str, Any]:
        """Return the whole answer to ``query``, whose ``results`` is a list.

        Raises:
            AuthError: the server refused token, scope or stream, also with a fresh token.
            RefusedError: the server refused the query.
            SlowAnswerError: several times no answer came in time.
            TooLargeAnswerError: several times the answer was too large.
            HourlyLimitError: the account's requests of this hour are used up.
            TransientApiError, ApiError: all tries failed within the deadline, or a retry cannot help.
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
        try:
            return retrying(self._ask, body, patience)
        except UnusableAnswerError as error:
            if not error.hour_is_full:
                raise
            wait = self._budget.hour if error.retry_after is None else error.retry_after
            raise self._hour_is_full(str(error), wait) from error

    def has_requests_left(self) -> bool:
        """Tell whether a request could be sent at once and would leave a tenth of the minute's budget."""
        return self._budget.has_spare(_SPARE)

    def pause(self, seconds: float) -> None:
        """Wait, unless the run is to stop."""
        self._sleep(seconds)

    def ping(self) -> None:
        """Check that the host can be reached, and learn its time, without a request to the API.

        Raises:
            TransientApiError, ApiError: the host cannot be reached.
        """
        self._note_date(self._transport.ping(within=_KNOCK))

    def ask_once(self, query: Query) -> dict[str, Any]:
        """Return the answer to one request without retries; its token uses the server's time if known.

        Raises:
            EtlError: as :meth:`answer` does.
        """
        if self.skew is not None and abs(self.skew) > NOTICEABLE_SKEW:
            self._token.set_ahead(self.skew)
        return self._send(orjson.dumps(query.body()), _Patience(self._deadline, self._monotonic))

    def close(self) -> None:
        """Close the connection."""
        with suppress(ValueError):  # it was closed before
            self._stop.interrupts.remove(self._transport.interrupt)
        self._transport.close()

    def _may_pass(self, state: RetryCallState) -> bool:
        """Tell whether another try may help. Before the first answer an outage is not the likely reason."""
        error = _error(state)
        if isinstance(error, NoConnectionError) and not self.has_answered:
            return not error.is_lasting and state.attempt_number < _FIRST_TRIES
        return isinstance(error, TransientApiError)

    def _ask(self, body: bytes, patience: _Patience) -> dict[str, Any]:
        """Send with the current token; if the server refuses it, send with a fresh one by each possible clock."""
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

        The server may check tokens by the clock of its ``Date``, or by a correct one while ``Date`` is wrong. The clock
        of an earlier accepted token comes first: the token may just have expired.
        """
        same = self._token.ahead
        known = (self.skew or timedelta(), timedelta())
        other = [ahead for ahead in known if abs(ahead - same) > NOTICEABLE_SKEW][:1]
        return [same, *other] if self._is_token_proven else [*other, same]

    def _hour_is_full(self, reason: str, wait: float) -> HourlyLimitError:
        """Return the error that tells when the next request may be sent."""
        moment = self._clock() + timedelta(seconds=math.ceil(wait))
        return HourlyLimitError(f"{reason}; go on at {moment:%H:%M:%S} UTC: the next run continues from here")

    def _send(self, body: bytes, patience: _Patience) -> dict[str, Any]:
        self._stop.check()
        before, left = self._monotonic(), patience.left()
        within, longest = self._transport.longest(left), max(MINUTE, left)
        if wait := self._budget.acquire(within, longest=longest if self.may_wait else 0.0, percent=self._percent):
            if not self.may_wait:
                raise BudgetUsedError("the account's request budget is used up for now")
            full = f"the {self._budget.per_hour or 0:,} requests of this hour are used up"
            raise self._hour_is_full("the API wants no requests" if self._budget.is_paused else full, wait)
        patience.prolong(self._monotonic() - before)  # the account's other requests are not the server's fault
        self.usage.requests += 1
        sent = self._monotonic()
        is_over = False
        try:
            answer = self._transport.post(body, self._token.text(), within=patience.left())
            is_over = True
        except ApiError as error:
            is_over = isinstance(error, NoConnectionError | TooLargeAnswerError)
            self._stop.check()
            raise
        finally:
            if is_over:
                self._budget.answered()
            else:
                self._budget.unanswered()
        self.has_answered = True
        took = self._monotonic() - sent
        self.latency = took if self.latency is None else min(took, self.latency)
        self._note_date(answer.headers)
        try:
            page = parse_response(answer.status, answer.headers, answer.body)
        except UnusableAnswerError as error:
            if error.rate_limited:
                self._budget.pause(_pause(error))
            raise
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
    """The time for one query with all its tries; it also ends when the query asks for too much."""

    def __init__(self, seconds: float, monotonic: Callable[[], float], *, may_ask_for_less: bool = True) -> None:
        self._may_ask_for_less = may_ask_for_less
        self._monotonic = monotonic
        self._ends = monotonic() + seconds
        self._excessive = 0

    def __call__(self, retry_state: RetryCallState) -> bool:
        """Tell whether no time is left for another try."""
        error = _error(retry_state)
        is_excessive = isinstance(error, SlowAnswerError) or (
            self._may_ask_for_less and isinstance(error, TooLargeAnswerError)
        )
        self._excessive = self._excessive + 1 if is_excessive else 0
        return self._excessive >= _EXCESSIVE_ANSWERS or retry_state.upcoming_sleep > self.left() - _LEAST_LEFT

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._ends - self._monotonic()

    def prolong(self, seconds: float) -> None:
        """Extend the deadline by some seconds."""
        self._ends += seconds


def _wait(state: RetryCallState) -> float:
    """Return the seconds until the next try: more each time, and at least what the server asks for."""
    error, backoff = _error(state), max(_LEAST_WAIT, _BACKOFF(state))
    if not isinstance(error, UnusableAnswerError):
        return backoff
    if error.retry_after is not None:
        return max(backoff, error.retry_after)
    if error.hour_is_full:
        return MINUTE * 60
    return MINUTE if error.minute_is_full else backoff


def _pause(error: UnusableAnswerError) -> float:
    """Return the seconds for which nobody may send a request of the account; after that one finds out more."""
    if error.retry_after is not None:
        return error.retry_after
    return MINUTE if error.minute_is_full or error.hour_is_full else _LEAST_WAIT


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
