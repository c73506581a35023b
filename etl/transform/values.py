"""Values of the API as columns take them: text that UTF-8 and PostgreSQL accept, ids, booleans, numbers, moments.

Nothing here raises on any JSON value: what does not fit its column is None, and stays readable in `raw`.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal
from typing import overload

from etl.times import parse_time

LONGEST_ID = 256
"""Characters. Ids are keys of indexes, and PostgreSQL refuses an index entry of some 2,700 bytes."""

LONGEST_WORD = 500
"""Characters of other text that is looked up by an index. The record's own text keeps the rest."""

# A date is much shorter; to read as one a number of 300,000 digits would take seconds.
_LONGEST_TIME = 100
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BOOLEANS = {"true": True, "false": False}


def clean_text(text: str) -> str:
    """The text with U+FFFD for each NUL (PostgreSQL refuses it) and lone surrogate (UTF-8 has none)."""
    return _UNSTORABLE.sub("\ufffd", text)


def clean_items(mapping: dict[str, object]) -> list[tuple[str, object]]:
    """The items in order of their cleaned keys; keys that would become equal are kept apart by more U+FFFD."""
    cleaned: dict[str, object] = {}
    for key in sorted(mapping):
        name = clean_text(key)
        while name in cleaned or (name != key and name in mapping):
            name += "\ufffd"
        cleaned[name] = mapping[key]
    return sorted(cleaned.items(), key=lambda item: item[0])


def clean(value: object) -> object:
    """The value with every text and key in it cleaned. Its nesting must be known to be shallow."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {key: clean(inner) for key, inner in clean_items(value)}
    if isinstance(value, list):
        return [clean(inner) for inner in value]
    return value


def text(value: object) -> str | None:
    """Text as it is; a number or boolean as JSON spells it; None for empty text and anything else."""
    if value is None or isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return digits(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    return None


@overload
def cut(text: str) -> str: ...
@overload
def cut(text: None) -> None: ...
def cut(text: str | None) -> str | None:
    """The text as far as an index of PostgreSQL holds it."""
    return text if text is None or len(text) <= LONGEST_WORD else text[:LONGEST_WORD]


def digits(number: int) -> str:
    """All digits of an integer of any size (`str` refuses those past some 4,300)."""
    return str(number) if -(2**64) < number < 2**64 else format(Decimal(number), "f")


def ident(value: object) -> str | None:
    """A usable id, as sent: text that is not blank, or an integer, of at most LONGEST_ID characters; else None."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = digits(value)
    if not isinstance(value, str) or len(value) > LONGEST_ID or not value.strip():
        return None
    return value


def boolean(value: object) -> bool | None:
    """True or false from JSON's own, their spelling as text, 1 and 0; else None."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _BOOLEANS.get(value.strip().lower())
    if isinstance(value, int | float) and value in (0, 1):
        return value == 1
    return None


def number(value: object) -> float | None:
    """A finite float from a number or its text; else None."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        read = float(value)
    except (ValueError, OverflowError):
        return None
    return read if math.isfinite(read) else None


def moment(value: object) -> datetime | None:
    """The time that the value tells, None where it tells none or cannot be read."""
    if isinstance(value, str) and len(value) > _LONGEST_TIME:
        return None
    try:
        return parse_time(value)
    except ValueError:
        return None
