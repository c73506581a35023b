"""The custom and system fields of a task, which the API spells twice: listed in `fields`, and as top-level keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from etl.transform.canonical import canonical
from etl.transform.children import entries
from etl.transform.rows import Row
from etl.transform.text import cut, ident, moment, number, text

_NUMERIC = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)
_DATED = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMES = ("date", "timestamp")


@dataclass(slots=True)
class _Field:
    field_id: str | None
    key: str
    name: str | None
    data_type: str | None
    value: object

    def fill(self, other: _Field) -> None:
        """Take from another spelling of the same field what is still missing."""
        self.field_id = self.field_id or other.field_id
        self.name = self.name or other.name
        self.data_type = self.data_type or other.data_type
        if _is_nothing(self.value):
            self.value = other.value


class _Fields:
    """One entry a field: known by its id, or by its name where one of two spellings has no id."""

    __slots__ = ("_by_id", "_by_name", "all")

    def __init__(self) -> None:
        self.all: list[_Field] = []
        self._by_id: dict[str, _Field] = {}
        self._by_name: dict[str, _Field] = {}

    def add(self, entry: Mapping[str, object], top_level_key: str = "") -> None:
        """Keep one spelling of a field; a field without id and name cannot be told from others and is left out."""
        found = _read(entry, top_level_key)
        if found is None:
            return
        known = self._find(found)
        if known is None:
            known = found
            self.all.append(found)
        else:
            known.fill(found)
            known.key = top_level_key or known.key
        if known.field_id is not None:
            self._by_id.setdefault(known.field_id, known)
        self._by_name.setdefault(found.key.lower(), known)

    def _find(self, found: _Field) -> _Field | None:
        if found.field_id is not None and found.field_id in self._by_id:
            return self._by_id[found.field_id]
        known = self._by_name.get(found.key.lower())
        both_have_ids = known is not None and known.field_id is not None and found.field_id is not None
        return None if both_have_ids else known


def field_rows(task_id: str, listed: object, named: Mapping[str, Mapping[str, object]]) -> tuple[Row, ...]:
    """One row for each field that has a value, however often the record spells it; the list comes first.

    Where two spellings disagree about the value, the list's stands. `key` is the top-level key, where there is one.
    """
    fields = _Fields()
    for entry in entries(listed):
        if isinstance(entry, dict):
            fields.add(entry)
    for key, value in named.items():
        fields.add(value, key)
    pairs = [(field, told) for field in fields.all if (told := _text(field.value)) is not None]
    return tuple(_row(task_id, position, *pair) for position, pair in enumerate(pairs))


def _read(entry: Mapping[str, object], top_level_key: str) -> _Field | None:
    inner = entry.get("metaData")
    meta = inner if isinstance(inner, dict) else {}
    field_id = ident(entry.get("_id")) or ident(entry.get("id"))
    name = text(entry.get("displayName"))
    key = top_level_key or name or text(entry.get("lname")) or text(meta.get("name")) or field_id
    if key is None:
        return None
    return _Field(
        field_id, key, name, text(entry.get("dataType")) or text(meta.get("type")), entry.get("selectedValue")
    )


def _row(task_id: str, position: int, field: _Field, value: str) -> Row:
    return {
        "task_id": task_id,
        "position": position,
        "field_id": field.field_id,
        "key": cut(field.key),
        "name": field.name,
        "data_type": field.data_type,
        "text": value,
        "number": _number(field.value),
        "time": _time(field.value, field.data_type),
    }


def _is_nothing(value: object) -> bool:
    return value is None or (not value and isinstance(value, str | dict | list))


def _text(value: object) -> str | None:
    if isinstance(value, dict | list):
        return canonical(value) if value else None
    return text(value)


def _number(value: object) -> float | None:
    # Stricter than float(): that reads 2024_10 as a number, which as an order's number it is not.
    if isinstance(value, str) and not _NUMERIC.fullmatch(value):
        return None
    return number(value)


def _time(value: object, data_type: str | None) -> datetime | None:
    if data_type is not None and data_type.lower().startswith(_TIMES):
        return moment(value)
    if isinstance(value, str):
        return moment(value) if _DATED.match(value) else None
    return moment(value) if isinstance(value, dict) and "$date" in value else None
