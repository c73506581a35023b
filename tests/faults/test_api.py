"""A server that fails, lies or means harm: nothing is lost, and whatever cannot be read exactly is told."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from etl.sandbox.options import FAULT_KINDS
from tests.faults.conftest import either
from tests.faults.fault_scenario import FaultScenario

#: Faults that end a run at once: that they were met is told, and no further try could help.
FINAL = {"redirect": {5}, "401": {4}}
BOTH = [*map(str, either(("sqlite",), ("sqlite", "postgresql")))]
HURRIED = {"timeout": "0.5s", "connect_timeout": "0.5s", "deadline": "60s"}


@pytest.fixture(params=BOTH)
def url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(f"migrated_{'sqlite' if request.param == 'sqlite' else 'postgres'}_url")


@pytest.fixture
def apart(scenario: Any, databases: Any, sandbox: Any, url: str) -> Callable[..., FaultScenario]:
    """Set up a scenario with a server and a database of its own."""
    return lambda **options: scenario(sandbox(**options), databases.copy(url), **HURRIED)


def end(scenario: FaultScenario, *command: str, codes: set[int]) -> int:
    """Run to an end that is one of these, in which no bug shows, and after which the database is sound."""
    done = scenario.run(*command, timeout=400)
    assert done.returncode in codes, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    scenario.check_soundness()
    return done.returncode


# Faults at a rate

ENOUGH = either(1, 3)
MOST_ROUNDS = 60  # a later sync has few requests: at 5 % a fault may miss all of the first dozen


def weather(scenario: FaultScenario, kind: str, rate: float) -> tuple[int, set[int], int]:
    """Sync, with changes between, through a fault that comes at a rate until it came so many times.

    In the end the server is well, and the next sync is compared with it. Gives how often the fault was met, how the
    syncs ended, and how many tasks are lost.
    """
    often = rate > 0.2 and kind not in FINAL
    codes = {0, *FINAL.get(kind, ()), *({3, 5} if often else ())}
    ends: set[int] = set()
    for _ in range(MOST_ROUNDS):
        scenario.server.configure(faults={kind: rate})
        # One worker: requests in one order meet the faults that the seed draws, and never too many in a row.
        ends.add(end(scenario, "sync", "--workers", "1", codes=codes))
        scenario.server.change(update=20, insert=10)
        if met(scenario) >= ENOUGH:
            break
    scenario.server.configure(faults={})
    end(scenario, "sync", codes={0})
    return met(scenario), ends, len(scenario.lost())


def met(scenario: FaultScenario) -> int:
    return sum(entry["fault"] is not None for entry in scenario.server.requests)


@pytest.mark.parametrize("rate", either((0.15,), (0.05, 0.15, 0.4)))
def test_each_fault_at_a_rate_loses_nothing(apart: Callable[..., FaultScenario], ledger: Any, rate: float) -> None:
    # Most of the time is spent waiting for the next try, so that many can be at it at once.
    server = {"tasks": 120, "cap": 10, "retry_after": "seconds"}
    scenarios = [apart(seed=number, **server) for number in range(len(FAULT_KINDS))]
    with ThreadPoolExecutor(9) as pool:
        outcomes = list(pool.map(weather, scenarios, FAULT_KINDS, [rate] * len(scenarios)))
    for kind, (times, ends, lost) in zip(FAULT_KINDS, outcomes, strict=True):
        fault, share = f"`{kind}` in place of some answers", f"{rate * 100:.0f} %"
        ledger("api", fault, scenarios[0].place, of=share, trials=times, lost=lost, ends=ends)
    assert {kind: lost for kind, (_, _, lost) in zip(FAULT_KINDS, outcomes, strict=True) if lost} == {}
    assert all(times for times, _, _ in outcomes)


@pytest.mark.parametrize("share", either((0.9,), (0.0, 0.001, 0.1, 0.5, 0.9, 0.9999)))
@pytest.mark.parametrize("kind", ["stall", "cut", "half"])
def test_an_answer_that_breaks_off_anywhere_loses_nothing(
    apart: Callable[..., FaultScenario], ledger: Any, kind: str, share: float
) -> None:
    scenario = apart(tasks=60, cap=15, faults={kind: 0.15}, broken_at=share, seed=7)
    end(scenario, "sync", codes={0})
    trial = {"of": f"{share * 100:g} %", "trials": 1, "lost": len(scenario.lost()), "ends": {0}}
    ledger("api", f"`{kind}` after a part of the answer", scenario.place, **trial)
    assert scenario.lost() == []


def test_an_outage_in_the_middle_loses_nothing(apart: Callable[..., FaultScenario], ledger: Any) -> None:
    scenario = apart(tasks=120, cap=15, outage_after=8, outage_seconds=either(2.0, 60.0))
    patient = scenario.on(scenario.url, deadline="300s")
    end(patient, "sync", codes={0})
    assert [entry["status"] for entry in scenario.server.requests].count(503) > 0
    trial = {"of": f"{either(2, 60)} s", "trials": 1, "lost": len(scenario.lost()), "ends": {0}}
    ledger("api", "an outage in the middle of a sync", scenario.place, **trial)
    assert scenario.lost() == []


@pytest.mark.parametrize("way", ["newest", "keyset", "verified"])
def test_a_sync_broken_off_at_any_request_loses_nothing(
    apart: Callable[..., FaultScenario], ledger: Any, way: str
) -> None:
    updated = {"window_field": "updatedAt"}
    options = {"newest": {}, "keyset": updated, "verified": {"sort": "ignored", **updated}}[way]
    scenario = apart(tasks=60, cap=15, **options)
    end(scenario, "sync", codes={0})
    trials = either(3, 10)
    lost = 0
    for answered in range(1, trials + 1):
        scenario.server.change(update=40, insert=3)
        scenario.server.reset_requests()
        scenario.server.configure(outage_after=answered, outage_seconds=1e6)
        assert scenario.run("sync", deadline="0.4s").returncode in {0, 5}  # 0: it needed no more than was answered
        scenario.check_soundness()
        scenario.server.configure(outage_after=0)
        end(scenario, "sync", codes={0})
        lost += len(scenario.lost())
    ledger("api", "an outage for good after any request", scenario.place, of=way, trials=trials, lost=lost, ends={5})
    assert lost == 0


# Lies

LIES: dict[str, dict[str, Any]] = {
    "hasMore always true": {"has_more": "always_true"},
    "hasMore always true, no totals": {"has_more": "always_true", "totals": "missing"},
    "neither hasMore nor totals": {"has_more": "missing", "totals": "null"},
    "totals too high": {"totals": "high"},
    "totals too low": {"totals": "low"},
    "totals now too high, now too low, no hasMore": {"totals": "lying", "has_more": "null"},
    "rows twice in a page": {"duplicates": 0.5},
    "pages in no order": {"shuffle": 0.3},
    "rows of another stream": {"foreign": 0.3},
    "skip ignored": {"skip": "ignored"},
    "skip ignored, hasMore always true": {"skip": "ignored", "has_more": "always_true"},
    "dates ignored": {"dates": "ignored"},
    "the same page whatever is asked": {"dates": "ignored", "skip": "ignored", "has_more": "always_true"},
}
WAYS = {
    "createdAt, sorted": {},
    "updatedAt, sorted": {"window_field": "updatedAt"},
    "createdAt, unsorted": {"sort": "ignored"},
    "updatedAt, unsorted": {"window_field": "updatedAt", "sort": "ignored"},
}
HONEST = {
    "has_more": "present", "totals": "present", "duplicates": 0.0, "shuffle": 0.0, "foreign": 0.0, "skip": "obeyed",
    "dates": "obeyed",
}  # fmt: skip
MOST_REQUESTS = 600  # an honest server of that size takes some 20
MOST_OF_A_MIXTURE = 20_000  # where skip, totals and order all lie, each task has to be singled out by its date


def believed(scenario: FaultScenario, lie: dict[str, Any], most_requests: int = MOST_REQUESTS) -> tuple[int, int]:
    """Sync from a server that lies, then, once it is honest, in full: how the first ended, and what is lost."""
    scenario.server.configure(**lie)
    code = end(scenario, "sync", codes={0, 3, 5})
    assert scenario.server.request_count < most_requests
    lost = len(scenario.lost()) if code == 0 else 0
    scenario.server.configure(**HONEST)
    scenario.execute("update sources set capabilities = null")
    assert end(scenario, "sync", "--full", codes={0}) == 0
    return code, lost + len(scenario.lost())


@pytest.mark.parametrize("way", either(("updatedAt, unsorted",), tuple(WAYS)))
def test_a_lie_is_told_or_harmless_and_always_comes_to_an_end(
    apart: Callable[..., FaultScenario], ledger: Any, way: str
) -> None:
    scenarios = [apart(tasks=100, cap=20, **WAYS[way]) for _ in LIES]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(believed, scenarios, LIES.values()))
    for name, (code, lost) in zip(LIES, outcomes, strict=True):
        ledger("api", name, scenarios[0].place, trials=1, lost=lost, ends={code})
    assert {name: lost for name, (_, lost) in zip(LIES, outcomes, strict=True) if lost} == {}


@pytest.mark.parametrize("number", range(either(2, 40)))
def test_any_mixture_of_lies_comes_to_an_end(apart: Callable[..., FaultScenario], ledger: Any, number: int) -> None:
    choices = {
        "window_field": ("createdAt", "updatedAt"), "sort": ("obeyed", "ignored"), "dates": ("obeyed", "ignored"),
        "skip": ("obeyed", "ignored"), "ends": ("inclusive", "exclusive"), "granularity": ("ms", "second"),
        "has_more": ("present", "missing", "null", "always_true"), "totals": ("present", "missing", "high", "lying"),
        "tie_break": ("id", "random"), "default_order": ("insertion", "newest"), "duplicates": (0.0, 0.3),
        "shuffle": (0.0, 0.2), "foreign": (0.0, 0.2), "date_header": ("present", "missing"),
    }  # fmt: skip
    random = Random(number)
    lie = {name: random.choice(values) for name, values in choices.items()}
    scenario = apart(tasks=100, cap=20)
    code, lost = believed(scenario, lie, MOST_OF_A_MIXTURE)
    ledger("api", "a random mixture of lies", scenario.place, trials=1, lost=lost, ends={code})
    assert lost == 0


def test_rows_of_another_stream_are_kept_aside_and_told(apart: Callable[..., FaultScenario]) -> None:
    scenario = apart(tasks=60, foreign=1.0)
    end(scenario, "sync", codes={3})
    assert scenario.lost() == []
    assert scenario.rejected() > 0


# Elsewhere


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        yield listener


def test_no_one_else_is_ever_asked_wherever_an_answer_points(
    apart: Callable[..., FaultScenario], elsewhere: socket.socket, ledger: Any
) -> None:
    address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/caseManagement"
    scenario = apart(tasks=60, faults={"redirect": 1.0}, redirect_to=address)
    done = scenario.run("sync")
    assert (done.returncode, scenario.server.request_count) == (5, 1)
    assert "set base_url to the final host" in done.stderr
    with pytest.raises(TimeoutError):
        elsewhere.accept()
    scenario.server.configure(faults={})
    end(scenario, "sync", codes={0})
    trial = {"trials": 1, "lost": len(scenario.lost()), "ends": {5}, "told": "never followed"}
    ledger("api", "a redirect to another host", scenario.place, **trial)
    assert scenario.lost() == []
