"""Rebuilds stored rows from their raw records, without a request.

A new version of kore-etl may transform a record differently, and the setting of keys to drop may change. The next run
then rebuilds the stored rows before it reads anything.
A new time zone, or new rules of the same zone, rebuild the derived tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.json import decode, encode
from sqlalchemy import Connection

from etl.errors import ConfigError
from etl.exact_json import canonical
from etl.extract.http.response_errors import parse
from etl.load.database.engine import erasing, scrub
from etl.load.ledger import sources
from etl.load.schema.dimension_tables import priorities, statuses
from etl.load.schema.metadata import metadata
from etl.load.upsert import refresh_derived, replace_rows, unknown_json_keys
from etl.logs import get_logger
from etl.times import utc_offsets
from etl.transform import TaskRows, dropper, transform
from etl.transform.drop_fields import custom_fields, history_fields, people_columns

if TYPE_CHECKING:
    from etl.jobs.run.options import SyncOptions
    from etl.jobs.run.run_context import RunContext

log = get_logger()

TRANSFORM = 5  # raise it where transform makes other rows of the same record
_AT_ONCE = 500


class Shape(Struct, frozen=True):
    """How the rows of a source were made: the transform's number, the dropped keys, the offsets of its days."""

    transform: int = TRANSFORM
    dropped: frozenset[str] = frozenset()
    offsets: str = ""

    def text(self) -> str:
        """Return the form in which it is kept."""
        return encode(self, order="deterministic").decode()


def shape_from(text: str | None) -> Shape:
    """Read what is kept; where nothing is kept, the first transform made the rows."""
    return decode(text, type=Shape) if text else Shape(1)


def require_same_drops(shape: str | None, options: SyncOptions) -> None:
    """Make sure that the rows of a source were made without the keys that are to be dropped, and with all others.

    Raises:
        ConfigError: other settings were used since.
    """
    if shape_from(shape).dropped != frozenset(options.drop_fields):
        message = "drop_fields: another run of the source has used other ones meanwhile"
        raise ConfigError(f"{message}; start this command again: it goes on where it stopped")


def rebuild(run: RunContext) -> None:
    """Rebuild the rows of a source if their shape is old.

    Cut off, it is done again by the next run.
    """
    zone = run.options.timezone
    offsets = utc_offsets(zone)
    digest = sha256(repr((zone, offsets)).encode()).hexdigest() if offsets else ""
    before = shape_from(run.source.shape)
    today = Shape(dropped=frozenset(run.options.drop_fields), offsets=digest)
    if before == today:
        return
    run.store.commit()
    dropped = today.dropped - before.dropped
    tasks = 0
    if dropped:
        _clear(run, dropped)
    if dropped or before.transform != today.transform:
        tasks = sum(_rewrite(run, records) for records in stored_records(run))
    with run.store.writing() as connection:
        if before.offsets != today.offsets:
            replace_rows.use_time_zone(connection, run.source.id, zone, offsets)
        if tasks or before.offsets != today.offsets:
            refresh_derived.rebuild(connection, run.source.id)
        sources.put(connection, run.source.id, shape=today.text())
    if dropped:
        scrub(run.store.engine, metadata.tables)
    if tasks:
        log.info("tasks.refreshed", tasks=tasks, dropped=sorted(dropped), transform=today.transform)


def stored_records(run: RunContext) -> Iterator[list[tuple[str, str]]]:
    """Yield the ids and records of a source's tasks, some hundreds at a time and outside of a transaction."""
    last = ""
    while True:
        found = run.store.read(replace_rows.records, after=last, most=_AT_ONCE)
        if not found:
            return
        yield found
        last = found[-1][0]


def _rewrite(run: RunContext, records: list[tuple[str, str]]) -> int:
    batch = run.transformer.transform_stored(text for _, text in records)
    with run.store.writing(erasing) as connection:
        replace_rows.replace(connection, batch)
    return len(records)


def _clear(run: RunContext, paths: frozenset[str]) -> None:
    """Clear the values at these paths everywhere but in the tasks themselves."""
    source_id, drop = run.source.id, dropper(sorted(paths))
    whole, names = history_fields(paths)
    with run.store.writing(erasing) as connection:
        replace_rows.clear_history(connection, source_id, whole=whole, names=names, is_dropped=custom_fields(paths))
        replace_rows.clear_people(connection, source_id, people_columns(paths))
        unknown_json_keys.drop_all(connection, source_id)
        for number, raw in replace_rows.rejected(connection, source_id):
            less = canonical(drop(parse(raw.encode())))
            if less != raw:
                replace_rows.replace_rejected(connection, source_id, number, less)
        _clear_named(run, connection, drop)


def _clear_named(run: RunContext, connection: Connection, drop: Callable[[object], object]) -> None:
    for table, key in ((statuses, "status"), (priorities, "priority")):
        empty = {column.name: None for column in table.columns if column.nullable and column.name != "seen_at"}
        rows = []
        for row_id, record in replace_rows.named(connection, table, run.source.id):
            made = transform(drop({"_id": "t", key: record}), run.transformer.stream)
            row = (getattr(made, key) if isinstance(made, TaskRows) else None) or {"raw": "null"}
            found = {name: row[name] for name in row if name in {*empty, "raw"}}
            rows.append({**empty, **found, "_id": row_id, "source_id": run.source.id})
        replace_rows.update_rows(connection, table, rows)
