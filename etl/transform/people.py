"""Who and where: the agents, queues and users that a task names, each as an id and a name, and as a row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from etl.row import Row
from etl.transform.models import Stream
from etl.transform.surrogate_ids import stable_id
from etl.transform.values import ident, text

Named = tuple[str | None, str | None]
"""An id and a name, each None where it is not told."""

NOBODY: Named = (None, None)
EMPTY = ""
"""What a record tells to have no value; in the database NULL is what no record tells."""
# Of an agent, a user or a queue; what follows the prefix is not always a UUID, but is no word of a name either.
_ID = re.compile(r"(?:a|u|qu)-[0-9a-f]{4,32}-[0-9A-Za-z-]{4,64}")


@dataclass(frozen=True, slots=True)
class Kind:
    """A table of agents, queues or users: how its ids are found or made, and the column that it alone has."""

    name: str
    prefix: str
    id_keys: tuple[str, ...]
    column: str | None = None
    key: str = ""


AGENT = Kind("agent", "a-", ("aId", "agentId", "_id"))
QUEUE = Kind("queue", "qu-", ("_id",), "type", "type")
USER = Kind("user", "u-", ("_id",), "email", "emailId")


class Mentions:
    """The rows of one kind that a record mentions, one an id; later mentions fill what the first left out.

    A value that the record leaves out is missing in its row, too. One that it tells to be empty is EMPTY.
    """

    __slots__ = ("_kind", "_rows", "_seen_at", "_stream")

    def __init__(self, kind: Kind, stream: Stream, seen_at: datetime | None) -> None:
        self._kind = kind
        self._stream = stream
        self._seen_at = seen_at
        self._rows: dict[str, Row] = {}

    def meet(self, value: object) -> Named:
        """Whom an entry of a record names, in any of its forms; without an id of its own by one made of the name."""
        if value is None or value == {}:
            return NOBODY
        kind = self._kind
        key, name = named(value, kind.id_keys)
        if key is None:
            key = stable_id(self._stream.stream_id, kind.prefix, kind.name, name)
            if key is None:
                return None, name
        row = self._rows.get(key)
        if row is None:
            row = {"_id": key, "source_id": self._stream.source_id, "seen_at": self._seen_at}
            self._rows[key] = row
        keys = value if isinstance(value, dict) else {"name": name} if name else {}
        _fill(row, "name", keys, "name")
        if kind.column is not None:
            _fill(row, kind.column, keys, kind.key)
        return key, name

    def rows(self) -> tuple[Row, ...]:
        """One row for each id met so far, in the order of first mention."""
        return tuple(self._rows.values())


def _fill(row: Row, column: str, keys: dict[str, object], key: str) -> None:
    """Take over what a mention tells, where the row has no text yet; what cannot be read tells nothing."""
    if key not in keys or row.get(column):
        return
    told = text(keys[key])
    if told is not None:
        row[column] = told
    elif keys[key] is None or keys[key] == "":
        row[column] = EMPTY


def named(value: object, id_keys: tuple[str, ...]) -> Named:
    """The id (under the first of the keys that has one) and name of an object, or a text that stands for it."""
    if isinstance(value, dict):
        for key in id_keys:
            found = ident(value.get(key))
            if found is not None:
                return found, text(value.get("name"))
        return None, text(value.get("name"))
    name = text(value)
    return (name, None) if name and _ID.fullmatch(name) else (None, name)
