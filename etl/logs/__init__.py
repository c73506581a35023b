"""Logs events to stderr and to a file: readable on a terminal, JSON lines elsewhere, never with a secret.

A command calls ``configure`` once; modules get their logger from ``get_logger``. ``hide`` registers a secret; tokens,
passwords in URLs and private keys are recognised by their form. structlog makes the events, and ``logging`` writes them
and those of libraries. Every command uses ``redact``, so structlog is imported only when a log is written.
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

MASK = "***"
_SHORT = 6
_DEEPEST = 8
_JWT = r"eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"
_PRIVATE_KEY = r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
_LOOKS_SECRET = re.compile(f"{_JWT}|{_PRIVATE_KEY}", re.DOTALL)
# Up to the last @: this hides the whole password even with an unescaped / or @, at worst with the host.
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*):(?!\d{1,5}(?:[/?#,\s]|$))\S+@")
_SCHEME = re.compile(r"[\w+.-]*:?/+")
_PASSWORD_PARAMETER = re.compile(r"(\w*password|passwd|pwd)\s*=(.*)", re.IGNORECASE | re.DOTALL)
_HOST_AND_PORT = re.compile(r"(?:\[[^\]]*\]|[^:/?#]*)(?::\d{1,5})?(?:[,/?#]|$)")
_SECRET_KEYS = frozenset({"auth", "authorization", "client_secret", "password", "secret", "token"})
# C0 and C1 controls, line and paragraph separators, directions that reorder text, lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# sd-daemon(3): the prefix of a line for systemd's journal.
_PRIORITIES = {"critical": "<2>", "error": "<3>", "warning": "<4>", "info": "<6>", "debug": "<7>"}

_hidden: set[str] = set()
_hidden_pattern: re.Pattern[str] | None = None


def hide(secret: str) -> None:
    """Show ``secret`` as ``***`` from now on, also in its form in JSON, repr or a URL."""
    global _hidden_pattern  # noqa: PLW0603 - one process has one set of secrets
    if not secret.strip():
        return
    lines = [line for line in secret.splitlines() if len(line) >= _SHORT]
    for text in (secret, secret.strip(), *lines):
        _hidden.update((text, quote(text, safe=""), repr(text)[1:-1], jsonlib.dumps(text)[1:-1]))
    _hidden_pattern = re.compile("|".join(map(_exact, sorted(_hidden, key=len, reverse=True))))


def hide_passwords(url: str) -> None:
    """Hide the passwords of a URL from now on, both escaped and plain."""
    user_info = _SCHEME.sub("", url).rpartition("@")[0]
    written = [user_info.partition(":")[2]]
    for _, rest in _PASSWORD_PARAMETER.findall(url):
        written += [rest, rest.partition("&")[0]]
    for text in written:
        hide(text)
        hide(unquote(text))
        hide(unquote_plus(text))


def without_password(url: str) -> str:
    """Return a URL with ``***`` for its passwords; of a malformed one it hides more, never less."""
    if url.startswith("sqlite:///"):
        return url
    shown = _PASSWORD_PARAMETER.sub(rf"\1={MASK}", url)
    scheme, separator, rest = shown.partition("://")
    if not separator or ":" in scheme or "@" in scheme:
        return MASK if ":" in shown or "@" in shown else shown
    user_info, at, host = rest.rpartition("@")
    if at:
        user, colon, _ = user_info.partition(":")
        return f"{scheme}://{user}{f':{MASK}' if colon else ''}@{host}"
    if _HOST_AND_PORT.match(rest):
        return f"{scheme}://{rest}"
    return f"{scheme}://{rest.partition(':')[0]}:{MASK}"


def _exact(secret: str) -> str:
    # A very short secret is hidden only as a whole word, or no log would be readable.
    escaped = re.escape(secret)
    return escaped if len(secret) >= _SHORT else rf"(?<!\w){escaped}(?!\w)"


def redact(text: str) -> str:
    """Return the text with ``***`` for every hidden secret, token, private key and URL password."""
    if _hidden_pattern is not None:
        text = _hidden_pattern.sub(MASK, text)
    return _URL_PASSWORD.sub(rf"\1:{MASK}@", _LOOKS_SECRET.sub(MASK, text))


def clean(text: str, keep: str = "") -> str:
    """Return the text with escapes for characters that move a terminal's cursor or forge a line."""
    return _UNPRINTABLE.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def get_logger() -> Any:
    """Return a logger with the level that ``configure`` sets."""
    return _structlog().get_logger()


def bound(**values: object) -> AbstractContextManager[None]:
    """Add these values to every log line within the block; leave out None."""
    known = {name: value for name, value in values.items() if value is not None}
    context: AbstractContextManager[None] = _structlog().contextvars.bound_contextvars(**known)
    return context


def _structlog() -> Any:
    # structlog imports rich for tracebacks, which are not used here. That doubles its import time.
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
    file: logging.Handler | None = None,
) -> None:
    """Send the events of structlog and of libraries to ``stream``, by default to the current stderr.

    ``verbosity`` below 0 shows warnings and errors, 0 adds info, above 0 adds debug. ``json`` None means JSON lines
    unless the stream is a terminal. Libraries log from WARNING up. A ``file`` gets JSON lines from info up, even if the
    stream is quiet. A log that cannot be written never stops the work.
    """
    structlog = _structlog()
    level = logging.WARNING if verbosity < 0 else logging.DEBUG if verbosity else logging.INFO
    handlers = [_on_stream(stream, level, json=json, environ=environ)]
    if file is not None:
        handlers.append(_with_form(file, min(level, logging.INFO), _as_json))
    structlog.configure(
        processors=[*_processors(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(min(handler.level for handler in handlers)),
        logger_factory=lambda *_: logging.getLogger("etl"),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    others = [each for each in root.handlers if not isinstance(each.formatter, structlog.stdlib.ProcessorFormatter)]
    root.handlers[:] = [*others, *handlers]
    root.setLevel(logging.WARNING)
    logging.getLogger("etl").setLevel(logging.DEBUG)
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False


def _processors() -> list[Any]:
    """Return the processors of every event."""
    from structlog import contextvars, processors

    return [
        contextvars.merge_contextvars,
        processors.add_log_level,
        processors.TimeStamper(fmt="iso", utc=True),
        processors.format_exc_info,
        _redacted,
    ]


class _Stderr:
    """The current stderr: a progress display replaces it by its own stream."""

    def write(self, text: str) -> None:
        sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _on_stream(stream: TextIO | None, level: int, *, json: bool | None, environ: Mapping[str, str]) -> logging.Handler:
    target = stream if stream is not None else sys.stderr
    on_terminal = target is not None and target.isatty()
    if json or (json is None and not on_terminal):
        form = _as_journal_line if _is_journal(target, environ) else _as_json
    else:
        colors = on_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        form = _console(colors=colors)
    return _with_form(logging.StreamHandler(stream if stream is not None else _Stderr()), level, form)


def _with_form(handler: logging.Handler, level: int, form: Any) -> logging.Handler:
    """Make the handler write events from ``level`` up with a structlog renderer."""
    from structlog.stdlib import ProcessorFormatter, add_logger_name

    handler.setFormatter(
        ProcessorFormatter(
            processors=[ProcessorFormatter.remove_processors_meta, form],
            foreign_pre_chain=[add_logger_name, *_processors()],
        )
    )
    handler.setLevel(level)
    handler.addFilter(_is_no_signal)
    return handler


def _is_no_signal(record: logging.LogRecord) -> bool:
    # A signal ends the process; its exception in a library's clean-up is no extra error.
    error = record.exc_info[1] if record.exc_info else None
    return error is None or isinstance(error, Exception)


def _as_json(_logger: object, _method: str, event: Mapping[str, Any]) -> str:
    """Return an event as JSON: time, level and name first."""
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return jsonlib.dumps({**first, **event}, ensure_ascii=False)


def _as_journal_line(logger: object, method: str, event: Mapping[str, Any]) -> str:
    return _PRIORITIES.get(event["level"], "") + _as_json(logger, method, event)


def _console(*, colors: bool) -> Any:
    from structlog.dev import ConsoleRenderer, plain_traceback

    render = ConsoleRenderer(colors=colors, pad_event_to=24, exception_formatter=plain_traceback, sort_keys=False)

    def shown(logger: object, method: str, event: Mapping[str, Any]) -> str:
        time = str(event["timestamp"])
        moment = f"{time[:10]} {time[11:19]}Z"
        if "summary" in event:  # one sentence for a person
            return f"{moment} {event.get('source', '')}: {event['summary']}"
        return str(render(logger, method, {**event, "timestamp": moment}))

    return shown


def journal_priority(level: str) -> str:
    """Return the prefix of a line of that level on stderr; it is empty unless the journal reads stderr."""
    return _PRIORITIES[level] if _is_journal(sys.stderr, os.environ) else ""


def _is_journal(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Tell whether a stream goes to systemd's journal: systemd names the device and inode of its stream."""
    try:
        status = os.fstat(stream.fileno()) if stream is not None else None
    except (OSError, ValueError, AttributeError):
        return False
    return status is not None and environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _redacted(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Return the event with every value redacted, printable and fit for JSON."""
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
