"""Converts the API's values for columns: text that UTF-8 and PostgreSQL accept, ids, booleans, numbers, times.

No function here raises on any JSON value: a value that does not fit its column is None, and `raw` still has it.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal
from typing import overload

from etl.exact_json import Number
from etl.times import parse_time

LONGEST_ID = 256
"""Characters. Ids are keys of indexes, and PostgreSQL refuses index entries of some 2,700 bytes."""

LONGEST_WORD = 500
"""Characters of other indexed text. The record's raw text keeps the rest."""

# A date is much shorter; a number of 300,000 digits would take seconds to read.
_LONGEST_TIME = 100
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BOOLEANS = {"true": True, "false": False}


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


def text(value: object) -> str | None:
    """Return text as it is, a number or boolean as in JSON, None for empty text and anything else."""
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return digits(value)
    if isinstance(value, float) and (math.isfinite(value) or isinstance(value, Number)):
        return repr(value)
    return None


@overload
def cut(text: str) -> str: ...
@overload
def cut(text: None) -> None: ...
def cut(text: str | None) -> str | None:
    """Return the text, cut to the length that an index of PostgreSQL can hold."""
    return text if text is None or len(text) <= LONGEST_WORD else text[:LONGEST_WORD]


def digits(number: int) -> str:
    """Return all digits of an integer of any size (`str` refuses more than some 4,300)."""
    return str(number) if -(2**64) < number < 2**64 else format(Decimal(number), "f")


def ident(value: object) -> str | None:
    """Return a usable id: text that is not blank, or an integer, of at most LONGEST_ID characters; else None."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = digits(value)
    if not isinstance(value, str) or len(value) > LONGEST_ID or not value.strip():
        return None
    return value


def boolean(value: object) -> bool | None:
    """Return a boolean from JSON's true and false, their names as text, 1 and 0; else None."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _BOOLEANS.get(value.strip().lower())
    if isinstance(value, int | float) and value in (0, 1):
        return value == 1
    return None


def number(value: object) -> float | None:
    """Return a finite float from a number or its text; else None."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def moment(value: object) -> datetime | None:
    """Return the value's time, None if it is missing or unreadable."""
    if isinstance(value, str) and len(value) > _LONGEST_TIME:
        return None
    try:
        return parse_time(value)
    except ValueError:
        return None
