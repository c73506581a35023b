"""Several runs at once on one source: one works, the others end at once; a killed one's lock is free at once."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any

import pytest

from tests.faults.conftest import either
from tests.faults.fault_scenario import FaultScenario, kill
from tests.faults.proxy import Proxy


def at_once(scenarios: list[FaultScenario]) -> list[int]:
    """Start a sync in each scenario at once, on a server that lets none come to an end before all but one have.

    Gives the codes.
    """
    server = scenarios[0].server
    server.configure(faults={"503": 1.0})
    with ThreadPoolExecutor(len(scenarios)) as pool:
        running = {pool.submit(process.wait) for process in [scenario.start("sync") for scenario in scenarios]}
        ended = set()
        while len(running) > 1:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            ended |= done
        server.configure(faults={})
        return sorted(future.result().returncode for future in (*ended, *running))


@pytest.mark.parametrize("count", [2, 5, 10])
def test_of_many_at_once_one_works_and_the_others_end_at_once(
    scenario: Any, sandbox: Any, migrated_url: str, ledger: Any, count: int
) -> None:
    ready = scenario(sandbox(tasks=60), migrated_url)
    rounds = either(1, 3)
    for _ in range(rounds):
        ready.server.change(update=20)
        assert at_once([ready] * count) == [0, *[75] * (count - 1)]
    ready.check_soundness()
    trial = {"of": str(count), "trials": rounds, "lost": len(ready.lost()), "ends": {0, 75}}
    ledger("together", "syncs at once: one works", ready.place, **trial)
    assert ready.lost() == []
    assert ready.value("select count(*) from sync_runs") == rounds


def test_runs_of_several_machines_share_one_lock(
    scenario: Any, sandbox: Any, migrated_postgres_url: str, ledger: Any
) -> None:
    ready = scenario(sandbox(tasks=60), migrated_postgres_url)
    with ExitStack() as stack:
        machines = [ready.on(stack.enter_context(Proxy(ready.url)).url) for _ in range(2)]
        assert at_once(machines * 2) == [0, 75, 75, 75]
    trial = {"of": "4", "trials": 1, "lost": len(ready.lost()), "ends": {0, 75}}
    ledger("together", "syncs at once, from two machines: one works", ready.place, **trial)
    assert ready.lost() == []


def test_a_killed_ones_lock_is_free_at_once(scenario: Any, sandbox: Any, migrated_url: str, ledger: Any) -> None:
    ready = scenario(sandbox(tasks=200, cap=20, latency_ms=5), migrated_url)
    trials = either(2, 30)
    for number in range(trials):
        ready.server.change(update=20)
        before = ready.server.request_count
        process = ready.start("sync")
        while ready.server.request_count < before + 1 + number % 3:
            time.sleep(0.002)
        kill(process)
        done = ready.run("sync")
        assert done.returncode == 0, done.stderr[-2000:]
    ready.check_soundness()
    fault = "a run right after one that was killed: the lock is free"
    ledger("together", fault, ready.place, trials=trials, lost=len(ready.lost()), ends={0})
    assert ready.lost() == []
