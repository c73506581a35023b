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

from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from etl.extract.paging.keyset import read_keyset
from etl.extract.paging.newest_first import read_newest_first
from etl.extract.paging.split_windows import read_split_windows

if TYPE_CHECKING:
    from etl.extract.capabilities import ServerCapabilities
    from etl.extract.http.query import Field
    from etl.extract.paging.page_checks import Reader


class Paging(StrEnum):
    """How the rows of one window are read."""

    KEYSET = "keyset"
    NEWEST_FIRST = "newest_first"
    SPLIT_WINDOWS = "split_windows"


READERS: dict[Paging, Reader] = {
    Paging.KEYSET: read_keyset,
    Paging.NEWEST_FIRST: read_newest_first,
    Paging.SPLIT_WINDOWS: read_split_windows,
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
