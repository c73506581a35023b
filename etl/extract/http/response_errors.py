"""Turns an answer into a page's JSON or an error.

The vendor documents neither the status nor the shape of its errors for this call. Its other public calls answer
``{"errors": [{"msg": ..., "code": ...}]}``; a gateway may put HTML under any status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from etl import exact_json
from etl.api_record import read_answer
from etl.errors import ApiError, AuthError, RefusedError, TransientApiError
from etl.logs import redact

_PAGES = {200, 201, 203}
_BAD_TOKEN_CODES = {401, 403, 4002}
_REFUSALS = {400, 405, 406, 409, 410, 411, 412, 413, 414, 415, 416, 422}
_RATE_LIMIT = re.compile("rate[ _-]?limit", re.IGNORECASE)
_HOUR = re.compile(r"\bhour(ly)?\b", re.IGNORECASE)
_HOUR_LEFT = re.compile("(x-)?rate-?limit-remaining-hour", re.IGNORECASE)  # a header of gateways, such as Kong's
_SECONDS = re.compile(r"\d{1,8}(\.\d+)?", re.ASCII)
_MOST_SAID = 200
_SCOPE = "scope Case Management Configuration"
_MOST_READ = 4096  # characters of a text that are searched for words


class BadTokenError(AuthError):
    """The server refused the token; a fresh one may help. ``is_scope_missing`` tells that it lacks a scope."""

    def __init__(self, message: str, *, is_scope_missing: bool = False) -> None:
        super().__init__(message)
        self.is_scope_missing = is_scope_missing


class UnusableAnswerError(TransientApiError):
    """A transient error; a retry may help, after ``retry_after`` seconds if the server gives them.

    ``rate_limited`` tells that there were too many requests, ``minute_is_full`` that only the next minute helps, and
    ``hour_is_full`` that only the next hour does.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        rate_limited: bool = False,
        minute_is_full: bool = False,
        hour_is_full: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.rate_limited = rate_limited
        self.minute_is_full = minute_is_full
        self.hour_is_full = hour_is_full


class HourlyLimitError(ApiError):
    """The account's requests of this hour are used up; the message tells when to go on."""


class BudgetUsedError(ApiError):
    """A request would have to wait for the budget, and its client may not wait."""


class TooLargeAnswerError(TransientApiError):
    """The answer is too large. If that lasts, a query for fewer rows may help."""


class NoConnectionError(TransientApiError):
    """No connection was made. Before the first answer of a run a retry hardly helps: the reason mostly lasts.

    ``is_lasting`` tells that the server or a proxy was reached, and only a person can remove the reason.
    """

    def __init__(self, message: str, *, is_lasting: bool = False) -> None:
        super().__init__(message)
        self.is_lasting = is_lasting


class SlowAnswerError(TransientApiError):
    """The server accepts the request but does not answer in time; the query may ask for too much."""


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the answer's object, whose ``results`` is a list.

    Raises:
        BadTokenError, AuthError: the server refused token, scope or stream.
        RefusedError: the server refused the request itself.
        UnusableAnswerError: any transient error.
        ApiError: a redirect, which is never followed.
    """
    answer = read_answer(body) or parse(body)
    said = _said(answer)
    if said is None and status in _PAGES and isinstance(answer, dict) and isinstance(answer.get("results"), list):
        return answer
    _raise_rate_limit(status, headers, _words(status, body, answer) if said is None else said)
    if 300 <= status < 400:
        message = (
            f"the API redirects (HTTP {status}), which is not followed with a token; set base_url to the final host"
        )
        raise ApiError(message)
    _raise_bad_token(status, said, _code(answer))
    if said is not None and status < 500:
        _raise_refused(status, said, _code(answer))
    if status == 404:
        message = f"the API knows no such address (HTTP 404{_quoted(said)}); check base_url and stream_id"
        raise AuthError(message)
    message = f"the API gave an answer that cannot be used (HTTP {status}, {_kind(body, answer)}{_quoted(said)})"
    raise UnusableAnswerError(message, retry_after=retry_after(headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, in either of its forms."""
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    until = read_date(value)
    if until is None:
        return None
    now = read_date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def read_date(value: str) -> datetime | None:
    """Return the time in a header, or None."""
    try:
        moment = parsedate_to_datetime(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, TypeError, OverflowError):
        return None


def _words(status: int, body: bytes, answer: Any) -> str:
    """Return the start of a body that is no known error; nothing of a broken page, because it contains tasks."""
    is_half = answer is None and status in _PAGES and body.lstrip()[:1] in (b"{", b"[")
    return "" if is_half else body[:_MOST_READ].decode("utf-8", "replace")


def _raise_rate_limit(status: int, headers: Mapping[str, str], words: str) -> None:
    """Raise if there were too many requests; the words for it count under any status and in any body."""
    is_worded = _RATE_LIMIT.search(words[:_MOST_READ]) is not None
    if not (is_worded or status == 429 or "too many requests" in words[:_MOST_READ].lower()):
        return
    has_no_hour_left = any(_HOUR_LEFT.fullmatch(name) and value.strip() == "0" for name, value in headers.items())
    hour_is_full = has_no_hour_left or (is_worded and _HOUR.search(words[:_MOST_READ]) is not None)
    told = "the API wants fewer requests"
    if is_worded or hour_is_full:
        told = f"the API's requests for this {'hour' if hour_is_full else 'minute'} are used up"
    raise UnusableAnswerError(
        f"{told} (HTTP {status})",
        retry_after=retry_after(headers),
        rate_limited=True,
        minute_is_full=is_worded and not hour_is_full,
        hour_is_full=hour_is_full,
    )


def _raise_bad_token(status: int, said: str | None, code: int | None) -> None:
    if status != 401 and (said is None or (status != 403 and code not in _BAD_TOKEN_CODES)):
        return
    message = f"the API refused the token (HTTP {status}{_quoted(said)})"
    if re.search(r"replay|\bjti\b", said or "", re.IGNORECASE):
        raise BadTokenError(f"{message}; the app takes a token only once: set jti")
    if "scope" in (said or "").lower():  # until an app is published, its new scopes are refused
        advice = f"enable the app's {_SCOPE}, then publish the app: a scope counts only once it is published"
        raise BadTokenError(f"{message}; {advice}", is_scope_missing=True)
    advice = "check client_id, client_secret, algorithm, account_id and stream_id"
    raise BadTokenError(f"{message}; {advice}, and that the app's {_SCOPE} is enabled and published")


def _raise_refused(status: int, said: str, code: int | None) -> None:
    """Raise if the server refuses the request, also by a code in the body of a 200."""
    if "streamid" in said.lower().replace(" ", ""):
        message = f"the API refused the stream (HTTP {status}{_quoted(said)}); check stream_id"
        raise AuthError(message)
    if status in _REFUSALS or (status in _PAGES and code in _REFUSALS):
        message = f"the API refused the request (HTTP {status}{_quoted(said)})"
        raise RefusedError(message)


def parse(body: bytes) -> Any:
    """Return the body's JSON, None if it is not JSON."""
    try:
        return exact_json.read(body)
    except (ValueError, RecursionError):
        return None


def _said(answer: Any) -> str | None:
    """Return the message of an error answer, None if the answer is no error.

    Errors beside ``results`` count as errors: rows may be missing.
    """
    if not isinstance(answer, dict):
        return answer if isinstance(answer, str) else None
    errors = answer.get("errors") or answer.get("error")
    first = errors[0] if isinstance(errors, list) and errors else errors
    if isinstance(first, dict):
        first = first.get("msg") or first.get("message")
    if not errors and isinstance(answer.get("results"), list):
        return None
    text = first if isinstance(first, str) else answer.get("message") or answer.get("msg")
    if isinstance(text, str):
        return text
    return "" if errors else None


def _code(answer: Any) -> int | None:
    if not isinstance(answer, dict):
        return None
    errors = answer.get("errors") or answer.get("error")
    first = errors[0] if isinstance(errors, list) and errors else errors
    code = first.get("code") if isinstance(first, dict) else answer.get("code")
    if isinstance(code, str) and code.isdecimal() and len(code) < 9:
        return int(code)
    return code if isinstance(code, int) else None


def _quoted(said: str | None) -> str:
    """Return the server's text for a message: short, printable, and without a token."""
    if not said:
        return ""
    text = "".join(character if character.isprintable() else " " for character in redact(said[:_MOST_READ]))
    return f', "{text[:_MOST_SAID]}"'


def _kind(body: bytes, answer: Any) -> str:
    if isinstance(answer, dict):
        return "JSON without results" if "results" not in answer else "JSON with errors"
    if not body:
        return "empty"
    return "HTML" if body.lstrip()[:1] == b"<" else "no JSON"
