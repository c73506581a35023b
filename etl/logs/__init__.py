"""Logs events to stderr and to a file: readable on a terminal, JSON lines elsewhere, never with a secret.

A command calls ``configure`` once; modules get their logger from ``get_logger``. structlog makes the events, and
``logging`` writes them and those of libraries. structlog is imported only when a log is written.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Literal, TextIO

from etl.logs.formatting import (
    as_journal_line,
    as_json,
    console,
    is_journal,
    journal_priority,
    redacted,
    wrapped_for_terminal,
)
from etl.logs.masking import MASK, clean, has_password, hide, hide_passwords, redact, without_password

__all__ = [
    "MASK", "bound", "clean", "configure", "get_logger", "has_password", "hide", "hide_passwords", "is_quiet",
    "journal_priority", "redact", "say", "without_password", "wrapped_for_terminal",
]  # fmt: skip


def get_logger() -> Any:
    """Return a logger with the level that ``configure`` sets."""
    return _structlog().get_logger()


def say(text: str, level: Literal["info", "warning", "error"] = "info") -> None:
    """Write one line for a person to stderr: redacted, with its level, and wrapped by word on a terminal."""
    kind, priority = ("", "") if level == "info" else (f"{level}: ", journal_priority(level))
    line = f"kore-etl: {kind}{clean(redact(text))}"
    # The reader may be gone; the exit code still says what happened. A closed stream is None, or fails.
    with suppress(OSError, ValueError, AttributeError):
        shown = wrapped_for_terminal(line) if sys.stderr.isatty() else line
        sys.stderr.write(f"{priority}{shown}\n")
        sys.stderr.flush()


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
        handlers.append(_with_form(file, min(level, logging.INFO), as_json))
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


def is_quiet() -> bool:
    """Tell whether the normal log is kept from stderr, as --quiet does."""
    handlers = [each for each in logging.getLogger().handlers if type(each) is logging.StreamHandler]
    return all(each.level > logging.INFO for each in handlers)


def _processors() -> list[Any]:
    """Return the processors of every event."""
    from structlog import contextvars, processors

    return [
        contextvars.merge_contextvars,
        processors.add_log_level,
        processors.TimeStamper(fmt="iso", utc=True),
        processors.format_exc_info,
        redacted,
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
        form = as_journal_line if is_journal(target, environ) else as_json
    else:
        colors = on_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        form = console(colors=colors)
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
