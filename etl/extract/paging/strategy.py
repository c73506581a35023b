"""Which way of reading is exact on a server, by what is known of it: the one place that decides.

| dates filter on | sortBy obeyed | first sync, backfill               | later syncs            |
| --------------- | ------------- | ---------------------------------- | ---------------------- |
| updatedAt       | yes           | keyset by updatedAt                | keyset by updatedAt    |
| createdAt       | yes           | keyset by createdAt, newest first  | newest first           |
| updatedAt       | no            | verified windows                   | verified windows       |
| createdAt       | no            | verified windows                   | recent windows, sweep  |

What is unknown counts as the worse: dates on createdAt, sortBy not obeyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from etl.extract.paging.keyset import read_keyset
from etl.extract.paging.newest_first import read_newest_first
from etl.extract.paging.split_windows import read_split_windows

if TYPE_CHECKING:
    from etl.extract.capabilities import ServerCapabilities
    from etl.extract.http.query import Field
    from etl.extract.paging.base import Reader

Name = Literal["keyset", "verified", "newest"]
READERS: dict[Name, Reader] = {"keyset": read_keyset, "verified": read_split_windows, "newest": read_newest_first}


@dataclass(frozen=True, slots=True)
class ReadStrategy:
    """How a source is read: history by windows of ``field``, and later syncs by ``later``."""

    field: Field
    history: Literal["keyset", "verified"]
    later: Literal["windows", "newest", "sweep"]


def choose_strategy(capabilities: ServerCapabilities) -> ReadStrategy:
    """Return the cheapest exact strategy."""
    by: Field = capabilities.window_field or "createdAt"
    history: Literal["keyset", "verified"] = "keyset" if capabilities.sorts(by) else "verified"
    if by == "updatedAt":
        return ReadStrategy(by, history, "windows")
    return ReadStrategy(by, history, "newest" if capabilities.sorts("updatedAt") else "sweep")
