"""The account of a run: why the server counts as many tasks as it does.

server counts = stored + quarantined + hidden + missing - deleted there and not marked here yet

It decides the exit code and never the watermark. The last account tells what is hidden and what waits to be marked. So
a total that rises by more than what was stored since tells that tasks are missing, also where deleted ones make up for
them. Missing tasks are read. Deleted ones wait for ``reconcile``.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import asdict, replace

from etl.extract.paging.page_checks import Window, window_query
from etl.jobs.comparison.find_missing_tasks import (
    ContradictoryTotalsError,
    Differences,
    compare,
    read_latest,
    search,
)
from etl.jobs.comparison.part_from_start import count_source
from etl.jobs.comparison.undated_tasks import read_undated
from etl.jobs.pipeline.implausible_answers import require_plausible_total, require_still_shown
from etl.jobs.run.options import not_marked
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import runs, sources, windows
from etl.load.queries import mark_deleted_tasks, stored_tasks
from etl.logs import get_logger

log = get_logger()

_SEARCH_AGAIN = timedelta(days=1)
_FEW = 5  # deleted tasks: so few are told apart from missing ones at once
_FEW_REQUESTS = 40  # for that


def take_account(run: RunContext, *, is_full: bool = False, again: bool = False) -> None:
    """Compare the server's total with what is stored, read what is missing, and note the account with the run.

    ``is_full`` tells that this run read all of history: then the search for missing tasks goes to its end. ``again``
    tells that earlier runs had read it, too: then a stored task may have lost the date that the windows go by.
    """
    run.store.hold()
    known = _known(run)
    every = run.fetch.undated_total
    total = None if every is None else count_source(run, every)
    if every is None or _missing(run, total, known) < 0 or not _is_explained(run, total, known):
        total = count_source(run)
    if is_full:
        read_undated(run, total, again=again)
    if total is None:
        log.info("account.not_told", reason="the server tells no total")
        require_still_shown(run)
        return
    require_plausible_total(run, total)
    if _missing(run, total, known) < 0 or run.counters.inserted or run.counters.updated:
        _learn_inactive(run)
    if not _is_explained(run, total, known):  # they may have come while this run was reading
        total = read_latest(run)
    if is_full or not _is_explained(run, total, known):
        total, known = _find_missing(run, total, known, to_the_end=is_full)
    elif total is not None and _missing(run, total, known) < 0:
        known = _compare_deleted(run, total, known)
    note(run, total, known)
    _judge_collapse(run)


def _known(run: RunContext) -> Differences:
    """Return the differences that the last account left; none where it was that of another part of history."""
    last = run.store.read(runs.account_of_part, run.options.start)
    if last is None:
        return Differences(0, 0)
    deleted = not_marked(last.account)
    if deleted > 0:  # some may have been marked since, by kore-etl verify
        deleted -= run.store.read(mark_deleted_tasks.count_marked, since=last.ended_at)
    absent = run.store.read(stored_tasks.versions_of, run.source.absent_ids or ()) if deleted > 0 else ()
    return Differences(last.account["hidden"], max(0, deleted), frozenset(absent))


def _learn(run: RunContext, found: Differences) -> Differences:
    """Remember proven differences for later runs."""
    if found.absent or run.source.absent_ids:
        run.store.write(sources.remember_absent, found.absent)
    return found


def _is_explained(run: RunContext, total: int | None, known: Differences) -> bool:
    """Tell whether no task is missing, or as many as a search of the last day did not find.

    A search notes that it found none missing where it proved that totals are estimates.
    """
    missing, source = _missing(run, total, known), run.source
    if missing <= 0:
        return True
    searched_at = source.missing_searched_at
    is_recent = searched_at is not None and abs(run.clock() - searched_at) < _SEARCH_AGAIN
    is_estimate = source.missing_searched == 0 and missing <= known.deleted
    return is_recent and (missing == source.missing_searched or is_estimate)


def _find_missing(
    run: RunContext, total: int | None, known: Differences, *, to_the_end: bool
) -> tuple[int | None, Differences]:
    """Search for missing tasks; return the total, and the differences that are known now.

    A search that comes to its end shows all that the server shows. What is still missing then is hidden, and windows
    that were unverified for such tasks are complete.
    """
    if _missing(run, total, known) <= 0:
        return total, known
    found: Differences | None = None
    is_estimate = False
    try:
        for found in search(run, known, to_the_end=to_the_end):
            if _missing(run, _latest_total(run, total), found or known) <= 0:
                break
    except ContradictoryTotalsError:
        is_estimate = True
    total = _read_latest(run, found or known)
    is_proven = found is not None and _missing(run, total, found) == 0
    if found is not None and is_proven and (to_the_end or not run.counters.unverified):
        if found.hidden > known.hidden:
            log.info("account.hidden", tasks=found.hidden)
            if run.counters.unverified:
                run.counters.unverified -= run.store.write(windows.settle_unverified, run.id)
        known = _learn(run, found)
    missing = _missing(run, total, known)
    if is_estimate and 0 < missing <= known.deleted:
        known, missing = replace(known, deleted=known.deleted - missing), 0
        run.store.write(sources.put, missing_searched=0, missing_searched_at=run.clock())
    elif missing > 0 or run.source.missing_searched:
        now = run.clock() if missing > 0 else None
        run.store.write(sources.put, missing_searched=max(0, missing) or None, missing_searched_at=now)
    return total, known


def _latest_total(run: RunContext, total: int | None) -> int | None:
    """Return the total of the whole source that an answer told last, ``total`` where only a part counts.

    What came meanwhile must not make up for what is missing.
    """
    return total if run.start is not None else run.fetch.undated_total


def _read_latest(run: RunContext, known: Differences) -> int | None:
    """Read the tasks that came meanwhile, by one date or both: a new task may have been created long ago."""
    total = read_latest(run)
    return total if _missing(run, total, known) <= 0 else read_latest(run, "updatedAt")


def _compare_deleted(run: RunContext, total: int, known: Differences) -> Differences:
    """Compare counts where a few more tasks were deleted, because they may make up for missing ones.

    Not where the total may be capped, nor where it costs more than a few requests.
    """
    unknown = known.deleted - _missing(run, total, known) - len(known.absent)
    is_cheap = unknown <= _FEW and known.hidden <= _FEW and run.fetch.client.has_requests_left()
    if not is_cheap or run.store.read(runs.last_surplus, run.options.start, at_least=total) is None:
        return known
    try:
        found = compare(run, known, most=_FEW_REQUESTS)
    except ContradictoryTotalsError:
        return known
    return _learn(run, found) if found is not None and _missing(run, total, found) == 0 else known


def _learn_inactive(run: RunContext) -> None:
    """Ask for an inactive task by its date, where it is not known whether totals count such tasks."""
    capabilities = run.capabilities.current
    field = run.strategy.field
    if capabilities.counts_inactive is not None:
        return
    moment = run.store.read(stored_tasks.newest_inactive, field)
    if moment is not None:
        step = capabilities.smallest()
        run.fetch(window_query(Window(field, moment - step, moment + step), capabilities))
        run.counted.clear()


def _judge_collapse(run: RunContext) -> None:
    """Let a run whose server counts far fewer tasks than are stored exit 3, until ``reconcile --force`` confirms it."""
    if run.source.collapse_accepted_at is None or run.confirms_collapse:
        return
    total, stored = run.counters.server_total or 0, run.counters.stored_live or 0
    if total * 2 >= stored:
        run.store.write(sources.put, collapse_accepted_at=None)
        return
    run.counters.unverified += 1
    log.warning("server.collapsed", server=total, stored=stored, see="kore-etl reconcile --force")


def note(run: RunContext, total: int | None, known: Differences) -> None:
    """Write the account into the run's counters; fewer rows than expected are deletions that wait to be marked."""
    if total is None:
        return
    missing = _missing(run, total, known)
    counters = run.counters
    counters.server_total, counters.stored_live = total, run.count_stored()
    counters.quarantined = run.count_quarantined()
    counters.hidden, counters.missing = known.hidden, max(0, missing)
    if counters.missing:
        log.warning(
            "account.missing", tasks=missing, server=total, stored=counters.stored_live, see="kore-etl sync --full"
        )


def note_reconciled(run: RunContext, total: int | None, hidden: int) -> None:
    """Renew the account after every deleted task was marked: no other is left."""
    run.counted.clear()
    more = _missing(run, total, Differences(0, 0))
    note(run, total, Differences(max(0, min(hidden, more)), 0))


def note_again(run: RunContext, *, marked: int) -> None:
    """Renew the account after verification stored tasks, or ``marked`` some as deleted."""
    counters = run.counters
    run.counted.clear()
    note(run, counters.server_total, Differences(counters.hidden or 0, max(0, not_marked(asdict(counters)) - marked)))


def _missing(run: RunContext, total: int | None, known: Differences) -> int:
    """Return how many tasks the server counts that nothing explains; below 0 if it counts fewer than is known."""
    if total is None:
        return 0
    return total - (run.count_stored() + run.count_quarantined() + known.hidden - known.deleted)
