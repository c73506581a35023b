"""Knowing the server before reading from it: what was kept, what the settings say, and what has to be asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from etl.errors import RefusedError
from etl.extract.abilities import Abilities
from etl.extract.probe import Finding, probe
from etl.extract.query import Field, Query
from etl.extract.reading import moments
from etl.jobs.run import Run
from etl.load import runs, sources
from etl.load.engine import reading
from etl.logs import get_logger

log = get_logger()

_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_NEAR_ENOUGH = timedelta(days=31)


def get_to_know(run: Run, *, anew: bool = False, again: bool = False) -> Finding | None:
    """Ask what is not known of the server yet; return what that found, None where nothing had to be asked.

    ``anew`` asks for what is known too; ``again`` for what was asked in vain, although nothing is new since.
    """
    if not anew and not (run.abilities.unknown() and (again or _may_tell_more(run))):
        return None
    known = Abilities().set_by_hand(run.by_hand) if anew else run.abilities
    finding = probe(run.client.fetch, known)
    changed = [name for name in finding.abilities.questions() if _differ(name, run.abilities, finding.abilities)]
    learnt = [name for name in changed if getattr(run.abilities, name) is None]
    run.learn(finding.abilities, *(name for name in changed if name not in learnt))
    log.info("probe.finished", requests=finding.requests, learnt=learnt, unknown=run.abilities.unknown())
    return finding


def _differ(name: str, before: Abilities, after: Abilities) -> bool:
    return bool(getattr(before, name) != getattr(after, name))


def _may_tell_more(run: Run) -> bool:
    """Tell whether anything is new since the questions were asked in vain: the same rows would show no more."""
    if run.source.probed_at is None:
        return True
    with reading(run.engine) as connection:
        return runs.have_stored_since(connection, run.source.id, run.source.probed_at)


def beginning(run: Run, field: Field, finding: Finding | None) -> datetime:
    """Return where history begins: as set, as kept, as the probe saw it, or as a few more requests tell."""
    if run.rules.start is not None:
        return run.rules.start
    if run.source.history_start is not None:
        return run.source.history_start
    found = finding.beginnings.get(field) if finding is not None else None
    start = found or _search_beginning(run, field)
    if start is None:
        return run.opened_at() - _NEAR_ENOUGH
    start = min(start, run.opened_at()).replace(microsecond=0)  # the first task may be younger than this run
    with run.writing() as connection:
        sources.set_history_start(connection, run.source.id, start)
    return start


def _search_beginning(run: Run, field: Field) -> datetime | None:
    """Ask for the oldest row, or where the server does not sort halve the time before which there are rows.

    None where there are no rows at all yet: then history has no beginning to be kept.
    """
    is_sorted = run.abilities.sorts(field)
    page = run.fetch(Query(limit=run.abilities.limit(), sort_by=(field, "asc") if is_sorted else None))
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
