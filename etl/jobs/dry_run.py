"""Says what the next sync would request and, by a sample, what it would change. It stores nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace
from sqlalchemy import Engine

from etl.api_record import Row, plain
from etl.extract.capabilities import END_OF_TIME, ServerCapabilities
from etl.extract.http.query import Field, Query
from etl.extract.paging.page_checks import Window, window_query
from etl.extract.paging.read_strategy import choose_strategy
from etl.jobs.run.lifecycle import SourceSpec
from etl.load.database.engine import reading
from etl.load.ledger.sources import identity, identity_of
from etl.load.queries import status, stored_tasks
from etl.times import format_time, shifted
from etl.transform import Stream, TaskRows, dropper, transform

_PROBE = "after a probe of at most 12 requests, "


class DryRun(Struct):
    """What a sync of a source would do. ``changes`` names the columns that would change, by the task's ``_id``."""

    name: str
    reads: str
    request: Mapping[str, Any]
    requests: str
    sampled: int = 0
    new: int = 0
    unchanged: int = 0
    rejected: int = 0
    changes: dict[str, list[str]] = field(default_factory=dict)


def dry_run(engine: Engine | None, spec: SourceSpec, *, full: bool, sample: int) -> DryRun:
    """Return what a sync of a source would do. It asks the server for a ``sample`` of tasks, for nothing if that is 0.

    Raises:
        EtlError: as the client and the database raise it.
    """
    source = _known(engine, spec)
    kept = ServerCapabilities.from_json(source["capabilities"] if source else None)
    capabilities = kept.with_overrides(spec.overrides)
    is_probed = bool(source and source["probed_at"]) and not capabilities.knows_less_than(kept)
    planned = _planned(spec, capabilities, source, full=full, is_probed=is_probed)
    if sample:
        _sample(engine, spec, capabilities, source, planned, sample)
    return planned


def _known(engine: Engine | None, spec: SourceSpec) -> Row | None:
    if engine is None:
        return None
    with reading(engine) as connection:
        rows = status.source_rows(connection)
    return next((row for row in rows if identity(identity_of(row)) == spec.identity), None)


def _planned(
    spec: SourceSpec, capabilities: ServerCapabilities, source: Row | None, *, full: bool, is_probed: bool
) -> DryRun:
    strategy, limit = choose_strategy(capabilities), capabilities.limit()
    probe = _PROBE if capabilities.unknown() and not is_probed else ""
    newest = Query(limit=limit, sort_by=("updatedAt", "desc"))
    watermark: datetime | None = source["watermark"] if source else None
    if full or watermark is None:
        start = spec.options.start or (source["history_start"] if source else None)
        first = _window(strategy.field, start, capabilities) if start else Query(limit=limit)
        since = format_time(start) if start else "its beginning"
        reads = f"{probe}all of history by {strategy.field} from {since} on, {limit} tasks a request"
        return DryRun(spec.source.name, reads, first.body(), f"one for each {limit} tasks")
    since = format_time(shifted(watermark, -spec.options.lookback))
    quiet = "1 or 2 if nothing changed, else one more for each page of changes"
    if strategy.changes == "newest_first":
        return DryRun(spec.source.name, f"{probe}what changed, newest first, down to {since}", newest.body(), quiet)
    first = _window(strategy.field, shifted(watermark, -spec.options.lookback), capabilities)
    if strategy.changes == "windows":
        return DryRun(spec.source.name, f"{probe}windows of {strategy.field} from {since} on", first.body(), quiet)
    reads = f"{probe}windows of {strategy.field} from {since} on, unresolved tasks, and a slice of older history"
    return DryRun(spec.source.name, reads, first.body(), "several: this server does not tell what changed")


def _window(field: Field, start: datetime, capabilities: ServerCapabilities) -> Query:
    query = window_query(Window(field, start, END_OF_TIME), capabilities)
    return replace(query, sort_by=(field, "asc")) if capabilities.sorts(field) else query


def _sample(
    engine: Engine | None,
    spec: SourceSpec,
    capabilities: ServerCapabilities,
    source: Row | None,
    planned: DryRun,
    number: int,
) -> None:
    """Compare the newest tasks of the server with the stored ones."""
    limit = min(number, capabilities.limit())
    is_sorted, records = capabilities.sorts("updatedAt"), list[Any]()
    query = Query(limit=limit, sort_by=("updatedAt", "desc") if is_sorted else None)
    while len(records) < number:
        page = spec.client.fetch(query)
        records += map(plain, page.records)
        if not page.records or page.is_last(query.skip):
            break
        query = replace(query, skip=query.skip + len(page.records))
    stream = Stream(source["id"] if source else 0, spec.source.stream_id)
    drop = dropper(spec.options.drop_fields)
    found = [transform(drop(record), stream) for record in records[:number]]
    good = {str(each.task["_id"]): each for each in found if isinstance(each, TaskRows)}
    stored = _stored(engine, source, list(good))
    planned.sampled, planned.rejected = len(found), sum(not isinstance(each, TaskRows) for each in found)
    for key, rows in good.items():
        before = transform(stored[key], stream) if key in stored else None
        if not isinstance(before, TaskRows):
            planned.new += 1
        elif rows.task["raw"] == before.task["raw"]:
            planned.unchanged += 1
        else:
            changed = [name for name, value in rows.task.items() if name != "raw" and before.task[name] != value]
            planned.changes[key] = changed or ["raw"]


def _stored(engine: Engine | None, source: Row | None, keys: list[str]) -> dict[str, Any]:
    if engine is None or source is None:
        return {}
    with reading(engine) as connection:
        return stored_tasks.records(connection, source["id"], keys)
