"""Detects an outage behind the API: no tasks, or less than half of the last total, while tasks are stored.

The run asks again, and then fails before it moves or deletes anything. An answer that is the same an hour later is
accepted.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from etl.errors import ApiError
from etl.extract.http.query import Query
from etl.extract.http.response_page import Page
from etl.extract.paging.end_of_rows import fetch_rows
from etl.jobs.comparison.part_from_start import count_source
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import runs, sources
from etl.load.queries import stored_tasks
from etl.logs import get_logger

log = get_logger()

_PAUSES = (0.5, 1.0, 2.0)  # seconds before each further try
_NEWS_AFTER = timedelta(hours=1)
_LEAST_TOTAL = 10  # of a total of at least this, no half may be missing


def require_plausible(run: RunContext, page: Page | None = None) -> bool:
    """Make sure that the server shows tasks where some are stored; ``page`` answers the query for all of them.

    Return whether it did so only when it was asked again.

    Raises:
        ApiError: it shows none, or far fewer than the last account, and has not said so for an hour.
    """
    if not run.store.read(stored_tasks.is_any):
        return False
    return _require_plausible(run, _ask(run) if page is None else _of_part(run, page))


def require_plausible_total(run: RunContext, total: int) -> None:
    """Make sure that a total of the tasks that count is no outage's.

    Raises:
        ApiError: as :func:`require_plausible` does.
    """
    if run.store.read(stored_tasks.is_any):
        _require_plausible(run, Page([], total=total))


def require_still_shown(run: RunContext) -> None:
    """Make sure at a run's end, where no total tells it, that an empty last answer was no outage.

    Raises:
        ApiError: as :func:`require_plausible` does; also if the run saw tasks and none is stored.
    """
    was_shown = run.fetch.client.newest_update is not None
    if run.fetch.is_last_empty and (was_shown or run.store.read(stored_tasks.is_any)):
        _require_plausible(run, _ask(run))


def _require_plausible(run: RunContext, last: Page) -> bool:
    last_account = run.store.read(runs.account_of_part, run.options.start)
    before = None if last_account is None else last_account.account["server_total"]
    was_accepted = run.source.collapse_accepted_at is not None
    pauses = iter(_PAUSES)
    was_asked_again = False
    while not _is_plausible(run, last, before):
        if was_accepted and last.total is None:
            _accept(run, since=run.source.collapse_accepted_at, evidence=_evidence(last))
            return False
        if (pause := next(pauses, None)) is None:
            _accept_or_refuse(run, last, before)
            return False
        run.store.commit()
        run.fetch.client.pause(pause)
        last, was_asked_again = _ask(run), True
    if was_accepted and last.total is None:
        run.store.write(sources.put, collapse_accepted_at=None)
    return was_asked_again


def _ask(run: RunContext) -> Page:
    return _of_part(run, run.fetch(Query(limit=1)))


def _of_part(run: RunContext, page: Page) -> Page:
    """Return a page with the total of the tasks that count."""
    is_whole = run.start is None or page.total is None
    return page if is_whole else replace(page, total=count_source(run, page.total))


def _are_rows_behind(run: RunContext) -> bool:
    """Tell whether a later page shows tasks where the first one shows none, because the server withholds rows."""
    capabilities = run.capabilities.current
    return bool(fetch_rows(run.fetch, Query(limit=capabilities.limit()), capabilities)[1].records)


def _accept_or_refuse(run: RunContext, page: Page, before: int | None) -> None:
    since = run.store.read(runs.implausible_since)
    if since is not None and run.clock() - since >= _NEWS_AFTER:
        _accept(run, since=since, evidence=_evidence(page))
        return
    run.counters.server_total = page.total or 0
    known = "it showed tasks before" if before is None else f"the last run counted {before:,}"
    message = f"{_evidence(page)}, but {known}: taken for an outage, so nothing is stored or deleted; if it lasts"
    raise ApiError(f"{message} an hour, the next run believes it")


def _evidence(page: Page) -> str:
    return "the server shows no task" if page.total is None else f"the server counts {page.total:,} tasks"


def _accept(run: RunContext, *, since: datetime | None, evidence: str) -> None:
    """Believe it; the run and later ones exit 3 until ``reconcile --force`` confirms it."""
    if not run.confirms_collapse:
        run.counters.unverified += 1
        run.store.write(sources.put, collapse_accepted_at=run.clock())
        run.store.commit()
    log.warning("server.collapsed", evidence=evidence, since=since, see="kore-etl reconcile --force")


def _is_plausible(run: RunContext, page: Page, before: int | None) -> bool:
    if not page.records and not page.total:
        return before == 0 or (page.total is None and page.has_more is True and _are_rows_behind(run))
    return page.total is None or before is None or before < _LEAST_TOTAL or page.total * 2 >= before
