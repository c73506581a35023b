"""Knowing the server before reading from it: what was kept, what the settings say, and what has to be asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from etl.errors import RefusedError
from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.query import Field, Query
from etl.extract.paging.base import moments
from etl.extract.probe.experiments import ProbeResult, probe
from etl.jobs.pipeline.run import Run
from etl.load.database.engine import reading
from etl.load.ledger import runs, sources
from etl.logs import get_logger

log = get_logger()

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_NEAR_ENOUGH = timedelta(days=31)


def ensure_capabilities(run: Run, *, anew: bool = False, again: bool = False) -> ProbeResult | None:
    """Ask what is not known of the server yet; return what that found, None where nothing had to be asked.

    ``anew`` asks for what is known too; ``again`` for what was asked in vain, although nothing is new since.
    """
    if not anew and not (run.capabilities.unknown() and (again or _may_tell_more(run))):
        return None
    known = ServerCapabilities().with_overrides(run.overrides) if anew else run.capabilities
    probed = probe(run.client.fetch, known)
    changed = [name for name in probed.capabilities.questions() if _differ(name, run.capabilities, probed.capabilities)]
    learnt = [name for name in changed if getattr(run.capabilities, name) is None]
    run.learn(probed.capabilities, *(name for name in changed if name not in learnt))
    log.info("probe.finished", requests=probed.requests, learnt=learnt, unknown=run.capabilities.unknown())
    return probed


def _differ(name: str, before: ServerCapabilities, after: ServerCapabilities) -> bool:
    return bool(getattr(before, name) != getattr(after, name))


def _may_tell_more(run: Run) -> bool:
    """Tell whether anything is new since the questions were asked in vain: the same rows would show no more."""
    if run.source.probed_at is None:
        return True
    with reading(run.engine) as connection:
        return runs.have_stored_since(connection, run.source.id, run.source.probed_at)


def history_start(run: Run, field: Field, probed: ProbeResult | None) -> datetime:
    """Return where history begins: as set, as kept, as the probe saw it, or as a few more requests tell."""
    if run.options.start is not None:
        return run.options.start
    if run.source.history_start is not None:
        return run.source.history_start
    found = probed.earliest.get(field) if probed is not None else None
    start = found or _search_beginning(run, field)
    if start is None:
        return run.opened_at() - _NEAR_ENOUGH
    start = min(start, run.opened_at()).replace(microsecond=0)  # the first task may be younger than this run
    with run.engine.begin() as connection:
        sources.set_history_start(connection, run.source.id, start)
    return start


def _search_beginning(run: Run, field: Field) -> datetime | None:
    """Ask for the oldest row, or where the server does not sort halve the time before which there are rows.

    None where there are no rows at all yet: then history has no beginning to be kept.
    """
    is_sorted = run.capabilities.sorts(field)
    page = run.fetch(Query(limit=run.capabilities.limit(), sort_by=(field, "asc") if is_sorted else None))
    if not page.records:
        return None
    if is_sorted or page.is_last(0):
        return min(moments(page, field), default=_EARLIEST)
    return _halve(run, _EARLIEST, run.opened_at())


def _halve(run: Run, empty_before: datetime, latest: datetime) -> datetime:
    while latest - empty_before > _NEAR_ENOUGH:
        middle = empty_before + (latest - empty_before) / 2
        try:
            page = run.fetch(Query(limit=1, end=middle.replace(microsecond=0)))
        except RefusedError:
            return empty_before
        if page.records:
            latest = middle
        else:
            empty_before = middle
    return empty_before
