"""Logs are events on stderr and in a file: readable on a terminal, JSON lines elsewhere, and never a secret in them.

``configure`` is called once by a command; modules take their logger from ``get_logger``. What must not be seen is told
to ``hide``; tokens, passwords in URLs and private keys are known by their looks. structlog is imported only where a
log is written, because ``redact`` serves the shortest commands too.
"""

from __future__ import annotations

import json as jsonlib
import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import AbstractContextManager
from datetime import date
from typing import Any, TextIO
from urllib.parse import quote, unquote, unquote_plus

from etl.logs.outputs import File, Lines, LogFile, Output, Stream, journal_priority

__all__ = [
    "MASK",
    "LogFile",
    "clean",
    "configure",
    "get_logger",
    "hide",
    "hide_passwords",
    "journal_priority",
    "redact",
    "redact_event",
    "without_password",
]

MASK = "***"
_SHORT = 6
_DEEPEST = 8
_JWT = r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
_PRIVATE_KEY = r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
_LOOKS_SECRET = re.compile(f"{_JWT}|{_PRIVATE_KEY}", re.DOTALL)
# Up to the last @: a password with an unescaped / or @ is hidden whole, and at worst a host with it.
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*):(?!\d{1,5}(?:[/?#,\s]|$))\S+@")
_PASSWORD_PARAMETER = re.compile(r"(\w*password|passwd|pwd)\s*=(.*)", re.IGNORECASE | re.DOTALL)
_HOST_AND_PORT = re.compile(r"(?:\[[^\]]*\]|[^:/?#]*)(?::\d{1,5})?(?:[,/?#]|$)")
_SECRET_KEYS = frozenset({"auth", "authorization", "client_secret", "password", "secret", "token"})
# C0 and C1 controls, line and paragraph separators, directions that reorder text, lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_hidden: set[str] = set()
_hidden_pattern: re.Pattern[str] | None = None


def hide(secret: str) -> None:
    """From now on ``secret`` is shown as ``***``, also as JSON, repr or a URL would write it."""
    global _hidden_pattern  # noqa: PLW0603 - one process has one set of secrets
    if not secret.strip():
        return
    lines = [line for line in secret.splitlines() if len(line) >= _SHORT]
    for text in (secret, secret.strip(), *lines):
        _hidden.update((text, quote(text, safe=""), repr(text)[1:-1], jsonlib.dumps(text)[1:-1]))
    _hidden_pattern = re.compile("|".join(map(_exact, sorted(_hidden, key=len, reverse=True))))


def hide_passwords(url: str) -> None:
    """From now on the passwords of a URL are hidden, as they are written there and as they are meant."""
    user_info = (url.partition("://")[2] or url).rpartition("@")[0]
    written = [user_info.partition(":")[2]]
    for _, rest in _PASSWORD_PARAMETER.findall(url):
        written += [rest, rest.partition("&")[0]]
    for text in written:
        hide(text)
        hide(unquote(text))
        hide(unquote_plus(text))


def without_password(url: str) -> str:
    """Give a URL with its passwords as ``***``; a malformed one shows too little rather than a part of a password."""
    if url.startswith("sqlite:///"):
        return url
    scheme, separator, rest = _PASSWORD_PARAMETER.sub(rf"\1={MASK}", url).partition("://")
    if not separator:
        return MASK if ":" in scheme or "@" in scheme else scheme
    user_info, at, host = rest.rpartition("@")
    if at:
        user, colon, _ = user_info.partition(":")
        return f"{scheme}://{user}{f':{MASK}' if colon else ''}@{host}"
    if _HOST_AND_PORT.match(rest):
        return f"{scheme}://{rest}"
    return f"{scheme}://{rest.partition(':')[0]}:{MASK}"


def _exact(secret: str) -> str:
    # A very short secret is hidden only as a word of its own, or no log could be read.
    escaped = re.escape(secret)
    return escaped if len(secret) >= _SHORT else rf"(?<!\w){escaped}(?!\w)"


def redact(text: str) -> str:
    """Give the text with every hidden secret, token, private key and URL password as ``***``."""
    if _hidden_pattern is not None:
        text = _hidden_pattern.sub(MASK, text)
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", _LOOKS_SECRET.sub(MASK, text))


def clean(text: str, keep: str = "") -> str:
    """Give the text with what would move a terminal's cursor or forge a line written as an escape."""
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def get_logger() -> Any:
    """Return a logger that says what ``configure`` lets it say."""
    return _structlog().get_logger()


def bound(**values: object) -> AbstractContextManager[None]:
    """Give a block in which every line of the log carries these values; one that is None is left out."""
    known = {name: value for name, value in values.items() if value is not None}
    context: AbstractContextManager[None] = _structlog().contextvars.bound_contextvars(**known)
    return context


def _structlog() -> Any:
    # structlog imports rich wherever that is installed, which takes as long as structlog itself, and uses it for
    # tracebacks that are not used here.
    if "structlog" not in sys.modules and "rich" not in sys.modules:
        sys.modules["rich"] = None  # type: ignore[assignment]
        try:
            import structlog
        finally:
            del sys.modules["rich"]
    import structlog

    return structlog


def configure(
    verbosity: int = 0,
    stream: TextIO | None = None,
    *,
    json: bool | None = None,
    environ: Mapping[str, str] = os.environ,
    file: LogFile | None = None,
) -> None:
    """Send the events of structlog and of the libraries to ``stream``, or to whatever stderr is at the time.

    ``verbosity`` below 0 shows warnings and worse, 0 adds info, above 0 debug. ``json`` None means lines of JSON
    unless the stream is a terminal. Libraries speak from WARNING up. A ``file`` gets lines of JSON too, from info up
    even where the stream is to be quiet.
    """
    structlog = _structlog()
    outputs: list[Output] = [Stream(stream, _level(verbosity), json=json, environ=environ)]
    if file is not None:
        outputs.append(File(file, min(_level(verbosity), logging.INFO)))
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact_event,
            lambda _logger, _method, event: ((event,), {}),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(min(output.level for output in outputs)),
        logger_factory=lambda *_: Lines(outputs),
        cache_logger_on_first_use=False,
    )
    _listen_to_libraries()


def _level(verbosity: int) -> int:
    if verbosity < 0:
        return logging.WARNING
    return logging.DEBUG if verbosity else logging.INFO


def redact_event(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: every value is redacted, printable, and of a kind that JSON knows."""
    for key, value in event.items():
        event[key] = _shown(key, value)
    return event


def _shown(key: str, value: object, depth: int = 0) -> object:
    if key.lower() in _SECRET_KEYS and value is not None:
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {clean(redact(str(k))): _shown(str(k), v, depth + 1) for k, v in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_shown("", item, depth + 1) for item in value]
    text = value.isoformat() if isinstance(value, date) else str(value)
    return clean(redact(text), keep="\n" if key in ("exception", "stack") else "")


class _Bridge(logging.Handler):
    """Hands what libraries log to structlog, so that there is one form and one redaction."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, Exception):
            return  # a signal ends the process; that it came while a library tidied up is no error of its own
        try:
            log = get_logger()
            log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or None)
        except Exception:  # noqa: BLE001 - logging's own rule: a log line never raises
            self.handleError(record)


def _listen_to_libraries() -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Bridge)]:
        root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
