"""Turns a record of getTasks into a task's row, with the rows that it refers to."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from etl.api_record import KNOWN, Row
from etl.exact_json import canonical, clean, clean_text, is_too_deep, plain_canonical, shown
from etl.times import parse_time
from etl.transform.child_rows import met_agents, met_queues, participant_rows, queue_rows, word_rows, words
from etl.transform.convert_values import LONGEST_ID, boolean, cut, ident, moment, text
from etl.transform.custom_fields import field_rows, split_keys
from etl.transform.dimensions import case_row, priority_row, status_row
from etl.transform.people import AGENT, QUEUE, USER, Mentions
from etl.transform.transform_result import Rejection, Stream, TaskRows

_SHOWN = 80
_DUE_NAMES = frozenset({"duedate", "eta"})


def transform(record: object, stream: Stream) -> TaskRows | Rejection:
    """Return the rows of one record, or its rejection.

    Only `_id` is required; an unreadable part is None in its column and stays in `raw`. A record is rejected if it is
    not an object, has no usable `_id` or an unreadable `updatedAt`, or is nested too deeply.
    """
    raw = plain_canonical(record)
    if raw is None:
        if is_too_deep(record):
            return Rejection("the record is nested too deeply", _id_of(record), canonical(record))
        record = clean(record)
        raw = canonical(record)
    if not isinstance(record, dict):
        return Rejection("the record is not an object", None, raw)
    key = ident(record.get("_id"))
    if key is None:
        return Rejection(_why_no_id(record.get("_id")), None, raw)
    try:
        updated_at = parse_time(record.get("updatedAt"))
    except ValueError:
        return Rejection(f"updatedAt is unreadable: {shown(record['updatedAt'], _SHOWN)}", key, raw)
    return _rows(key, record, raw, stream, updated_at)


def _rows(key: str, record: dict[str, object], raw: str, stream: Stream, updated_at: datetime | None) -> TaskRows:
    due_at = _due_time(record)  # also from a custom field of that name
    custom, unknown = split_keys(record)
    if not KNOWN.isdisjoint(custom):
        record = {name: value for name, value in record.items() if name not in custom}
    created_at = moment(record.get("createdAt")) or moment(record.get("timestampValue"))
    seen_at = updated_at or created_at
    status = status_row(record.get("status"), stream, seen_at)
    priority = priority_row(record.get("priority"), stream, seen_at)
    case = case_row(record.get("caseId"), record.get("caseRefId"), stream, seen_at)
    agents, queues, users = (Mentions(kind, stream, seen_at) for kind in (AGENT, QUEUE, USER))
    named = {"task_id": key, "source_id": stream.source_id}
    task_queues, current_queue = queue_rows(named, met_queues(record.get("queues"), queues))
    task: Row = {
        "_id": key,
        "source_id": stream.source_id,
        "stream_id": ident(record.get("iId")) or stream.stream_id,
        "case_id": case and case["_id"],
        "status_id": status and status["_id"],
        "priority_id": priority and priority["_id"],
        "due_at": due_at,
        "created_at": created_at,
        "updated_at": updated_at,
        "raw": raw,
        **_own_columns(record),
        **_people_columns(record, agents, users),
        "queue_id": current_queue[0],
        "queue": current_queue[1],
    }
    task_participants = participant_rows(named, met_agents(record.get("participants"), agents))
    return TaskRows(
        task,
        status,
        priority,
        case,
        agents=agents.rows(),
        queues=queues.rows(),
        users=users.rows(),
        task_queues=task_queues,
        task_participants=task_participants,
        task_tags=word_rows(named, words(record.get("tags")), "tag"),
        task_channels=word_rows(named, words(record.get("channel")), "channel"),
        task_fields=field_rows(named, record.get("fields"), custom),
        unknown_keys=unknown,
    )


def _own_columns(record: dict[str, object]) -> Row:
    return {
        "ref_id": cut(text(record.get("refId"))),
        "name": text(record.get("name")),
        "assignee_type": text(record.get("assigneeType")),
        "conversation_type": text(record.get("conversationType")),
        "origin": text(record.get("source")),
        "account_id": ident(record.get("accountId")),
        "org_id": ident(record.get("orgId")),
        "is_active": boolean(record.get("isActive")),
        "is_breached": boolean(record.get("isBreached")),
        "is_custom": boolean(record.get("isCustTsk")),
    }


def _people_columns(record: dict[str, object], agents: Mentions, users: Mentions) -> Row:
    assignee_id, assignee = agents.meet(record.get("currAssignee"))
    user_id, user_name = users.meet(record.get("userInfo"))
    created_by_id, created_by = users.meet(record.get("createdBy"))
    updated_by_id, updated_by = users.meet(record.get("updatedBy"))
    return {
        "assignee_id": assignee_id,
        "assignee": assignee,
        "user_id": user_id,
        "user_name": user_name,
        "created_by_id": created_by_id,
        "created_by": created_by,
        "updated_by_id": updated_by_id,
        "updated_by": updated_by,
    }


def _due_time(record: dict[str, object]) -> datetime | None:
    """Return the due date from `dueDate`, else `ETA`, else the field of either name in `fields`; else None."""
    return due_of(record.get("dueDate")) or due_of(record.get("ETA")) or _due_in_fields(record.get("fields"))


def due_of(value: object) -> datetime | None:
    """Return the due date that a value tells."""
    if not value:
        return None
    # A custom field of that name comes as an object with its value.
    if isinstance(value, dict) and "selectedValue" in value:
        value = value["selectedValue"]
    return moment(value)


def _due_in_fields(fields: object) -> datetime | None:
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
    return is_due_name(inner, field.get("name"), field.get("lname"), field.get("displayName"))


def is_due_name(*names: object) -> bool:
    """Tell whether one of a field's names is that of the due date."""
    return any(isinstance(name, str) and _is_due_word(name) for name in names)


@lru_cache(maxsize=1024)
def _is_due_word(name: str) -> bool:
    return name.replace(" ", "").replace("_", "").lower() in _DUE_NAMES


def _id_of(record: object) -> str | None:
    key = ident(record.get("_id")) if isinstance(record, dict) else None
    return None if key is None else clean_text(key)


def _why_no_id(value: object) -> str:
    if value is None or value in ({}, []) or (isinstance(value, str) and not value.strip()):
        return "_id is missing"
    if isinstance(value, str | int) and not isinstance(value, bool):
        return f"_id is longer than {LONGEST_ID} characters"
    return "_id is not text"
