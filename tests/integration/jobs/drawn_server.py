"""Draws servers and their histories, and plays them: what each one does is told by its seed alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson

from etl.extract.capabilities import ServerCapabilities
from etl.extract.paging.read_strategy import choose_strategy
from etl.jobs.backfill import Period
from etl.jobs.reconcile import reconcile
from etl.sandbox import Options, Sandbox
from etl.times import format_time, parse_time, to_milliseconds
from tests.integration.mirror import Mirror

DONE, INCOMPLETE = 0, 3
EXPECTED_CODES = frozenset({0, 3, 4, 5})  # of a disturbed run; 1 is a bug, 6 a database that failed
MOST_RUNS = 3  # after a disturbance, before one reconcile
#: What a server never does by itself; each lasts for one or two syncs.
DISTURBANCES: tuple[Mapping[str, Any], ...] = (
    {"outage": "503", "outage_after": 1, "outage_seconds": 1e6},
    {"outage": "empty", "outage_after": 1, "outage_seconds": 1e6},
    {"outage": "empty", "outage_after": 4, "outage_seconds": 1e6},
    {"faults": {"html200": 1.0}},
    {"faults": {"half": 0.5}},
    {"faults": {"errors200": 0.3}},
    {"faults": {"reset": 0.3}},
    {"faults": {"401": 1.0}},
    {"totals": "high"},
    {"totals": "low"},
    {"totals": "lying"},
    {"totals": "all"},
    {"has_more": "always_true"},
    {"duplicates": 0.5},
    {"shuffle": 0.5},
    {"foreign": 0.5},
    {"short_pages": 0.5, "has_more": "present", "totals": "present"},  # else nothing tells that rows are left out
    {"empty_pages": 0.2},
    {"dates": "ignored"},
    {"skip": "ignored"},
    {"sort": "ignored"},
    {"cap": 5},
    {"churn_every": 2, "churn_change": 2, "churn_add": 1},
    {"churn_every": 3, "churn_change": 1, "churn_add": 1, "churn_delete": 1},
)


@dataclass(frozen=True, slots=True)
class DrawnServer:
    """A server, how it behaves, and what happens to it between two syncs."""

    seed: int
    is_honest: bool
    options: Mapping[str, Any]
    events: tuple[tuple[str, Any], ...]

    @property
    def tells_totals(self) -> bool:
        """Tell whether the server counts its tasks; else nothing tells of rows that no date shows."""
        return self.options["totals"] == "present" and not self.options.get("total_cap")


def draw(seed: int) -> DrawnServer:
    """Draw a server; every third one is honest."""
    random = Random(f"drawn server {seed}")
    is_honest = seed % 3 == 0
    options = _options(random, seed)
    if not is_honest and random.random() < 0.5:
        options |= _oddities(random)
    events = [_event(random, is_honest=is_honest) for _ in range(4)]
    events.append(("backfill", random.choice((1, 60))))
    return DrawnServer(seed, is_honest, options, tuple(events))


def _options(random: Random, seed: int) -> dict[str, Any]:
    choose = random.choice
    options: dict[str, Any] = {
        "seed": seed, "requests_per_minute": 0, "shape": "eight", "tasks": choose((0, 1, 8, 45, 120, 240)),
        "days": choose((2.0, 90.0, 730.0)), "quiet_seconds": choose((0.0, 600.0, 86_400.0)),
        "round_to": choose((0.0, 0.0, 1.0, 60.0)), "round_changes": choose((True, False)),
        "null_created": choose((0.0, 0.0, 0.1)), "null_updated": choose((0.0, 0.0, 0.1)),
        "null_dates": choose(("now", "unmatched")), "window_field": choose(("createdAt", "updatedAt")),
        "ends": choose(("inclusive", "inclusive", "exclusive", "half_open")),
        "granularity": choose(("ms", "ms", "ms", "second", "minute")), "sort": choose(("obeyed", "obeyed", "ignored")),
        "sort_fields": choose((("createdAt", "updatedAt"), ("createdAt", "updatedAt"), ("updatedAt",), ("createdAt",))),
        "default_order": choose(("insertion", "newest")), "tie_break": choose(("id", "insertion")),
        "cap": choose((10, 50, 50, 100)), "cap_mode": choose(("silent", "refuse")),
        "max_range_days": choose((0.0, 0.0, 0.0, 31.0)), "deletes": choose(("vanish", "inactive")),
        "unresolved": choose(("obeyed", "ignored")), "unassigned_false": choose(("ignored", "assigned")),
        "date_header": choose(("present", "present", "missing")), "jti_required": choose((True, False)),
        "error_key": choose(("msg", "message")), "strict": choose((True, False)),
    }  # fmt: skip
    if options["cap"] == 10:
        options["tasks"] = min(options["tasks"], 120)
    told = choose(("both", "both", "both", "totals", "hasMore", "neither"))
    options["has_more"] = "present" if told in {"both", "hasMore"} else choose(("missing", "null"))
    options["totals"] = "present" if told in {"both", "totals"} else choose(("missing", "null"))
    return options


def _oddities(random: Random) -> dict[str, Any]:
    """What a server may do all the time that makes its answers hard to read."""
    choose = random.choice
    found = (
        {"clock_skew": choose((-3600.0, -90.0, 90.0, 3600.0))}, {"date_offset": choose((-600.0, 600.0))},
        {"hidden": 0.02, "totals": "present"}, {"hidden": 0.2, "hidden_run": 12, "totals": "present"},
        {"duplicates": 0.2}, {"total_cap": choose((30, 100))}, {"max_skip": choose((100, 500))},
        {"has_more": "always_true"}, {"tie_break": "random"}, {"totals": "all"},
        {"short_pages": 0.3, "has_more": "present", "totals": "present"},
    )  # fmt: skip
    return choose(found)


def _event(random: Random, *, is_honest: bool) -> tuple[str, Any]:
    choose = random.choice
    honest = (
        ("change", {"update": choose((1, 9, 70)), "insert": choose((0, 3, 60))}),
        ("change", {"update": 2, "insert": 2, "same_instant": True}),
        ("change", {"delete": choose((1, 2)), "update": 1}),
        ("change", {"insert": choose((1, 12)), "days_ago": choose((0.5, 40.0, 1500.0))}),
        ("rename", ("Open", choose(("To do", "Neu")))),
        ("undated", choose((1, 3))),
        ("clear", choose((1, 3))),
        ("nothing", None),
    )
    if is_honest or random.random() < 0.4:
        return choose(honest)
    return choose((("disturb", choose(DISTURBANCES)), ("disturb", choose(DISTURBANCES)), ("restore", 5)))


class DrawnClock:
    """The time of a server and of the program in one story, told by its seed alone, whatever time it is.

    Only the server's work and the story move it.
    """

    _EACH = 0.004  # seconds that each look of the server at its clock takes

    def __init__(self, seed: int) -> None:
        self._random = Random(f"drawn clock {seed}")
        self._now = datetime(2026, 3, 2, 9, 30, tzinfo=UTC).timestamp() + self._random.uniform(0, 3600)

    def seconds(self) -> float:
        """Return the server's time."""
        self._now += self._EACH
        return self._now

    def now(self) -> datetime:
        """Return the program's time."""
        return to_milliseconds(datetime.fromtimestamp(self._now, UTC))

    def wait(self) -> None:
        """Let some time pass between two runs."""
        self._now += self._random.choice((1.0, 20.0, 300.0, 300.0, 4000.0, 90_000.0))


class ViolationError(AssertionError):
    """A drawn server disproved one of the properties."""


@dataclass(slots=True)
class Play:
    """One drawn server and the database that mirrors it."""

    drawn: DrawnServer
    mirror: Mirror
    server: Sandbox
    clock: DrawnClock
    start: datetime | None = None  # the setting
    told: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Play the history and check the properties after each sync.

        Raises:
            ViolationError: one of them does not hold.
        """
        self._sync("the first sync", is_calm=True)
        for event in self.drawn.events:
            self._happen(*event)
        self._sync("sync --full", full=True, is_calm=True)
        self._reconcile()

    def _happen(self, name: str, argument: Any) -> None:
        if name == "disturb":
            self.server.configure(**argument)
            self.server.change(update=2, insert=1)
            self._sync(f"a sync while {argument}", is_calm=False)
            self.server.configure(**{key: getattr(Options(**self.drawn.options), key) for key in argument})
            self._recover(f"after {argument}")
            return
        if name == "restore":
            self.server.back_up()
            self.server.change(update=argument, insert=2)
            self._sync("a sync before the restore", is_calm=True)
            self.server.restore()
        elif name == "change":
            self.server.change(**argument)
        elif name == "rename":
            self.server.rename(*argument)
        elif name in {"undated", "clear"}:
            self.server.put(self._records(name, argument))
        elif name == "backfill":
            self._backfill_latest(argument)
        self._sync(f"a sync after {name} {argument}", is_calm=True)

    def _backfill_latest(self, count: int) -> None:
        """Backfill the latest tasks alone, with unread changes before them."""
        self.server.change(update=9)
        self.clock.wait()
        since = self.clock.now()
        self.server.change(insert=count)
        code = self.mirror.backfill(Period(since)).exit_code
        self._note("a backfill of the latest tasks", code)
        if code not in ({DONE} if self.drawn.is_honest else EXPECTED_CODES):
            self._fail(f"exit code {code}")

    def _records(self, name: str, count: int) -> list[Any]:
        """Return new tasks without a date, or known ones whose priority was cleared."""
        shown = [task for task in self.server.tasks() if isinstance(task, dict)][:count]
        if name == "clear":
            now = format_time(parse_time(int(self.server.now() * 1000)))
            return [{**task, "priority": None, "updatedAt": now} for task in shown]
        made = len(self.told)
        return [{**task, "_id": f"ti-undated-{made}-{n}", "updatedAt": None} for n, task in enumerate(shown)]

    def _recover(self, when: str) -> None:
        """Check that exit 0 returns within three runs and one reconcile."""
        for number in range(MOST_RUNS):
            if self._sync(f"sync {number + 1} {when}", is_calm=False) == DONE:
                return
        self._note(f"reconcile {when}", self.mirror.work("reconcile", lambda run: reconcile(run, force=True)).exit_code)
        if self._sync(f"the sync behind the reconcile {when}", is_calm=False) != DONE:
            self._fail("exit 0 does not return")

    def _sync(self, what: str, *, is_calm: bool, full: bool = False) -> int:
        self.clock.wait()
        before = self._watermark()
        code = self.mirror.sync(full=full).exit_code
        self._note(what, code)
        if code not in EXPECTED_CODES:
            self._fail(f"exit code {code}")
        if self.drawn.is_honest and is_calm and code != DONE:
            self._fail(f"an honest server gave exit code {code}")
        if code == DONE and not self.server.options.churn_every:
            self._check_rows(before, is_calm=is_calm, full=full)
        return code

    def _reconcile(self) -> None:
        code = self.mirror.work("reconcile", lambda run: reconcile(run, deep=True, force=True)).exit_code
        self._note("reconcile --deep", code)
        if code == DONE:
            here, there = self._live(), self._shown()
            if here.keys() != there.keys():
                self._fail(f"after reconcile: {_some(here.keys() ^ there.keys())}")
        elif self.drawn.is_honest:
            self._fail(f"an honest server gave exit code {code}")

    def _check_rows(self, before: Any, *, is_calm: bool, full: bool) -> None:
        here, there = self._live(), self._shown()
        missing = there.keys() - here.keys()
        options = self.server.options
        if not here and options.outage == "empty":
            return  # nothing is stored that an outage could contradict
        if options.empty_pages and "present" not in {options.totals, options.has_more}:
            return  # nothing contradicts an empty page
        tells_totals = self.drawn.tells_totals and options.totals not in {"lying", "low", "high"}
        if self.start is not None:  # some servers do not count a part of their tasks
            tells_totals = tells_totals and self._has_account()
        if not full and not tells_totals:  # then nothing tells of rows without a new date
            missing = {key for key in missing if _is_since(there[key], self.drawn.options["window_field"], before)}
        if len(missing) > self._told("quarantined") + (0 if is_calm else self._told("hidden")):
            self._fail(f"missing: {_some(missing)}")
        stale = {key for key, task in there.items() if key in here and here[key] != task}
        if not full:  # a server that went back to older versions is believed by a full sync only
            stale = {
                key
                for key in stale
                if self._finds_every_change()
                and _is_since(there[key], "updatedAt", before)
                and not _is_since(here[key], "updatedAt", parse_time(there[key]["updatedAt"]))
            }
        if stale:
            self._fail(f"stale: {_some(stale)}")
        if difference := self.mirror.difference():
            self._fail(f"a derived row differs: {difference}")

    def _told(self, why: str) -> int:
        """Return how many missing tasks the account tells: ``hidden`` on short pages, ``quarantined`` as broken."""
        return self.mirror.value(f"select {why} from sync_runs order by id desc limit 1") or 0

    def _has_account(self) -> bool:
        return self.mirror.value("select server_total from sync_runs order by id desc limit 1") is not None

    def _finds_every_change(self) -> bool:
        """Tell whether a single sync finds each change: rolling verification needs several."""
        kept = self.mirror.value("select cast(capabilities as text) from sources")
        return choose_strategy(ServerCapabilities.from_json(orjson.loads(kept))).changes != "unresolved"

    def _shown(self) -> dict[str, Any]:
        tasks = [task for task in self.server.tasks() if task.get("isActive") is not False]
        return {task["_id"]: task for task in tasks if self._counts(task)}

    def _live(self) -> dict[str, Any]:
        query = "select _id, cast(raw as text) from tasks where deleted_at is null"
        live = {row[0]: orjson.loads(row[1]) for row in self.mirror.rows(query)}
        return {key: task for key, task in live.items() if self._counts(task)}

    def _counts(self, task: Any) -> bool:
        moment = parse_time(task.get(self.drawn.options["window_field"]))
        return self.start is None or moment is None or moment >= self.start

    def _watermark(self) -> Any:
        marks = self.mirror.rows("select value from watermarks")
        return parse_time(str(marks[0][0])) if marks else None

    def _note(self, what: str, code: int) -> None:
        self.told.append(f"{what}: exit {code}")

    def _fail(self, what: str) -> None:
        kind = "honest" if self.drawn.is_honest else "disturbed"
        default = Options()
        differing = {k: v for k, v in self.drawn.options.items() if getattr(default, k) != v}
        story = "\n  ".join([f"{kind} server {self.drawn.seed}: {differing}", *self.told])
        raise ViolationError(f"{what}\n  {story}")


def _is_since(task: Any, field: str, before: Any) -> bool:
    moment = parse_time(task.get(field))
    return before is not None and moment is not None and moment > before


def _some(keys: Any) -> list[str]:
    return sorted(keys)[:5]
