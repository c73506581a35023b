"""The main job: bring the database up to date with what the server holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain

import structlog

from etl.errors import RefusedError
from etl.extract.abilities import END_OF_TIME, ContradictedError
from etl.extract.choosing import Way, choose
from etl.extract.newest import read_newest
from etl.extract.probe import Finding
from etl.extract.query import Query
from etl.extract.reading import Chunk, Window, dated
from etl.jobs.entry import WindowEntry
from etl.jobs.probing import beginning, get_to_know
from etl.jobs.run import Run
from etl.jobs.stretches import Stretch, read_stretch
from etl.jobs.sweep import sweep
from etl.load import counting, windows
from etl.load.engine import reading
from etl.load.store import Counts

log = structlog.get_logger()

_LONGEST_HOLD = timedelta(hours=1)


def sync(run: Run, *, full: bool = False) -> None:
    """Read what is new or changed since the watermark, all of history at first or if ``full``, and store it.

    Where the server turns out to behave in another way than it was found to, fall back and go on in the same run.

    Raises:
        EtlError: what the client, the database or the server's own contradictions make impossible.
    """
    finding = get_to_know(run)
    while True:
        way = choose(run.abilities)
        try:
            mark = run.watermark()
            if full or mark is None:
                read_history(run, way, finding, job="full" if full else "first")
            else:
                catch_up(run, way, finding, mark)
        except ContradictedError as contradiction:
            run.accept(contradiction)
        else:
            return


def read_history(run: Run, way: Way, finding: Finding | None, *, job: str) -> None:
    """Read all of history, then what changed meanwhile; a first sync that was cut off goes on where it ended."""
    start = beginning(run, way.field, finding)
    done = _already_read(run, way, start) if job == "first" else None
    begin = done.covered_until if done else start
    read_stretch(run, Stretch(job, way.field, way.history, begin, moves_watermark=way.field == "updatedAt"))
    if way.later == "newest":
        began = done.opened_at if done else run.opened_at()
        read_changes(run, began - run.rules.overlap)
    run.advance(run.opened_at() - run.rules.settle)


def catch_up(run: Run, way: Way, finding: Finding | None, mark: datetime) -> None:
    """Read what changed since the watermark, less the overlap in which late rows may show."""
    since = (mark - run.rules.overlap).replace(microsecond=0)
    if way.later == "newest":
        moved = read_changes(run, since, held=mark)
    elif way.later == "windows":
        moved = _read_recent(run, way, since, mark)
    else:
        sweep(run, way, since, beginning(run, way.field, finding))
        moved = True
    if moved:
        run.advance(run.opened_at() - run.rules.settle)


def read_changes(run: Run, since: datetime, *, held: datetime | None = None) -> bool:
    """Read newest first down to ``since``; tell whether that moves the watermark, which is ``held`` now.

    Where the first page holds nothing new and the totals agree, nothing else can have changed: reading on would only
    repeat. The watermark then stays, so that the next change has everything since then read again.
    """
    chunks = read_newest(run.fetch, Window("updatedAt", since, END_OF_TIME), run.abilities)
    if held is not None:
        first = next(chunks)
        counts = run.store(first)
        query = Query(limit=run.abilities.limit(), sort_by=("updatedAt", "desc"))
        if first.covered_until is None and _is_quiet(run, query, counts, first.total, _live(run), held):
            return False
        chunks = chain([replace(first, records=[])], chunks)
    entry = WindowEntry(run, "sync", "updatedAt", "newest", since, run.opened_at)
    for chunk in chunks:
        entry.store(chunk)
    entry.finish()
    return True


def _read_recent(run: Run, way: Way, since: datetime, mark: datetime) -> bool:
    known = _live(run, since)
    if way.history == "keyset" and known >= run.abilities.limit():
        query = replace(dated(Window(way.field, since, END_OF_TIME), run.abilities), sort_by=("updatedAt", "desc"))
        page = run.fetch(query)
        counts = run.store(Chunk(page.records, None, page.total))
        if _is_quiet(run, query, counts, page.total, known, mark):
            return False
    read_stretch(run, Stretch("sync", way.field, way.history, since, moves_watermark=True))
    return True


def _is_quiet(run: Run, query: Query, counts: Counts, total: int | None, known: int, mark: datetime) -> bool:
    """Tell whether a page of the latest changes held nothing new and the server has as many tasks as are here.

    Not for long, so that late rows are looked for again in the end.
    """
    news = (counts.inserted, counts.updated, counts.stale, run.tally.rejected)
    if any(news) or run.opened_at() - mark > _LONGEST_HOLD:
        return False
    return known == total if total is not None else _ends_at(run, query, known)


def _ends_at(run: Run, query: Query, known: int) -> bool:
    """Tell whether a query has exactly so many rows, for a server that does not count: the last of them ends it."""
    try:
        page = run.fetch(replace(query, skip=known - 1, limit=2))
    except RefusedError:
        return False
    return len(page) == 1


def _live(run: Run, since: datetime | None = None) -> int:
    with reading(run.engine) as connection:
        return counting.live_tasks(connection, run.source.id, field="updatedAt", since=since)


def _already_read(run: Run, way: Way, start: datetime) -> windows.Progress | None:
    with reading(run.engine) as connection:
        return windows.progress(connection, run.source.id, "first", way.field, start)
