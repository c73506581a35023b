"""Knowing the server before reading from it: what was kept, what the settings say, and what has to be asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from etl.errors import RefusedError
from etl.extract.probe import Finding, probe
from etl.extract.query import Field, Query
from etl.jobs.run import Run
from etl.load import sources

log = structlog.get_logger()

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_NEAR_ENOUGH = timedelta(days=31)


def get_to_know(run: Run, *, anew: bool = False) -> Finding | None:
    """Ask what is not known of the server yet; return what that found, None where nothing had to be asked."""
    if not anew and not run.abilities.unknown():
        return None
    known = run.abilities
    finding = probe(run.fetch, known)
    news = [name for name in known.unknown() if getattr(finding.abilities, name) is not None]
    if news or anew:
        run.learn(finding.abilities)
        log.info("probe.finished", requests=finding.requests, learnt=news, unknown=run.abilities.unknown())
    return finding


def beginning(run: Run, field: Field, finding: Finding | None) -> datetime:
    """Return where history begins: as set, as kept, as the probe saw it, or as a few more requests tell."""
    if run.rules.start is not None:
        return run.rules.start
    if run.source.history_start is not None:
        return run.source.history_start
    found = finding.beginnings.get(field) if finding is not None else None
    start = found or _search_beginning(run, field)
    start = start.replace(microsecond=0)
    with run.engine.begin() as connection:
        sources.set_history_start(connection, run.source.id, start)
    return start


def _search_beginning(run: Run, field: Field) -> datetime:
    """Ask for the oldest row, or where the server does not sort halve the time before which there are rows."""
    if run.abilities.sorts(field):
        page = run.fetch(Query(limit=1, sort_by=(field, "asc")))
        from etl.extract.reading import moments

        return min(moments(page, field), default=run.opened_at())
    empty_before, latest = _EARLIEST, run.opened_at()
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
