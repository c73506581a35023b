"""The account of a run: the server counts as many tasks as are stored, rejected, or known to be hidden.

It decides the exit code and never the watermark. Where the server counts more, the missing tasks are read. Where it
counts fewer, tasks were deleted, and ``reconcile`` marks them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from etl.errors import RefusedError
from etl.extract.http.response_page import Page
from etl.extract.paging.read_strategy import choose_strategy
from etl.jobs.pipeline.outage_check import require_plausible
from etl.jobs.reconcile.find_missing_tasks import of_source, read_latest, read_undated, search
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import rejected_records, runs, sources, windows
from etl.load.queries import present_tasks
from etl.logs import get_logger

log = get_logger()

_SEARCH_AGAIN = timedelta(days=1)


def take_account(run: RunContext, *, is_full: bool = False, again: bool = False) -> None:
    """Compare the server's total with what is stored, read what is missing, and note the account with the run.

    ``is_full`` tells that this run read all of history: then the search for missing tasks goes to its end. ``again``
    tells that earlier runs had read it, too: then a stored task may have lost the date that the windows go by.
    """
    known = run.store.read(runs.hidden)
    total = run.fetch.undated_total if run.options.start is None else None
    if total is None or not _is_explained(run, total, known):
        total = count_on_server(run)
    if is_full:
        read_undated(run, again=again)
    if total is None:
        log.info("account.not_told", reason="the server tells no total")
        return
    require_plausible(run, Page([], total=total))
    if not _is_explained(run, total, known):  # they may have come while this run was reading
        total = read_latest(run)
    if is_full or not _is_explained(run, total, known):
        total, known = _find_missing(run, total, known, to_the_end=is_full)
    note(run, total, known)
    _judge_collapse(run)


def _is_explained(run: RunContext, total: int | None, known: int) -> bool:
    """Tell whether no task is missing, or as many as a search of the last day did not find."""
    missing, source = _missing(run, total, known), run.source
    if missing <= 0:
        return True
    searched_at = source.missing_searched_at
    is_recent = searched_at is not None and abs(run.clock() - searched_at) < _SEARCH_AGAIN
    return is_recent and missing == source.missing_searched


def _find_missing(run: RunContext, total: int | None, known: int, *, to_the_end: bool) -> tuple[int | None, int]:
    """Search for missing tasks; return the total, and how many tasks are known to be hidden.

    A walk that asked for every place shows all that the server shows. What is still missing then is hidden, and
    windows that were unverified for such tasks are complete.
    """
    if _missing(run, total, known) <= 0:
        return total, known
    is_proven = False
    for is_proven in search(run, to_the_end=to_the_end):  # noqa: B007 - the last one counts
        if _missing(run, total, known) <= 0:
            break
    total = read_latest(run)
    missing = _missing(run, total, known)
    if missing > 0 and is_proven and (to_the_end or not run.counters.unverified):
        known += missing
        log.info("account.hidden", tasks=known)
        if run.counters.unverified:
            run.store.write(windows.settle_unverified, run.id)
            run.counters.unverified = 0
    elif missing > 0 or run.source.missing_searched:
        now = run.clock() if missing > 0 else None
        run.store.write(sources.put, missing_searched=max(0, missing) or None, missing_searched_at=now)
    return total, known


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


def count_on_server(run: RunContext) -> int | None:
    """Ask how many tasks the server counts, from ``start`` on where that is set; None where it does not tell."""
    if run.fetch.tells_totals is False:
        return None
    try:
        return run.fetch(replace(of_source(run), limit=1)).total
    except RefusedError:  # so long a range
        return None


def note(run: RunContext, total: int | None, known: int | None = None) -> None:
    """Write the account into the run's counters."""
    if total is None:
        return
    known = run.counters.hidden or 0 if known is None else known
    stored, rejected = _stored(run), run.store.read(rejected_records.count_not_stored)
    hidden = max(0, min(known, total - stored - rejected))
    counters = run.counters
    counters.server_total, counters.stored_live, counters.quarantined = total, stored, rejected
    counters.hidden, counters.missing = hidden, max(0, total - stored - rejected - hidden)
    if counters.missing:
        log.warning("account.missing", tasks=counters.missing, server=total, stored=stored, see="kore-etl sync --full")


def _missing(run: RunContext, total: int | None, known: int) -> int:
    """Return how many tasks the server counts that are neither stored nor rejected nor hidden."""
    if total is None:
        return 0
    return total - _stored(run) - known - run.store.read(rejected_records.count_not_stored)


def _stored(run: RunContext) -> int:
    """Count the stored tasks that the server should count, those without a date in any case."""
    start, field = run.options.start, choose_strategy(run.capabilities.current).field
    if start is None:
        return run.count_stored()
    return run.store.read(present_tasks.count_since, field, start) + run.store.read(present_tasks.count_without, field)
