"""Doubting what is known of a server: a task that is stored here proves, where it should come and does not, a change.

Neither change is an error that anybody would see: a server whose dates filter on another field than before, or that no
longer sorts, just gives too few rows.
"""

from __future__ import annotations

from datetime import datetime

from etl.extract.capabilities import SECOND, CapabilityDriftError
from etl.extract.http.page import Page, moment_of, record_id
from etl.extract.http.query import Query
from etl.extract.paging.base import moments
from etl.jobs.pipeline.run import Run
from etl.load.database.engine import reading
from etl.load.queries import canaries
from etl.load.queries.canaries import Canary


def find_canary(run: Run, *, created_before: datetime | None = None) -> Canary | None:
    """Return the task that was changed last, well after it was created."""
    with reading(run.engine) as connection:
        return canaries.canary(connection, run.source.id, created_before=created_before)


def check_filter(run: Run, canary: Canary, page: Page) -> None:
    """Raise where dates no longer filter on updatedAt; ``page`` should hold the canary.

    It may have been changed again, or be gone. So where it is not there the server is asked for the instant of its
    creation: one that gives it then filters on createdAt.

    Raises:
        CapabilityDriftError: it does.
    """
    if _version(page, canary) is not None:
        return
    updated = _version(_created_then(run, canary), canary)
    if updated is not None and updated - canary.created > 2 * SECOND:
        evidence_found = f"{canary.id}, created {canary.created}, updated {updated}, came for its creation"
        raise CapabilityDriftError("window_field", answer="createdAt", evidence=evidence_found)


def check_newest(run: Run, canary: Canary, page: Page) -> None:
    """Raise where sortBy updatedAt is no longer obeyed; ``page`` is the first one, newest change first.

    Raises:
        CapabilityDriftError: the page goes further back than the canary, which exists and is not on it.
    """
    if min(moments(page, "updatedAt"), default=canary.updated) >= canary.updated or _version(page, canary):
        return
    updated = _version(_created_then(run, canary), canary)
    if updated is not None and updated >= canary.updated:
        evidence_found = f"{canary.id}, updated {updated}, did not come although older rows did"
        raise CapabilityDriftError("sort_updated", answer=False, evidence=evidence_found)


def _created_then(run: Run, canary: Canary) -> Page:
    start, end = canary.created - SECOND, canary.created + SECOND
    return run.fetch(Query(limit=run.capabilities.limit(), start=start, end=end))


def _version(page: Page, canary: Canary) -> datetime | None:
    """Return the canary's updatedAt on a page, None where it is not there."""
    return next((moment_of(record, "updatedAt") for record in page.records if record_id(record) == canary.id), None)
