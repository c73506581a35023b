"""Tells a task's keys apart, and reads its fields, which the API gives twice: in the list `fields` and as keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec import Struct

from etl.api_record import KNOWN, Row
from etl.exact_json import canonical, read, shown
from etl.transform.child_rows import entries
from etl.transform.convert_values import cut, ident, moment, number, text

_NEVER_FIELDS = frozenset(["_id", "fields"])
EXAMPLE = 200
_NUMERIC = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)
_DATED = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMES = ("date", "timestamp")
_IsSpelling = Callable[["_Field", str, Mapping[str, object]], bool]


def split_keys(record: dict[str, object]) -> tuple[dict[str, Mapping[str, object]], tuple[tuple[str, str], ...]]:
    """Return the custom fields by their keys, and the unknown keys with an example, both in order of the keys."""
    fields: dict[str, Mapping[str, object]] = {}
    unknown: dict[str, str] = {}
    for key in sorted(key for key, value in record.items() if key not in KNOWN or _takes_its_place(key, value)):
        value = record[key]
        if isinstance(value, dict) and is_field(value):
            fields[key] = value
        else:
            unknown[cut(key)] = shown(value, EXAMPLE)
    return fields, tuple(unknown.items())


def _takes_its_place(key: str, value: object) -> bool:
    """Tell whether a custom field has the place of the API's own key."""
    return isinstance(value, dict) and "selectedValue" in value and key not in _NEVER_FIELDS


def is_field(value: Mapping[str, object]) -> bool:
    """Tell whether the value of a top-level key is a custom field."""
    return "selectedValue" in value or ("displayName" in value and ("id" in value or "_id" in value))


class _Field(Struct):
    """A field with all its spellings; a later one fills what an earlier one lacks."""

    field_id: str | None
    key: str
    spellings: list[Mapping[str, object]]
    is_keyed: bool = False  # it has its top-level key

    def value(self) -> tuple[object, str] | None:
        """Return the value and its text."""
        for entry in self.spellings:
            value = entry.get("selectedValue")
            told = _text(value)
            if told is not None:
                return value, told
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

    def may_be(self, field_id: str | None) -> bool:
        """Tell whether an entry with this id may be the same field."""
        return self.field_id is None or field_id is None or self.field_id == field_id

    def agrees(self, entry: Mapping[str, object]) -> bool:
        """Tell whether no value is lost if the entry is another spelling of this field."""
        mine, other = self.value(), _text(entry.get("selectedValue"))
        return mine is None or other is None or mine[1] == other

    def take(self, field_id: str | None, entry: Mapping[str, object]) -> None:
        self.spellings.append(entry)
        self.field_id = self.field_id or field_id


def field_rows(task: Row, listed: object, named: Mapping[str, Mapping[str, object]]) -> tuple[Row, ...]:
    """Return one row for each field with a value, however often the record repeats it; the list comes first.

    ``task`` are the columns of a row that name the task. A top-level key is a field of the list if its id or its exact
    name matches. A name with other letter case matches only if no value is lost. If two values differ, the list's value
    wins. `key` is the top-level key, if there is one. A field without id and name is left out.
    """
    fields: list[_Field] = []
    for entry in entries(listed):
        if isinstance(entry, dict):
            _add_listed(fields, entry)
    left = [key for key, entry in named.items() if not _joined(fields, key, entry, _is_same)]
    for key in left:
        if not _joined(fields, key, named[key], _is_similar):
            fields.append(_Field(_id(named[key]), key, [named[key]], is_keyed=True))
    rows: list[Row] = []
    for field in fields:
        told = field.value()
        if told is not None:
            rows.append(_row(task, len(rows), field, told))
    return tuple(rows)


def _add_listed(fields: list[_Field], entry: Mapping[str, object]) -> None:
    field_id = _id(entry)
    key = _key(entry) or field_id
    if key is None:
        return
    for field in fields:
        is_same = field.key == key or (field_id is not None and field_id == field.field_id)
        if is_same and field.may_be(field_id) and field.agrees(entry):
            field.take(field_id, entry)
            return
    fields.append(_Field(field_id, key, [entry]))


def _joined(fields: list[_Field], key: str, entry: Mapping[str, object], is_spelling: _IsSpelling) -> bool:
    """Tell whether the top-level key is a field of the list; if so, merge it into that field."""
    field_id = _id(entry)
    for field in fields:
        if not field.is_keyed and field.may_be(field_id) and is_spelling(field, key, entry):
            field.take(field_id, entry)
            field.key, field.is_keyed = key, True
            return True
    return False


def _is_same(field: _Field, key: str, entry: Mapping[str, object]) -> bool:
    field_id = _id(entry)
    return (field_id is not None and field_id == field.field_id) or key in {field.key, field.name()}


def _is_similar(field: _Field, key: str, entry: Mapping[str, object]) -> bool:
    told = [field.key, *(name for each in field.spellings for name in (each.get("lname"), _meta(each).get("name")))]
    return key.lower() in {name.lower() for name in told if isinstance(name, str)} and field.agrees(entry)


def _id(entry: Mapping[str, object]) -> str | None:
    return ident(entry.get("_id")) or ident(entry.get("id"))


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
        **_columns(value, as_text, data_type),
    }


def value_columns(json: bytes, data_type: str | None) -> Row | None:
    """Return the columns of a field's value, given as JSON; None if the field has no value."""
    value = read(json)
    told = _text(value)
    return None if told is None else _columns(value, told, data_type)


def _columns(value: object, as_text: str, data_type: str | None) -> Row:
    return {"text": as_text, "number": _number(value), "time": _time(value, data_type)}


def _text(value: object) -> str | None:
    told = text(value)
    return canonical(value) if told is None and value and isinstance(value, dict | list) else told


def _number(value: object) -> float | None:
    # Stricter than float(), which reads an order number such as 2024_10 as a number.
    if isinstance(value, str) and not _NUMERIC.fullmatch(value):
        return None
    return number(value)


def _time(value: object, data_type: str | None) -> datetime | None:
    if data_type is not None and data_type.lower().startswith(_TIMES):
        return moment(value)
    if isinstance(value, str):
        return moment(value) if _DATED.match(value) else None
    return moment(value) if isinstance(value, dict) and "$date" in value else None
