"""Turns a task's status, priority and case into rows of their own tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

import orjson

from etl.api_record import Row
from etl.exact_json import canonical, plain_canonical
from etl.transform.convert_values import boolean, cut, ident, number, stable_id, text
from etl.transform.transform_result import Stream

# A stream has few statuses and priorities, and each task repeats them. Longer ones are not cached.
_REMEMBERED = 2048

_Make = Callable[[object, Stream, str], Row | None]


def status_row(value: object, stream: Stream, seen_at: datetime | None) -> Row | None:
    """Return the status as a row, from an object or a plain name; None without id and name."""
    return _row(_status, value, stream, seen_at)


def priority_row(value: object, stream: Stream, seen_at: datetime | None) -> Row | None:
    """Return the priority as a row, from an object or a plain name; None without id and name."""
    return _row(_priority, value, stream, seen_at)


def case_row(record: dict[str, object], stream: Stream, seen_at: datetime | None) -> Row | None:
    """Return the task's case as a row, or None."""
    return case_of(record.get("caseId"), record.get("caseRefId"), stream, seen_at)


def case_of(case_id: object, reference: object, stream: Stream, seen_at: datetime | None) -> Row | None:
    """Return the case of an id and a reference as a row, None without both."""
    reference = text(reference)
    key = ident(case_id) or stable_id(stream.stream_id, "ci-", "case", reference)
    if key is None:
        return None
    return {"_id": key, "source_id": stream.source_id, "ref_id": cut(reference), "seen_at": seen_at}


def _row(make: _Make, value: object, stream: Stream, seen_at: datetime | None) -> Row | None:
    raw = plain_canonical(value)
    if raw is None or len(raw) > _REMEMBERED:
        row = make(value, stream, canonical(value))
    else:
        row = _remembered(make, raw, stream.source_id, stream.stream_id)
    return row and {**row, "seen_at": seen_at}


@lru_cache(maxsize=1024)
def _remembered(make: _Make, raw: str, source_id: int, stream_id: str) -> Row | None:
    return make(orjson.loads(raw), Stream(source_id, stream_id), raw)


def _status(value: object, stream: Stream, raw: str) -> Row | None:
    keys = _keys(value)
    row = _named_row(keys, stream, ("sts-", "status"))
    return row and {**row, "category": text(keys.get("statusCategory")), "raw": raw}


def _priority(value: object, stream: Stream, raw: str) -> Row | None:
    keys = _keys(value)
    row = _named_row(keys, stream, ("pr-", "priority"))
    return row and {**row, "color": text(keys.get("color")), "score": number(keys.get("score")), "raw": raw}


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
