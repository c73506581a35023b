"""The lists of a task as rows of their own: its queues, participants, tags and channels.

Each function takes the columns that name the task in such a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from etl.row import Row
from etl.transform.canonical_json import canonical
from etl.transform.people import NOBODY, Mentions, Named
from etl.transform.values import cut, moment, text

_BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def entries(value: object) -> Sequence[object]:
    """The entries of a list; what stands in place of a list is its only entry, nothing is none."""
    if isinstance(value, list):
        return value
    return (value,) if value or value == 0 else ()


def queue_rows(task: Row, value: object, queues: Mentions) -> tuple[tuple[Row, ...], Named]:
    """The queues that a task went through, and the one that it entered last.

    That is by `startTime`; of those that it entered together or at no readable time, the last of the list.
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
            rows.append(_child(task, rows) | {"queue_id": found[0], "status": status, "started_at": started_at})
    return tuple(rows), current


def participant_rows(task: Row, value: object, agents: Mentions) -> tuple[Row, ...]:
    """The agents who took part in a task, each by the name that the task gives."""
    rows: list[Row] = []
    for entry in entries(value):
        agent_id, name = agents.meet(entry)
        if agent_id is not None:
            told = entry if isinstance(entry, dict) else {}
            row = _child(task, rows)
            row["agent_id"] = agent_id
            row["name"] = name
            row["status"] = text(told.get("pStatus"))
            row["assigned_at"] = moment(told.get("assignedAt"))
            rows.append(row)
    return tuple(rows)


def word_rows(task: Row, value: object, column: str) -> tuple[Row, ...]:
    """One row for each tag or channel, in the column of that name; an entry that says nothing has none."""
    words = [word for entry in entries(value) if (word := _word(entry)) is not None]
    return tuple({**task, "position": position, column: word} for position, word in enumerate(words))


def _word(value: object) -> str | None:
    if isinstance(value, dict | list):
        name = text(value.get("name")) if isinstance(value, dict) else None
        return cut(name or canonical(value)) if value else None
    return cut(text(value))


def _child(task: Row, siblings: list[Row]) -> Row:
    return {**task, "position": len(siblings)}
