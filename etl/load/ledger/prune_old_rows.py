"""Deletes and merges old rows of the ledgers without changing what they cover.

Old windows are merged, not deleted, so no gap opens in ``coverage_gaps``. Tasks and their changes stay; they may name a
run whose row is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Text, cast, delete, func, literal_column, or_, select, update

from etl.errors import ExitCode
from etl.load.database.dialect import by_ids
from etl.load.ledger.rejected_records import is_counted
from etl.load.ledger.windows import is_read_again
from etl.load.schema.ledger_tables import rejected_records, sync_runs, sync_windows, watermarks

# The jobs whose windows count as coverage; an unfinished backfill has its range in its name and continues.
_MERGED_JOBS = ("first", "sync", "full", "backfill", "verify")
_WINDOW = sync_windows.c
_RUN = sync_runs.c
_SUMMED = ("requests", "retries", "rate_limited", "windows", "fetched", "unchanged", "stale", "runs")


class _Piece(Struct, frozen=True):
    """A window that may be merged with its neighbours."""

    id: int
    run_id: int
    group: tuple[str, str, str]  # job, field, strategy
    start: datetime
    until: datetime
    opened_at: datetime
    finished_at: datetime
    requests: int
    rows: int


def drop_rejected(connection: Connection, source_id: int, before: datetime) -> int:
    """Delete the rejected records that were last seen before a time; return how many.

    Those that the account of a run counts stay: without their ids the server would seem to have more tasks.
    """
    old = (rejected_records.c.source_id == source_id, rejected_records.c.last_seen_at < before)
    return _deleted(connection, rejected_records, *old, ~is_counted(source_id))


def merge_windows(connection: Connection, source_id: int, before: datetime) -> int:
    """Merge the windows that were finished before a time; return how many rows that saved."""
    mine = (_WINDOW.source_id == source_id, _WINDOW.finished_at < before)
    gone = _read_again(connection, *mine) + _covering_nothing(connection, *mine)
    _delete_windows(connection, gone)
    saved = len(gone)
    for pieces in _unbroken(_pieces(connection, source_id, before)):
        if len(pieces) > 1:
            saved += _merge(connection, pieces)
    return saved


def drop_runs(connection: Connection, source_id: int, before: datetime) -> int:
    """Delete the runs that ended before a time; return how many.

    A sync needs the run that last moved the watermark, and later unfinished runs that stored tasks: they stay. The
    latest run of each command and the latest successful run stay too.
    """
    old = (_RUN.source_id == source_id, _RUN.finished_at < before, _RUN.state != "running")
    mark = select(watermarks.c.run_id).where(watermarks.c.source_id == source_id).scalar_subquery()
    latest = select(func.max(_RUN.id)).where(_RUN.source_id == source_id).group_by(_RUN.command)
    ended_well = latest.where(_RUN.exit_code.in_((0, 3)))
    cut_off = (_RUN.id > func.coalesce(mark, 0)) & (_RUN.state != "finished") & (_RUN.inserted + _RUN.updated > 0)
    kept = or_(_RUN.id == func.coalesce(mark, 0), cut_off, _RUN.id.in_(latest), _RUN.id.in_(ended_well))
    ids = list(connection.execute(select(_RUN.id).where(*old, ~kept)).scalars())
    for (some,) in by_ids(connection, _RUN.id, ids):
        connection.execute(delete(sync_runs).where(some))
    return len(ids)


def roll_up_quiet_runs(connection: Connection, source_id: int, before: datetime) -> int:
    """Make one row of the quiet runs of each hour before a time; return how many rows that saved.

    A quiet run is a sync that stored no change and ended with exit code 0. The latest row of the hour stays, with the
    sums of the others and their number in ``runs``. Runs with another account have another row. The run that moved the
    watermark stays as it is.
    """
    mark = select(watermarks.c.run_id).where(watermarks.c.source_id == source_id).scalar_subquery()
    done = (_RUN.command == "sync") & (_RUN.state == "finished") & (_RUN.exit_code == ExitCode.DONE)
    nothing = _RUN.inserted + _RUN.updated + _RUN.mended == 0
    mine = (_RUN.source_id == source_id) & (_RUN.started_at < before) & (_RUN.id != func.coalesce(mark, 0))
    quiet = mine & done & nothing
    hour = func.substr(cast(_RUN.started_at, Text), literal_column("1"), literal_column("13"))  # 2025-05-28 12
    account = (_RUN.server_total, _RUN.stored_live, _RUN.quarantined, _RUN.hidden)
    totals = [func.sum(_RUN[name]).label(name) for name in _SUMMED]
    firsts = [func.min(each).label(each.name) for each in (_RUN.started_at, _RUN.watermark_before)]
    last = func.max(_RUN.id).label("id")
    groups = select(last, hour, *account, *firsts, *totals).where(quiet).group_by(hour, *account)
    saved = 0
    for kept, its_hour, *values in connection.execute(groups.having(func.count() > 1)):
        counted, new = values[: len(account)], values[len(account) :]
        same = [column.is_not_distinct_from(value) for column, value in zip(account, counted, strict=True)]
        saved += _deleted(connection, sync_runs, quiet, hour == its_hour, *same, _RUN.id != kept)
        names = [each.name for each in (*firsts, *totals)]
        connection.execute(update(sync_runs).where(_RUN.id == kept).values(dict(zip(names, new, strict=True))))
    return saved


def _read_again(connection: Connection, *old: ColumnElement[bool]) -> list[int]:
    """Return the unverified windows that a later window verified."""
    query = select(_WINDOW.id).where(*old, _WINDOW.state == "unverified", is_read_again())
    return list(connection.execute(query).scalars())


def _covering_nothing(connection: Connection, *old: ColumnElement[bool]) -> list[int]:
    """Return the windows that failed before they stored anything, and those that do not count as coverage."""
    nothing = (_WINDOW.state == "failed") & (_WINDOW.checkpoint_at <= _WINDOW.start_at)
    uncounted = (_WINDOW.job == "left") & (_WINDOW.state != "unverified")
    query = select(_WINDOW.id).where(*old, or_(nothing, uncounted))
    return list(connection.execute(query).scalars())


def _pieces(connection: Connection, source_id: int, before: datetime) -> list[_Piece]:
    mine = _WINDOW.source_id == source_id
    # The next verification continues where the latest one ended.
    latest_slice = select(func.coalesce(func.max(_WINDOW.id), 0)).where(mine, _WINDOW.job == "verify")
    query = select(
        _WINDOW.id, _WINDOW.run_id, _WINDOW.job, _WINDOW.field, _WINDOW.strategy, _WINDOW.start_at,
        _WINDOW.checkpoint_at, _WINDOW.opened_at, _WINDOW.finished_at, _WINDOW.requests, _WINDOW.rows,
    ).where(
        mine,
        _WINDOW.finished_at < before,
        _WINDOW.job.in_(_MERGED_JOBS),
        _WINDOW.state.in_(("verified", "failed")),
        _WINDOW.checkpoint_at > _WINDOW.start_at,
        _WINDOW.id != latest_slice.scalar_subquery(),
    )  # fmt: skip
    rows = connection.execute(query)
    return [_Piece(row[0], row[1], (row[2], row[3], row[4]), *row[5:]) for row in rows]


def _unbroken(pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
    """Yield groups of adjacent windows of one kind, without a gap between them."""
    together: list[_Piece] = []
    reached: datetime | None = None
    for piece in sorted(pieces, key=lambda each: (each.group, each.start, each.until)):
        follows = together and piece.group == together[0].group and reached is not None and piece.start <= reached
        if together and not follows:
            yield together
            together, reached = [], None
        together.append(piece)
        reached = piece.until if reached is None else max(reached, piece.until)
    if together:
        yield together


def _merge(connection: Connection, pieces: Sequence[_Piece]) -> int:
    # The oldest id stays: only a window with a higher id settles an unverified one.
    kept, *others = sorted(pieces, key=lambda piece: piece.id)
    until = max(piece.until for piece in pieces)
    connection.execute(
        update(sync_windows)
        .where(_WINDOW.id == kept.id)
        .values(
            state="verified",
            start_at=min(piece.start for piece in pieces),
            end_at=until,
            checkpoint_at=until,
            opened_at=min(piece.opened_at for piece in pieces),
            finished_at=max(piece.finished_at for piece in pieces),
            requests=sum(piece.requests for piece in pieces),
            rows=sum(piece.rows for piece in pieces),
            run_id=max(piece.run_id for piece in pieces),
            reported_total=None,
            error=None,
        )
    )
    _delete_windows(connection, [piece.id for piece in others], heir=kept.id)
    return len(others)


def _delete_windows(connection: Connection, ids: Sequence[int], heir: int | None = None) -> None:
    for some, met_in in by_ids(connection, _WINDOW.id, ids, rejected_records.c.window_id):
        connection.execute(update(rejected_records).where(met_in).values(window_id=heir))
        connection.execute(delete(sync_windows).where(some))


def _deleted(connection: Connection, table: Any, *where: ColumnElement[bool]) -> int:
    return connection.execute(delete(table).where(*where)).rowcount
