"""The frame of every run: the lease, the run's row in the ledger, and that both are closed however the run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Connection, Engine

from etl.errors import DatabaseError, EtlError, ExitCode, LockedError
from etl.extract.http.retrying_client import Client
from etl.jobs.maintenance.rebuild_from_raw import rebuild, require_same_drops
from etl.jobs.pipeline.batch_transaction import BatchWriter, Progress
from etl.jobs.pipeline.prefetch import OF_NEW, switching_threads_often
from etl.jobs.pipeline.transform_pages import BatchTransformer
from etl.jobs.run.ensure_capabilities import CapabilityTracker
from etl.jobs.run.fenced_transactions import SourceStore
from etl.jobs.run.fetcher import Fetcher
from etl.jobs.run.options import RunCounters, SyncOptions
from etl.jobs.run.run_context import RunContext
from etl.jobs.run.server_clock import ServerClock
from etl.jobs.run.source_lease import SourceLease, hold_source
from etl.load.database.engine import sqlite_file
from etl.load.database.sqlite_log import flushing_log
from etl.load.ledger import prune_old_rows, runs, sources, watermarks
from etl.load.ledger.claims import Claim
from etl.load.queries import stored_tasks
from etl.load.schema import deferred_indexes, postgres_upkeep
from etl.load.upsert import forget_task_rows
from etl.logs import get_logger
from etl.settings import SourceSettings
from etl.transform import Stream

log = get_logger()

_SEPARATE = timedelta(days=1)  # how long each quiet run has a row of its own


class SourceSpec(Struct, frozen=True, kw_only=True):
    """A source as the settings describe it, with the clients that reach it."""

    source: SourceSettings
    client: Client
    make_client: Callable[[], Client]
    options: SyncOptions
    overrides: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """Return host, account and stream in one text: what makes it the source that it is."""
        return sources.identity(self.source.identity)


@contextmanager
def start_run(
    engine: Engine,
    spec: SourceSpec,
    command: str,
    *,
    clock: Callable[[], datetime],
    on_progress: Progress = lambda _counters, _total: None,
) -> Iterator[RunContext]:
    """Give a run whose row in ``sync_runs`` is closed at the end, with its counts, its exit code and its error.

    Raises:
        LockedError: another run works on this source.
    """
    with hold_source(engine, command, source=spec.identity, name=spec.source.name) as lease:
        store, source = _open_row(engine, spec, command, clock)
        run = _context(spec, store, source, lease=lease, clock=clock, on_progress=on_progress)
        try:
            rebuild(run)
            with _loading_fast(run):
                yield run
            make_indexes(run)
        except BaseException as error:
            with suppress(DatabaseError, LockedError):  # the first error is told; the next run closes the row
                if not run.store.is_handed_over:
                    _close(run, state=_state(error), exit_code=exit_code_of(error), error=f"{error}" or _named(error))
            raise
        if not run.store.is_handed_over:
            _close(run, state="finished", exit_code=outcome_of(run.counters), error=None)


def join_run(
    engine: Engine, spec: SourceSpec, source: sources.Source, claim: Claim, *, clock: Callable[[], datetime]
) -> RunContext:
    """Return the run of a claimed window, whose counters are those of all its workers at the time of the claim.

    It opens and closes nothing. ``source`` is the row of the source.

    Raises:
        ConfigError: the keys to drop are not those of the settings any more.
    """
    require_same_drops(source.shape, spec.options)
    counters = RunCounters(**claim.counts)
    store = SourceStore(engine, spec.identity, claim.source_id, claim.run_id, counters, claim=claim)
    return _context(spec, store, source, lease=SourceLease(), clock=clock)


def renew(run: RunContext) -> None:
    """Let a backfill go on after other runs of its source: without what is erased by now.

    What was fetched before is to be fetched again.

    Raises:
        ConfigError: another run drops other keys.
    """
    run.store.latest_run, run.transformer.erased, shape = run.writer.write_between(_left_by_others)
    require_same_drops(shape, run.options)


def _left_by_others(connection: Connection, source_id: int) -> tuple[int, frozenset[str], str | None]:
    latest, erased = runs.latest(connection, source_id), forget_task_rows.forgotten_ids(connection, source_id)
    return latest, erased, sources.shape(connection, source_id)


@contextmanager
def _loading_fast(run: RunContext) -> Iterator[None]:
    """Make a first load cheap: without indexes, in large batches, and on SQLite with threads that wait less."""
    if run.watermark_before is not None:
        yield
        return
    run.store.commit()
    with ExitStack() as at_the_end:
        if deferred_indexes.put_off(run.store.engine):
            run.writer.most_prefetched = OF_NEW
            file = sqlite_file(run.store.engine.url)
            if file is not None:
                at_the_end.enter_context(flushing_log(file))
                at_the_end.enter_context(switching_threads_often())
        yield


def make_indexes(run: RunContext) -> None:
    """Make the indexes that this run or one before it dropped; without them queries are right but slower."""
    with run.store.reading() as connection:
        if not deferred_indexes.missing(connection):
            return
    run.store.commit()
    try:
        made = deferred_indexes.make_missing(run.store.engine)
    except DatabaseError as error:
        then = "the next run makes them, or kore-etl db upgrade"
        log.warning("indexes.missing", run=run.id, error=f"{error}", then=then)
    else:
        log.debug("indexes.made", run=run.id, indexes=made)


def outcome_of(counters: RunCounters) -> ExitCode:
    """Return the exit code of a run that came to its end."""
    is_incomplete = counters.rejected or counters.unverified or counters.missing
    return ExitCode.INCOMPLETE if is_incomplete else ExitCode.DONE


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code that an error leads to."""
    if isinstance(error, EtlError):
        return error.exit_code
    if isinstance(error, Exception):
        return ExitCode.BUG
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.TERMINATED


def _context(
    spec: SourceSpec,
    store: SourceStore,
    source: sources.Source,
    *,
    lease: SourceLease,
    clock: Callable[[], datetime],
    on_progress: Progress = lambda _counters, _total: None,
) -> RunContext:
    transformer = BatchTransformer(
        Stream(source.id, source.stream_id),
        drop_fields=spec.options.drop_fields,
        erased=store.read(forget_task_rows.forgotten_ids),
        is_stream_named=store.read(stored_tasks.any_of_stream, source.stream_id),
    )
    capabilities = CapabilityTracker(spec.client, store, source, spec.overrides, clock)
    fetch = Fetcher(spec.client, store, capabilities, lease, spec.make_client)
    server_clock = ServerClock(spec.client, clock, store)
    return RunContext(
        id=store.run_id,
        source=source,
        options=spec.options,
        clock=clock,
        counters=store.counters,
        store=store,
        capabilities=capabilities,
        fetch=fetch,
        server_clock=server_clock,
        transformer=transformer,
        writer=BatchWriter(
            store, fetch=fetch, lease=lease, server_clock=server_clock, clock=clock, on_progress=on_progress
        ),
        watermark_before=store.watermark(),
    )


def _open_row(
    engine: Engine, spec: SourceSpec, command: str, clock: Callable[[], datetime]
) -> tuple[SourceStore, sources.Source]:
    """Open the run's row; the store holds the transaction that commits it before the first request."""
    own = spec.source
    ids = {"account_id": own.account_id, "stream_id": own.stream_id}
    with ExitStack() as if_it_fails:
        connection = if_it_fails.enter_context(engine.connect())
        connection.begin()  # on SQLite it waits for other writers, before the time is read
        postgres_upkeep.catch_up_sequences(connection)
        source = sources.register(connection, name=own.name, base_url=own.base_url, now=clock(), **ids)
        run_id = runs.begin(connection, source.id, command, settings=spec.settings, now=clock())
        if_it_fails.pop_all()
    latest_run = run_id if command in runs.BACKGROUND else None
    store = SourceStore(
        engine, spec.identity, source.id, run_id, RunCounters(), held=connection, latest_run=latest_run
    )  # fmt: skip
    return store, source


def _named(error: BaseException) -> str:
    """Name an error without a text."""
    return {130: "stopped by Ctrl-C", 143: "stopped by SIGTERM"}.get(exit_code_of(error), type(error).__name__)


def _state(error: BaseException) -> str:
    return "failed" if isinstance(error, Exception) else "interrupted"


def _close(run: RunContext, *, state: str, exit_code: int, error: str | None) -> None:
    run.writer.count_requests()
    now, store = run.clock(), run.store
    hour = now.replace(minute=0, second=0, microsecond=0)
    with store.reading(Engine.begin) as connection:
        marks = {
            "watermark_before": run.watermark_before,
            "watermark_after": watermarks.read(connection, store.source_id),
        }
        counts = {**asdict(run.counters), **marks}
        runs.finish(connection, run.id, state=state, exit_code=exit_code, counts=counts, now=now, error=error)
        if run.watermark_before is not None and run.watermark_before < hour:  # once an hour is enough
            prune_old_rows.roll_up_quiet_runs(connection, store.source_id, hour - _SEPARATE)
    store.commit()
