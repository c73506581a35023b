"""Several small numbers in one: what the database then groups by is short, and compared at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, cast, literal_column


@dataclass(frozen=True, slots=True)
class Packing:
    """How many values each of the numbers but the first can have, from 0."""

    sizes: tuple[int, ...]

    def packed(self, first: ColumnElement[Any], *others: ColumnElement[Any]) -> ColumnElement[int]:
        """The numbers in one."""
        found: ColumnElement[int] = cast(first, BigInteger)
        for size, other in zip(self.sizes, others, strict=True):
            found = found * literal_column(str(size)) + other
        return found

    def unpacked(self, number: int) -> tuple[int, ...]:
        """The numbers that one was made of."""
        first, last = divmod(number, self.sizes[-1])
        return *_split(first, self.sizes[:-1]), last


@lru_cache(maxsize=20_000)  # the first of them are met over and over, each time with another last one
def _split(number: int, sizes: tuple[int, ...]) -> tuple[int, ...]:
    found = []
    for size in reversed(sizes):
        number, last = divmod(number, size)
        found.append(last)
    return number, *reversed(found)
