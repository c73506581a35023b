"""Reads a table or a view row by row in a stable order, without loading it whole."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import (
    Boolean,
    Connection,
    DateTime,
    Float,
    Integer,
    Numeric,
    Text,
    cast,
    column,
    exists,
    inspect,
    or_,
    select,
    table,
    tuple_,
)
from sqlalchemy.types import JSON, NullType, TypeEngine

from etl.errors import ConfigError
from etl.load.database.types import JsonText, Moment
from etl.load.schema.task_tables import CHILDREN, task_changes, tasks
from etl.load.schema.view_columns import VIEWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Row, Select

_AT_ONCE = 500  # rows in memory at a time
_KINDS: tuple[tuple[type[TypeEngine[Any]], str], ...] = (
    (Boolean, "boolean"), (Integer, "integer"), (Float, "number"), (Numeric, "number"), (DateTime, "moment"),
    (JSON, "json"),
)  # fmt: skip
_TYPES: dict[str, TypeEngine[Any]] = {
    "boolean": Boolean(), "integer": Integer(), "number": Float(), "moment": Moment(), "json": JsonText(),
    "text": Text(),
}  # fmt: skip
_OF_TASK = ("updated_at", "deleted_at", "gone_at")
_DATED = (  # a row of something else counts as changed by any of them
    *(
        "deleted_at",
        "gone_at",
        "changed_at",
        "seen_at",
        "finished_at",
        "started_at",
        "ended_at",
        "opened_at",
        "moved_at",
    ),
    *("first_seen_at", "last_seen_at", "last_started_at", "last_finished_at", "created_at", "due_at", "starts_at"),
    *("first_response_at", "first_resolved_at", "last_resolved_at", "resolved_at", "probed_at", "gap_end"),
)
_COUNTED = frozenset(  # by the project's views
    (
        *("position", "created", "resolved", "reopened", "deleted", "backlog", "age_from", "tasks", "overdue"),
        *("open_tasks", "rejected", "gaps", "unverified_windows"),
    )
)
_CHILDREN = {table.name for table in CHILDREN}
_KEYS = ("_id", "id", "task_id", "source_id", "position", "key")


class Field(Struct, frozen=True):
    """A column and the kind of its values: text, integer, number, boolean, moment or json."""

    name: str
    kind: str


class View:
    """A table or a view, with its filters."""

    def __init__(self, name: str, fields: Sequence[Field]) -> None:
        self.name = name
        self.fields = fields
        self._table = table(name, *(column(field.name, _TYPES[field.kind]) for field in fields))
        self._where: list[ColumnElement[bool]] = []

    def since(self, moment: datetime) -> None:
        """Select only rows that changed, or whose task changed, since a time.

        Raises:
            ConfigError: no column tells.
        """
        columns = self._table.c
        if self.name in _CHILDREN:
            changed = or_(*(tasks.c[name] >= moment for name in _OF_TASK if name in tasks.c))
            mine = tasks.c["_id"] == columns.task_id, tasks.c.source_id == columns.source_id
            self._where.append(exists().where(*mine, changed))
            return
        is_of_tasks = "updated_at" in columns
        dated = [columns[name] >= moment for name in (_OF_TASK if is_of_tasks else _DATED) if name in columns]
        if is_of_tasks:  # the server went back to these versions: their own dates are old
            own = task_changes.c
            back = select(own.task_id, own.source_id).where(own.changed_at.is_(None), own.seen_at >= moment)
            dated.append(tuple_(columns["_id"], columns.source_id).in_(back))
        if "day" in columns:
            dated.append(cast(columns.day, Text) >= moment.date().isoformat())
        if not dated:
            raise ConfigError(f"--since: {self.name} has no column with the time of a change")
        self._where.append(or_(*dated))

    def of_sources(self, chosen: Sequence[Mapping[str, Any]]) -> None:
        """Select only the rows of some sources, given by their own rows.

        Raises:
            ConfigError: no column tells.
        """
        columns, ids = self._table.c, [source["id"] for source in chosen]
        if "source_id" in columns:
            self._where.append(columns.source_id.in_(ids))
        elif "stream_id" in columns:
            self._where.append(columns.stream_id.in_([source["stream_id"] for source in chosen]))
        elif "task_id" in columns:
            mine = select(tasks.c["_id"]).where(tasks.c.source_id.in_(ids))
            self._where.append(columns.task_id.in_(mine))
        else:
            raise ConfigError(f"--source: {self.name} has no column with the source of a row")

    def read(self, connection: Connection) -> Iterator[Row[Any]]:
        """Yield the rows in pages; PostgreSQL keeps the rest on its side."""
        yield from connection.execution_options(yield_per=_AT_ONCE).execute(self._query())

    def _query(self) -> Select[Any]:
        columns = self._table.c
        order = [columns[key] for key in _KEYS if key in columns] or list(columns)[:1]
        read = [
            cast(columns[field.name], Text).label(field.name) if field.kind == "json" else columns[field.name]
            for field in self.fields
        ]
        return select(*read).where(*self._where).order_by(*order)


def find_view(connection: Connection, name: str) -> View:
    """Return a table or view by its name.

    Raises:
        ConfigError: no table or view has that name.
    """
    inspector = inspect(connection)
    known = sorted({*inspector.get_view_names(), *inspector.get_table_names()} - {"alembic_version"})
    if name not in known:
        near = get_close_matches(name.lower(), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"accepted: {', '.join(known)}"
        raise ConfigError(f"--view {name!r}: no such table or view; {hint}")
    is_own = name in {view.name for view in VIEWS}
    fields = [
        Field(each["name"], _kind(each["name"], each["type"], is_own=is_own)) for each in inspector.get_columns(name)
    ]
    return View(name, fields)


def _kind(name: str, found: TypeEngine[Any], *, is_own: bool) -> str:
    if isinstance(found, NullType):  # SQLite gives no type for a view's computed columns
        if name.startswith("is_"):
            return "boolean"
        if name.endswith("_at") or (is_own and name in {"gap_start", "gap_end"}):
            return "moment"
        if is_own and (name in _COUNTED or name.endswith("seconds")):
            return "integer" if name in _COUNTED else "number"
        return "text"
    return next((kind for known, kind in _KINDS if isinstance(found, known)), "text")
