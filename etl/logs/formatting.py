"""The forms of a log line: readable on a terminal, JSON elsewhere, with a priority for systemd's journal."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, MutableMapping
from datetime import date
from typing import Any, TextIO

from etl.logs.masking import MASK, clean, redact

_DEEPEST = 8
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_SECRET_KEYS = frozenset({"auth", "authorization", "client_secret", "password", "secret", "token"})
# sd-daemon(3): the prefix of a line for systemd's journal.
_PRIORITIES = {"critical": "<2>", "error": "<3>", "warning": "<4>", "info": "<6>", "debug": "<7>"}


def as_json(_logger: object, _method: str, event: Mapping[str, Any]) -> str:
    """Return an event as JSON: time, level and name first."""
    first = {key: event[key] for key in ("timestamp", "level", "event") if key in event}
    return json.dumps({**first, **event}, ensure_ascii=False)


def as_journal_line(logger: object, method: str, event: Mapping[str, Any]) -> str:
    """Return an event as JSON behind its priority."""
    return _PRIORITIES.get(event["level"], "") + as_json(logger, method, event)


def console(*, colors: bool) -> Any:
    """Return a renderer for a person's terminal."""
    from structlog.dev import ConsoleRenderer, plain_traceback

    render = ConsoleRenderer(colors=colors, pad_event_to=24, exception_formatter=plain_traceback, sort_keys=False)

    def shown(logger: object, method: str, event: Mapping[str, Any]) -> str:
        time = str(event["timestamp"])
        moment = f"{time[:10]} {time[11:19]}Z"
        if "summary" in event:  # one sentence for a person
            return wrapped_for_terminal(f"{moment} {event.get('source', '')}: {event['summary']}")
        return wrapped_for_terminal(str(render(logger, method, {**event, "timestamp": moment})))

    return shown


def wrapped_for_terminal(text: str) -> str:
    """Wrap the first line at the terminal's width by word; a word is what stands between two blanks."""
    line, *rest = text.split("\n")
    room = shutil.get_terminal_size().columns
    lines, length = [""], 0
    for word in line.split(" "):
        size = len(_STYLE.sub("", word))
        if length and length + 1 + size > room:
            lines.append(f"    {word}")
            length = 4 + size
        else:
            lines[-1] += f" {word}" if length else word
            length += size + (1 if length else 0)
    return "\n".join([*lines, *rest])


def journal_priority(level: str) -> str:
    """Return the prefix of a line of that level on stderr; it is empty unless the journal reads stderr."""
    return _PRIORITIES[level] if is_journal(sys.stderr, os.environ) else ""


def is_journal(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Tell whether a stream goes to systemd's journal: systemd names the device and inode of its stream."""
    try:
        status = os.fstat(stream.fileno()) if stream is not None else None
    except (OSError, ValueError, AttributeError):
        return False
    return status is not None and environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def redacted(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
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
