"""Keys that are to be stored nowhere: taken out of a record before anything else sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from etl.transform.known_keys import KNOWN


def dropper(paths: Sequence[str]) -> Callable[[object], object]:
    """A function from a record to the same record without what stands at the paths.

    A path is keys with dots between them (`userInfo.emailId`); it goes through lists (`participants.name`), and
    finds keys that have dots themselves. A path that is a custom field's name takes the field out of `fields` too.
    The record that is given stays as it was, and is shared as far as nothing changes. A blank path, and the `_id` that
    every task is known by, raise ValueError.
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
    """Take the path out of the only element of `held`, copying what changes."""
    # A stack instead of recursion: lists may stand in each other deeper than functions may call each other.
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
    """Each key that the path may begin with, and what is left of it then: a key may have dots itself."""
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
    """The record of a forgotten task without its content."""
    return {key: record[key] for key in TOMBSTONE_KEYS if key in record}
