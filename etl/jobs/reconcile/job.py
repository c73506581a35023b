"""Deletions: the server tells of none, so tasks that are here and no longer there have to be found, and are marked.

A task is marked only if a page that is whole for its time does not hold it, and a second look does not show it either:
where dates filter on updatedAt, one that was updated meanwhile is among the latest; and in the end the server may not
count more tasks than are left here. In doubt nothing is marked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from etl.extract.capabilities import END_OF_TIME, ContradictedError
from etl.extract.http.query import Direction, Query
from etl.extract.paging.base import Window
from etl.extract.paging.offset import walk
from etl.extract.paging.strategy import READERS, choose
from etl.jobs.pipeline.first_load import end_load
from etl.jobs.pipeline.run import Run
from etl.jobs.reconcile.candidates import IncompleteError, Suspects
from etl.jobs.reconcile.count_comparison import BEGINNING_OF_TIME, Comparison
from etl.jobs.sync import sync
from etl.load.database.engine import reading
from etl.load.queries import deletions
from etl.logs import get_logger

log = get_logger()

_MOST_SECOND_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a reconciliation did: tasks compared with the server's, and requests spent beyond those of the sync."""

    compared: int
    marked: int
    returned: int
    added: int
    requests: int


def reconcile(run: Run, *, deep: bool = False, force: bool = False, full: bool = False) -> Mapping[str, Any]:
    """Sync, then mark what is gone from the server; return the counts.

    ``deep`` reads every id, instead of comparing totals. ``force`` believes any number of deletions.

    Raises:
        IncompleteError: the sync is done, but nothing is marked, for the reason that it tells.
        EtlError: as :func:`sync` does.
    """
    sync(run, full=full)
    end_load(run)  # what follows counts by them
    requests = run.client.usage.requests
    if run.tally.unverified:
        raise IncompleteError("the sync left unverified windows, so no task is taken for deleted; sync again")
    with reading(run.engine) as connection:
        marked_before = deletions.count_marked(connection, run.source.id)
    suspects, marked = _insist(run, deep=deep, force=force)
    with reading(run.engine) as connection:
        returned = marked_before + marked - deletions.count_marked(connection, run.source.id)
    spent = run.client.usage.requests - requests
    done = Reconciled(suspects.compared, marked, returned, suspects.added, spent)
    log.info("reconcile.finished", **asdict(done))
    return {"reconcile": asdict(done)}


def _insist(run: Run, *, deep: bool, force: bool) -> tuple[Suspects, int]:
    """Begin anew where the server turns out to behave in another way than it was found to."""
    while True:
        suspects = Suspects(run, choose(run.abilities).field, force=force)
        try:
            return suspects, _find_and_mark(run, suspects, deep=deep)
        except ContradictedError as contradiction:
            run.accept(contradiction)


def _find_and_mark(run: Run, suspects: Suspects, *, deep: bool) -> int:
    total = run.fetch(Query(limit=1)).total
    if deep:
        _read_everything(run, suspects)
    elif total is None:
        raise IncompleteError("the server does not count its tasks: finding deletions takes kore-etl reconcile --deep")
    else:
        suspects.check(suspects.live - total)
        if total == suspects.live:
            suspects.compared = total
        else:
            Comparison(run, suspects).find(total)
    if suspects.gone:
        _look_again(run, suspects)
    with run.engine.begin() as connection:
        marked = deletions.mark(connection, run.source.id, suspects.gone, run_id=run.id, now=run.clock())
    if total is not None and suspects.live - marked > total:
        run.tally.unverified += 1
        log.warning("reconcile.left", tasks=suspects.live - marked - total, hint="kore-etl reconcile --deep")
    return marked


def _look_again(run: Run, suspects: Suspects) -> None:
    """Clear of suspicion what is among the latest, and make sure that the server counts no task that is suspected.

    Raises:
        IncompleteError: that cannot be made sure.
    """
    evidence = ""
    for attempt in range(_MOST_SECOND_LOOKS):
        if attempt or suspects.field == "updatedAt":
            _read_latest(run, suspects)
        sort_by: tuple[str, Direction] | None = ("updatedAt", "desc") if run.abilities.sorts("updatedAt") else None
        page = run.fetch(Query(limit=run.abilities.limit(), sort_by=sort_by))
        suspects.keep(page.records, total=page.total)
        expected = suspects.left()
        if page.total is None or page.total <= expected:
            return
        evidence = f"it counts {page.total}, and not {expected}"
    message = (
        f"{len(suspects.gone)} tasks were not found on the server, but {evidence}: none is marked as deleted; "
        "try again when fewer tasks change"
    )
    raise IncompleteError(message)


def _read_latest(run: Run, suspects: Suspects) -> None:
    """Read what changed since before the sync, on to the very end: a task may have moved there since it was missed."""
    since = (run.opened_at() - run.rules.overlap).replace(microsecond=0)
    longest = run.abilities.longest_range
    window = Window(suspects.field, since, since + longest if longest else END_OF_TIME)
    for chunk in READERS[choose(run.abilities).history](run.fetch, window, run.abilities):
        suspects.keep(chunk.records, total=chunk.total)
        if not chunk.settled:
            raise IncompleteError(f"the latest changes could not be read, so no task is marked: {chunk.reason}")


def _read_everything(run: Run, suspects: Suspects) -> None:
    """Suspect all that a reading of the whole history does not find."""
    for window in _windows(run, suspects):
        _read_window(run, suspects, window)
    with reading(run.engine) as connection:
        undated = suspects.unplaced | deletions.versions_without(connection, run.source.id, suspects.field)
    if undated:
        _look_for(run, suspects, undated)


def _windows(run: Run, suspects: Suspects) -> Iterator[Window]:
    """Give the time in which there are tasks, as long as the server takes it, and where it can be what is around it."""
    first, last = suspects.reach()
    longest = run.abilities.longest_range
    ends = [first]
    while longest and ends[-1] + longest < last:
        ends.append(ends[-1] + longest)
    around = ([], []) if longest else ([BEGINNING_OF_TIME], [END_OF_TIME])
    for start, end in pairwise([*around[0], *ends, last, *around[1]]):
        if start < end:
            yield Window(suspects.field, start, end)


def _read_window(run: Run, suspects: Suspects, window: Window) -> None:
    """Judge a window piece by piece, each as soon as it is read whole."""
    start, doubt = window.start, ""
    ids: set[str] = set()
    latest: set[str] = set()
    for chunk in READERS[choose(run.abilities).history](run.fetch, window, run.abilities):
        here = suspects.keep(chunk.records, total=chunk.total)
        ids |= here
        if not chunk.settled:
            doubt = chunk.reason
            suspects.clear(latest)  # the doubt may be about the piece before
        if chunk.covered_until is None:
            continue
        end = min(chunk.covered_until, window.end)
        if doubt:
            suspects.doubt(start, end, doubt)
        else:
            latest = suspects.judge(start, end, ids)
        start, doubt, ids = end, "", here  # the next piece begins with this one's last row


def _look_for(run: Run, suspects: Suspects, undated: deletions.Versions) -> None:
    """Read without dates, to judge the tasks that are in no window because they have none."""
    left = dict(undated)
    for chunk in walk(run.fetch, Query(limit=run.abilities.limit()), run.abilities, END_OF_TIME):
        for key in suspects.keep(chunk.records, total=chunk.total):
            left.pop(key, None)
        if not chunk.settled:
            suspects.doubt(BEGINNING_OF_TIME, END_OF_TIME, chunk.reason)
            return
    suspects.suspect(left)
