"""The custom and system fields of a task, which the API spells twice: listed in `fields`, and as top-level keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from etl.row import Row
from etl.transform.canonical_json import canonical
from etl.transform.children import entries
from etl.transform.values import cut, ident, moment, number, text

_NUMERIC = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)
_DATED = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMES = ("date", "timestamp")


@dataclass(slots=True)
class _Field:
    """A field in all its spellings; what one does not tell, the next one may."""

    field_id: str | None
    key: str
    spellings: list[Mapping[str, object]]

    def value(self) -> object:
        for entry in self.spellings:
            value = entry.get("selectedValue")
            if not _is_nothing(value):
                return value
        return None

    def name(self) -> str | None:
        for entry in self.spellings:
            name = text(entry.get("displayName"))
            if name is not None:
                return name
        return None

    def data_type(self) -> str | None:
        for entry in self.spellings:
            data_type = text(entry.get("dataType")) or text(_meta(entry).get("type"))
            if data_type is not None:
                return data_type
        return None


class _Fields:
    """One entry a field: known by its id, or by its name where one of two spellings has no id."""

    __slots__ = ("_by_id", "_by_name", "all")

    def __init__(self) -> None:
        self.all: list[_Field] = []
        self._by_id: dict[str, _Field] = {}
        self._by_name: dict[str, _Field] = {}

    def add(self, entry: Mapping[str, object], top_level_key: str = "") -> None:
        """Keep one spelling of a field; a field without id and name cannot be told from others and is left out."""
        field_id = ident(entry.get("_id")) or ident(entry.get("id"))
        key = top_level_key or _key(entry) or field_id
        if key is None:
            return
        name = key.lower()
        known = self._find(field_id, name)
        if known is None:
            known = _Field(field_id, key, [entry])
            self.all.append(known)
        else:
            known.spellings.append(entry)
            known.field_id = known.field_id or field_id
            known.key = top_level_key or known.key
        if known.field_id is not None:
            self._by_id.setdefault(known.field_id, known)
        self._by_name.setdefault(name, known)

    def _find(self, field_id: str | None, name: str) -> _Field | None:
        if field_id is not None and field_id in self._by_id:
            return self._by_id[field_id]
        known = self._by_name.get(name)
        both_have_ids = known is not None and known.field_id is not None and field_id is not None
        return None if both_have_ids else known


def field_rows(task: Row, listed: object, named: Mapping[str, Mapping[str, object]]) -> tuple[Row, ...]:
    """One row for each field that has a value, however often the record spells it; the list comes first.

    ``task`` are the columns that name the task in such a row.

    Where two spellings disagree about the value, the list's stands. `key` is the top-level key, where there is one.
    """
    fields = _Fields()
    for entry in entries(listed):
        if isinstance(entry, dict):
            fields.add(entry)
    for key, entry in named.items():
        fields.add(entry, key)
    rows: list[Row] = []
    for field in fields.all:
        value = field.value()
        told = _text(value)
        if told is not None:
            rows.append(_row(task, len(rows), field, (value, told)))
    return tuple(rows)


def _key(entry: Mapping[str, object]) -> str | None:
    return text(entry.get("displayName")) or text(entry.get("lname")) or text(_meta(entry).get("name"))


def _meta(entry: Mapping[str, object]) -> Mapping[str, object]:
    inner = entry.get("metaData")
    return inner if isinstance(inner, dict) else {}


def _row(task: Row, position: int, field: _Field, told: tuple[object, str]) -> Row:
    value, as_text = told
    data_type = field.data_type()
    return {
        **task,
        "position": position,
        "field_id": field.field_id,
        "key": cut(field.key),
        "name": field.name(),
        "data_type": data_type,
        "text": as_text,
        "number": _number(value),
        "time": _time(value, data_type),
    }


def _is_nothing(value: object) -> bool:
    return value is None or (not value and isinstance(value, str | dict | list))


def _text(value: object) -> str | None:
    told = text(value)
    return canonical(value) if told is None and value and isinstance(value, dict | list) else told


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
