"""The main job: bring the database up to date with what the server holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

from etl.errors import RefusedError
from etl.extract.capabilities import END_OF_TIME, ContradictedError
from etl.extract.http.page import Page, record_id
from etl.extract.http.query import Query
from etl.extract.paging.base import Chunk, Window, dated
from etl.extract.paging.newest_first import read_newest
from etl.extract.paging.strategy import Way, choose
from etl.extract.probe.experiments import Finding
from etl.jobs.pipeline.discovery import beginning, get_to_know
from etl.jobs.pipeline.drift import check_filter, check_newest, find_witness
from etl.jobs.pipeline.prefetch import read_ahead
from etl.jobs.pipeline.run import Run
from etl.jobs.pipeline.window_record import WindowEntry
from etl.jobs.pipeline.windows import Stretch, read_stretch
from etl.jobs.pipeline.workers import read_in_parallel
from etl.jobs.sweep import sweep
from etl.load.database.engine import reading
from etl.load.ledger import watermarks, windows
from etl.load.queries import canaries, deletions
from etl.load.upsert.tasks import Counts
from etl.logs import bound, get_logger
from etl.times import interval

log = get_logger()

_LONGEST_HOLD = timedelta(hours=1)


def sync(run: Run, *, full: bool = False, workers: int | None = None) -> None:
    """Read what is new or changed since the watermark, all of history at first or if ``full``, and store it.

    ``workers`` read history, None being as many as the budget keeps busy.

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
                read_history(run, way, finding, job="full" if full else "first", workers=workers)
            else:
                catch_up(run, way, finding, mark)
        except ContradictedError as contradiction:
            run.accept(contradiction)
        else:
            return


def read_history(run: Run, way: Way, finding: Finding | None, *, job: str, workers: int | None = None) -> None:
    """Read all of history, then what changed meanwhile; a first sync that was cut off goes on where it ended."""
    start = beginning(run, way.field, finding)
    done = _already_read(run, way, start) if job == "first" else None
    begin = done.checkpoint_at if done else start
    stretch = Stretch(job, way.field, way.history, begin, moves_watermark=way.field == "updatedAt")
    read_stretch(run, replace(stretch, start=read_in_parallel(run, stretch, workers)))
    began = done.opened_at if done else run.opened_at()
    if way.later == "newest":
        read_changes(run, began - run.rules.overlap)
    # What changed since a run that was cut off no request tells where only sweeps find it: they look from there on.
    reached = began if way.later == "sweep" else run.opened_at()
    run.advance(reached - run.rules.settle)


def catch_up(run: Run, way: Way, finding: Finding | None, mark: datetime) -> None:
    """Read what changed since the watermark, less the overlap in which late rows may show."""
    since = (mark - _overlap(run)).replace(microsecond=0)
    if way.later == "newest":
        moved = read_changes(run, since, held=mark)
    elif way.later == "windows":
        moved = _read_recent(run, way, since, mark)
    else:
        sweep(run, way, since, beginning(run, way.field, finding))
        moved = True
    if moved:
        run.advance(run.opened_at() - run.rules.settle)


def _overlap(run: Run) -> timedelta:
    """Return how far to go back behind the watermark: a change may be dated earlier, if the server rounds."""
    return run.rules.overlap + _grain(run)


def _grain(run: Run) -> timedelta:
    with reading(run.engine) as connection:
        return canaries.grain(connection, run.source.id)


def read_changes(run: Run, since: datetime, *, held: datetime | None = None) -> bool:
    """Read newest first down to ``since``; tell whether that moves the watermark, which is ``held`` now.

    Where the first page holds nothing new and the totals agree, nothing else can have changed: reading on would only
    repeat. The watermark then stays, so that the next change has everything since then read again.
    """
    with bound(window=interval(since, None)):
        return _read_changes(run, since, held)


def _read_changes(run: Run, since: datetime, held: datetime | None) -> bool:
    chunks = read_newest(run.fetch, Window("updatedAt", since, END_OF_TIME), run.abilities)
    if held is not None:
        first = next(chunks)
        witness = find_witness(run)
        if witness is not None:
            check_newest(run, witness, Page(first.records))
        counts = run.store(run.take(first))
        query = Query(limit=run.abilities.limit(), sort_by=("updatedAt", "desc"))
        if first.covered_until is None and _is_quiet(run, query, counts, first, _live(run), held):
            return False
        chunks = chain([replace(first, records=[])], chunks)
    entry = WindowEntry(run, "sync", "updatedAt", "newest_first", since, run.opened_at)
    for taken in read_ahead(chunks, run.take, most=run.most_ahead):
        entry.store(taken)
    entry.finish()
    return True


def _read_recent(run: Run, way: Way, since: datetime, mark: datetime) -> bool:
    witness = find_witness(run, created_before=since)
    if witness is not None and _live(run, witness.updated) <= run.abilities.limit() // 2:
        since = min(since, witness.updated.replace(microsecond=0))  # a few rows more, among them one that must come
    known = _live(run, since)
    if way.history == "keyset" and known >= run.abilities.limit() and _is_recent_quiet(run, way, since, mark, known):
        return False
    check = None if witness is None else partial(check_filter, run, witness)
    read_stretch(run, Stretch("sync", way.field, way.history, since, moves_watermark=True, check_first=check))
    return True


def _is_recent_quiet(run: Run, way: Way, since: datetime, mark: datetime, known: int) -> bool:
    longest = run.abilities.longest_range
    window = Window(way.field, since, END_OF_TIME if longest is None else since + longest)
    query = replace(dated(window, run.abilities), sort_by=("updatedAt", "desc"))
    try:
        page = run.fetch(query)
    except RefusedError:
        return False  # so long a range is refused now: reading finds out what is not
    chunk = Chunk(page.records, None, page.total)
    return _is_quiet(run, query, run.store(run.take(chunk)), chunk, known, mark)


def _is_quiet(run: Run, query: Query, counts: Counts, page: Chunk, known: int, mark: datetime) -> bool:
    """Tell whether a page of the latest changes held nothing new and the server has as many tasks as are here.

    It proves nothing where a run stored some of its rows and was cut off before it had the changes further down. Not
    for long, so that late rows are looked for again in the end; and not where timestamps are rounded, since what is
    new may then stand anywhere among what is known.
    """
    news = (counts.inserted, counts.updated, counts.stale, run.tally.rejected)
    if any(news) or run.opened_at() - mark > _LONGEST_HOLD or _grain(run):
        return False
    with reading(run.engine) as connection:
        if watermarks.is_behind(connection, run.source.id, [key for key in map(record_id, page.records) if key]):
            return False
    return known == page.total if page.total is not None else _ends_at(run, query, known)


def _ends_at(run: Run, query: Query, known: int) -> bool:
    """Tell whether a query has exactly so many rows, for a server that does not count: the last of them ends it."""
    try:
        page = run.fetch(replace(query, skip=known - 1, limit=2))
    except RefusedError:
        return False
    return len(page) == 1


def _live(run: Run, since: datetime | None = None) -> int:
    with reading(run.engine) as connection:
        if since is None:
            return deletions.count(connection, run.source.id)
        return deletions.count_since(connection, run.source.id, "updatedAt", since)


def _already_read(run: Run, way: Way, start: datetime) -> windows.Progress | None:
    with reading(run.engine) as connection:
        return windows.progress(connection, run.source.id, "first", way.field, start)
