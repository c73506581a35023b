"""Stores the batches of one run: rows, rejected records, the window's record and the watermark in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from msgspec import Struct
from msgspec.structs import asdict, replace
from sqlalchemy import Connection

from etl.errors import DatabaseError, LockedError
from etl.jobs.pipeline.prefetch import OF_CHANGED, OF_NEW
from etl.jobs.pipeline.window_progress import WindowProgress
from etl.jobs.run.fenced_transactions import SourceStore
from etl.jobs.run.fetcher import Fetcher
from etl.jobs.run.options import ADDED_UP, RunCounters
from etl.jobs.run.server_clock import ServerClock
from etl.jobs.run.source_lease import SourceLease
from etl.load.database.errors import UnstorableError
from etl.load.ledger import rejected_records, runs, watermarks, windows
from etl.load.upsert import unknown_json_keys
from etl.load.upsert.batch_and_counts import Batch, Counts, Rejected
from etl.load.upsert.store_batch import store, store_what_fits
from etl.logs import get_logger

P = ParamSpec("P")
Result = TypeVar("Result")
log = get_logger()

Progress = Callable[[RunCounters, int | None], None]
"""Is called after each batch with the counters and the total that the server told."""


class Stored(Struct, frozen=True):
    """What became of a batch, and its window's record with the id of its row."""

    counts: Counts
    window: WindowProgress | None = None


class BatchWriter:
    """Writes what a run reads, and counts it."""

    def __init__(
        self,
        store: SourceStore,
        *,
        fetch: Fetcher,
        lease: SourceLease,
        server_clock: ServerClock,
        clock: Callable[[], datetime],
        on_progress: Progress,
    ) -> None:
        is_sqlite = store.engine.dialect.name == "sqlite"
        self.most_prefetched = OF_CHANGED if is_sqlite else OF_NEW
        self._store = store
        self._run_id = store.run_id
        self._counters = store.counters
        self._spent_before = {name: getattr(store.counters, name) for name in asdict(fetch.usage())}
        self._noted = asdict(store.counters)  # of a run that several workers work on
        self._fetch = fetch
        self._lease = lease
        self._server_clock = server_clock
        self._clock = clock
        self._on_progress = on_progress
        self._seen_keys: set[str] = set()

    def store(
        self,
        batch: Batch,
        window: WindowProgress | None = None,
        *,
        watermark: datetime | None = None,
        takes_back: bool = False,
    ) -> Stored:
        """Store a batch, and what it completes, in one transaction.

        If it ``takes_back``, an older version of a task replaces what an earlier run stored.

        Raises:
            DatabaseError, LockedError: nothing of it is stored.
        """
        try:
            stored = self._transact(batch, window, watermark, partial(_store_all, takes_back=takes_back))
        except UnstorableError:  # rare enough to pay for savepoints only then
            stored = self._transact(batch, window, watermark, partial(store_what_fits, takes_back=takes_back))
        if window is not None:
            _warn_if_unverified(window)
        # Newest first has no window yet, and its total does not tell how much is left to read.
        self._on_progress(self._counters, batch.total if window is not None else None)
        return stored

    def write_between(
        self, statement: Callable[Concatenate[Connection, int, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Run a statement on the source from another thread, between two batches: SQLite would wait by sleeping."""
        with self._lease.storing:
            return self._store.write(statement, *args, **kwargs)

    def close_window(self, window: WindowProgress) -> None:
        """Write the record of a window that ended without another batch."""
        with self._store.writing() as connection:
            self._count_window(window)
            self._write_window(connection, window)
            if self._store.claim is not None:
                self.note_counts(connection)
        _warn_if_unverified(window)

    def fail_window(self, window: WindowProgress) -> None:
        """Write the record of a failed window; a failure to do so is left to the next run, which closes the row."""
        with suppress(DatabaseError, LockedError), self._store.writing() as connection:
            self._write_window(connection, window)

    def count_requests(self) -> None:
        """Bring the counters up to what the run's clients spent."""
        for name, value in asdict(self._fetch.usage()).items():
            setattr(self._counters, name, self._spent_before[name] + value)

    def note_counts(self, connection: Connection) -> None:
        """Write the counters into the run's row; where several workers work on it, add what came since the last time.

        The row is locked.
        """
        self.count_requests()
        counts = asdict(self._counters)
        if self._store.claim is None:
            runs.progress(connection, self._run_id, counts)
        else:
            more = {name: counts[name] - self._noted[name] for name in ADDED_UP}
            runs.add_counts(connection, self._run_id, more)
            self._noted = counts

    def _transact(
        self,
        batch: Batch,
        window: WindowProgress | None,
        watermark: datetime | None,
        how: Callable[..., tuple[Counts, list[Rejected]]],
    ) -> Stored:
        now, source_id = self._clock(), self._store.source_id
        with self._lease.storing, self._store.storing() as connection:
            counts, left_out = how(connection, batch, run_id=self._run_id, now=now)
            rejected = [*batch.rejected, *left_out]
            self._count(batch, counts)
            if window is not None:
                self._count_window(window)
            window = self._write_window(connection, window) if window is not None else None
            window_id = window.id if window else None
            self._counters.rejected += rejected_records.keep(
                connection, source_id, rejected, run_id=self._run_id, window_id=window_id, now=now
            )
            new_keys = self._keep_unknown_keys(connection, batch, now)
            if watermark is not None:
                watermarks.advance(connection, source_id, watermark, run_id=self._run_id, now=now)
            self.note_counts(connection)
        for key in new_keys:
            log.info("key.unknown", key=key, see="kore-etl schema unknown")
        return Stored(counts, window)

    def _keep_unknown_keys(self, connection: Connection, batch: Batch, now: datetime) -> list[str]:
        new = {key: found for key, found in batch.unknown_keys.items() if key not in self._seen_keys}
        self._seen_keys |= new.keys()
        return unknown_json_keys.keep(connection, self._store.source_id, new, run_id=self._run_id, now=now)

    def _write_window(self, connection: Connection, window: WindowProgress) -> WindowProgress:
        values: dict[str, object] = {
            "end_at": window.end,
            "checkpoint_at": window.checkpoint,
            "state": window.state,
            "rows": window.rows,
            "reported_total": window.total,
            "requests": window.requests,
            "finished_at": None if window.is_open else self._clock(),
            "error": window.problem or None,
        }
        if not window.is_open:
            values["claimable_at"] = None
        if window.id is not None:
            windows.note(connection, window.id, **values)
            return window
        window_id = windows.open_window(
            connection,
            source_id=self._store.source_id,
            run_id=self._run_id,
            job=window.job,
            field=window.field,
            start_at=window.start,
            strategy=window.paging,
            opened_at=self._server_clock.earliest_start(),
            **values,
        )
        return replace(window, id=window_id)

    def _count_window(self, window: WindowProgress) -> None:
        if not window.is_open:
            self._counters.windows += 1
            self._counters.unverified += window.state == "unverified"

    def _count(self, batch: Batch, counts: Counts) -> None:
        self.count_requests()
        counters = self._counters
        counters.fetched += len(batch)
        counters.inserted += counts.inserted
        counters.updated += counts.updated
        counters.unchanged += counts.unchanged + counts.repeated
        counters.stale += counts.stale


def _warn_if_unverified(window: WindowProgress) -> None:
    if window.state == "unverified":
        log.warning("window.unverified", start=window.start, end=window.end, reason=window.problem)


def _store_all(
    connection: Connection, batch: Batch, *, run_id: int, now: datetime, takes_back: bool
) -> tuple[Counts, list[Rejected]]:
    return store(connection, batch, run_id=run_id, now=now, takes_back=takes_back), []
