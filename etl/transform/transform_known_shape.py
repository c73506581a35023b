"""Turns a record of the known shape into the same rows as ``transform``, without parsing what repeats among records.

Statuses, priorities, people and the entries of fields are remembered by their own bytes. Whatever is not plain gives
None: then ``transform`` reads the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from msgspec import DecodeError, Raw, Struct

from etl.api_record import UNTOLD, Participant, Queue, Record, Row, Task, field_from
from etl.exact_json import read, shown
from etl.times import parse_time
from etl.transform.child_rows import Met, participant_rows, queue_rows, word_rows
from etl.transform.convert_values import cut, ident, moment, text
from etl.transform.custom_fields import EXAMPLE, is_field, value_columns
from etl.transform.dimensions import case_row, priority_row, status_row
from etl.transform.people import AGENT, NOBODY, QUEUE, USER, Mentions, NotPlainError, plain_value
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
    case = case_row(task.caseId, task.caseRefId, stream, seen_at)
    agents, queues, users = (
        Mentions(AGENT, stream, seen_at),
        Mentions(QUEUE, stream, seen_at),
        Mentions(USER, stream, seen_at),
    )
    key = {"task_id": task.id, "source_id": stream.source_id}
    task_queues, (queue_id, queue) = queue_rows(key, _met_queues(task.queues, queues)) if task.queues else ((), NOBODY)
    assignee_id, assignee = agents.meet_text(task.currAssignee)
    user_id, user_name = users.meet_text(task.userInfo)
    created_by_id, created_by = users.meet_text(task.createdBy)
    updated_by_id, updated_by = users.meet_text(task.updatedBy)
    custom, unknown = _split(record.other_keys())
    fields = [_field(bytes(entry)) for entry in task.fields or ()]
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
    participants = participant_rows(key, _met_agents(task.participants, agents)) if task.participants else ()
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


def _met_queues(entries: Sequence[Queue], queues: Mentions) -> list[Met]:
    return [
        (queues.meet_typed((entry.id,), entry.name, entry.type), entry.status or None, moment(entry.startTime))
        for entry in entries
    ]


def _met_agents(entries: Sequence[Participant], agents: Mentions) -> list[Met]:
    return [
        (
            agents.meet_typed((entry.aId, entry.agentId, entry.id), entry.name),
            entry.pStatus or None,
            moment(entry.assignedAt),
        )
        for entry in entries
    ]


def _named(kind: str, value: Raw, stream: Stream, seen_at: datetime | None) -> Row | None:
    json = bytes(value)
    make = _remembered if len(json) <= _REMEMBERED else _made
    row = make(kind, json, stream.source_id, stream.stream_id)
    return row and {**row, "seen_at": seen_at}


def _made(kind: str, json: bytes, source_id: int, stream_id: str) -> Row | None:
    make = status_row if kind == "status" else priority_row
    return make(plain_value(json), Stream(source_id, stream_id), None)


_remembered = lru_cache(maxsize=1024)(_made)


def _split(others: Mapping[str, Raw]) -> tuple[dict[str, _Field], dict[str, str]]:
    """Return the custom fields by their keys, and the unknown keys with an example."""
    custom: dict[str, _Field] = {}
    unknown: dict[str, str] = {}
    for key, value in others.items():
        json = bytes(value)
        entry = _field(json) if json[:1] == b"{" else None
        if entry is not None and (entry.value is not None or is_field(read(json))):
            custom[key] = entry
        else:
            unknown[cut(key)] = shown(read(json), EXAMPLE)
    return custom, unknown


class _Field(Struct, frozen=True, gc=False):
    """What one entry says of a field; ``name`` is any of its names, ``label`` the one that it is shown with."""

    field_id: str | None
    name: str | None
    label: str | None
    type: str | None
    is_due_date: bool
    value: bytes | None


def _field_of(json: bytes) -> _Field:
    entry = field_from(json)
    name, data_type, is_due_date = _described(bytes(entry.metaData), entry.name, entry.lname, entry.displayName)
    return _Field(
        ident(entry.listed_id or entry.keyed_id),
        name,
        entry.displayName or None,
        entry.dataType or data_type,
        is_due_date,
        None if entry.selectedValue is UNTOLD else bytes(entry.selectedValue),
    )


@lru_cache(maxsize=2048)
def _described(
    meta: bytes, name: str | None, lname: str | None, label: str | None
) -> tuple[str | None, str | None, bool]:
    """Return the name and type that a field's ``metaData`` and names say, and whether it is the due date."""
    inner = read(meta)
    known = inner if isinstance(inner, dict) else {}
    is_due_date = is_due_name(known.get("name"), name, lname, label)
    return label or lname or text(known.get("name")), text(known.get("type")), is_due_date


_remembered_field = lru_cache(maxsize=4096)(_field_of)


def _field(json: bytes) -> _Field:
    return _remembered_field(json) if len(json) <= _REMEMBERED else _field_of(json)


def _due_in(listed: Sequence[_Field]) -> datetime | None:
    for entry in listed:
        if entry.is_due_date and entry.value is not None:
            value = read(entry.value)
            due = moment(value) if value else None
            if due is not None:
                return due
    return None


def _field_rows(key: Row, listed: Sequence[_Field], custom: Mapping[str, _Field]) -> tuple[Row, ...]:
    """Return the rows of fields that have an id each; a top-level key repeats the field of its id."""
    spellings = {entry.field_id: [entry] for entry in listed}
    names = {entry.field_id: name for name, entry in custom.items()}
    if len(spellings) < len(listed) or len(names) < len(custom):
        raise NotPlainError
    for entry in custom.values():
        spellings.setdefault(entry.field_id, []).append(entry)
    if None in spellings:
        raise NotPlainError
    rows: list[Row] = []
    for field_id, entries in spellings.items():
        columns = _columns(entries)
        if columns is not None:
            name = names.get(field_id) or entries[0].name or field_id
            own = {"position": len(rows), "field_id": field_id, "key": cut(name)}
            label = entries[0].label or next((entry.label for entry in entries if entry.label), None)
            rows.append({**key, **own, "name": label, **columns})
    return tuple(rows)


def _columns(spellings: Sequence[_Field]) -> Row | None:
    """Return the type and the value's columns, None if no spelling has a value."""
    data_type = spellings[0].type or next((entry.type for entry in spellings if entry.type), None)
    for entry in spellings:
        if entry.value is not None:
            make = _remembered_columns if len(entry.value) <= _REMEMBERED else _columns_of
            columns = make(entry.value, data_type)
            if columns is not None:
                return columns
    return None


def _columns_of(value: bytes, data_type: str | None) -> Row | None:
    columns = value_columns(value, data_type)
    return columns and {"data_type": data_type, **columns}


_remembered_columns = lru_cache(maxsize=4096)(_columns_of)
