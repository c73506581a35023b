"""Reading a stretch of history again, by hand: resumable, beside the scheduled syncs, without moving the watermark."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

from etl.extract.capabilities import END_OF_TIME, ContradictedError
from etl.extract.paging.base import Window, dated
from etl.extract.paging.strategy import Way, choose
from etl.jobs.pipeline.discovery import beginning, get_to_know
from etl.jobs.pipeline.run import Run
from etl.jobs.pipeline.windows import Stretch, read_stretch
from etl.jobs.pipeline.workers import read_in_parallel
from etl.load.database.engine import reading
from etl.load.ledger import windows
from etl.logs import get_logger

log = get_logger()

_FILL = 0.7  # how full the pages of verified windows are


@dataclass(frozen=True, slots=True)
class Period:
    """``[since, until)`` of the field that dates filter on; None is the beginning of history, or now."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backfill would take; None where the server does not count its rows."""

    field: str
    reading: str
    since: datetime
    until: datetime
    done_until: datetime | None
    windows: int
    rows: int | None
    requests: int | None


def backfill(run: Run, period: Period, *, restart: bool = False, workers: int | None = None) -> None:
    """Read and store a period; one that was cut off goes on where it was committed last, unless ``restart``.

    What is stored is never replaced by an older version. ``workers`` is as for a sync.
    """
    finding = get_to_know(run)
    since = period.since or beginning(run, choose(run.abilities).field, finding)
    job = _job(since, period.until)
    if restart:
        _close_job(run, job)
    while True:
        way = choose(run.abilities)
        begin = _reached(run, way, job, since) or since
        try:
            stretch = Stretch(job, way.field, way.history, begin, period.until)
            read_stretch(run, replace(stretch, start=read_in_parallel(run, stretch, workers)))
        except ContradictedError as contradiction:
            run.accept(contradiction)
        else:
            _close_job(run, job)
            return


def plan(run: Run, period: Period) -> Plan:
    """Tell what a backfill of a period would take, for a request or two."""
    finding = get_to_know(run)
    way = choose(run.abilities)
    since = period.since or beginning(run, way.field, finding)
    done = _reached(run, way, _job(since, period.until), since)
    begin = done or since
    query = replace(dated(Window(way.field, begin, period.until or END_OF_TIME), run.abilities), limit=1)
    longest = run.abilities.longest_range
    total = run.fetch(query if longest is None else replace(query, end=None)).total
    until = period.until or run.opened_at()
    count = 1 if longest is None else math.ceil((until - begin) / longest)
    return Plan(way.field, way.history, since, until, done, count, total, _requests(run, way, total, count))


def _requests(run: Run, way: Way, rows: int | None, windows_planned: int) -> int | None:
    if rows is None:
        return None
    page = run.abilities.limit()
    a_page = page - 1 if way.history == "keyset" else page * _FILL
    return max(windows_planned, math.ceil(rows / max(1.0, a_page)))


def _job(since: datetime, until: datetime | None) -> str:
    """Name the job in the ledger so that the same period finds it again while it is not finished."""
    end = "now" if until is None else until.isoformat(timespec="milliseconds")
    return f"backfill {since.isoformat(timespec='milliseconds')} {end}"


def _reached(run: Run, way: Way, job: str, since: datetime) -> datetime | None:
    with reading(run.engine) as connection:
        progress = windows.progress(connection, run.source.id, job, way.field, since)
    return progress.checkpoint_at if progress else None


def _close_job(run: Run, job: str) -> None:
    """Let the next backfill of the same period begin anew."""
    with run.engine.begin() as connection:
        windows.rename_job(connection, run.source.id, job, "backfill")
