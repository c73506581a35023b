"""Writes canonical JSON: compact, keys sorted, so that equal records have equal text."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from etl.exact_json import Number
from etl.transform.values import clean_items, clean_text, digits

Container = dict[str, object] | list[object]

DEEPEST = 254
"""The levels of nesting that a record may have, which is orjson's limit."""


def canonical(value: object) -> str:
    """Return any value as canonical JSON that UTF-8 and PostgreSQL can hold."""
    plain = plain_canonical(value)
    return _write(value) if plain is None else plain


def plain_canonical(value: object) -> str | None:
    """Return the canonical JSON of a value that needs no cleaning, else None.

    A NUL or lone surrogate, an integer over 64 bits, or more levels than DEEPEST need cleaning.
    """
    try:
        encoded = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return None  # also if a number keeps its own text
    # It may be a harmless backslash before the letters: then the slow way gives the same text.
    return None if b"\\u0000" in encoded else encoded.decode()


def shown(value: object, most: int) -> str:
    """Return the first characters of a value's JSON, on one line and without control characters."""
    start = canonical(value)[:most]
    if start.isprintable():
        return start
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in start)


def is_too_deep(value: object) -> bool:
    """Tell whether arrays and objects are nested more than DEEPEST times."""
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
    """Punctuation on the writer's stack, as opposed to a text to write."""

    __slots__ = ()


def _write(value: object) -> str:
    # A stack instead of recursion, because the nesting of a record has no limit.
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
    elif isinstance(value, Number):
        return value.text
    return orjson.dumps(value).decode()
