"""Reads a task's due date from one of three places."""

from __future__ import annotations

from datetime import datetime

from etl.transform.values import moment

_NAMES = frozenset({"duedate", "eta"})


def due_time(record: dict[str, object]) -> datetime | None:
    """Return the due date from `dueDate`, else `ETA`, else the field of either name in `fields`; else None."""
    return _told(record.get("dueDate")) or _told(record.get("ETA")) or _from_fields(record.get("fields"))


def _told(value: object) -> datetime | None:
    if not value:
        return None
    # A custom field of that name comes as an object with its value.
    if isinstance(value, dict) and "selectedValue" in value:
        value = value["selectedValue"]
    return moment(value)


def _from_fields(fields: object) -> datetime | None:
    if not isinstance(fields, list):
        return None
    for field in fields:
        if isinstance(field, dict) and field.get("selectedValue") and _is_due_date(field):
            due = moment(field["selectedValue"])
            if due is not None:
                return due
    return None


def _is_due_date(field: dict[str, object]) -> bool:
    own = field.get("metaData")
    inner = own.get("name") if isinstance(own, dict) else None
    names = (inner, field.get("name"), field.get("lname"), field.get("displayName"))
    return any(isinstance(name, str) and _plain(name) in _NAMES for name in names)


def _plain(name: str) -> str:
    return name.replace(" ", "").replace("_", "").lower()
