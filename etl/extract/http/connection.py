"""Sends one HTTP request and reads its whole answer, within limits of time and size.

A read timeout alone is no limit, because each byte restarts it. So a watch cuts the connection when the time for the
whole answer is over. Redirects are never followed, because the token is for one host only.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from msgspec import Struct
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from etl import __version__
from etl.errors import ConfigError
from etl.extract.http.connection_errors import connection_error, no_answer_in_time
from etl.extract.http.deadline import Deadline
from etl.extract.http.response_errors import TooLargeAnswerError

PATH = "/caseManagement/api/public/analytics/{stream_id}/getTasks"
_CHUNK = 256 * 1024
_LEAST_TIMEOUT = 0.001
_LINES_REMEMBERED = 4  # one is in use at a time


class Endpoint(Struct, frozen=True, kw_only=True):
    """The address, the timeouts (seconds), and the largest answer (bytes, unpacked).

    ``deadline`` bounds one query with all its tries.
    """

    base_url: str
    account_id: str
    stream_id: str
    timezone_offset: int = 0
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    deadline: float = 300.0
    ca_bundle: str | None = None
    most_bytes: int = 64 * 1024 * 1024


class Answer(Struct, frozen=True):
    """A whole answer, not yet interpreted."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sends requests to one endpoint over one session."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._url = endpoint.base_url + PATH.format(stream_id=quote(endpoint.stream_id, safe=""))
        self._adapter = _Adapter()
        self._session = _session(endpoint, self._adapter)
        self._watch = Deadline(self._adapter.cut)

    def ping(self, *, within: float) -> Mapping[str, str]:
        """Request the host's front page without a token and return the headers of any answer.

        Raises:
            ConfigError, TransientApiError, ApiError: no answer came; the message says why.
        """
        request = self._session.prepare_request(requests.Request("GET", self._endpoint.base_url))
        with self._limited(within), self._sent(request, within) as response:
            return response.headers

    def post(self, body: bytes, token: str, *, within: float) -> Answer:
        """Send a body and return the answer within ``seconds``.

        Raises:
            SlowAnswerError: no complete answer came in time.
            TooLargeAnswerError: the answer is too large.
            NoConnectionError, TransientApiError: no connection, or an answer that broke off or cannot be unpacked.
            ConfigError, ApiError: a retry cannot help.
        """
        longest = self.longest(within)
        with self._limited(longest) as is_over:
            answer = self._exchange(body, token, longest)
        if is_over():
            # An answer that ends with its connection looks complete when it is cut.
            raise no_answer_in_time(self._endpoint.base_url)
        return answer

    def longest(self, within: float) -> float:
        """Return the most seconds that a request takes if ``within`` are left for it."""
        return min(within, self._endpoint.connect_timeout + 2 * self._endpoint.read_timeout)

    def interrupt(self) -> None:
        """End a running request, from another thread."""
        self._adapter.cut()

    def close(self) -> None:
        """Close the connection."""
        self._watch.close()
        self._session.close()

    @cached_property
    def _request(self) -> requests.PreparedRequest:
        """The prepared request; only body, length and token change."""
        return self._session.prepare_request(requests.Request("POST", self._url, data=b"{}"))

    @cached_property
    def _way(self) -> Mapping[str, Any]:
        """Proxies and certificates from the settings and the environment, read once."""
        endpoint = self._endpoint
        # Plain http stays on this machine, so no proxy of the environment is used.
        proxies: dict[str, Any] = {"http": None, "all": None} if endpoint.base_url.startswith("http://") else {}
        way: Mapping[str, Any] = self._session.merge_environment_settings(
            self._url, proxies, stream=True, verify=endpoint.ca_bundle, cert=None
        )
        bundle = way["verify"]
        if isinstance(bundle, str) and endpoint.base_url.startswith("https://") and not Path(bundle).exists():
            named_by = "ca_bundle" if endpoint.ca_bundle else "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
            message = f"{named_by}: there is no {bundle}; name the file of certificates, or none"
            raise ConfigError(message)
        return way

    @contextmanager
    def _limited(self, seconds: float) -> Iterator[Callable[[], bool]]:
        """Cut the block if it lasts longer, and map its errors; give a function that tells whether it was cut."""
        with self._watch.limit(seconds) as is_over:
            try:
                yield is_over
            except (requests.exceptions.RequestException, HTTPError, OSError, UnicodeError) as error:
                raise connection_error(error, self._endpoint.base_url, is_late=is_over()) from error

    def _sent(self, request: requests.PreparedRequest, within: float) -> requests.Response:
        """Send a request and return its answer, whose body is not read yet."""
        endpoint = self._endpoint
        most = (endpoint.connect_timeout, endpoint.read_timeout)
        connect, read = (max(_LEAST_TIMEOUT, min(each, within)) for each in most)
        return self._session.send(request, timeout=(connect, read), allow_redirects=False, **self._way)

    def _exchange(self, body: bytes, token: str, longest: float) -> Answer:
        request = self._request
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        request.headers["auth"] = token
        if self._session.cookies:  # a gateway may recognise its clients by them
            request.headers.pop("Cookie", None)
            request.prepare_cookies(self._session.cookies)
        with self._sent(request, longest) as response:
            return Answer(response.status_code, response.headers, self._read(response))

    def _read(self, response: requests.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_content(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > self._endpoint.most_bytes:
                message = f"{self._endpoint.base_url}: an answer of more than {self._endpoint.most_bytes:,} bytes"
                raise TooLargeAnswerError(f"{message}; ask for fewer rows: lower page_size or --limit")
        return b"".join(parts)


class _Session(requests.Session):
    """A session that ignores redirects; requests would read the body to find the target."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 the library's name
        return None


class _Adapter(HTTPAdapter):
    """Serves one endpoint, and knows the sockets of its connections, so that another thread can cut them."""

    def __init__(self) -> None:
        self.lines: deque[Any] = deque(maxlen=_LINES_REMEMBERED)
        self._pool: Any = None
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        if self._pool is None:
            self._pool = super().get_connection_with_tls_context(*args, **kwargs)
            self._pool.ConnectionCls = _remembering(self._pool.ConnectionCls, self.lines)
        return self._pool

    def cut(self) -> None:
        """Shut down every open connection; its reader gets an error."""
        for line in list(self.lines):
            with suppress(OSError):
                # On the plain socket: the state of TLS belongs to the reading thread.
                socket.socket.shutdown(getattr(line, "socket", line), socket.SHUT_RDWR)


def _remembering(kind: Any, made: deque[Any]) -> Any:
    """Return a connection class that records its socket in ``made``, because an answer may outlive its connection."""

    class Remembering(kind):  # type: ignore[misc]
        lines = made

        def connect(self) -> None:
            super().connect()
            self.lines.append(self.sock)

    return Remembering


def _session(endpoint: Endpoint, adapter: HTTPAdapter) -> requests.Session:
    session = _Session()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.auth = _no_netrc
    session.headers.update(
        {
            "AccountId": endpoint.account_id,
            "client-app": "unified",
            "X-Timezone-Offset": str(endpoint.timezone_offset),
            "Content-Type": "application/json;charset=UTF-8",
            "Accept": "application/json",
            "User-Agent": f"kore-etl/{__version__}",
        }
    )
    return session


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from sending the credentials of a ``.netrc`` beside the token."""
    return request
