"""The status, priority and case that a task names, each as a row of its own table."""

from __future__ import annotations

from datetime import datetime

from etl.transform.canonical import canonical
from etl.transform.rows import Row, Stream
from etl.transform.stable import stable_id
from etl.transform.text import boolean, cut, ident, number, text


def status_row(value: object, stream: Stream, seen_at: datetime | None) -> Row | None:
    """The status as a row, from an object or a plain name; None where it has neither id nor name."""
    row = _named_row(value, stream, ("sts-", "status"))
    if row is None:
        return None
    keys = value if isinstance(value, dict) else {}
    row["category"] = text(keys.get("statusCategory"))
    row["seen_at"] = seen_at
    return row


def priority_row(value: object, stream: Stream, seen_at: datetime | None) -> Row | None:
    """The priority as a row, from an object or a plain name; None where it has neither id nor name."""
    row = _named_row(value, stream, ("pr-", "priority"))
    if row is None:
        return None
    keys = value if isinstance(value, dict) else {}
    row["color"] = text(keys.get("color"))
    row["score"] = number(keys.get("score"))
    row["seen_at"] = seen_at
    return row


def case_row(record: dict[str, object], stream: Stream, seen_at: datetime | None) -> Row | None:
    """The case of a task as a row; None where the task names none."""
    reference = text(record.get("caseRefId"))
    key = ident(record.get("caseId")) or stable_id(stream.stream_id, "ci-", "case", reference)
    if key is None:
        return None
    return {"_id": key, "source_id": stream.source_id, "ref_id": cut(reference), "seen_at": seen_at}


def _named_row(value: object, stream: Stream, kind: tuple[str, str]) -> Row | None:
    keys = value if isinstance(value, dict) else {"name": value}
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
        "raw": canonical(value),
    }
