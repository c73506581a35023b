"""One request over HTTP and its whole answer: bounded in time and in size, whatever the server sends.

A read timeout alone bounds nothing, since each byte that trickles in begins it anew: a watch cuts the line when the
time for the whole answer is over. A redirect is never followed, because a token goes to the host that it is meant for.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError

from etl import __version__
from etl.errors import ApiError, TransientApiError
from etl.extract.http.deadline import Deadline
from etl.extract.http.responses import SlowAnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "/caseManagement/api/public/analytics/{stream_id}/getTasks"
_CHUNK = 256 * 1024
_LEAST_TIMEOUT = 0.001
_LINES_REMEMBERED = 4  # one is in use at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to ask, how long to wait (seconds), and how much to read (bytes of one answer, unpacked).

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole; nothing is said of what it means."""

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
        """Ask the host for its front page, without a token, and return the answer's headers, whatever the answer.

        Raises:
            TransientApiError, ApiError: no answer came, for a reason that the message tells.
        """
        endpoint = self._endpoint
        with self._watch.limit(within) as is_over:
            try:
                with self._session.get(
                    endpoint.base_url,
                    timeout=(min(endpoint.connect_timeout, within), min(endpoint.read_timeout, within)),
                    allow_redirects=False,
                    stream=True,
                    verify=endpoint.ca_bundle,
                    proxies=_proxies(endpoint.base_url),
                ) as response:
                    return response.headers
            except (requests.exceptions.RequestException, HTTPError, OSError, UnicodeError) as error:
                raise self._failure(error, is_over=is_over()) from error

    def post(self, body: bytes, token: str, *, within: float) -> Answer:
        """Send a body and return the answer, all within so many seconds.

        Raises:
            SlowAnswerError: it did not come, or not to its end, in time.
            TransientApiError: no connection, or an answer that broke off or cannot be unpacked.
            ApiError: nothing that another try could mend.
        """
        endpoint = self._endpoint
        longest = min(within, endpoint.connect_timeout + 2 * endpoint.read_timeout)
        with self._watch.limit(longest) as is_over:
            try:
                answer = self._exchange(body, token, longest)
            except (requests.exceptions.RequestException, HTTPError, OSError, UnicodeError) as error:
                raise self._failure(error, is_over=is_over()) from error
        if is_over():
            raise self._late()  # what ends with its connection looks whole when it is cut
        return answer

    def interrupt(self) -> None:
        """End a request that is under way, from another thread."""
        self._adapter.cut()

    def close(self) -> None:
        """Close the connection."""
        self._watch.close()
        self._session.close()

    @cached_property
    def _request(self) -> requests.PreparedRequest:
        """The request, of which only the body, its length and the token differ from one time to the next."""
        return self._session.prepare_request(requests.Request("POST", self._url, data=b"{}"))

    @cached_property
    def _way(self) -> Mapping[str, Any]:
        """What the settings and the environment say of proxies and certificates, read once."""
        endpoint = self._endpoint
        proxies = _proxies(endpoint.base_url)
        return self._session.merge_environment_settings(
            self._url, proxies, stream=True, verify=endpoint.ca_bundle, cert=None
        )

    def _exchange(self, body: bytes, token: str, longest: float) -> Answer:
        endpoint = self._endpoint
        timeouts = (min(endpoint.connect_timeout, longest), min(endpoint.read_timeout, longest))
        request = self._request
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        request.headers["auth"] = token
        if self._session.cookies:  # a gateway may know its clients by them
            request.headers.pop("Cookie", None)
            request.prepare_cookies(self._session.cookies)
        with self._session.send(
            request,
            timeout=(max(_LEAST_TIMEOUT, timeouts[0]), max(_LEAST_TIMEOUT, timeouts[1])),
            allow_redirects=False,
            **self._way,
        ) as response:
            return Answer(response.status_code, response.headers, self._read(response))

    def _read(self, response: requests.Response) -> bytes:
        parts: list[bytes] = []
        size = 0
        for part in response.iter_content(_CHUNK):
            parts.append(part)
            size += len(part)
            if size > self._endpoint.most_bytes:
                message = f"{self._endpoint.base_url}: an answer of more than {self._endpoint.most_bytes:,} bytes"
                raise TransientApiError(message)
        return b"".join(parts)

    def _failure(self, error: Exception, *, is_over: bool) -> ApiError:
        """Say in a few words what failed: the library's own text names addresses of objects."""
        if is_over or isinstance(error, requests.exceptions.ReadTimeout) or _stalled(error):
            return self._late()
        where = self._endpoint.base_url
        if isinstance(error, requests.exceptions.InvalidURL | UnicodeError):
            return ApiError(f"{where}: cannot be asked ({type(error).__name__}); check base_url and account_id")
        words = next((words for kind, words in _REASONS.items() if isinstance(error, kind)), None)
        if words is None and any(part in str(error) for part in ("NameResolution", "getaddrinfo")):
            words = "the host's name is not known; check base_url and the network"
        return TransientApiError(f"{where}: {words or 'no connection, or it was cut; check the network and base_url'}")

    def _late(self) -> SlowAnswerError:
        return SlowAnswerError(f"{self._endpoint.base_url}: no whole answer in time")


_REASONS: dict[type[Exception], str] = {
    requests.exceptions.SSLError: "TLS failed; check the host's certificate or set ca_bundle",
    requests.exceptions.ProxyError: "the proxy failed; check HTTPS_PROXY",
    requests.exceptions.ConnectTimeout: "no connection in time; check the network and base_url",
    requests.exceptions.ChunkedEncodingError: "the answer broke off",
    requests.exceptions.ContentDecodingError: "the answer cannot be unpacked",
    requests.exceptions.InvalidHeader: "the answer's headers contradict themselves",
}


def _stalled(error: Exception) -> bool:
    return any(isinstance(cause, ReadTimeoutError) for cause in error.args)


class _Session(requests.Session):
    """A session that does not so much as look where a redirect points: to do so requests would read its body."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 the library's name
        return None


class _Adapter(HTTPAdapter):
    """Knows the lines that its connections made, so that another thread can cut them."""

    def __init__(self) -> None:
        self.lines: deque[Any] = deque(maxlen=_LINES_REMEMBERED)
        super().__init__()

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if not hasattr(pool.ConnectionCls, "lines"):
            pool.ConnectionCls = _remembering(pool.ConnectionCls, self.lines)
        return pool

    def cut(self) -> None:
        """End every connection that is open: whoever reads from it is told that it ended."""
        for line in list(self.lines):
            with suppress(OSError):
                # Past the TLS of a connection, whose state is its reader's.
                socket.socket.shutdown(getattr(line, "socket", line), socket.SHUT_RDWR)


def _remembering(kind: Any, made: deque[Any]) -> Any:
    """Return the kind of connection that puts its line down in ``made``: an answer may outlive its connection."""

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
    """Keep requests from sending what a ``.netrc`` holds for the host beside the token."""
    return request


def _proxies(base_url: str) -> dict[str, Any]:
    """Return what overrides the environment's proxies: plain http stays on this machine and needs none."""
    return {"http": None, "all": None} if base_url.startswith("http://") else {}
