"""The query of one request: each parameter of the getTasks call as a typed field; unset fields are not sent."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from etl.times import format_time

Field = Literal["createdAt", "updatedAt"]
Direction = Literal["asc", "desc"]


def _sent_as(name: str) -> Any:
    return field(default=None, metadata={"sent_as": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The body of one request.

    The vendor's page lists ``mycase`` in its table and ``mytask`` in its sample; both can be sent.
    """

    skip: int = 0
    limit: int | None = None
    search_text: str | None = _sent_as("searchText")
    unresolved: bool | None = None
    unassigned: bool | None = None
    mytask: bool | None = None
    mycase: bool | None = None
    selected_columns: tuple[str, ...] | None = _sent_as("selectedColumns")
    priority: tuple[str, ...] | None = None
    agents: tuple[str, ...] | None = None
    status: tuple[str, ...] | None = None
    custom_fields: tuple[Any, ...] | None = _sent_as("customFields")
    eta_list: tuple[Any, ...] | None = _sent_as("ETAlist")
    channel: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None
    start: datetime | None = _sent_as("startDate")
    end: datetime | None = _sent_as("endDate")
    due_date: datetime | None = _sent_as("dueDate")
    sort_by: tuple[str, Direction] | None = _sent_as("sortBy")

    def body(self) -> dict[str, Any]:
        """Return the JSON object to send."""
        values = ((entry.metadata.get("sent_as", entry.name), getattr(self, entry.name)) for entry in fields(self))
        return {name: _as_sent(name, value) for name, value in values if value is not None}


def _as_sent(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if name == "sortBy":
        return {value[0]: value[1]}
    return list(value) if isinstance(value, tuple) else value
