"""Reads and writes JSON without changing a number: a number that a float would change keeps its text."""

from __future__ import annotations

import json
import re
from typing import Any, Self

import orjson

# Searched in a text whose digits are all zeros. Each begins with rare letters, so the search is fast.
_AS_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_BEYOND_64_BITS = b"0" * 19  # digits in a row, at least
_EXPONENT = re.compile(rb"0e[+-]?0+\s*[,\]}]")
# Searched in the text itself.
_MINUS_ZERO = re.compile(rb"-0\s*[,\]}]")
_FRACTION = re.compile(rb"\.\d+(?=\s*[,\]}])")
_MOST_DIGITS = 4300  # of an integer, as Python's own limit


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
