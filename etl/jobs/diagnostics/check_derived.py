"""Recomputes the derived tables from tasks and changes, and finds the first difference to what is stored.

Daily counts, status intervals and progress are recomputed by their views. The columns and children of a task are
recomputed from its record. Of what tasks name, no stored task may show a newer version than the one that is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, column, func, or_, select, table

from etl.api_record import Row
from etl.jobs.maintenance.rebuild_from_raw import TRANSFORM, shape_from
from etl.jobs.pipeline.revert_names_after_server_restore import versions
from etl.jobs.pipeline.transform_pages import BatchTransformer
from etl.load.database.engine import reading
from etl.load.ledger import runs
from etl.load.queries import mark_deleted_tasks, status
from etl.load.schema.dimension_tables import DIMENSIONS, cases, priorities, statuses
from etl.load.schema.ledger_tables import sources
from etl.load.schema.task_tables import CHILDREN, daily_counts, status_intervals, task_progress, tasks
from etl.load.upsert import forget_task_rows, replace_rows
from etl.load.upsert.batch_and_counts import Batch
from etl.load.upsert.dimensions import KEY
from etl.times import to_milliseconds
from etl.transform import Stream, TaskRows, transform

_AT_ONCE = 500
_COUNTS = ("created", "resolved", "reopened", "deleted")


def first_difference(engine: Engine) -> str | None:
    """Return the first difference between stored and recomputed rows, None where there is none."""
    with reading(engine) as connection:
        return next(_differences(connection), None)


def _differences(connection: Connection) -> Iterator[str]:
    yield from differences_from_views(connection)
    for source in connection.execute(select(sources)).mappings().all():
        if shape_from(source["shape"]).transform == TRANSFORM:  # else the next run makes other rows of the records
            yield from _of_records(connection, Stream(source["id"], source["stream_id"]))


def differences_from_views(connection: Connection) -> Iterator[str]:
    """Yield the differences between the derived tables and the views that compute them."""
    yield from _compared(connection, daily_counts.name, _sums(daily_counts.name), _sums("daily_events"))
    for kept, view in (
        (status_intervals, "computed_status_intervals"),
        (task_progress, "computed_task_progress"),
    ):
        yield from _compared(connection, kept.name, _rows(kept, kept.name), _rows(kept, view))


def _compared(connection: Connection, name: str, kept: Any, computed: Any) -> Iterator[str]:
    for left, right, found in ((kept, computed, "stored"), (computed, kept, "computed")):
        for row in connection.execute(left.except_(right).limit(1)).mappings():
            yield f"{name}: {_text(dict(row))} is only {found}"


def _sums(name: str) -> Any:
    own = table(name, *(column(each.name, each.type) for each in daily_counts.c)).c
    keys = [own.source_id, own.stream_id, own.day]
    sums = [func.sum(own[count]) for count in _COUNTS]
    named = (each.label(count) for each, count in zip(sums, _COUNTS, strict=True))
    return select(*keys, *named).group_by(*keys).having(or_(*(each != 0 for each in sums)))


def _rows(kept: Table, name: str) -> Any:
    return select(*table(name, *(column(each.name, each.type) for each in kept.c)).c)


def _of_records(connection: Connection, stream: Stream) -> Iterator[str]:
    """Compare what the records of a source's tasks say with their rows, 500 tasks at a time."""
    erased = forget_task_rows.forgotten_ids(connection, stream.source_id)
    transformer = BatchTransformer(stream, drop_fields=(), erased=erased, is_stream_named=False)
    after, gone = "", mark_deleted_tasks.gone_ids(connection, stream.source_id)
    # A task that the server no longer has may show a newer version, until reconcile marks it. Only a total that is
    # exactly what is stored tells that there is none: a hidden task may stand for one that is gone.
    is_whole = _is_all_stored(connection, stream.source_id)
    while found := replace_rows.records(connection, stream.source_id, after=after, most=_AT_ONCE):
        after = found[-1][0]
        batch = transformer.transform_stored(text for key, text in found if key not in erased)
        yield from _of_tasks(connection, batch)
        for kept in CHILDREN:
            yield from _of_children(connection, kept, batch)
        live = batch
        if any(key in gone for key, _ in found):
            live = transformer.transform_stored(text for key, text in found if key not in erased | gone)
        yield from _of_mentions(connection, cases, live.cases)
        for kept in (statuses, priorities, *DIMENSIONS) if is_whole else ():
            yield from _of_mentions(connection, kept, list(versions(live, kept)))
    for kept, key in ((statuses, "status"), (priorities, "priority")):
        for row in _stored(connection, kept, kept.c.source_id == stream.source_id):
            made = transform({"_id": "t", key: row["raw"]}, stream)
            computed = getattr(made, key) if isinstance(made, TaskRows) else None
            yield from _unequal(kept, row["_id"], row, computed or {}, {"_id", "source_id", "seen_at", "raw"})


def _is_all_stored(connection: Connection, source_id: int) -> bool:
    """Tell whether the latest sync took an account, and nothing more is stored than the server counted."""
    last = runs.last_account(connection, source_id)
    latest = status.latest_run(connection, source_id, commands=runs.SYNCS, state="finished")
    if last is None or latest is None or last.ended_at < latest["finished_at"]:
        return False
    account = last.account
    return not account["hidden"] and account["stored_live"] + account["quarantined"] == account["server_total"]


def _of_tasks(connection: Connection, batch: Batch) -> Iterator[str]:
    rows = {row["_id"]: row for row in batch.tasks}
    for stored in _stored_of(connection, tasks, "_id", batch):
        yield from _unequal(tasks, stored["_id"], stored, rows[stored["_id"]], {"raw"})


def _of_children(connection: Connection, kept: Table, batch: Batch) -> Iterator[str]:
    """Compare the children of tasks without their places: jsonb does not keep the order of keys."""
    names = [name for name in kept.c.keys() if name not in ("position", "source_id")]  # noqa: SIM118 - no dict
    computed = Counter(_values(row, names) for of_task in batch.details for row in of_task.get(kept.name, ()))
    stored = Counter(_values(row, names) for row in _stored_of(connection, kept, "task_id", batch))
    for left, right, found in ((stored, computed, "stored"), (computed, stored, "computed")):
        for values in left - right:
            yield f"{kept.name}: {_text(dict(zip(names, values, strict=True)))} is only {found}"


def _of_mentions(connection: Connection, kept: Table, mentions: Sequence[Row]) -> Iterator[str]:
    """Compare the newest mentions with what is kept: it is not older, and at one date it is what a mention says."""
    newest = _newest(mentions)
    if not newest:
        return
    mine = and_(kept.c["_id"].in_(newest), kept.c.source_id == mentions[0]["source_id"])
    stored = {row["_id"]: row for row in _stored(connection, kept, mine)}
    for key, rows in newest.items():
        known_at = stored[key]["seen_at"] if key in stored else None
        shown_at = _plain(rows[0]["seen_at"])
        if known_at is None or known_at < shown_at:
            yield f"{kept.name}: {key} was last shown at {shown_at}, stored is {known_at}"
        elif known_at == shown_at and "raw" not in kept.c:
            for name in rows[-1].keys() - {*KEY}:
                if stored[key][name] not in [row.get(name) for row in rows]:
                    yield f"{kept.name}: {key}: {name} is {stored[key][name]!r}, computed is {rows[-1][name]!r}"


def _newest(mentions: Sequence[Row]) -> dict[str, list[Row]]:
    """Return by id the mentions that have the latest date. A mention by the id alone shows nothing."""
    newest: dict[str, list[Row]] = {}
    for row in mentions:
        if row["seen_at"] is not None and len(row) > len(KEY):
            known = newest.setdefault(row["_id"], [row])
            if row["seen_at"] > known[0]["seen_at"]:
                newest[row["_id"]] = [row]
            elif row["seen_at"] == known[0]["seen_at"]:
                known.append(row)
    return newest


def _unequal(kept: Table, key: str, stored: Row, computed: Row, left_out: Collection[str]) -> Iterator[str]:
    for name, value in computed.items():
        if name not in left_out and name in stored and _plain(value) != _plain(stored[name]):
            yield f"{kept.name}: {key}: {name} is {stored[name]!r}, computed is {value!r}"


def _stored_of(connection: Connection, kept: Table, key: str, batch: Batch) -> Iterator[Row]:
    if batch.tasks:
        ids = [row["_id"] for row in batch.tasks]
        yield from _stored(connection, kept, kept.c[key].in_(ids), kept.c.source_id == batch.tasks[0]["source_id"])


def _stored(connection: Connection, kept: Table, *where: ColumnElement[bool]) -> list[Row]:
    names = [str(name) for name in kept.c.keys()]  # noqa: SIM118 - no dict
    return [dict(zip(names, row, strict=True)) for row in connection.execute(select(kept).where(*where))]


def _values(row: Row, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(_plain(row.get(name)) for name in names)


def _plain(value: Any) -> Any:
    """Return a value as the database keeps it: times to the millisecond."""
    return to_milliseconds(value) if isinstance(value, datetime) else value


def _text(row: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
