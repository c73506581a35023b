"""Judging an answer: a page's JSON, or the error that it amounts to.

The vendor documents neither the status nor the shape of its errors for this call. Its other public calls answer
``{"errors": [{"msg": ..., "code": ...}]}``; a gateway may put HTML under any status.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import orjson

from etl.errors import ApiError, AuthError, RefusedError, TransientApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BAD_TOKEN_CODES = {401, 403, 4002}
_REFUSALS = {400, 405, 406, 409, 410, 411, 412, 413, 414, 415, 416, 422}
_BEYOND_64_BITS = re.compile(rb"\d{19}")
_MOST_SAID = 200


class BadTokenError(AuthError):
    """The server does not take this token; a fresh one may do."""


class UnusableAnswerError(TransientApiError):
    """An answer that another try may mend, after ``retry_after`` seconds where the server names them.

    ``minute_is_full`` tells that the account's budget for this minute is used up.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, minute_is_full: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.minute_is_full = minute_is_full


class SlowAnswerError(TransientApiError):
    """The server takes the request and does not answer in time: it may be asked for too much."""


def judge(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the answer's object, whose ``results`` is a list.

    Raises:
        BadTokenError, AuthError: token, scope or stream were refused.
        RefusedError: the request itself was.
        UnusableAnswerError: anything that may pass.
        ApiError: a redirect, which is never followed.
    """
    answer = _parse(body)
    said = _said(answer)
    if _is_rate_limit(status, said):
        minute_is_full = said is not None and "rate limit" in said.lower()
        message = "the API's requests for this minute are used up"
        raise UnusableAnswerError(message, retry_after=retry_after(headers), minute_is_full=minute_is_full)
    if 300 <= status < 400:
        message = (
            f"the API redirects (HTTP {status}), which is not followed with a token; set base_url to the final host"
        )
        raise ApiError(message)
    code = _code(answer)
    if status == 401 or (said is not None and code in _BAD_TOKEN_CODES) or (status == 403 and said is not None):
        message = (
            f"the API refused the token (HTTP {status}{_quoted(said)}); check client_id, client_secret, algorithm, "
            "account_id, stream_id and the app's scope Case Management Configuration"
        )
        raise BadTokenError(message)
    if said is not None and status < 500:
        _raise_refused(status, said)
    if status == 200 and isinstance(answer, dict) and isinstance(answer.get("results"), list):
        return answer
    if status == 404:
        message = "the API knows no such address (HTTP 404); check base_url and stream_id"
        raise AuthError(message)
    message = f"the API gave an answer that cannot be used (HTTP {status}, {_kind(body, answer)}{_quoted(said)})"
    raise UnusableAnswerError(message, retry_after=retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, in either of its forms."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal() and len(value) < 9:
        return float(value)
    if not value:
        return None
    try:
        until = parsedate_to_datetime(value)
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _raise_refused(status: int, said: str) -> None:
    if "streamid" in said.lower().replace(" ", ""):
        message = f"the API refused the stream (HTTP {status}{_quoted(said)}); check stream_id"
        raise AuthError(message)
    if status in _REFUSALS:
        message = f"the API refused the request (HTTP {status}{_quoted(said)})"
        raise RefusedError(message)


def _parse(body: bytes) -> Any:
    """Return the body's JSON, None where it is none.

    The fast parser refuses lone surrogates and NaN and rounds integers past 64 bits; the standard one keeps them.
    """
    try:
        if not _BEYOND_64_BITS.search(body):
            return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(body, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        return None


def _said(answer: Any) -> str | None:
    """Return the message of an error answer, None where the answer is no error."""
    if not isinstance(answer, dict) or isinstance(answer.get("results"), list):
        return None
    errors = answer.get("errors", answer.get("error"))
    first = errors[0] if isinstance(errors, list) and errors else errors
    if isinstance(first, dict):
        first = first.get("msg") or first.get("message")
    text = first if isinstance(first, str) else answer.get("message") or answer.get("msg")
    if isinstance(text, str):
        return text
    return "" if errors else None


def _code(answer: Any) -> int | None:
    errors = answer.get("errors") if isinstance(answer, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else errors
    code = first.get("code") if isinstance(first, dict) else None
    if isinstance(code, str) and code.isdecimal() and len(code) < 9:
        return int(code)
    return code if isinstance(code, int) else None


def _is_rate_limit(status: int, said: str | None) -> bool:
    return status == 429 or (said is not None and ("rate limit" in said.lower() or "too many requests" in said.lower()))


def _quoted(said: str | None) -> str:
    if not said:
        return ""
    text = "".join(character if character.isprintable() else " " for character in said)
    return f', "{text[:_MOST_SAID]}"'


def _kind(body: bytes, answer: Any) -> str:
    if isinstance(answer, dict):
        return "JSON without results"
    if not body:
        return "empty"
    return "HTML" if body.lstrip()[:1] == b"<" else "no JSON"
