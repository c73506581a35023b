"""What all ways of reading share: a window to read, the chunks that a reading gives, and when it is at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from etl.extract.abilities import Abilities
from etl.extract.page import Page, moment_of
from etl.extract.query import Field, Query

Fetch = Callable[[Query], Page]

EVERYTHING = Query()


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch ``[start, end)`` of a date field.

    A reading may stop once it is past ``enough``: what changes after that moment belongs to the next run. It is asked
    for once a page is there, because only then the server's time is known.
    ``filters`` narrows what is read to, for example, the unresolved tasks.
    """

    field: Field
    start: datetime
    end: datetime
    enough: Callable[[], datetime] | None = None
    filters: Query = EVERYTHING


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records to store together.

    Once they are stored, all of the window before ``covered_until`` is; None leaves that as it was. ``settled`` is
    False where the reading could not prove that nothing is missing, for the ``reason`` given.
    """

    records: list[Any]
    covered_until: datetime | None = None
    total: int | None = None
    settled: bool = True
    reason: str = ""


Reader = Callable[[Fetch, Window, Abilities], Iterator[Chunk]]


def dated(window: Window, abilities: Abilities, start: datetime | None = None, end: datetime | None = None) -> Query:
    """Return the query for ``[start, end)`` of a window, by default all of it."""
    return replace(
        window.filters,
        start=abilities.first_date(start or window.start),
        end=abilities.last_date(end or window.end),
        limit=abilities.limit(),
    )


def nothing_follows(fetch: Fetch, query: Query, page: Page, abilities: Abilities) -> bool:
    """Tell whether ``page``, the answer to ``query``, is the last one.

    Where the server gives no word, or contradicts itself, a page that is not full is the last one only if the place
    behind it is empty, which is asked.
    """
    if page.is_last(query.skip):
        return True
    told = page.total is not None and query.skip + len(page) < page.total
    if told or abilities.is_full(len(page)) or (page.total is None and page.has_more is True):
        return False
    return not fetch(replace(query, skip=query.skip + len(page))).records


def moments(page: Page, name: Field) -> list[datetime]:
    """Return the readable values of a date field, in the page's order."""
    found = (moment_of(record, name) for record in page.records)
    return [moment for moment in found if moment is not None]


def is_sorted(values: list[datetime], *, descending: bool = False) -> bool:
    """Tell whether values stand in order, equal neighbours allowed."""
    pairs = pairwise(values)
    return all(a >= b for a, b in pairs) if descending else all(a <= b for a, b in pairs)
