"""The second look at deletion candidates, before they are marked as deleted."""

from __future__ import annotations

from etl.extract.http.query import Direction, Query
from etl.extract.paging.page_checks import Window
from etl.extract.paging.read_strategy import READERS, choose_strategy
from etl.jobs.comparison.deletion_candidates import DeletionCandidates, IncompleteError
from etl.jobs.run.run_context import RunContext

_MOST_SECOND_LOOKS = 3


def confirm_deletions(run: RunContext, candidates: DeletionCandidates) -> None:
    """Clear the candidates that are among the latest changes, and check that the server counts none of the others.

    Raises:
        IncompleteError: that cannot be made sure.
    """
    evidence = ""
    for attempt in range(_MOST_SECOND_LOOKS):
        if attempt or candidates.field == "updatedAt":
            _read_latest(run, candidates)
        capabilities = run.capabilities.current
        sort_by: tuple[str, Direction] | None = ("updatedAt", "desc") if capabilities.sorts("updatedAt") else None
        page = run.fetch(Query(limit=capabilities.limit(), sort_by=sort_by))
        candidates.keep(page)
        expected = candidates.left()
        if page.total is None or page.total <= expected:
            return
        evidence = f"it counts {page.total}, and not {expected}"
    message = (
        f"{len(candidates.gone)} tasks were not found on the server, but {evidence}: none is marked as deleted; "
        "try again when fewer tasks change"
    )
    raise IncompleteError(message)


def _read_latest(run: RunContext, candidates: DeletionCandidates) -> None:
    """Read what changed since before the sync, on to the very end: a task may have moved there since it was missed."""
    start, watermark = run.server_clock.earliest_start(), run.store.watermark()
    since = (min(start, watermark or start) - run.options.lookback).replace(microsecond=0)
    window = Window(candidates.field, since, run.capabilities.current.latest_end(since))
    for page in READERS[choose_strategy(run.capabilities.current).history](run.fetch, window, run.capabilities.current):
        candidates.keep(page)
        if not page.verified:
            raise IncompleteError(f"the latest changes could not be read, so no task is marked: {page.reason}")
