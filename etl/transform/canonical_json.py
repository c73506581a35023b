"""One text for one value: JSON, compact, keys sorted, so that equal records have equal text."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from etl.transform.values import clean_items, clean_text, digits

Container = dict[str, object] | list[object]

DEEPEST = 254
"""Levels of nesting that a record may have: as many as orjson writes."""


def canonical(value: object) -> str:
    """The value as canonical JSON that UTF-8 and PostgreSQL can hold, however odd or deep it is."""
    plain = plain_canonical(value)
    return _write(value) if plain is None else plain


def plain_canonical(value: object) -> str | None:
    """Canonical JSON of a value that needs no cleaning; None where one of its parts needs it.

    That is a NUL or lone surrogate in a text, an integer past 64 bits, or more levels than DEEPEST.
    """
    try:
        encoded = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return None
    # May be a harmless backslash before the letters: then the careful way gives the same text, only later.
    return None if b"\\u0000" in encoded else encoded.decode()


def shown(value: object, most: int) -> str:
    """The first characters of a value's JSON, on one line and without any that a terminal would obey."""
    start = canonical(value)[:most]
    if start.isprintable():
        return start
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in start)


def is_too_deep(value: object) -> bool:
    """Whether arrays and objects stand in each other more than DEEPEST times."""
    level = _containers([value])
    for _ in range(DEEPEST):
        level = _containers(inner for outer in level for inner in _children(outer))
        if not level:
            return False
    return True


def _containers(values: Iterable[object]) -> list[Container]:
    return [value for value in values if isinstance(value, dict | list)]


def _children(value: Container) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


class _Mark(str):
    """Punctuation on the writer's stack, as against a text that is still to be written."""

    __slots__ = ()


def _write(value: object) -> str:
    # A stack of what is left to write instead of recursion: the nesting of a record has no limit.
    pieces: list[str] = []
    rest: list[object] = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, _Mark):
            pieces.append(item)
        elif isinstance(item, dict | list):
            rest.extend(reversed(_parts(item)))
        else:
            pieces.append(_scalar(item))
    return "".join(pieces)


def _parts(value: Container) -> list[object]:
    parts: list[object] = []
    if isinstance(value, dict):
        for key, inner in clean_items(value):
            parts += [_Mark(","), _Mark(_scalar(key) + ":"), inner]
        return [_Mark("{"), *parts[1:], _Mark("}")]
    for inner in value:
        parts += [_Mark(","), inner]
    return [_Mark("["), *parts[1:], _Mark("]")]


def _scalar(value: object) -> str:
    if isinstance(value, str):
        value = clean_text(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        return digits(value)
    return orjson.dumps(value).decode()
