"""Tells which other tables hold a dropped key's value beside the task's own rows, so that they are cleared too."""

from __future__ import annotations

from collections.abc import Iterable

# By table: the keys of a record that name a person or queue, and the columns made from them.
_PEOPLE = {
    "agents": ({"currAssignee", "participants"}, {"name": "name"}),
    "queues": ({"queues"}, {"name": "name", "type": "type"}),
    "users": ({"userInfo", "createdBy", "updatedBy"}, {"name": "name", "emailId": "email"}),
}
_HISTORY = {
    "status": "status",
    "priority": "priority",
    "currAssignee": "assignee",
    "queues": "queue",
    "name": "name",
    "dueDate": "due date",
    "ETA": "due date",
}


def people_columns(paths: Iterable[str]) -> dict[str, set[str]]:
    """Return the columns of agents, queues and users with values of the paths, by table."""
    found: dict[str, set[str]] = {}
    for key, inner in _split(paths):
        for table, (keys, columns) in _PEOPLE.items():
            if key in keys and (not inner or inner in columns):
                found.setdefault(table, set()).update([columns[inner]] if inner else columns.values())
    return found


def history_fields(paths: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the history fields of the paths: those to clear completely, and those to clear of names."""
    whole = {_HISTORY[key] for key, inner in _split(paths) if key in _HISTORY and not inner}
    names = {_HISTORY[key] for key, inner in _split(paths) if key in _HISTORY and inner == "name"}
    return whole, names - whole


def _split(paths: Iterable[str]) -> list[tuple[str, str]]:
    return [(key, inner) for key, _, inner in (path.partition(".") for path in paths)]
