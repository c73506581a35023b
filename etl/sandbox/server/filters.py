"""The filters of a getTasks request other than its dates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from etl.sandbox.data.store import Row
from etl.sandbox.data.timestamps import parse_timestamp
from etl.sandbox.options import Options

Record = Mapping[str, Any]
Test = Callable[[Record], bool]


def row_filter(filters: Mapping[str, Any], options: Options, me: object) -> Callable[[Row], bool] | None:
    """Whether a row passes all filters; None if nothing is filtered. ``me`` is whose tasks ``mytask`` means."""
    unfinished = bool(filters.get("unresolved")) and options.unresolved == "obeyed"
    tests = list(_tests(filters, options, me))
    if not unfinished and not tests:
        return None

    def keep(row: Row) -> bool:
        if unfinished and row.finished:
            return False
        if not tests:
            return True
        record = row.record
        return isinstance(record, dict) and all(test(record) for test in tests)

    return keep


def _tests(filters: Mapping[str, Any], options: Options, me: object) -> Iterable[Test]:
    if text := str(filters.get("searchText") or "").lower():
        yield lambda record: text in _text(record.get("name"))
    yield from _assignment_tests(filters, options, me)
    for key, names in _NAMES.items():
        if chosen := {str(each).lower() for each in filters.get(key, ())}:
            yield partial(_is_chosen, chosen, names)
    if due := parse_timestamp(filters.get("dueDate")):
        yield lambda record: parse_timestamp(record.get("dueDate")) == due
    for asked in filters.get("customFields", ()):
        yield partial(_has_field, asked)


def _assignment_tests(filters: Mapping[str, Any], options: Options, me: object) -> Iterable[Test]:
    unassigned = filters.get("unassigned")
    if unassigned:
        yield lambda record: not _agent_ids(record)
    if unassigned is False and options.unassigned_false == "assigned":
        yield lambda record: bool(_agent_ids(record))
    if filters.get("mytask") or filters.get("mycase"):
        yield lambda record: str(me).lower() in _agent_ids(record)


def _is_chosen(chosen: set[str], names: Callable[[Record], set[str]], record: Record) -> bool:
    return not chosen.isdisjoint(names(record))


def _text(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""


def _values(part: object, *keys: str) -> set[str]:
    """The texts under these keys of an object, or the text itself, in small letters."""
    if isinstance(part, dict):
        return {_text(part.get(key)) for key in keys} - {""}
    return {_text(part)} - {""}


def _agent_ids(record: Record) -> set[str]:
    return _values(record.get("currAssignee"), "agentId", "aId", "name")


def _queue_names(record: Record) -> set[str]:
    queues = record.get("queues")
    return set().union(*(_values(each, "_id", "name") for each in queues)) if isinstance(queues, list) else set()


def _channels(record: Record) -> set[str]:
    channel = record.get("channel")
    listed = channel if isinstance(channel, list) else [channel]
    return {_text(each) for each in (*listed, record.get("source"))} - {""}


_NAMES: dict[str, Callable[[Record], set[str]]] = {
    "status": lambda record: _values(record.get("status"), "_id", "name"),
    "priority": lambda record: _values(record.get("priority"), "_id", "name"),
    "agents": _agent_ids,
    "queues": _queue_names,
    "channel": _channels,
    "ETAlist": lambda record: _values(record.get("ETA")),
}


def _has_field(asked: object, record: Record) -> bool:
    """Whether a custom field is set, given by its name, or holds the value, given as ``{"name":, "value":}``."""
    name, value = asked, None
    if isinstance(asked, dict):
        name = asked.get("name") or asked.get("displayName")
        value = asked.get("value", asked.get("selectedValue"))
    field = record.get(name) if isinstance(name, str) else None
    if not isinstance(field, dict) or "selectedValue" not in field:
        return False
    return value is None or field["selectedValue"] == value
