"""The query of one request: each parameter of the getTasks call as a typed field; unset fields are not sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import astuple

from etl.times import format_time

Field = Literal["createdAt", "updatedAt"]
Direction = Literal["asc", "desc"]
DIRECTIONS: tuple[Direction, Direction] = ("asc", "desc")


class Query(Struct, frozen=True, kw_only=True):
    """The body of one request.

    The vendor's page lists ``mycase`` in its table and ``mytask`` in its sample; both can be sent.
    """

    skip: int = 0
    limit: int | None = None
    search_text: str | None = field(default=None, name="searchText")
    unresolved: bool | None = None
    unassigned: bool | None = None
    mytask: bool | None = None
    mycase: bool | None = None
    selected_columns: tuple[str, ...] | None = field(default=None, name="selectedColumns")
    priority: tuple[str, ...] | None = None
    agents: tuple[str, ...] | None = None
    status: tuple[str, ...] | None = None
    custom_fields: tuple[Any, ...] | None = field(default=None, name="customFields")
    eta_list: tuple[Any, ...] | None = field(default=None, name="ETAlist")
    channel: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None
    start: datetime | None = field(default=None, name="startDate")
    end: datetime | None = field(default=None, name="endDate")
    due_date: datetime | None = field(default=None, name="dueDate")
    sort_by: tuple[str, Direction] | None = field(default=None, name="sortBy")

    def body(self) -> dict[str, Any]:
        """Return the JSON object to send."""
        values = zip(self.__struct_encode_fields__, astuple(self), strict=True)
        return {name: _as_sent(name, value) for name, value in values if value is not None}


def _as_sent(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if name == "sortBy":
        return {value[0]: value[1]}
    return list(value) if isinstance(value, tuple) else value
