"""Clocks that are wrong, days that are special, and dates in every spelling."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from subprocess import run
from sys import executable
from typing import Any

import pytest
from sqlalchemy import select

from etl.load.schema.ledger_tables import sync_runs
from etl.sandbox import Options, Sandbox
from etl.times import parse_time
from tests.conftest import CHECKOUT
from tests.faults.conftest import either
from tests.faults.fault_scenario import FaultScenario

SHIFTED = Path(__file__).with_name("shifted")


@pytest.fixture
def at() -> Iterator[Callable[..., Sandbox]]:
    """Start a sandbox whose clock began at a moment, and that filled with tasks of the days before it."""
    with ExitStack() as stack:

        def start(moment: datetime, **options: Any) -> Sandbox:
            ahead = moment.timestamp() - time.time()
            given = Options(**{"tasks": 80, "requests_per_minute": 0, "cap": 20, "days": 0.5, **options})
            return stack.enter_context(Sandbox(given, clock=lambda: time.time() + ahead))

        yield start


def three_syncs(scenario: FaultScenario, **environment: str) -> int:
    """Sync with changes between, see that the database is equal each time, and give how many tasks were lost.

    With variables that mean something to Python when it starts, it is started anew for each.
    """
    lost = 0
    for command in ("sync", "sync", "reconcile"):
        done = started_anew(scenario, command, environment) if environment else scenario.run(command)
        assert done.returncode == 0, done.stderr[-2000:]
        scenario.check_soundness()
        lost += len(scenario.lost())
        scenario.server.change(update=10, insert=5)
    return lost


def started_anew(scenario: FaultScenario, command: str, environment: dict[str, str]) -> Any:
    given = {**scenario.environment(), **environment}
    line = [executable, "-m", "etl", command]
    return run(line, env=given, cwd=scenario.folder, capture_output=True, check=False, encoding="utf-8")


DATES = ("createdAt", "updatedAt")
CLOCKS = [*product((-1, 1), (True, False), DATES)]


@pytest.mark.parametrize("clock", either(CLOCKS[::5], CLOCKS), ids=str)
def test_a_clock_that_is_wrong_loses_nothing(
    scenario: Any, sandbox: Any, migrated_sqlite_url: str, ledger: Any, clock: tuple[int, bool, str]
) -> None:
    hours, tokens, dates = clock
    server = sandbox(tasks=80, cap=20, clock_skew=hours * 3600.0, skew_tokens=tokens, window_field=dates)
    ready = scenario(server, migrated_sqlite_url)
    lost = three_syncs(ready)
    tokens_by = "it" if tokens else "the true time"
    fault = f"the server's clock is wrong, tokens are checked by {tokens_by}"
    ledger("time", fault, ready.place, of=f"{hours:+d} h", trials=3, lost=lost)
    assert lost == 0


OWN_CLOCKS = [*product((-1, 1), DATES, ("sqlite", "postgres"))]


@pytest.mark.parametrize("clock", either(OWN_CLOCKS[::7], OWN_CLOCKS), ids=str)
def test_our_own_clock_that_is_wrong_loses_nothing(
    scenario: Any, sandbox: Any, request: pytest.FixtureRequest, ledger: Any, clock: tuple[int, str, str]
) -> None:
    hours, dates, place = clock
    url = request.getfixturevalue(f"migrated_{place}_url")
    ready = scenario(sandbox(tasks=80, cap=20, window_field=dates), url)
    began = datetime.now(UTC)
    lost = three_syncs(ready, PYTHONPATH=f"{SHIFTED}{os.pathsep}{CHECKOUT}", SHIFTED_BY=str(hours * 3600))
    ended = datetime.now(UTC)
    ledger("time", "our own clock is wrong", ready.place, of=f"{hours:+d} h", trials=3, lost=lost)
    assert lost == 0
    away = timedelta(hours=hours)
    runs = [moment.replace(tzinfo=UTC) for (moment,) in ready.rows(select(sync_runs.c.started_at))]
    assert all(began <= moment - away <= ended for moment in runs), "this clock was to be shifted"
    assert began - timedelta(minutes=1) < ready.watermark() <= ended, "the watermark goes by the server's clock"


MOMENTS = {
    "a leap day begins": datetime(2028, 2, 28, 23, 59, 58, tzinfo=UTC),
    "a leap day ends": datetime(2028, 2, 29, 23, 59, 58, tzinfo=UTC),
    "an hour is left out in spring": datetime(2027, 3, 28, 0, 59, 58, tzinfo=UTC),
    "an hour comes twice in autumn": datetime(2027, 10, 31, 0, 59, 58, tzinfo=UTC),
    "a year begins": datetime(2026, 12, 31, 23, 59, 58, tzinfo=UTC),
    "1970": datetime(1970, 1, 3, tzinfo=UTC),
    "32-bit time ends": datetime(2038, 1, 19, 3, 14, 6, tzinfo=UTC),
    "9999": datetime(9999, 6, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("place", either(("sqlite",), ("sqlite", "postgres")))
@pytest.mark.parametrize("moment", either(("a leap day ends", "1970", "9999"), tuple(MOMENTS)))
def test_a_special_day_loses_nothing(
    scenario: Any, at: Any, request: pytest.FixtureRequest, ledger: Any, moment: str, place: str
) -> None:
    ready = scenario(at(MOMENTS[moment]), request.getfixturevalue(f"migrated_{place}_url"))
    lost = three_syncs(ready)
    fault = "a sync at a special moment" if moment[0].isalpha() else "a server in another year"
    ledger("time", fault, ready.place, of=moment, trials=3, lost=lost)
    assert lost == 0


@pytest.mark.parametrize(
    "zone", either(("Pacific/Kiritimati",), ("Pacific/Kiritimati", "Europe/Berlin", "America/St_Johns"))
)
def test_the_machines_time_zone_is_no_matter(
    scenario: Any, sandbox: Any, migrated_sqlite_url: str, ledger: Any, zone: str
) -> None:
    ready = scenario(sandbox(tasks=80, cap=20), migrated_sqlite_url)
    lost = three_syncs(ready, TZ=zone)
    ledger("time", "the machine's time zone", ready.place, of=zone, trials=3, lost=lost)
    assert lost == 0


#: As a record may spell a moment, and which one it is.
SPELLINGS = {
    "2016-12-31T23:59:60Z": datetime(2017, 1, 1, tzinfo=UTC),
    "2016-12-31T23:59:60.500Z": datetime(2017, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC),
    "1970-01-01T00:00:00.000Z": datetime(1970, 1, 1, tzinfo=UTC),
    "1969-12-31T23:59:59.999Z": datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    "9999-12-31T23:59:59.999Z": datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    "2024-02-29T12:00:00.000Z": datetime(2024, 2, 29, 12, tzinfo=UTC),
    "2025-05-28T12:00:00+14:00": datetime(2025, 5, 27, 22, tzinfo=UTC),
    "2025-05-28T12:00:00-14:00": datetime(2025, 5, 29, 2, tzinfo=UTC),
    "2025-03-30T02:30:00+01:00": datetime(2025, 3, 30, 1, 30, tzinfo=UTC),
    "2025-05-28T12:00:00": datetime(2025, 5, 28, 12, tzinfo=UTC),
    "2025-05-28": datetime(2025, 5, 28, tzinfo=UTC),
}
IMPOSSIBLE = ["2023-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]


def test_a_date_in_any_spelling_is_stored_or_rejected(
    scenario: Any, sandbox: Any, migrated_url: str, ledger: Any
) -> None:
    ready = scenario(sandbox(tasks=20, cap=10), migrated_url)
    dates = [*SPELLINGS, *IMPOSSIBLE]
    odd = [
        {"_id": f"ti-{number}", "name": date, "createdAt": "2025-05-28T00:00:00Z", "updatedAt": date}
        for number, date in enumerate(dates)
    ]
    ready.server.put(odd)
    done = ready.run("sync")
    assert done.returncode == 3, done.stderr[-2000:]
    found = dict(ready.rows("select name, updated_at from tasks where _id like 'ti-_' or _id like 'ti-__'"))
    found = {date: moment if isinstance(moment, datetime) else parse_time(moment) for date, moment in found.items()}
    assert found == SPELLINGS
    assert ready.rejected() == len(IMPOSSIBLE)
    mark = ready.watermark()
    assert abs(mark - datetime.now(UTC)) < timedelta(minutes=10)
    lost = set(ready.lost()) - {record["_id"] for record in odd if record["updatedAt"] in IMPOSSIBLE}
    ledger("time", "dates in odd spellings", ready.place, trials=len(dates), lost=len(lost))
    assert not lost
