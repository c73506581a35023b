"""Reads a range of history again: resumable, beside the scheduled syncs, without moving the watermark.

At its end it takes the account of the whole source, so that its exit code is true. There is none for a part of history
before the first sync came to its end: most tasks are missing then.
"""

from __future__ import annotations

import math
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from etl.extract.capabilities import CapabilityDriftError
from etl.extract.paging.page_checks import Window, window_query
from etl.extract.paging.read_strategy import Paging, ReadStrategy
from etl.jobs.pipeline.completeness_check import take_account
from etl.jobs.pipeline.read_windows import TimeRange, read_windows
from etl.jobs.pipeline.read_windows_in_parallel import read_in_parallel
from etl.jobs.run.fenced_transactions import MadeWayError
from etl.jobs.run.history_start import history_start
from etl.jobs.run.lifecycle import renew
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import windows

_FILL = 0.7  # how full the pages of verified windows are


class Period(Struct, frozen=True):
    """``[since, until)`` of the field that dates filter on; None is the beginning of history, or now."""

    since: datetime | None = None
    until: datetime | None = None


class Plan(Struct, frozen=True):
    """What a backfill would take; None where the server does not count its rows."""

    field: str
    paging: str
    since: datetime
    until: datetime
    done_until: datetime | None
    windows: int
    rows: int | None
    requests: int | None


def backfill(run: RunContext, period: Period, *, restart: bool = False, workers: int | None = None) -> None:
    """Read and store a period; one that was cut off goes on at its checkpoint, unless ``restart``.

    The server's version replaces what an earlier run stored, even an older one. ``workers`` is as for a sync. What was
    fetched before another run of the source began, and was not stored yet, is read again.

    Raises:
        ConfigError: another run drops other keys by now.
    """
    run.capabilities.ensure_known()
    since = period.since or history_start(run)
    job = job_name(since, period.until)
    if restart:
        run.store.write(windows.end_backfill, job)
    while True:
        strategy = run.strategy
        begin = _checkpoint(run, strategy, job, since) or since
        try:
            time_range = TimeRange(job, strategy.field, strategy.history, begin, period.until, takes_back=True)
            read_windows(run, read_in_parallel(run, time_range, workers))
        except CapabilityDriftError as drift:
            run.capabilities.correct(drift)
        except MadeWayError:
            renew(run)
        else:
            break
    run.store.write(windows.end_backfill, job)
    if period == Period() or run.store.watermark() is not None:
        run.fetch.may_make_way = False  # the account is one piece of work
        renew(run)
        take_account(run, is_full=period == Period(), again=True)


def plan(run: RunContext, period: Period) -> Plan:
    """Tell what a backfill of a period would take, for a request or two."""
    run.capabilities.ensure_known()
    capabilities = run.capabilities.current
    strategy = run.strategy
    since = period.since or history_start(run)
    done = _checkpoint(run, strategy, job_name(since, period.until), since)
    begin = done or since
    longest = capabilities.longest_range
    window = Window(strategy.field, begin, period.until or capabilities.latest_end(begin))
    page = run.fetch(replace(window_query(window, capabilities), limit=1))
    until = period.until or run.server_clock.earliest_start()
    count = 1 if longest is None else max(1, math.ceil((until - begin) / longest))
    rows = page.total if count == 1 else None  # no request counts more than the longest range
    requests = _requests(strategy, capabilities.limit(), rows, count)
    return Plan(strategy.field, strategy.history, since, until, done, count, rows, requests)


def _requests(strategy: ReadStrategy, limit: int, rows: int | None, windows_planned: int) -> int | None:
    if rows is None:
        return None
    rows_each = limit - 1 if strategy.history is Paging.KEYSET else limit * _FILL
    return max(windows_planned, math.ceil(rows / max(1.0, rows_each)))


def job_name(since: datetime, until: datetime | None) -> str:
    """Name the job in the ledger so that the same period finds it again while it is not finished."""
    end = "now" if until is None else until.isoformat(timespec="milliseconds")
    return f"backfill {since.isoformat(timespec='milliseconds')} {end}"


def period_of(job: str) -> Period:
    """Return the period of a job by its name; its beginning is always told."""
    _, since, until = job.split(" ")
    return Period(datetime.fromisoformat(since), None if until == "now" else datetime.fromisoformat(until))


def _checkpoint(run: RunContext, strategy: ReadStrategy, job: str, since: datetime) -> datetime | None:
    progress = run.store.read(windows.progress, job, strategy.field, since)
    return progress.checkpoint if progress else None
