"""A backfill whose windows are read by workers: it plans windows, and each worker claims one after the other.

A large first sync begins as such a backfill. The sync that follows it reads on where its windows end.

All workers store as one run, under its id. So what the run read itself never counts as stored by an earlier run, whose
version the server's word replaces. A window that has to make way goes back at its checkpoint, and another worker reads
on. Whoever claims the last window reads what is left, takes the account, and ends the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from msgspec.structs import asdict, replace
from sqlalchemy import Connection, Engine

from etl.errors import DatabaseError, EtlError, ExitCode, LockedError, RefusedError
from etl.extract.capabilities import END_OF_TIME, CapabilityDriftError
from etl.extract.http.query import Query
from etl.extract.http.response_errors import BudgetUsedError, HourlyLimitError, SlowAnswerError
from etl.extract.paging.page_checks import Window
from etl.extract.paging.read_strategy import READERS, ReadStrategy
from etl.jobs.backfill import Period, job_name, period_of
from etl.jobs.pipeline.completeness_check import take_account
from etl.jobs.pipeline.read_windows import TimeRange, read_windows
from etl.jobs.pipeline.read_windows_in_parallel import PAGES, plan_windows
from etl.jobs.pipeline.window_progress import WindowProgress
from etl.jobs.run.fenced_transactions import MadeWayError
from etl.jobs.run.history_start import history_start
from etl.jobs.run.lifecycle import exit_code_of, outcome_of
from etl.jobs.run.options import ADDED_UP
from etl.jobs.run.run_context import RunContext
from etl.jobs.run.source_lease import share_lease
from etl.load.database.engine import reading
from etl.load.ledger import claims, runs, schedules, sources, watermarks, windows
from etl.load.ledger.claims import Claim
from etl.logs import bound, get_logger
from etl.settings import SourceSettings
from etl.times import interval

log = get_logger()

Ranges = list[tuple[datetime, datetime]]

_MOST_WINDOWS = 64
_LARGE = 12  # windows of a first sync: more requests than the minute allows, about
FIRST = "first"  # the job of a first sync


class Ending(StrEnum):
    """How the work on a claimed window ended."""

    READ = "read"
    RELEASED = "released"
    """Others may claim it, from its checkpoint on."""
    LOST = "lost"
    """Another worker has claimed it, or the run has ended."""
    RUN_ENDED = "run_ended"
    """It was the last one."""
    RUN_FAILED = "run_failed"


def distribute(run: RunContext, period: Period, *, restart: bool = False) -> int:
    """Plan the windows of a period that are not read yet, leave the run to workers, and return how many they are.

    A backfill of the same period that was cut off goes on, unless ``restart``.
    """
    run.capabilities.ensure_known()
    strategy = run.strategy
    since = period.since or history_start(run)
    job = job_name(since, period.until)
    if restart:
        run.store.write(windows.end_backfill, job)
    if not run.server_clock.is_known:
        run.fetch(Query(limit=1))
    until = min(period.until or run.server_clock.earliest_start(), run.server_clock.earliest_start())
    end = max(since, until.replace(microsecond=0))
    left = run.store.read(windows.uncovered, job, strategy.field, since, end)
    planned = _plan(run, job, strategy, left[0][0], end, least=1) if left else []
    ranges = [*_within(left, planned)]
    _hand_over(run, job, strategy, ranges, end)
    return len(ranges)


def distribute_first(run: RunContext) -> bool:
    """Plan the windows of a large history and leave the run to workers; False once any of it was read."""
    strategy, probed = run.strategy, run.capabilities.probed
    large = _LARGE * PAGES * run.capabilities.current.limit()
    is_large = probed is not None and probed.total is not None and probed.total >= large
    if not is_large or not run.server_clock.is_known or run.store.read(windows.of_job, FIRST):
        return False
    start = history_start(run)
    end = max(start, run.server_clock.earliest_start().replace(microsecond=0))
    try:
        planned = _plan(run, FIRST, strategy, start, end, least=_LARGE)
    except (RefusedError, SlowAnswerError) as error:
        log.warning("workers.not_used", reason=str(error))
        return False
    if planned:
        _hand_over(run, FIRST, strategy, planned, end)
    return bool(planned)


def _plan(
    run: RunContext, job: str, strategy: ReadStrategy, start: datetime, end: datetime, *, least: int
) -> Ranges:  # fmt: skip
    time_range = TimeRange(job, strategy.field, strategy.history, start, end)
    return [(each.start, each.end) for each in plan_windows(run, time_range, most=_MOST_WINDOWS, least=least)]


def _hand_over(run: RunContext, job: str, strategy: ReadStrategy, ranges: Ranges, end: datetime) -> None:
    row = {"run_id": run.id, "job": job, "field": strategy.field, "strategy": strategy.history}
    opened_at = run.server_clock.earliest_start()
    with run.store.writing() as connection:
        run.writer.note_counts(connection)
    run.store.hand_over(claims.add, [*ranges, (end, end)], **row, opened_at=opened_at)
    log.info("backfill.distributed", run=run.id, windows=len(ranges))


def _within(ranges: Ranges, planned: Ranges) -> Iterable[tuple[datetime, datetime]]:
    """Return the parts of the ranges, cut where planned windows begin."""
    for start, end in ranges:
        cuts = [start, *(begin for begin, _ in planned if start < begin < end), end]
        yield from pairwise(cuts)


def claim_window(engine: Engine, source: SourceSettings, lease: timedelta) -> tuple[sources.Source, Claim] | None:
    """Claim a window of a source, None if none may be claimed now.

    Raises:
        DatabaseError: the database cannot be used.
    """
    with engine.begin() as connection:
        if not share_lease(connection, sources.identity(source.identity)):
            return None
        claim = claims.claim(connection, source.identity, lease, ADDED_UP)
        if claim is None:
            return None
        ids = {"account_id": source.account_id, "stream_id": source.stream_id}
        now = schedules.now(engine)
        row = sources.register(connection, name=source.name, base_url=source.base_url, now=now, **ids)
    return row, claim


def work_on_claim(run: RunContext, claim: Claim) -> Ending:
    """Read a claimed window and store it; end the run with the last one, or where the window cannot be read.

    Raises:
        DatabaseError: what was not stored yet is read again by another worker.
    """
    try:
        with bound(window=interval(claim.start, claim.end)):
            return _finish(run, claim) if claim.is_last else _read(run, claim)
    except (MadeWayError, BudgetUsedError, HourlyLimitError) as reason:
        return _release(run, claim, str(reason))
    except LockedError as error:
        log.warning("window.lost", window=claim.window_id, reason=str(error))
        return Ending.LOST
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, no worker is to try again
        return _fail(run, claim, error)
    except BaseException as signal:
        _release(run, claim, type(signal).__name__)
        raise


def _read(run: RunContext, claim: Claim) -> Ending:
    strategy = run.strategy
    if strategy.field != claim.field:  # the last window plans the range again
        with run.store.writing() as connection:
            error = "dates filter on another field"
            windows.note(connection, claim.window_id, state="failed", claimable_at=None, error=error)
        return Ending.READ
    window = Window(strategy.field, claim.checkpoint, claim.end)
    record = WindowProgress(
        claim.job, strategy.field, strategy.history, claim.start, claim.end, claim.checkpoint,
        id=claim.window_id, rows=claim.rows, total=claim.total, requests=claim.requests, problem=claim.problem,
    )  # fmt: skip
    before = run.fetch.requests - claim.requests
    try:
        for page in READERS[strategy.history](run.fetch, window, run.capabilities.current):
            batch = run.transformer.transform(page)
            record = record.extended(batch, end=claim.end, requests=run.fetch.requests - before)
            run.writer.store(batch, record, takes_back=True)
            # Inside a piece there is no checkpoint to go on from: the next claim would begin the piece again.
            run.fetch.client.may_wait = page.checkpoint is None
            if record.is_open and page.checkpoint is not None and _is_sync_due(run, claim):
                return _release(run, claim, "a sync of the account is due")
    except CapabilityDriftError as drift:
        run.capabilities.correct(drift)
        return _release(run, claim, str(drift))
    except (RefusedError, SlowAnswerError) as error:
        log.warning("window.split", reason=str(error))
        time_range = TimeRange(claim.job, strategy.field, strategy.history, record.checkpoint, claim.end)
        read_windows(run, replace(time_range, takes_back=True))
        run.writer.close_window(record.cut_short())
        return Ending.READ
    if record.is_open:
        run.writer.close_window(record.finished(claim.end, requests=run.fetch.requests - before))
    log.info("window.read", window=claim.window_id, rows=record.rows, requests=record.requests)
    return Ending.READ


def _is_sync_due(run: RunContext, claim: Claim) -> bool:
    now = schedules.now(run.store.engine)
    with reading(run.store.engine) as connection:
        return schedules.is_sync_due(connection, claim.account_id, now)


def _finish(run: RunContext, claim: Claim) -> Ending:
    """Read what the other windows left, take the account, and end the run; plan again what is not covered yet."""
    strategy = run.strategy
    period = Period(history_start(run)) if claim.job == FIRST else period_of(claim.job)
    assert period.since is not None  # noqa: S101 - the name of a job has it
    left = run.store.read(windows.uncovered, claim.job, strategy.field, period.since, claim.end)
    if left:
        row = {"run_id": run.id, "job": claim.job, "field": strategy.field, "strategy": strategy.history}
        opened_at = min(each.opened_at for each in run.store.read(windows.of_job, claim.job, run_id=run.id))
        run.store.write(claims.add, left, **row, opened_at=opened_at)
        return _release(run, claim, "windows are left")
    if claim.job == FIRST:
        with run.store.writing() as connection:
            _end(run, connection, claim)
        return Ending.RUN_ENDED
    try:
        until = period.until or END_OF_TIME
        left = run.store.read(windows.uncovered, claim.job, strategy.field, claim.end, until)
        if left:  # another attempt may have read a part of it
            time_range = TimeRange(claim.job, strategy.field, strategy.history, left[0][0], period.until)
            read_windows(run, replace(time_range, takes_back=True))
    except CapabilityDriftError as drift:
        run.capabilities.correct(drift)
        return _release(run, claim, str(drift))
    begins = run.start or run.source.history_start
    is_full = period.until is None and begins is not None and period.since <= begins
    if is_full or run.store.watermark() is not None:
        take_account(run, is_full=is_full, again=True)
    with run.store.writing() as connection:
        windows.end_backfill(connection, claim.source_id, claim.job)
        _end(run, connection, claim)
    return Ending.RUN_ENDED


def _end(run: RunContext, connection: Connection, claim: Claim) -> None:
    runs.close_windows(connection, [run.id])  # of a worker that died here
    windows.drop(connection, claim.window_id)
    _close(run, connection, state="finished", exit_code=outcome_of(run.counters), error=None)


def _release(run: RunContext, claim: Claim, reason: str) -> Ending:
    """Let others claim the window, unless its lease has run out."""
    with suppress(LockedError), run.store.engine.begin() as connection:
        runs.require_owner(connection, run.id)
        if claims.release(connection, claim):
            run.writer.note_counts(connection)
            log.debug("window.released", window=claim.window_id, reason=reason)
            return Ending.RELEASED
    return Ending.LOST


def _fail(run: RunContext, claim: Claim, error: Exception) -> Ending:
    """End the run, because a window cannot be read. The same command continues at what is left."""
    try:
        with run.store.writing() as connection:
            _close(run, connection, state="failed", exit_code=exit_code_of(error), error=f"{error}")
    except MadeWayError as reason:  # then it fails again later
        return _release(run, claim, str(reason))
    except LockedError:
        return Ending.LOST
    if not isinstance(error, EtlError):
        log.error("window.failed", window=claim.window_id, exc_info=error)
    return Ending.RUN_FAILED


def _close(
    run: RunContext, connection: Connection, *, state: str, exit_code: ExitCode, error: str | None
) -> None:  # fmt: skip
    run.writer.note_counts(connection)
    watermark = watermarks.read(connection, run.store.source_id)
    account = {name: value for name, value in asdict(run.counters).items() if name not in ADDED_UP}
    counts = {**account, "watermark_before": watermark, "watermark_after": watermark}
    runs.finish(connection, run.id, state=state, exit_code=exit_code, counts=counts, now=run.clock(), error=error)
