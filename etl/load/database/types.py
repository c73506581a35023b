"""Column types: times are aware UTC datetimes in Python and whole milliseconds in the database; JSON is text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, Boolean, DateTime, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from etl.times import to_milliseconds


def _sqlite_moment() -> TypeEngine[Any]:
    from sqlalchemy.dialects import sqlite

    class SqliteMoment(sqlite.DATETIME):
        """Text in the form of SQLite's own date functions, so that comparisons with them work."""

        def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:  # noqa: ARG002 the interface's name
            return _to_text

        def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:  # noqa: ARG002
            return _from_text

    return SqliteMoment()  # type: ignore[no-untyped-call]


class Moment(TypeDecorator[datetime]):
    """``2025-05-28 12:05:38.807`` (UTC) on SQLite, ``timestamptz(3)`` on PostgreSQL."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type for the database."""
        # Imported here, because a dialect is slow to import and only one is needed.
        if dialect.name == "postgresql":
            from sqlalchemy.dialects import postgresql

            return postgresql.TIMESTAMP(timezone=True, precision=3)
        return dialect.type_descriptor(_sqlite_moment())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Cut to the millisecond; PostgreSQL would round, perhaps into the future."""
        return None if value is None else _in_milliseconds(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return UTC in every time zone of the connection."""
        return None if value is None else value.astimezone(UTC)


class JsonText(TypeDecorator[Any]):
    """JSON that is already text: ``JSON`` on SQLite, ``jsonb`` on PostgreSQL; the engine passes it through."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type for the database."""
        # Imported here, as above.
        if dialect.name == "postgresql":
            from sqlalchemy.dialects.postgresql import JSONB

            return dialect.type_descriptor(JSONB())
        return dialect.type_descriptor(JSON())


class moment_text(FunctionElement[str]):  # noqa: N801 written like a function of SQL
    """A time as text in SQLite's form, on both databases."""

    inherit_cache = True
    type = Text()
    name = "moment_text"


@compiles(moment_text)
def _on_postgresql(element: moment_text, compiler: SQLCompiler, **options: Any) -> str:
    moment = compiler.process(element.clauses, **options)
    return f"to_char({moment} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')"


@compiles(moment_text, "sqlite")
def _on_sqlite(element: moment_text, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


class is_one_of(FunctionElement[bool]):  # noqa: N801 as above
    """Whether a text, or another one where it is missing, is one of some words, for a computed column."""

    inherit_cache = False
    type = Boolean()
    name = "is_one_of"

    def __init__(self, column: str, otherwise: str, words: Sequence[str]) -> None:
        super().__init__()
        self.columns_and_words = (column, otherwise, words)


@compiles(is_one_of)
def _one_of_on_postgresql(element: is_one_of, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001
    column, otherwise, words = element.columns_and_words
    # Exactly as PostgreSQL tells it back: alembic compares the two.
    listed = ", ".join(f"'{word}'::text" for word in words)
    return f"lower(COALESCE({column}, {otherwise}, ''::text)) = ANY (ARRAY[{listed}])"


@compiles(is_one_of, "sqlite")
def _one_of_on_sqlite(element: is_one_of, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ARG001
    column, otherwise, words = element.columns_and_words
    return f"lower(coalesce({column}, {otherwise}, '')) in ({', '.join(map(repr, words))})"


@lru_cache(maxsize=4096)  # a task's times stand in many rows
def to_text(value: datetime) -> str:
    """Return a time as text that both databases accept: UTC, without a zone."""
    return (value if value.tzinfo is UTC else _in_milliseconds(value)).isoformat(" ", "milliseconds")[:23]


def _in_milliseconds(value: datetime) -> datetime:
    if value.tzinfo is None:
        message = f"{value} has no time zone"
        raise ValueError(message)
    return to_milliseconds(value)


def _to_text(value: datetime | None) -> str | None:
    return None if value is None else to_text(value)


def _from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)
