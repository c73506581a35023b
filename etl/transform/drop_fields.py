"""Removes dropped keys from a record before anything else sees it; tells which tables hold their values already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from etl.api_record import KNOWN
from etl.times import parse_time

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
    "isBreached": "breached",
    "tags": "tag",
    "channel": "channel",
}


_LISTS = ("tags", "channel")  # a path into one of their entries may hold the entry's text


def dropper(paths: Sequence[str]) -> Callable[[object], object]:
    """Return a function that removes the paths from a record.

    A path is keys with dots between them (`userInfo.emailId`). It goes through lists (`participants.name`) and finds
    keys that contain dots. A path with a custom field's name also removes the field from `fields`. The given record
    stays unchanged; the result shares its unchanged parts. A blank path and `_id` raise ValueError.
    """
    cleared = tuple(dict.fromkeys(path.strip() for path in paths))
    if "" in cleared:
        raise ValueError("a path to drop is blank")
    if "_id" in cleared:
        raise ValueError("_id cannot be dropped: a task is known by it")
    if not cleared:
        return _as_it_is
    return lambda record: _without(record, cleared)


def _as_it_is(record: object) -> object:
    return record


def _without(record: object, paths: tuple[str, ...]) -> object:
    held: list[object] = [record]
    for path in paths:
        _drop(held, path)
        if path not in KNOWN:
            _drop_field(held, path)
    return held[0]


def _drop(held: list[object], path: str) -> None:
    """Remove the path from the only element of `held`; copy what changes."""
    # A stack instead of recursion: lists may be nested deeper than function calls may be.
    rest: list[tuple[Any, int | str, str]] = [(held, 0, path)]
    while rest:
        container, place, below = rest.pop()
        value = container[place]
        inner: Any
        if isinstance(value, list):
            container[place] = inner = list(value)
            rest.extend((inner, index, below) for index in range(len(inner)))
        elif isinstance(value, dict):
            steps = [step for step in _steps(below) if step[0] in value]
            if steps:
                container[place] = inner = dict(value)
                rest.extend((inner, key, tail) for key, tail in steps if tail and inner[key])
                for key, tail in steps:
                    if not tail:
                        del inner[key]


@lru_cache(maxsize=256)
def _steps(path: str) -> tuple[tuple[str, str], ...]:
    """Yield each possible first key of the path and the rest of the path: a key may contain dots."""
    dots = (place for place, letter in enumerate(path) if letter == ".")
    split = ((path[:dot], path[dot + 1 :]) for dot in dots)
    return (*((key, tail) for key, tail in split if key and tail), (path, ""))


def _drop_field(held: list[object], name: str) -> None:
    record = held[0]
    fields = record.get("fields") if isinstance(record, dict) else None
    if isinstance(record, dict) and isinstance(fields, list) and any(_is_named(field, name) for field in fields):
        held[0] = record | {"fields": [field for field in fields if not _is_named(field, name)]}


def _is_named(field: object, name: str) -> bool:
    if not isinstance(field, dict):
        return False
    return field.get("displayName") == name or field.get("lname") in (name, name.lower())


# Enough to know a task by, and to compare it with the server: its ids, its dates, and whether it is active.
TOMBSTONE_KEYS = ("_id", "iId", "createdAt", "updatedAt", "timestampValue", "isActive")


def tombstone(record: dict[str, object]) -> dict[str, object]:
    """The record of a forgotten task without its content, and without an update for which it would be rejected."""
    kept = {key: record[key] for key in TOMBSTONE_KEYS if key in record}
    try:
        parse_time(kept.get("updatedAt"))
    except ValueError:
        del kept["updatedAt"]
    return kept


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
    whole = {_HISTORY[key] for key, inner in _split(paths) if key in _HISTORY and (not inner or key in _LISTS)}
    whole |= {"custom field" for key, _ in _split(paths) if key == "fields"}
    names = {_HISTORY[key] for key, inner in _split(paths) if key in _HISTORY and inner == "name"}
    return whole, names - whole


def custom_fields(paths: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that tells whether the history of the custom field with a key is to be cleared."""
    found = {path for path in paths if path not in KNOWN}
    found |= {path.partition(".selectedValue")[0] for path in found}
    folded = {path.casefold() for path in found}
    return lambda key: key.casefold() in folded


def _split(paths: Iterable[str]) -> list[tuple[str, str]]:
    return [(key, inner) for key, _, inner in (path.partition(".") for path in paths)]
