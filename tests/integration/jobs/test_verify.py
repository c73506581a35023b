"""Rolling verification: what no date shows is found and mended within the set time, on every read strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from etl.cli.client_factory import Builder
from etl.jobs.reconcile import reconcile
from etl.jobs.run.lifecycle import start_run
from etl.jobs.verify import verify
from etl.sandbox import Options, Sandbox
from etl.settings import load_settings
from etl.times import format_time
from tests.integration.mirror import NONE, Mirror, Outcome

SERVERS = {
    "keyset": {"window_field": "updatedAt"},
    "newest first": {},
    "split windows": {"window_field": "updatedAt", "sort": "ignored"},
    "unresolved": {"sort": "ignored"},
    "newest first, no order of createdAt": {"sort_fields": ("updatedAt",)},
}
WITHIN = timedelta(days=7)


class Clock:
    """The time of the server and of the program."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC).replace(microsecond=0)

    def now(self) -> datetime:
        self.moment += timedelta(milliseconds=1)
        return self.moment

    def seconds(self) -> float:
        return self.now().timestamp()


class TimedMirror(Mirror):
    """Runs commands by a clock that the test moves."""

    def __init__(self, clock: Clock, server: Sandbox, database_url: str, **settings: str) -> None:
        super().__init__(server, database_url, **settings)
        self.clock = clock
        self.counters: Any = None

    def work(self, command: str, do: Callable[[Any], Any]) -> Outcome:
        before = self.server.request_count
        settings = load_settings(None, self.settings, {}).settings
        spec = Builder(settings, clock=self.clock.now).source_spec(settings.sources[0])
        with capture_logs() as log, start_run(self.engine, spec, command, clock=self.clock.now) as run:
            do(run)
            self.counters = run.counters
        spec.client.close()
        code = self.value("select exit_code from sync_runs order by id desc limit 1")
        assert code not in (0, 3) or self.value("select count(*) from sync_windows where state = 'running'") == 0
        return Outcome(code, self.server.request_count - before, log)

    def pass_time(self, length: timedelta, *, every: timedelta = timedelta(minutes=5)) -> list[Outcome]:
        """Sync at an interval for a time."""
        outcomes = []
        for _ in range(length // every):
            self.clock.moment += every
            outcomes.append(self.sync())
        return outcomes


# PostgreSQL plays those that have queries of their own.
on_each = pytest.mark.parametrize(
    ("migrated_url", "options"),
    [
        pytest.param(database, options, id=f"{database}-{name}")
        for name, options in SERVERS.items()
        for database in ("sqlite", "postgresql")
        if database == "sqlite" or name in {"keyset", "unresolved"}
    ],
    indirect=["migrated_url"],
)


@pytest.fixture
def timed(migrated_url) -> Iterator[Callable[..., TimedMirror]]:
    servers = []

    def make(settings: dict[str, str] | None = None, **options: Any) -> TimedMirror:
        clock = Clock()
        given = {"tasks": 200, "shape": "eight", "requests_per_minute": 0, **options}
        servers.append(Sandbox(Options(**given), clock=clock.seconds).start())
        return TimedMirror(clock, servers[-1], migrated_url, **(settings or {}))

    yield make
    for server in servers:
        server.stop()


def plant(mirrored: TimedMirror) -> dict[str, str]:
    """Make a difference of each kind that no date shows; return the kind by the task's id."""
    server = mirrored.server
    tasks = sorted(server.tasks(), key=lambda task: task["updatedAt"])
    altered, backdated, deleted, changed = (tasks[place] for place in (40, 90, 140, 190))
    long_ago = format_time(datetime.fromisoformat(tasks[20]["updatedAt"]) + timedelta(seconds=1))
    hidden = {**tasks[60], "_id": "ti-hidden"}
    server.put(
        [
            {**altered, "name": "altered"},
            {**backdated, "name": "backdated", "updatedAt": long_ago},
            hidden,
            {**changed, "name": "changed", "updatedAt": format_time(mirrored.clock.now())},
        ]
    )
    server.remove([deleted["_id"]])
    return {altered["_id"]: "altered", backdated["_id"]: "backdated", deleted["_id"]: "deleted"}


def live_ids(mirrored: Mirror) -> set[str]:
    return {row[0] for row in mirrored.rows("select _id from tasks where deleted_at is null")}


def is_equal(mirrored: Mirror) -> bool:
    there = {task["_id"]: task for task in mirrored.server.tasks()}
    stored = mirrored.stored()
    return live_ids(mirrored) == there.keys() and all(stored[key] == task for key, task in there.items())


@on_each
def test_planted_differences_are_mended_within_the_set_time(timed, options):
    mirrored = timed(**options)
    mirrored.sync()
    mirrored.pass_time(timedelta(days=3), every=timedelta(hours=12))
    plant(mirrored)
    mirrored.pass_time(WITHIN, every=timedelta(hours=12))
    there = {task["_id"]: task for task in mirrored.server.tasks()}
    stored = mirrored.stored()
    assert {key for key, task in there.items() if stored.get(key) != task} == set()
    # The task that was hidden made up for the deleted one in the total, so that one may take another round.
    mirrored.pass_time(WITHIN, every=timedelta(hours=12))
    assert is_equal(mirrored)
    assert mirrored.difference() is None
    assert mirrored.value("select sum(mended) from sync_runs") >= 3


@on_each
def test_the_command_mends_every_difference_at_once(timed, options):
    mirrored = timed(**options)
    mirrored.sync()
    plant(mirrored)
    told = []
    for _ in range(2):  # a backdated task can hide a deletion from the first round
        outcome = mirrored.work("verify", lambda run: told.append(verify(run)["verify"]))
        assert outcome.exit_code == 0
    assert is_equal(mirrored)
    kinds = {name: sum(each["differences"].get(name, 0) for each in told) for name in told[0]["differences"]}
    assert kinds["altered without a date"] == 1
    assert kinds["backdated"] == 1
    assert kinds["hidden for a while"] == 1


@pytest.fixture
def timed_sqlite(migrated_sqlite_url) -> Iterator[Callable[..., TimedMirror]]:
    servers = []

    def make(settings: dict[str, str] | None = None, **options: Any) -> TimedMirror:
        clock = Clock()
        given = {"tasks": 300, "shape": "eight", "requests_per_minute": 0, **options}
        servers.append(Sandbox(Options(**given), clock=clock.seconds).start())
        return TimedMirror(clock, servers[-1], migrated_sqlite_url, **(settings or {}))

    yield make
    for server in servers:
        server.stop()


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_a_quiet_sync_takes_one_request_or_two_with_a_slice(timed_sqlite, field):
    mirrored = timed_sqlite(tasks=1000, window_field=field)
    mirrored.sync()
    requests = [outcome.requests for outcome in mirrored.pass_time(timedelta(days=2), every=timedelta(hours=3))]
    assert set(requests) == {1, 2}
    pages = 1000 / 49 * 2 / 7  # what two days of seven take
    assert pages - 2 <= requests.count(2) <= pages + 3


def test_slices_of_short_ranges_are_spread_over_the_time(timed_sqlite):
    mirrored = timed_sqlite(tasks=3, days=730.0, max_range_days=1.0, sort="ignored", window_field="updatedAt")
    mirrored.sync()
    outcomes = mirrored.pass_time(timedelta(days=1), every=timedelta(minutes=30))
    requests = [outcome.requests for outcome in outcomes]
    assert max(requests) < 12
    verified = mirrored.value("select verify_position from sources")
    assert verified is not None


def test_verification_is_off_with_a_time_of_0(timed_sqlite):
    mirrored = timed_sqlite({"verify_within": "0"})
    mirrored.sync()
    mirrored.pass_time(timedelta(days=20), every=timedelta(days=5))
    assert mirrored.rows("select * from sync_windows where job = 'verify'") == []


def test_a_slice_waits_for_no_request(timed_sqlite):
    mirrored = timed_sqlite()
    mirrored.sync()
    mirrored.settings["KORE_ETL_REQUESTS_PER_MINUTE"] = "1"
    mirrored.clock.moment += timedelta(days=3)
    assert mirrored.sync().requests == 1
    mirrored.settings["KORE_ETL_REQUESTS_PER_MINUTE"] = "100"
    mirrored.clock.moment += timedelta(minutes=5)
    assert mirrored.sync().requests == 1 + 3  # what three days of seven take, at 49 rows a request


def test_a_failing_slice_leaves_the_sync_as_it_is(timed_sqlite):
    mirrored = timed_sqlite({"deadline": "1s"})
    mirrored.sync()
    mirrored.clock.moment += timedelta(days=3)
    mirrored.server.configure(outage_after=mirrored.server.request_count + 1, outage_seconds=600.0)
    outcome = mirrored.sync()
    assert outcome.exit_code == 0
    assert "verify.stopped" in [event["event"] for event in outcome.log]
    assert mirrored.value("select count(*) from sync_windows where state = 'running'") == 0


def test_a_full_sync_counts_as_verified(timed_sqlite):
    mirrored = timed_sqlite()
    mirrored.sync()
    mirrored.clock.moment += timedelta(days=6)
    mirrored.sync(full=True)
    mirrored.clock.moment += timedelta(minutes=5)
    assert mirrored.sync().requests == 1


def test_a_clock_that_was_ahead_does_not_stop_verification(timed_sqlite):
    mirrored = timed_sqlite()
    mirrored.clock.moment += timedelta(days=365)
    mirrored.sync()
    mirrored.clock.moment -= timedelta(days=365)
    mirrored.server.put([{**mirrored.server.tasks()[40], "name": "altered"}])
    mirrored.pass_time(timedelta(days=8), every=timedelta(hours=6))
    assert is_equal(mirrored)


def test_a_range_is_verified_without_moving_the_position(timed_sqlite):
    mirrored = timed_sqlite()
    mirrored.sync()
    tasks = sorted(mirrored.server.tasks(), key=lambda task: task["createdAt"])
    mirrored.server.put([{**tasks[place], "name": "altered"} for place in (10, 200)])
    end = datetime.fromisoformat(tasks[20]["createdAt"])
    told = []
    mirrored.work("verify", lambda run: told.append(verify(run, until=end)["verify"]))
    assert (told[0]["tasks"], told[0]["differences"]) == (20, {"altered without a date": 1})
    assert mirrored.rows("select verify_position from sources") == [(None,)]


def test_the_command_goes_on_where_its_requests_ended(timed_sqlite):
    mirrored = timed_sqlite()
    mirrored.sync()
    mirrored.server.put([{**task, "name": "altered"} for task in mirrored.server.tasks()])
    told = []
    for _ in range(4):
        mirrored.work("verify", lambda run: told.append(verify(run, requests=2)["verify"]))
    assert [each["requests"] for each in told] == [2] * 4
    assert mirrored.differences() == NONE
    assert sum(each["mended"] for each in told) == 300


def test_a_restored_task_is_told_as_restored(timed_sqlite):
    mirrored = timed_sqlite()
    mirrored.sync()
    task = mirrored.server.tasks()[100]
    mirrored.server.remove([task["_id"]])
    first, second = [], []
    mirrored.work("verify", lambda run: first.append(verify(run)["verify"]["differences"]))
    mirrored.server.put([task])
    mirrored.work("verify", lambda run: second.append(verify(run)["verify"]["differences"]))
    assert (first, second) == ([{"deleted": 1}], [{"restored": 1}])


@pytest.mark.parametrize(("options", "kind"), [(SERVERS["unresolved"], "changed since"), ({}, "backdated")])
def test_a_change_before_the_watermark_is_explained(timed_sqlite, options, kind):
    """Where nothing sorts, a sync does not see what changes in a closed task. Elsewhere it was dated back."""
    mirrored = timed_sqlite(**options)
    mirrored.sync()
    closed = next(task for task in mirrored.server.tasks() if task["status"]["statusCategory"] == "closed")
    moment = mirrored.clock.now() + timedelta(hours=1)
    mirrored.clock.moment += timedelta(hours=2)
    mirrored.sync()
    mirrored.server.put([{**closed, "name": "late", "updatedAt": format_time(moment)}])
    told = []
    mirrored.work("verify", lambda run: told.append(verify(run)["verify"]["differences"]))
    assert told == [{kind: 1}]


@pytest.mark.parametrize("options", SERVERS.values(), ids=SERVERS)
def test_what_is_counted_and_not_shown_is_not_deleted(timed_sqlite, options):
    mirrored = timed_sqlite(**options)
    mirrored.sync()
    field = options.get("window_field", "createdAt")
    tasks = sorted(mirrored.server.tasks(), key=lambda task: task[field])
    mirrored.server.remove([task["_id"] for task in tasks[200:212]])  # so the total has room for more deletions
    mirrored.server.configure(hidden=0.03)
    middle = datetime.fromisoformat(tasks[150][field])
    assert not {task["_id"] for task in tasks[:150]} <= {task["_id"] for task in mirrored.server.tasks()}
    mirrored.work("verify", lambda run: verify(run, until=middle))
    assert mirrored.value("select count(*) from tasks where deleted_at is not null") == 0


@pytest.mark.parametrize("options", [{"short_pages": 1.0}, {"totals": "all"}, {"totals": "all", "sort": "ignored"}])
def test_deletions_are_found_where_totals_tell_little(timed_sqlite, options):
    mirrored = timed_sqlite(**options)
    mirrored.sync()
    gone = {task["_id"] for task in mirrored.server.tasks()[100:250:30]}
    mirrored.server.remove(gone)
    assert mirrored.work("verify", verify).exit_code == 0
    assert {row[0] for row in mirrored.rows("select _id from tasks where deleted_at is not null")} == gone


@pytest.mark.parametrize("options", [{"totals": "missing"}, {"total_cap": 30}], ids=["no totals", "capped totals"])
@pytest.mark.parametrize("command", ["verify", "reconcile --deep"])
def test_a_lost_date_is_no_deletion_where_no_total_proves_it(sandbox, migrated_sqlite_url, options, command):
    server = sandbox(tasks=60, shape="eight", sort="ignored", null_dates="unmatched", cap=10, **options)
    mirrored = Mirror(server, migrated_sqlite_url, verify_within="0s")
    mirrored.sync()
    server.put([{**server.tasks()[15], "createdAt": None}])
    mirrored.work(command, verify if command == "verify" else lambda run: reconcile(run, deep=True))
    assert mirrored.value("select count(*) from tasks where gone_at is not null") == 0


def test_what_was_never_synced_is_not_verified(sandbox, migrated_sqlite_url):
    server = sandbox(tasks=20)
    mirrored = Mirror(server, migrated_sqlite_url)
    assert mirrored.work("verify", verify).exit_code == 2
    assert (server.request_count, mirrored.value("select count(*) from tasks")) == (0, 0)
