"""Converts the API's values for columns: text, ids, booleans, numbers, times; makes ids for objects without one.

No function here raises on any JSON value: a value that does not fit its column is None, and `raw` still has it.
"""

from __future__ import annotations

import math
import uuid
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import overload

from etl.exact_json import Number, digits
from etl.times import parse_time

LONGEST_ID = 256
"""Characters. Ids are keys of indexes, and PostgreSQL refuses index entries of some 2,700 bytes."""

LONGEST_WORD = 500
"""Characters of other indexed text. The record's raw text keeps the rest."""

_MOST_DIGITS = 131_072  # of a numeric of PostgreSQL, before its point
# Made once for this project. A change would give a new id to everything without one.
_NAMESPACE = uuid.UUID("b7c2f0d4-5d0e-4a57-9a53-0c8f1f6d2e91")
# Longer names are not cached: a few hundred of them could take a few hundred megabytes.
_REMEMBERED = 256
_BOOLEANS = {"true": True, "false": False}


def text(value: object) -> str | None:
    """Return text as it is, a boolean as in JSON, a number in digits, None for empty text and anything else."""
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return digits(value)
    if isinstance(value, float) and (math.isfinite(value) or isinstance(value, Number)):
        return _in_digits(Decimal(repr(value)))
    return None


def _in_digits(value: Decimal) -> str:
    """Return a number without an exponent, as PostgreSQL writes it; it keeps one that PostgreSQL cannot hold."""
    if not value:
        value = Decimal((0, (0,), min(int(value.as_tuple().exponent), 0)))  # 0 has no sign
    return format(value, "f") if abs(value.adjusted()) <= _MOST_DIGITS else str(value)


@overload
def cut(text: str) -> str: ...
@overload
def cut(text: None) -> None: ...
def cut(text: str | None) -> str | None:
    """Return the text, cut to the length that an index of PostgreSQL can hold."""
    return text if text is None or len(text) <= LONGEST_WORD else text[:LONGEST_WORD]


def ident(value: object) -> str | None:
    """Return a usable id: text that is not blank, or an integer, of at most LONGEST_ID characters; else None."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_ID and value.strip() else None
    return ident(digits(value)) if isinstance(value, int) and not isinstance(value, bool) else None


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
    try:
        return parse_time(value)
    except ValueError:
        return None


def stable_id(stream_id: str, prefix: str, kind: str, name: str | None) -> str | None:
    """Return the prefix and a UUID made of stream, kind and name; None if the name is missing or blank."""
    if name is None or not name.strip():
        return None
    make = _remembered if len(name) <= _REMEMBERED else _made
    return make(stream_id, prefix, kind, name)


def _made(stream_id: str, prefix: str, kind: str, name: str) -> str:
    return f"{prefix}{uuid.uuid5(_NAMESPACE, f'{stream_id}|{kind}|{name}')}"


_remembered = lru_cache(maxsize=2048)(_made)
