"""Turns a task's lists into rows: its queues, participants, tags and channels.

Each function takes the columns of a row that name the task.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from etl.api_record import Row
from etl.exact_json import canonical
from etl.transform.convert_values import cut, moment, text
from etl.transform.people import NOBODY, Mentions, Named

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def entries(value: object) -> Sequence[object]:
    """Return the entries of a list; a single value is its only entry, a missing value gives none."""
    if isinstance(value, list):
        return value
    return (value,) if value or value == 0 else ()


def queue_rows(task: Row, value: object, queues: Mentions) -> tuple[tuple[Row, ...], Named]:
    """Return the queues of a task, and the one that it entered last.

    The latest `startTime` decides; among equal or unreadable ones, the last in the list.
    """
    rows: list[Row] = []
    current, latest = NOBODY, _BEFORE_ALL
    for entry in entries(value):
        found = queues.meet(entry)
        told = entry if isinstance(entry, dict) else {}
        started_at = moment(told.get("startTime"))
        if found != NOBODY and (started_at or _BEFORE_ALL) >= latest:
            current, latest = found, started_at or _BEFORE_ALL
        if found[0] is not None:
            status = text(told.get("status"))
            own = {"queue_id": found[0], "status": status, "started_at": started_at}
            rows.append({**task, "position": len(rows), **own})
    return tuple(rows), current


def participant_rows(task: Row, value: object, agents: Mentions) -> tuple[Row, ...]:
    """Return the participants of a task, each with the name in the task."""
    rows: list[Row] = []
    for entry in entries(value):
        agent_id, name = agents.meet(entry)
        if agent_id is not None:
            told = entry if isinstance(entry, dict) else {}
            status, assigned_at = text(told.get("pStatus")), moment(told.get("assignedAt"))
            own = {"agent_id": agent_id, "name": name, "status": status, "assigned_at": assigned_at}
            rows.append({**task, "position": len(rows), **own})
    return tuple(rows)


def word_rows(task: Row, value: object, column: str) -> tuple[Row, ...]:
    """Return one row for each tag or channel, in the column of that name; blank entries are left out."""
    words = [word for entry in entries(value) if (word := _word(entry)) is not None]
    return tuple({**task, "position": position, column: word} for position, word in enumerate(words))


def _word(value: object) -> str | None:
    told = text(value)
    if told is None and value and isinstance(value, dict | list):
        told = (text(value.get("name")) if isinstance(value, dict) else None) or canonical(value)
    return cut(told)
