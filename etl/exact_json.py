"""Reads JSON and writes canonical JSON: compact, with sorted keys, so that equal records have equal text.

No number changes: one that a float would change keeps its text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Self

import orjson

# Searched in a text whose digits are all zeros. Each begins with rare letters, so the search is fast.
_AS_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_BEYOND_64_BITS = b"0" * 19  # digits in a row, at least
_EXPONENT = re.compile(rb"0e[+-]?0+\s*[,\]}]")
# Searched in the text itself.
_NUMBER = re.compile(rb'(?:^|"\s*:|[,\[])\s*-?\d')
_MINUS_ZERO = re.compile(rb"-0\s*[,\]}]")
_FRACTION = re.compile(rb"\.\d+(?=\s*[,\]}])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MOST_DIGITS = 4300  # of an integer, as Python's own limit

Container = dict[str, object] | list[object]

DEEPEST = 254
"""The levels of nesting that a record may have, which is orjson's limit."""


class Number(float):
    """A number whose text a float cannot reproduce: more digits, another spelling, or out of range."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Return the nearest float."""
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __repr__(self) -> str:
        """Return the text as it came."""
        return self.text


def read(text: bytes | str) -> Any:
    """Return the value of a JSON text with every digit.

    The fast parser refuses lone surrogates and NaN and rounds long numbers; the standard one accepts them.

    Raises:
        ValueError: the text is not JSON.
        RecursionError: it is nested too deeply.
    """
    body = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        if _has_plain_numbers(body):
            return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    return json.loads(text, parse_constant=lambda _name: None, parse_float=_fraction, parse_int=_whole)


def fragment(value: object) -> orjson.Fragment:
    """Write a number in its own text; it is orjson's ``default``."""
    if isinstance(value, Number):
        return orjson.Fragment(value.text)
    raise TypeError(type(value).__name__)


def _has_plain_numbers(body: bytes) -> bool:
    """Tell whether the fast parser keeps every number; False if a string only looks like a number it changes."""
    if not _NUMBER.search(body):
        return True
    zeros = body.translate(_AS_ZEROS)
    if _BEYOND_64_BITS in zeros or _EXPONENT.search(zeros) or _MINUS_ZERO.search(body):
        return False
    return all(map(_is_plain, {_whole_number(body, found) for found in _FRACTION.finditer(body)}))


def _whole_number(body: bytes, fraction: re.Match[bytes]) -> bytes:
    start = fraction.start()
    while body[start - 1 : start].isdigit():
        start -= 1
    if body[start - 1 : start] == b"-":
        start -= 1
    return body[start : fraction.end()]


def _is_plain(text: bytes) -> bool:
    return orjson.dumps(float(text)) == text


def _fraction(text: str) -> float:
    return float(text) if _is_plain(text.encode()) else Number(text)


def _whole(digits: str) -> int | float | str:
    """Return an integer; one that is too long for Python stays text."""
    if digits == "-0":
        return Number(digits)
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


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


def clean_text(text: str) -> str:
    """Replace each NUL (PostgreSQL refuses it) and lone surrogate (UTF-8 has none) by U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


def clean_items(mapping: dict[str, object]) -> list[tuple[str, object]]:
    """Return the items in order of their cleaned keys; more U+FFFD keeps equal keys apart."""
    cleaned: dict[str, object] = {}
    for key in sorted(mapping):
        name = clean_text(key)
        while name in cleaned or (name != key and name in mapping):
            name += "\ufffd"
        cleaned[name] = mapping[key]
    return sorted(cleaned.items(), key=lambda item: item[0])


def clean(value: object) -> object:
    """Return the value with every text and key cleaned. Its nesting must be shallow."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {key: clean(inner) for key, inner in clean_items(value)}
    if isinstance(value, list):
        return [clean(inner) for inner in value]
    return value


def digits(number: int) -> str:
    """Return all digits of an integer of any size (`str` refuses more than some 4,300)."""
    return str(number) if -(2**64) < number < 2**64 else format(Decimal(number), "f")
