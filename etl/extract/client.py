"""The HTTP client: one query in, one page out. The only place that retries, and only what may pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import orjson
import requests
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_any, stop_before_delay, wait_random_exponential
from tenacity.stop import stop_base

from etl.errors import ApiError, TransientApiError
from etl.extract.answers import BadTokenError, SlowAnswerError, UnusableAnswerError, judge
from etl.extract.page import Page, read_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.extract.budget import Budget
    from etl.extract.query import Query
    from etl.extract.token import Token

PATH = "/caseManagement/api/public/analytics/{stream_id}/getTasks"
MOST_BYTES = 64 * 1024 * 1024  # of one answer, unpacked
_CHUNK = 256 * 1024
_LEAST_WAIT = 0.5  # seconds, a floor under Retry-After: 0
_MINUTE = 60.0
_SLOW_ANSWERS = 3  # in a row, until the query itself is taken for the cause
_BACKOFF = wait_random_exponential(multiplier=1, min=_LEAST_WAIT, max=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to ask, and how long to wait for it (seconds). ``deadline`` bounds one query with all its tries."""

    base_url: str
    account_id: str
    stream_id: str
    timezone_offset: int = 0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    deadline: float = 300.0
    ca_bundle: str | None = None


@dataclass(slots=True)
class Usage:
    """What was spent: attempts sent, of these retries, and refusals for a full minute."""

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0


class Client:
    """Asks one server for pages, within its account's budget."""

    def __init__(
        self,
        endpoint: Endpoint,
        token: Token,
        budget: Budget,
        *,
        clock: Callable[[], datetime],
        on_retry: Callable[[str, float], None] = lambda _reason, _seconds: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.usage = Usage()
        self.skew: timedelta | None = None
        self._endpoint = endpoint
        self._token = token
        self._budget = budget
        self._clock = clock
        self._on_retry = on_retry
        self._sleep = sleep
        self._url = endpoint.base_url + PATH.format(stream_id=endpoint.stream_id)
        self._session = _session(endpoint)

    def fetch(self, query: Query) -> Page:
        """Return the page that answers ``query``.

        Raises:
            AuthError: token, scope or stream were refused, a fresh token included.
            RefusedError: the query was refused.
            SlowAnswerError: several times no answer came in time.
            TransientApiError, ApiError: all tries failed within the deadline, or no try can help.
        """
        body = orjson.dumps(query.body())
        slow = _SlowAnswers()
        retrying = Retrying(
            stop=stop_any(stop_before_delay(self._endpoint.deadline), slow),
            wait=self._wait,
            retry=retry_if_exception(lambda error: isinstance(error, TransientApiError)),
            before_sleep=self._note_retry,
            sleep=self._sleep,
            reraise=True,
        )
        return read_page(retrying(self._ask, body))

    def server_time(self) -> datetime | None:
        """Return the server's time, never ahead of it, by the ``Date`` of its last answer; None before one came."""
        return None if self.skew is None else self._clock() + self.skew

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _ask(self, body: bytes) -> dict[str, Any]:
        try:
            return self._send(body)
        except BadTokenError:
            self._token.discard()
            return self._send(body)

    def _send(self, body: bytes) -> dict[str, Any]:
        self._budget.take()
        self.usage.requests += 1
        try:
            return self._exchange(body)
        except requests.exceptions.ReadTimeout as error:
            message = f"{self._endpoint.base_url}: no answer within {self._endpoint.read_timeout:g} s"
            raise SlowAnswerError(message) from error
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader, UnicodeError) as error:
            message = (
                f"{self._endpoint.base_url}: cannot be asked ({type(error).__name__}); check base_url and account_id"
            )
            raise ApiError(message) from error
        except requests.exceptions.RequestException as error:
            message = f"{self._endpoint.base_url}: {_reason(error)}"
            raise TransientApiError(message) from error

    def _exchange(self, body: bytes) -> dict[str, Any]:
        endpoint = self._endpoint
        with self._session.post(
            self._url,
            data=body,
            headers={"auth": self._token.text()},
            timeout=(endpoint.connect_timeout, endpoint.read_timeout),
            allow_redirects=False,
            stream=True,
        ) as response:
            self._note_date(response.headers.get("Date"))
            return judge(response.status_code, response.headers, self._read(response))

    def _read(self, response: requests.Response) -> bytes:
        """Return the body, bounded in size and in time, whatever the server trickles."""
        ends = time.monotonic() + self._endpoint.read_timeout * 2
        parts: list[bytes] = []
        size = 0
        for part in response.iter_content(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > MOST_BYTES:
                message = f"{self._endpoint.base_url}: an answer larger than {MOST_BYTES >> 20} MiB"
                raise TransientApiError(message)
            if time.monotonic() > ends:
                message = f"{self._endpoint.base_url}: an answer that trickles in without end"
                raise SlowAnswerError(message)
        return b"".join(parts)

    def _note_date(self, date: str | None) -> None:
        if date:
            try:
                self.skew = parsedate_to_datetime(date) - self._clock()
            except (ValueError, TypeError):
                return

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        backoff = max(_LEAST_WAIT, _BACKOFF(state))
        if not isinstance(error, UnusableAnswerError):
            return backoff
        if error.retry_after is not None:
            return max(_LEAST_WAIT, error.retry_after)
        return _MINUTE if error.minute_is_full else backoff

    def _note_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self.usage.retries += 1
        if isinstance(error, UnusableAnswerError) and error.minute_is_full:
            self.usage.rate_limited += 1
        self._on_retry(str(error), state.next_action.sleep if state.next_action else 0.0)


class _SlowAnswers(stop_base):
    """Stops after several slow answers in a row: asking the same again will not make it quicker."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, state: RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        self._count = self._count + 1 if isinstance(error, SlowAnswerError) else 0
        return self._count >= _SLOW_ANSWERS


def _session(endpoint: Endpoint) -> requests.Session:
    session = requests.Session()
    session.trust_env = True
    session.auth = _no_netrc
    session.headers.update(
        {
            "AccountId": endpoint.account_id,
            "client-app": "unified",
            "X-Timezone-Offset": str(endpoint.timezone_offset),
            "Content-Type": "application/json;charset=UTF-8",
            "Accept": "application/json",
        }
    )
    if endpoint.ca_bundle:
        session.verify = endpoint.ca_bundle
    return session


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from sending what a ``.netrc`` holds for the host beside the token."""
    return request


def _reason(error: requests.exceptions.RequestException) -> str:
    """Say in a few words what failed: the library's own text names addresses of objects."""
    kinds = {
        requests.exceptions.SSLError: "TLS failed; check the host's certificate or set ca_bundle",
        requests.exceptions.ProxyError: "the proxy failed; check HTTPS_PROXY",
        requests.exceptions.ConnectTimeout: "no connection in time; check the network and base_url",
        requests.exceptions.ChunkedEncodingError: "the answer broke off",
        requests.exceptions.ContentDecodingError: "the answer cannot be unpacked",
    }
    for kind, words in kinds.items():
        if isinstance(error, kind):
            return words
    text = str(error)
    if "NameResolution" in text or "getaddrinfo" in text:
        return "the host's name is not known; check base_url and the network"
    return "no connection, or it was cut; check the network and base_url"
