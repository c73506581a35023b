"""Where the lines of a log go, each output in its own form: stderr, a terminal, systemd's journal, a file."""

from __future__ import annotations

import json as jsonlib
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TextIO

from etl.logs.files import LogFile as LogFile  # noqa: PLC0414 - part of what an output is made of

Event = Mapping[str, Any]
# sd-daemon(3): what a line for the journal begins with.
_PRIORITIES = {"critical": "<2>", "error": "<3>", "exception": "<3>", "warning": "<4>", "info": "<6>", "debug": "<7>"}
_LEVELS = {"critical": logging.CRITICAL, "error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}


class Output(Protocol):
    """Takes events from ``level`` up."""

    level: int

    def write(self, event: Event) -> None:
        """Write an event. A log that cannot be written never stops the work."""


class Lines:
    """What structlog hands its finished events to."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = outputs

    def msg(self, event: Event) -> None:
        """Write an event wherever its level is wanted."""
        level = _LEVELS.get(str(event.get("level")), logging.DEBUG)
        for output in self._outputs:
            if level >= output.level:
                output.write(event)

    debug = info = warning = warn = error = critical = fatal = exception = log = msg


class Stream:
    """A stream, or whatever stderr is at the time: readable on a terminal, lines of JSON elsewhere."""

    def __init__(self, stream: TextIO | None, level: int, *, json: bool | None, environ: Mapping[str, str]) -> None:
        self.level = level
        self._stream = stream
        target = stream if stream is not None else sys.stderr
        on_terminal = target is not None and target.isatty()
        colors = on_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        as_json = not on_terminal if json is None else json
        self._form: Callable[[Event], str] = as_json_line if as_json else _console(colors=colors)
        self._for_journal = as_json and is_journal(target, environ)

    def write(self, event: Event) -> None:
        """Write an event, if anyone is there to read."""
        # Looked up at each line: a progress display puts its own stream in stderr's place. A closed one is None.
        stream = self._stream if self._stream is not None else sys.stderr
        priority = _PRIORITIES.get(str(event.get("level")), "") if self._for_journal else ""
        with suppress(OSError, ValueError, AttributeError):
            stream.write(f"{priority}{self._form(event)}\n")
            stream.flush()


class File:
    """A file of JSON lines; when it fails, that is told once on stderr and the work goes on."""

    def __init__(self, file: LogFile, level: int) -> None:
        self.level = level
        self._file = file
        self._is_told = False

    def write(self, event: Event) -> None:
        """Add an event to the file."""
        try:
            self._file.write(as_json_line(event))
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        if not self._is_told:
            self._is_told = True
            priority = journal_priority("warning")
            line = f"{priority}kore-etl: warning: log file {self._file.path}: {error.strerror}; the work goes on\n"
            with suppress(OSError, ValueError, AttributeError):
                sys.stderr.write(line)
                sys.stderr.flush()


def as_json_line(event: Event) -> str:
    """Give an event as JSON: time, level and name first."""
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return jsonlib.dumps({**first, **event}, ensure_ascii=False)


def is_journal(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Tell whether a stream ends in systemd's journal: systemd names the device and inode of the one it opened."""
    try:
        status = os.fstat(stream.fileno()) if stream is not None else None
    except (OSError, ValueError, AttributeError):
        return False
    return status is not None and environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def journal_priority(level: str) -> str:
    """Return what a line of that level begins with on stderr: nothing but where the journal reads it."""
    return _PRIORITIES[level] if is_journal(sys.stderr, os.environ) else ""


def _console(*, colors: bool) -> Callable[[Event], str]:
    from structlog.dev import ConsoleRenderer, plain_traceback

    render = ConsoleRenderer(colors=colors, pad_event_to=24, exception_formatter=plain_traceback, sort_keys=False)

    def shown(event: Event) -> str:
        moment = str(event.get("timestamp", ""))
        return str(render(None, "", {**event, "timestamp": f"{moment[:10]} {moment[11:19]}Z"}))

    return shown
