"""The account of a run: the server counts as many tasks as are stored, rejected, or known to be hidden.

It decides the exit code and never the watermark. Where the server counts more, the missing tasks are read. Where it
counts fewer, tasks were deleted, and ``reconcile`` marks them.
"""

from __future__ import annotations

from dataclasses import replace

from etl.errors import RefusedError
from etl.extract.http.page import Page
from etl.extract.paging.read_strategy import choose_strategy
from etl.jobs.pipeline.outage_check import require_plausible
from etl.jobs.reconcile.find_missing_tasks import of_source, read_latest, read_undated, search
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import rejected_records, runs
from etl.load.queries import deletions
from etl.logs import get_logger

log = get_logger()

_LARGEST = 2**31 - 1  # of an Integer; a total above it is no count


def take_account(run: RunContext, *, is_full: bool = False) -> None:
    """Compare the server's total with what is stored, read what is missing, and note the account with the run.

    ``is_full`` tells that this run read all of history: then the search for missing tasks goes to its end.
    """
    known = run.store.read(runs.hidden)
    total = run.fetch.undated_total if run.options.start is None else None
    if total is None or _missing(run, total, known) > 0:
        total = count_on_server(run)
    if is_full:
        read_undated(run)
    if total is not None:
        require_plausible(run, Page([], total=total))
    else:
        log.info("account.not_told", reason="the server tells no total")
        return
    if _missing(run, total, known) > 0:  # they may have come while this run was reading
        total = read_latest(run)
    missing, is_proven = _missing(run, total, known), False
    if missing > 0:
        for is_proven in search(run, to_the_end=is_full):  # noqa: B007 - the last one counts
            if _missing(run, total, known) <= 0:
                break
        total = read_latest(run)
        missing = _missing(run, total, known)
    if missing > 0 and is_proven and not run.counters.unverified:
        known += missing
        log.info("account.hidden", tasks=known)
    note(run, total, known)


def count_on_server(run: RunContext) -> int | None:
    """Ask how many tasks the server counts, from ``start`` on where that is set; None where it does not tell."""
    if run.fetch.tells_totals is False:
        return None
    try:
        total = run.fetch(replace(of_source(run), limit=1)).total
    except RefusedError:  # so long a range
        return None
    return total if total is None or total <= _LARGEST else None


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
    return run.store.read(deletions.count_since, field, start) + run.store.read(deletions.count_without, field)
