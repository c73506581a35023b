"""Chooses the read strategy that is exact on a server with the fewest requests, from its known capabilities.

| dates filter on | sortBy obeyed | first sync, backfill               | later syncs            |
| --------------- | ------------- | ---------------------------------- | ---------------------- |
| updatedAt       | yes           | keyset by updatedAt                | newest first           |
| createdAt       | yes           | keyset by createdAt, newest first  | newest first           |
| updatedAt       | no            | split windows                      | split windows          |
| createdAt       | no            | split windows                      | unresolved tasks       |

An unknown capability counts as the worse one: dates on createdAt, sortBy not obeyed.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.query import Field, Query
from etl.extract.http.response_page import Page
from etl.extract.paging.keyset import read_keyset
from etl.extract.paging.page_checks import Fetch, Reader, Window
from etl.extract.paging.split_windows import read_split_windows


class Paging(StrEnum):
    """How the rows of one window are read."""

    KEYSET = "keyset"
    NEWEST_FIRST = "newest_first"
    SPLIT_WINDOWS = "split_windows"


def read_all_shown(
    reader: Reader, fetch: Fetch, window: Window, capabilities: ServerCapabilities
) -> Iterator[Page]:  # fmt: skip
    """Yield the pages of a reader; each also holds the rows that the reader only looked at before it.

    A server that leaves out rows may show one of them in no other answer.
    """
    answers: list[list[Any]] = []

    def noted(query: Query) -> Page:
        page = fetch(query)
        answers.append(page.records)
        return page

    for page in reader(noted, window, capabilities):
        looked_at = [record for records in answers if records is not page.records for record in records]
        answers.clear()
        yield replace(page, records=[*page.records, *looked_at]) if looked_at else page
    if looked_at := [record for records in answers for record in records]:
        yield Page(looked_at)


READERS: dict[Paging, Reader] = {
    Paging.KEYSET: partial(read_all_shown, read_keyset),
    Paging.SPLIT_WINDOWS: partial(read_all_shown, read_split_windows),
}


class ReadStrategy(Struct, frozen=True):
    """Windows of ``field`` read history by ``history``; ``changes`` finds what later syncs read."""

    field: Field
    history: Paging
    changes: Literal["windows", "newest_first", "unresolved"]


def choose_strategy(capabilities: ServerCapabilities) -> ReadStrategy:
    """Return the exact strategy that takes the fewest requests."""
    field: Field = capabilities.window_field or "createdAt"
    history = Paging.KEYSET if capabilities.sorts(field) else Paging.SPLIT_WINDOWS
    if field == "updatedAt":
        return ReadStrategy(field, history, "windows")
    return ReadStrategy(field, history, "newest_first" if capabilities.sorts("updatedAt") else "unresolved")
