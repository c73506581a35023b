"""Turns a task's status, priority and case into rows of their own tables."""

from __future__ import annotations

from datetime import datetime

from etl.api_record import Row
from etl.exact_json import canonical
from etl.transform.convert_values import boolean, cut, ident, number, stable_id, text
from etl.transform.transform_result import Stream


def status_row(value: object, stream: Stream, seen_at: datetime | None) -> Row | None:
    """Return the status as a row, from an object or a plain name; None without id and name."""
    keys = _keys(value)
    row = _named_row(keys, stream, ("sts-", "status"))
    return row and {**row, "category": text(keys.get("statusCategory")), "raw": canonical(value), "seen_at": seen_at}


def priority_row(value: object, stream: Stream, seen_at: datetime | None) -> Row | None:
    """Return the priority as a row, from an object or a plain name; None without id and name."""
    keys = _keys(value)
    row = _named_row(keys, stream, ("pr-", "priority"))
    own = {"color": text(keys.get("color")), "score": number(keys.get("score"))}
    return row and {**row, **own, "raw": canonical(value), "seen_at": seen_at}


def case_row(case_id: object, reference: object, stream: Stream, seen_at: datetime | None) -> Row | None:
    """Return the case of an id and a reference as a row, None without both."""
    reference = text(reference)
    key = ident(case_id) or stable_id(stream.stream_id, "ci-", "case", reference)
    if key is None:
        return None
    return {"_id": key, "source_id": stream.source_id, "ref_id": cut(reference), "seen_at": seen_at}


def _keys(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {"name": value}


def _named_row(keys: dict[str, object], stream: Stream, kind: tuple[str, str]) -> Row | None:
    name = text(keys.get("name"))
    key = ident(keys.get("_id")) or stable_id(stream.stream_id, *kind, name)
    if key is None:
        return None
    return {
        "_id": key,
        "source_id": stream.source_id,
        "name": name,
        "type": text(keys.get("type")),
        "description": text(keys.get("desc")),
        "is_enabled": boolean(keys.get("isEnabled")),
        "is_active": boolean(keys.get("isActive")),
    }
