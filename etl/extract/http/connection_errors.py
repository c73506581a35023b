"""Turns a failed connection into a short error that names the cause and what to do.

The libraries' own texts show addresses of objects and no advice.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import requests
from urllib3.exceptions import NewConnectionError, ReadTimeoutError

from etl.errors import ApiError, ConfigError, EtlError, TransientApiError
from etl.extract.http.response_errors import NoConnectionError, SlowAnswerError
from etl.optional_packages import install_packages_command


def connection_error(error: Exception, base_url: str, *, is_late: bool) -> EtlError:
    """Return the error for a failed request; ``is_late`` tells that its time was over."""
    causes = list(_causes(error))
    if is_late or any(isinstance(cause, requests.exceptions.ReadTimeout | ReadTimeoutError) for cause in causes):
        return no_answer_in_time(base_url)
    if wrong_setting := _wrong_setting(error):
        return ConfigError(f"{base_url}: {wrong_setting}")
    if isinstance(error, UnicodeError):
        return ApiError(f"{base_url}: cannot be asked ({type(error).__name__}); check base_url and account_id")
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            words = _CERTIFICATES.get(cause.verify_code, _UNKNOWN_SIGNER)
            return NoConnectionError(f"{base_url}: TLS failed: {words}", is_lasting=True)
    for kind, words in _NO_CONNECTION.items():
        if any(isinstance(cause, kind) for cause in causes):
            return NoConnectionError(f"{base_url}: {words}")
    words = next((words for kind, words in _REASONS.items() if isinstance(error, kind)), _CUT)
    return TransientApiError(f"{base_url}: {words}")


def no_answer_in_time(base_url: str) -> SlowAnswerError:
    """Return the error for an answer that is not whole in time."""
    return SlowAnswerError(f"{base_url}: no whole answer in time")


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
    """Yield an error and all wrapped errors: requests and urllib3 keep them as arguments, reasons and causes."""
    left, seen = [error], {id(error)}
    while left:
        cause = left.pop(0)
        yield cause
        for inner in (*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__):
            if isinstance(inner, BaseException) and id(inner) not in seen:
                seen.add(id(inner))
                left.append(inner)
