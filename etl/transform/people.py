"""Reads the agents, queues and users in a task, each as an id and a name, and as a row."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from etl.api_record import UNTOLD, Row
from etl.exact_json import read
from etl.transform.convert_values import ident, stable_id, text
from etl.transform.transform_result import Stream

Named = tuple[str | None, str | None]
"""An id and a name, each None if missing."""

NOBODY: Named = (None, None)
EMPTY = ""
"""A value that the record clears; in the database NULL is a value that no record gave."""
_Mention = tuple[str | None, str | None, Row]
_Told = str | UnsetType | None
_KEPT = ("_id", "source_id", "seen_at")
_REMEMBERED = 2048  # bytes; longer mentions are not remembered
# An id of an agent, a user or a queue; the part after the prefix is not always a UUID, but it is no word of a name.
_ID = re.compile(r"(?:a|u|qu)-[0-9a-f]{4,32}-[0-9A-Za-z-]{4,64}")


class Kind(Struct, frozen=True, eq=False):
    """The table of agents, queues or users: how ids are found or made, and its extra column."""

    name: str
    prefix: str
    id_keys: tuple[str, ...]
    column: str | None = None
    key: str = ""


AGENT = Kind("agent", "a-", ("aId", "agentId", "_id"))
QUEUE = Kind("queue", "qu-", ("_id",), "type", "type")
USER = Kind("user", "u-", ("_id",), "email", "emailId")


class NotPlainError(Exception):
    """The record needs the tolerant transform."""


class Mentions:
    """The rows of one kind in a record, one for each id; later mentions fill missing values.

    A value that the record leaves out is missing in its row, too. One that the record clears is EMPTY.
    """

    __slots__ = ("_kind", "_rows", "_seen_at", "_stream")

    def __init__(self, kind: Kind, stream: Stream, seen_at: datetime | None) -> None:
        self._kind = kind
        self._stream = stream
        self._seen_at = seen_at
        self._rows: dict[str, Row] = {}

    def meet(self, value: object) -> Named:
        """Return the id and name in an entry of any form; without an id, make one from the name."""
        if value is None or value == {}:
            return NOBODY
        kind = self._kind
        key, name = named(value, kind.id_keys)
        if key is None:
            key = stable_id(self._stream.stream_id, kind.prefix, kind.name, name)
            if key is None:
                return None, name
        row = self._row(key)
        keys = value if isinstance(value, dict) else {"name": name} if name else {}
        _fill(row, "name", keys, "name")
        if kind.column is not None:
            _fill(row, kind.column, keys, kind.key)
        return key, name

    def meet_text(self, value: Raw) -> Named:
        """Return the id and name in an entry given as JSON, which is remembered by its bytes."""
        if value is UNTOLD:
            return NOBODY
        json = bytes(value)
        make = _remembered if len(json) <= _REMEMBERED else _met
        return self._take(*make(self._kind, json, self._stream.source_id, self._stream.stream_id))

    def meet_typed(self, ids: tuple[str | None, ...], name: _Told, more: _Told = UNSET) -> Named:
        """Return the id and name in an entry given by the values of its keys, the ids in the order of ``id_keys``."""
        return self._take(*_met_typed(self._kind, ids, name, more, self._stream.source_id, self._stream.stream_id))

    def _take(self, key: str | None, name: str | None, told: Row) -> Named:
        if key is not None:
            row = self._row(key)
            for column, said in told.items():
                row[column] = row.get(column) or said
        return key, name

    def _row(self, key: str) -> Row:
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = {"_id": key, "source_id": self._stream.source_id, "seen_at": self._seen_at}
        return row

    def rows(self) -> tuple[Row, ...]:
        """Return one row for each id so far, in the order of first mention."""
        return tuple(self._rows.values())


def _met(kind: Kind, json: bytes, source_id: int, stream_id: str) -> _Mention:
    return _mention(kind, plain_value(json), Stream(source_id, stream_id))


@lru_cache(maxsize=4096)
def _met_typed(
    kind: Kind, ids: tuple[str | None, ...], name: _Told, more: _Told, source_id: int, stream_id: str
) -> _Mention:
    told = {**dict(zip(kind.id_keys, ids, strict=True)), "name": name, kind.key: more}
    entry = {key: value for key, value in told.items() if value is not UNSET}
    return _mention(kind, entry, Stream(source_id, stream_id))


_remembered = lru_cache(maxsize=4096)(_met)


def _mention(kind: Kind, value: object, stream: Stream) -> _Mention:
    mentions = Mentions(kind, stream, None)
    key, name = mentions.meet(value)
    rows = mentions.rows()
    told = {column: value for row in rows for column, value in row.items() if column not in _KEPT}
    return key, name, told


def plain_value(json: bytes) -> Any:
    """Return the value of an API's own key.

    Raises:
        NotPlainError: a custom field has the key's place.
    """
    value = read(json)
    if isinstance(value, dict) and "selectedValue" in value:
        raise NotPlainError
    return value


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
    """Return the id (of the first key that has one) and the name of an object, or of a text in its place."""
    if isinstance(value, dict):
        for key in id_keys:
            found = ident(value.get(key))
            if found is not None:
                return found, text(value.get("name"))
        return None, text(value.get("name"))
    name = text(value)
    return (name, None) if name and _ID.fullmatch(name) else (None, name)
