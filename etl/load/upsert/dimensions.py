"""Storing statuses, priorities and cases, of which each task brings its own version along."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, MetaData, Table, Text, and_, bindparam, cast, or_, select, true

from etl.load.database.bulk_insert import fill
from etl.load.database.dialect import create_temporary, insert_by
from etl.load.schema.dimension_tables import cases
from etl.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_incoming_cases = Table(
    "incoming_cases", MetaData(), *(Column(own.name, own.type) for own in cases.columns), prefixes=["TEMPORARY"]
)
_NEVER = datetime.min.replace(tzinfo=UTC)


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Keep the version that the newest task showed; of two at one instant the one that was read last."""
    latest = _latest_versions(rows)
    if not latest:
        return
    dialect, names = connection.dialect.name, tuple(latest[0])
    if table is cases:  # there are about as many as tasks
        create_temporary(connection, _incoming_cases)
        fill(connection, _incoming_cases, latest)
        connection.execute(_merge_of_cases(dialect, names))
    else:
        connection.execute(_upsert_of(dialect, table, names), latest)


@cache
def _upsert_of(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    statement = insert_by(dialect, table).values({name: bindparam(name) for name in names})
    return _keeping_the_newest(statement, table, names)


@cache
def _merge_of_cases(dialect: str, names: tuple[str, ...]) -> Any:
    own = _incoming_cases.c
    rows = select(*(own[name] for name in names)).where(true()).order_by(own["_id"])
    return _keeping_the_newest(insert_by(dialect, cases).from_select(names, rows), cases, names)


def _keeping_the_newest(statement: Any, table: Table, names: tuple[str, ...]) -> Any:
    content, new, old = _content(table), statement.excluded, table.c
    later = or_(new.seen_at > old.seen_at, and_(new.seen_at.is_not(None), old.seen_at.is_(None)))
    differs = cast(new[content], Text).is_distinct_from(cast(old[content], Text))
    return statement.on_conflict_do_update(
        index_elements=["_id", "source_id"],
        set_={name: new[name] for name in names if name not in {"_id", "source_id"}},
        where=or_(later, and_(new.seen_at.is_not_distinct_from(old.seen_at), differs)),
    )


def _content(table: Table) -> str:
    """Name the column that tells two versions of one instant apart."""
    return "raw" if "raw" in table.c else "ref_id"


def _latest_versions(rows: Iterable[Row]) -> list[Row]:
    """Return the newest row of each ``_id``, the last of equals.

    In order of ``_id``: two sessions that write the same rows would else wait for each other.
    """
    newest: dict[str, Row] = {}
    for row in rows:
        known = newest.get(row["_id"])
        if known is None or (row["seen_at"] or _NEVER) >= (known["seen_at"] or _NEVER):
            newest[row["_id"]] = row
    return [newest[key] for key in sorted(newest)]
