"""One request over HTTP and its whole answer: bounded in time and in size, whatever the server sends.

A read timeout alone bounds nothing, since each byte that trickles in begins it anew: a watch cuts the line when the
time for the whole answer is over. A redirect is never followed, because a token goes to the host that it is meant for.
"""

from __future__ import annotations

import socket
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from etl import __version__
from etl.errors import ApiError, ConfigError, EtlError, TransientApiError
from etl.extract.http.deadline import Deadline
from etl.extract.http.responses import NoConnectionError, SlowAnswerError, TooLargeAnswerError
from etl.extras import install_packages_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
            ConfigError, TransientApiError, ApiError: no answer came, for a reason that the message tells.
        """
        endpoint = self._endpoint
        request = self._session.prepare_request(requests.Request("GET", endpoint.base_url))
        timeouts = (min(endpoint.connect_timeout, within), min(endpoint.read_timeout, within))
        with self._watch.limit(within) as is_over:
            try:
                with self._session.send(request, timeout=timeouts, allow_redirects=False, **self._way) as response:
                    return response.headers
            except (requests.exceptions.RequestException, HTTPError, OSError, UnicodeError) as error:
                raise self._failure(error, is_over=is_over()) from error

    def post(self, body: bytes, token: str, *, within: float) -> Answer:
        """Send a body and return the answer, all within so many seconds.

        Raises:
            SlowAnswerError: it did not come, or not to its end, in time.
            TooLargeAnswerError: it is larger than what is read.
            NoConnectionError, TransientApiError: no connection, or an answer that broke off or cannot be unpacked.
            ConfigError, ApiError: nothing that another try could mend.
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
        way: Mapping[str, Any] = self._session.merge_environment_settings(
            self._url, proxies, stream=True, verify=endpoint.ca_bundle, cert=None
        )
        bundle = way["verify"]
        if isinstance(bundle, str) and endpoint.base_url.startswith("https://") and not Path(bundle).exists():
            named_by = "ca_bundle" if endpoint.ca_bundle else "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE"
            message = f"{named_by}: there is no {bundle}; name the file of certificates, or none"
            raise ConfigError(message)
        return way

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
                raise TooLargeAnswerError(f"{message}; ask for fewer rows: lower page_size or --limit")
        return b"".join(parts)

    def _failure(self, error: Exception, *, is_over: bool) -> EtlError:
        """Say in a few words what failed: the library's own text names addresses of objects."""
        causes = list(_causes(error))
        if is_over or any(isinstance(cause, requests.exceptions.ReadTimeout | ReadTimeoutError) for cause in causes):
            return self._late()
        where = self._endpoint.base_url
        if wrong_setting := _wrong_setting(error):
            return ConfigError(f"{where}: {wrong_setting}")
        if isinstance(error, UnicodeError):
            return ApiError(f"{where}: cannot be asked ({type(error).__name__}); check base_url and account_id")
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                words = _CERTIFICATES.get(cause.verify_code, _UNKNOWN_SIGNER)
                return NoConnectionError(f"{where}: TLS failed: {words}", is_lasting=True)
        for kind, words in _NO_CONNECTION.items():
            if any(isinstance(cause, kind) for cause in causes):
                return NoConnectionError(f"{where}: {words}")
        words = next((words for kind, words in _REASONS.items() if isinstance(error, kind)), _CUT)
        return TransientApiError(f"{where}: {words}")

    def _late(self) -> SlowAnswerError:
        return SlowAnswerError(f"{self._endpoint.base_url}: no whole answer in time")


def _wrong_setting(error: Exception) -> str | None:
    if isinstance(error, requests.exceptions.InvalidSchema):
        command = install_packages_command("PySocks")
        return f"a SOCKS proxy needs PySocks; run: {command}, or change HTTPS_PROXY"
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return "the proxy's address cannot be read; check HTTPS_PROXY and ALL_PROXY"
    if isinstance(error, requests.exceptions.InvalidURL):
        return "cannot be asked; check base_url and account_id"
    return None


_UNKNOWN_SIGNER = "nobody known here signed the certificate; name the signer's certificate in ca_bundle"
# By OpenSSL's codes: https://docs.openssl.org/master/man3/X509_STORE_CTX_get_error/
_CERTIFICATES = {
    9: "the certificate is not valid yet; check this machine's clock",
    10: "the certificate has expired; the host's owner must renew it, or this machine's clock is wrong",
    18: "the certificate is self-signed; name it in ca_bundle if you trust it",
    19: "the certificate is signed by a self-signed one; name that in ca_bundle if you trust it",
    62: "the certificate is for another host; check base_url",
    64: "the certificate is for another host; check base_url",
}
_NO_CONNECTION: dict[type[Exception], str] = {
    requests.exceptions.ProxyError: "the proxy failed; check HTTPS_PROXY",
    ssl.SSLEOFError: "TLS failed: the connection was cut; check the network and base_url",
    ssl.SSLError: "TLS failed; check that base_url's port speaks TLS, and what ca_bundle holds",
    socket.gaierror: "the host's name is not known; check base_url and the network",
    ConnectionRefusedError: "the host refuses the connection; check base_url and its port",
    NewConnectionError: "the host cannot be reached; check the network and base_url",
}
_CUT = "no connection, or it was cut; check the network and base_url"
_REASONS: dict[type[Exception], str] = {
    requests.exceptions.ConnectTimeout: "no connection in time; check the network and base_url",
    requests.exceptions.ChunkedEncodingError: "the answer broke off",
    requests.exceptions.ContentDecodingError: "the answer cannot be unpacked",
    requests.exceptions.InvalidHeader: "the answer's headers contradict themselves",
}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and all that it wraps: requests and urllib3 hand errors on as arguments, reasons and causes."""
    left, seen = [error], {id(error)}
    while left:
        cause = left.pop(0)
        yield cause
        for inner in (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__):
            if isinstance(inner, BaseException) and id(inner) not in seen:
                seen.add(id(inner))
                left.append(inner)


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
