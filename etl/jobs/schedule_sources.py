"""Chooses the sources that are due for a sync, and the intervals that the request budget can carry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import Connection, Engine

from etl.errors import ConfigError
from etl.jobs.diagnostics.status import with_true_state
from etl.load.database.engine import reading
from etl.load.ledger import schedules, sources
from etl.load.queries import status
from etl.settings import SourceSettings
from etl.times import format_duration


def due_sources(
    engine: Engine,
    configured: Collection[SourceSettings],
    *,
    clock: Callable[[], datetime],
    most: timedelta | None = None,
    account: str | None = None,
) -> Iterator[SourceSettings]:
    """Yield the sources that are due now, the latest one first; none after ``most`` has passed.

    ``account`` is given where all of them are of one account.

    A source is moved to its next time before it is yielded. So another process does not take it too, and a failing
    source does not keep the others waiting.
    """
    began = clock()
    by_identity = {source.identity: source for source in configured}
    with reading(engine) as connection:
        due = schedules.read_due(connection, began, account)
    for each in due:
        now = clock()
        if most is not None and now - began >= most:
            return
        source = by_identity.get(each.identity)
        if source is None:
            continue
        with engine.begin() as connection:
            is_mine = schedules.claim(connection, each, now)
        if is_mine:
            yield source


def due_accounts(engine: Engine, configured: Collection[SourceSettings], *, now: datetime) -> list[str]:
    """Return the accounts that have a source that is due, the latest first."""
    known = {source.identity for source in configured}
    with reading(engine) as connection:
        due = schedules.read_due(connection, now)
    return list(dict.fromkeys(each.identity[1] for each in due if each.identity in known))


def make_broken_off_due(engine: Engine, accounts: Collection[str], *, now: datetime) -> None:
    """Let sources of some accounts be due now whose sync died, or was claimed and never began."""
    with reading(engine) as connection:
        mine = [each for each in schedules.read_all(connection) if each.identity[1] in accounts]
        broken_off = [each.identity for each in mine if _is_broken_off(connection, each)]
    with engine.begin() as connection:
        for identity in broken_off:
            schedules.make_due(connection, identity, now)


def _is_broken_off(connection: Connection, schedule: schedules.Schedule) -> bool:
    running = status.latest_run(connection, schedule.source_id, commands=["sync"], state="running")
    if running is not None:
        return bool(with_true_state(connection, running)["state"] == "abandoned")
    latest = status.latest_run(connection, schedule.source_id, commands=["sync"])
    claimed_since = schedule.next_due_at - schedule.every
    return latest is None or (latest["finished_at"] or latest["started_at"]) < claimed_since


def put_schedule(
    connection: Connection, source: SourceSettings, every: timedelta, *, rate: float, now: datetime
) -> datetime:
    """Sync a source at an interval from now on, and return when it is due first.

    ``rate`` is how many requests a second the budget of its account allows.

    Raises:
        ConfigError: the budget cannot carry it beside the account's other sources, also those that are paused.
    """
    ids = {"account_id": source.account_id, "stream_id": source.stream_id}
    source_id = sources.register(connection, name=source.name, base_url=source.base_url, now=now, **ids).id
    requests = schedules.usual_requests(connection, source_id)
    for each in schedules.read_all(connection):
        if each.identity[1] == source.account_id and each.source_id != source_id:
            rate -= schedules.usual_requests(connection, each.source_id) / each.every.total_seconds()
    shortest = timedelta(seconds=ceil(round(requests / rate, 6))) if rate > 0 else None
    if shortest is None or every < shortest:
        message = f"{source.name}: a sync every {format_duration(every)} is more than the account's budget can carry"
        if shortest is None:
            raise ConfigError(f"{message}: its other sources use it up; give them longer intervals")
        raise ConfigError(f"{message}; accepted: {format_duration(shortest)} or longer")
    return schedules.put(connection, source_id, source.identity, every, now)
