"""Turns a record of the known shape into the same rows as ``transform``, without parsing what repeats among records.

Statuses, priorities, people and the values of fields are remembered by their own bytes. Whatever is not plain gives
None: then ``transform`` reads the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from msgspec import DecodeError, Raw

from etl.api_record import UNTOLD, Field, Record, Row, Task, field_from
from etl.exact_json import read, shown
from etl.times import parse_time
from etl.transform.child_rows import participant_rows, queue_rows, word_rows
from etl.transform.convert_values import cut, ident, moment, text
from etl.transform.custom_fields import EXAMPLE, is_field, value_columns
from etl.transform.dimensions import case_of, priority_row, status_row
from etl.transform.people import AGENT, QUEUE, USER, Mentions, NotPlainError, plain_value
from etl.transform.transform_any_shape import due_of, is_due_name
from etl.transform.transform_result import Stream, TaskRows

_REMEMBERED = 2048  # bytes; longer values are not remembered


def transform_typed(record: Record, stream: Stream) -> TaskRows | None:
    """Return the rows of a record, None if it needs the tolerant transform."""
    try:
        return None if record.task is None else _rows(record, record.task, stream)
    except (NotPlainError, DecodeError, ValueError):
        return None


def _rows(record: Record, task: Task, stream: Stream) -> TaskRows:
    if ident(task.id) is None:
        raise NotPlainError
    updated_at = parse_time(task.updatedAt)
    created_at = moment(task.createdAt) or moment(task.timestampValue)
    seen_at = updated_at or created_at
    status, priority = (
        _named("status", task.status, stream, seen_at),
        _named("priority", task.priority, stream, seen_at),
    )
    case = case_of(task.caseId, task.caseRefId, stream, seen_at)
    agents, queues, users = (Mentions(kind, stream, seen_at) for kind in (AGENT, QUEUE, USER))
    key = {"task_id": task.id, "source_id": stream.source_id}
    task_queues, (queue_id, queue) = queue_rows(key, _parsed(task.queues), queues)
    assignee_id, assignee = agents.meet_text(task.currAssignee)
    user_id, user_name = users.meet_text(task.userInfo)
    created_by_id, created_by = users.meet_text(task.createdBy)
    updated_by_id, updated_by = users.meet_text(task.updatedBy)
    custom, unknown = _split(record.other_keys())
    fields = task.fields or ()
    row: Row = {
        "_id": task.id,
        "source_id": stream.source_id,
        "stream_id": ident(task.iId) or stream.stream_id,
        "case_id": case and case["_id"],
        "status_id": status and status["_id"],
        "priority_id": priority and priority["_id"],
        "due_at": due_of(task.dueDate) or due_of(task.ETA) or _due_in(fields),
        "created_at": created_at,
        "updated_at": updated_at,
        "raw": record.raw,
        "ref_id": cut(task.refId or None),
        "name": task.name or None,
        "assignee_type": task.assigneeType or None,
        "conversation_type": task.conversationType or None,
        "origin": task.source or None,
        "account_id": ident(task.accountId),
        "org_id": ident(task.orgId),
        "is_active": task.isActive,
        "is_breached": task.isBreached,
        "is_custom": task.isCustTsk,
        "assignee_id": assignee_id,
        "assignee": assignee,
        "user_id": user_id,
        "user_name": user_name,
        "created_by_id": created_by_id,
        "created_by": created_by,
        "updated_by_id": updated_by_id,
        "updated_by": updated_by,
        "queue_id": queue_id,
        "queue": queue,
    }
    participants = participant_rows(key, _parsed(task.participants), agents)
    return TaskRows(
        row,
        status,
        priority,
        case,
        agents=agents.rows(),
        queues=queues.rows(),
        users=users.rows(),
        task_queues=task_queues,
        task_participants=participants,
        task_tags=word_rows(key, task.tags, "tag") if task.tags else (),
        task_channels=word_rows(key, task.channel, "channel") if task.channel else (),
        task_fields=_field_rows(key, fields, custom) if fields or custom else (),
        unknown_keys=tuple(unknown.items()),
    )


def _parsed(entries: Raw) -> object:
    json = bytes(entries)
    return [] if json == b"[]" else plain_value(json)


def _named(kind: str, value: Raw, stream: Stream, seen_at: datetime | None) -> Row | None:
    json = bytes(value)
    make = _remembered if len(json) <= _REMEMBERED else _made
    row = make(kind, json, stream.source_id, stream.stream_id)
    return row and {**row, "seen_at": seen_at}


def _made(kind: str, json: bytes, source_id: int, stream_id: str) -> Row | None:
    make = status_row if kind == "status" else priority_row
    return make(plain_value(json), Stream(source_id, stream_id), None)


_remembered = lru_cache(maxsize=1024)(_made)


def _split(others: Mapping[str, Raw]) -> tuple[dict[str, Field], dict[str, str]]:
    """Return the custom fields by their keys, and the unknown keys with an example."""
    custom: dict[str, Field] = {}
    unknown: dict[str, str] = {}
    for key, value in others.items():
        json = bytes(value)
        entry = field_from(json) if json[:1] == b"{" else None
        if entry is not None and (entry.selectedValue is not UNTOLD or is_field(read(json))):
            custom[key] = entry
        else:
            unknown[cut(key)] = shown(read(json), EXAMPLE)
    return custom, unknown


def _due_in(listed: Sequence[Field]) -> datetime | None:
    for entry in listed:
        if entry.selectedValue is not UNTOLD and _described(entry).is_due_date:
            value = read(bytes(entry.selectedValue))
            due = moment(value) if value else None
            if due is not None:
                return due
    return None


def _field_rows(key: Row, listed: Sequence[Field], custom: Mapping[str, Field]) -> tuple[Row, ...]:
    """Return the rows of fields that have an id each; a top-level key repeats the field of its id."""
    spellings = {_id(entry): [entry] for entry in listed}
    if len(spellings) < len(listed):
        raise NotPlainError
    names: dict[str, str] = {}
    for name, entry in custom.items():
        field_id = _id(entry)
        names[field_id] = name
        spellings.setdefault(field_id, []).append(entry)
    if len(names) < len(custom):
        raise NotPlainError
    rows: list[Row] = []
    for field_id, entries in spellings.items():
        columns = _columns(entries)
        if columns is not None:
            name = names.get(field_id) or _described(entries[0]).name or field_id
            rows.append(
                {
                    **key,
                    "position": len(rows),
                    "field_id": field_id,
                    "key": cut(name),
                    "name": next((entry.displayName for entry in entries if entry.displayName), None),
                    **columns,
                }
            )
    return tuple(rows)


def _id(entry: Field) -> str:
    field_id = ident(entry.listed_id or entry.keyed_id)
    if field_id is None:
        raise NotPlainError
    return field_id


def _columns(spellings: Sequence[Field]) -> Row | None:
    """Return the type and the value's columns, None if no spelling has a value."""
    for entry in spellings:
        if entry.selectedValue is not UNTOLD:
            json = bytes(entry.selectedValue)
            types = (each.dataType or _described(each).type for each in spellings)
            made = _converted if len(json) <= _REMEMBERED else _convert
            columns = made(json, next(filter(None, types), None))
            if columns is not None:
                return columns
    return None


def _convert(json: bytes, data_type: str | None) -> Row | None:
    columns = value_columns(json, data_type)
    return columns and {"data_type": data_type, **columns}


_converted = lru_cache(maxsize=4096)(_convert)


def _described(entry: Field) -> _Description:
    return _description(bytes(entry.metaData), entry.name, entry.lname, entry.displayName)


@dataclass(frozen=True, slots=True)
class _Description:
    name: str | None
    type: str | None
    is_due_date: bool


@lru_cache(maxsize=2048)
def _description(meta: bytes, name: str | None, lname: str | None, label: str | None) -> _Description:
    """Return what a field's ``metaData`` and names say."""
    inner = read(meta)
    known = inner if isinstance(inner, dict) else {}
    own = text(known.get("name"))
    return _Description(
        label or lname or own, text(known.get("type")), is_due_name(known.get("name"), name, lname, label)
    )
