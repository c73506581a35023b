"""Turns a task's lists into rows: its queues, participants, tags and channels.

The functions that make rows take the columns of a row that name the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from etl.api_record import Row
from etl.exact_json import canonical
from etl.times import EARLIEST
from etl.transform.convert_values import cut, moment, text
from etl.transform.people import NOBODY, Mentions, Named

Met = tuple[Named, str | None, datetime | None]
"""What an entry tells of one queue or agent: its id and name, its status, and since when."""


def entries(value: object) -> Sequence[object]:
    """Return the entries of a list; a single value is its only entry, a missing value gives none."""
    if isinstance(value, list):
        return value
    return (value,) if value or value == 0 else ()


def met_queues(value: object, queues: Mentions) -> list[Met]:
    """Return what each entry of any form tells of a queue."""
    return [_met(entry, queues, "status", "startTime") for entry in entries(value)]


def met_agents(value: object, agents: Mentions) -> list[Met]:
    """Return what each entry of any form tells of an agent."""
    return [_met(entry, agents, "pStatus", "assignedAt") for entry in entries(value)]


def words(value: object) -> list[str | None]:
    """Return the word of each entry, None where it is blank."""
    return [_word(entry) for entry in entries(value)]


def queue_rows(task: Row, met: Sequence[Met]) -> tuple[tuple[Row, ...], Named]:
    """Return the queues of a task, and the one that it entered last.

    The latest start decides; among equal or unreadable ones, the last in the list.
    """
    rows: list[Row] = []
    current, latest = NOBODY, EARLIEST
    for found, status, started_at in met:
        if found != NOBODY and (started_at or EARLIEST) >= latest:
            current, latest = found, started_at or EARLIEST
        if found[0] is not None:
            own = {"position": len(rows), "queue_id": found[0], "status": status, "started_at": started_at}
            rows.append({**task, **own})
    return tuple(rows), current


def participant_rows(task: Row, met: Sequence[Met]) -> tuple[Row, ...]:
    """Return the participants of a task, each with the name in the task."""
    rows: list[Row] = []
    for (agent_id, name), status, assigned_at in met:
        if agent_id is not None:
            own = {"agent_id": agent_id, "name": name, "status": status, "assigned_at": assigned_at}
            rows.append({**task, "position": len(rows), **own})
    return tuple(rows)


def word_rows(task: Row, told: Iterable[str | None], column: str) -> tuple[Row, ...]:
    """Return one row for each tag or channel, in the column of that name; blank entries are left out."""
    found = enumerate(filter(None, told))
    return tuple([{**task, "position": position, column: cut(word)} for position, word in found])


def _met(entry: object, mentions: Mentions, status: str, since: str) -> Met:
    told = entry if isinstance(entry, dict) else {}
    return mentions.meet(entry), text(told.get(status)), moment(told.get(since))


def _word(value: object) -> str | None:
    told = text(value)
    if told is None and value and isinstance(value, dict | list):
        return (text(value.get("name")) if isinstance(value, dict) else None) or canonical(value)
    return told
