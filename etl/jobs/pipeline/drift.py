"""Doubting what is known of a server: a task that is stored here proves, where it should come and does not, a change.

Neither change is an error that anybody would see: a server whose dates filter on another field than before, or that no
longer sorts, just gives too few rows.
"""

from __future__ import annotations

from datetime import datetime

from etl.extract.capabilities import SECOND, ContradictedError
from etl.extract.http.page import Page, moment_of, record_id
from etl.extract.http.query import Query
from etl.extract.paging.base import moments
from etl.jobs.pipeline.run import Run
from etl.load.database.engine import reading
from etl.load.queries import canaries
from etl.load.queries.canaries import Witness


def find_witness(run: Run, *, created_before: datetime | None = None) -> Witness | None:
    """Return the task that was changed last, well after it was created."""
    with reading(run.engine) as connection:
        return canaries.witness(connection, run.source.id, created_before=created_before)


def check_filter(run: Run, witness: Witness, page: Page) -> None:
    """Raise where dates no longer filter on updatedAt; ``page`` should hold the witness.

    It may have been changed again, or be gone. So where it is not there the server is asked for the instant of its
    creation: one that gives it then filters on createdAt.

    Raises:
        ContradictedError: it does.
    """
    if _version(page, witness) is not None:
        return
    updated = _version(_created_then(run, witness), witness)
    if updated is not None and updated - witness.created > 2 * SECOND:
        evidence_found = f"{witness.id}, created {witness.created}, updated {updated}, came for its creation"
        raise ContradictedError("window_field", answer="createdAt", evidence=evidence_found)


def check_newest(run: Run, witness: Witness, page: Page) -> None:
    """Raise where sortBy updatedAt is no longer obeyed; ``page`` is the first one, newest change first.

    Raises:
        ContradictedError: the page goes further back than the witness, which exists and is not on it.
    """
    if min(moments(page, "updatedAt"), default=witness.updated) >= witness.updated or _version(page, witness):
        return
    updated = _version(_created_then(run, witness), witness)
    if updated is not None and updated >= witness.updated:
        evidence_found = f"{witness.id}, updated {updated}, did not come although older rows did"
        raise ContradictedError("sort_updated", answer=False, evidence=evidence_found)


def _created_then(run: Run, witness: Witness) -> Page:
    start, end = witness.created - SECOND, witness.created + SECOND
    return run.fetch(Query(limit=run.abilities.limit(), start=start, end=end))


def _version(page: Page, witness: Witness) -> datetime | None:
    """Return the witness's updatedAt on a page, None where it is not there."""
    return next((moment_of(record, "updatedAt") for record in page.records if record_id(record) == witness.id), None)
