"""Detects capability drift: a canary, a stored task, is missing from a page that must contain it.

Neither drift raises an error by itself. A server whose dates filter on another field than before, or that no longer
sorts, gives too few rows.
"""

from __future__ import annotations

from datetime import datetime

from etl.extract.capabilities import SECOND, CapabilityDriftError
from etl.extract.http.query import Query
from etl.extract.http.response_page import Page, moment_of, record_id
from etl.extract.paging.page_checks import moments
from etl.jobs.run.run_context import RunContext
from etl.load.queries.stored_tasks import Canary
from etl.times import shifted


def check_filter(run: RunContext, canary: Canary, page: Page) -> None:
    """Raise where dates no longer filter on updatedAt; ``page`` must contain the canary.

    The canary may have changed again, or be deleted. So where it is missing the server is asked for the instant of its
    creation: a server that gives it then filters on createdAt.

    Raises:
        CapabilityDriftError: it does.
    """
    if _version(page, canary) is not None:
        return
    updated = _version(_created_then(run, canary), canary)
    if updated is not None and updated - canary.created > 2 * SECOND:
        evidence = f"{canary.id}, created {canary.created}, updated {updated}, came for its creation"
        raise CapabilityDriftError("window_field", answer="createdAt", evidence=evidence)


def check_newest(run: RunContext, canary: Canary, page: Page) -> None:
    """Raise where sortBy updatedAt is no longer obeyed; ``page`` is the first one, newest change first.

    Raises:
        CapabilityDriftError: the page goes further back than the canary, which exists and is not on it.
    """
    if min(moments(page, "updatedAt"), default=canary.updated) >= canary.updated or _version(page, canary):
        return
    updated = _version(_created_then(run, canary), canary)
    if updated is not None and updated >= canary.updated:
        evidence = f"{canary.id}, updated {updated}, did not come although older rows did"
        raise CapabilityDriftError("sort_updated", answer=False, evidence=evidence)


def _created_then(run: RunContext, canary: Canary) -> Page:
    start, end = shifted(canary.created, -SECOND), shifted(canary.created, SECOND)
    return run.fetch(Query(limit=run.capabilities.current.limit(), start=start, end=end))


def _version(page: Page, canary: Canary) -> datetime | None:
    """Return the canary's updatedAt on a page, None where it is missing."""
    return next((moment_of(record, "updatedAt") for record in page.records if record_id(record) == canary.id), None)
