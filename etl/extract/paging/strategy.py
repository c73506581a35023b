"""Which way of reading is exact on a server, by what is known of it: the one place that decides.

| dates filter on | sortBy obeyed | first sync, backfill               | later syncs            |
| --------------- | ------------- | ---------------------------------- | ---------------------- |
| updatedAt       | yes           | keyset by updatedAt                | keyset by updatedAt    |
| createdAt       | yes           | keyset by createdAt, newest first  | newest first           |
| updatedAt       | no            | split windows                      | split windows          |
| createdAt       | no            | split windows                      | recent windows, sweep  |

What is unknown counts as the worse: dates on createdAt, sortBy not obeyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from etl.extract.paging.keyset import read_keyset
from etl.extract.paging.newest_first import read_newest
from etl.extract.paging.split_windows import read_verified

if TYPE_CHECKING:
    from etl.extract.capabilities import Abilities
    from etl.extract.http.query import Field
    from etl.extract.paging.base import Reader

Name = Literal["keyset", "split_windows", "newest_first"]
READERS: dict[Name, Reader] = {"keyset": read_keyset, "split_windows": read_verified, "newest_first": read_newest}


@dataclass(frozen=True, slots=True)
class Way:
    """How a source is read: history by windows of ``field``, and later syncs by ``later``."""

    field: Field
    history: Literal["keyset", "split_windows"]
    later: Literal["windows", "newest", "sweep"]


def choose(abilities: Abilities) -> Way:
    """Return the cheapest exact way."""
    by: Field = abilities.window_field or "createdAt"
    history: Literal["keyset", "split_windows"] = "keyset" if abilities.sorts(by) else "split_windows"
    if by == "updatedAt":
        return Way(by, history, "windows")
    return Way(by, history, "newest" if abilities.sorts("updatedAt") else "sweep")
