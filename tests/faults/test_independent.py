"""Against a server that shares no code with the sandbox: failures, limits, dying tokens, kills, SIGTERM, two runs."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import product
from random import Random
from typing import Any

import pytest

from tests.faults.conftest import either
from tests.faults.fault_scenario import Databases, kill
from tests.faults.independent_server import FAILURES, IndependentServer, error

DATES = ("createdAt", "updatedAt")
CASES = either([*zip(DATES, ("sqlite", "postgres"), strict=True)], [*product(DATES, ("sqlite", "postgres"))])


def test_an_independent_server_is_mirrored_whatever_happens(
    scenario: Any, databases: Databases, request: pytest.FixtureRequest, ledger: Any
) -> None:
    # Nearly all of the time is spent waiting for what the server allows.
    with ThreadPoolExecutor(len(CASES)) as pool, ExitStack() as stack:
        servers = [IndependentServer(either(60, 250), filter_on=dates) for dates, _ in CASES]
        urls = [databases.copy(request.getfixturevalue(f"migrated_{place}_url")) for _, place in CASES]
        scenarios = [scenario(stack.enter_context(server), url) for server, url in zip(servers, urls, strict=True)]
        for _ in pool.map(_mirror, scenarios, [ledger] * len(scenarios)):
            pass


class StoppingServer(IndependentServer):
    """Answers so many requests and none after them; groups of tasks share the millisecond of their last change."""

    failing = 0.0
    a_second = 10**6
    token_life = 10**6

    def __init__(self, count: int, *, answers: int) -> None:
        super().__init__(count, filter_on="updatedAt")
        self.left = answers
        in_order = sorted(self.records.values(), key=lambda record: record["updatedAt"])
        for place, record in enumerate(in_order):
            record["updatedAt"] = in_order[place - place % 7]["updatedAt"]

    def _answer(self, request: Any, body: bytes) -> tuple[int, Any]:
        self.left -= 1
        return super()._answer(request, body) if self.left >= 0 else (400, error("Invalid StreamId", 400))


def test_a_broken_off_reading_covers_only_stored_tasks(
    scenario: Any, databases: Databases, migrated_sqlite_url: str
) -> None:
    marks = []
    for answers in range(8, 16):
        with StoppingServer(240, answers=answers) as server:
            ready = scenario(server, databases.copy(migrated_sqlite_url))
            done = ready.run("sync")
            assert done.returncode not in (0, 3), done.stderr
            ready.check_soundness()
            marks.append(ready.watermark())
    assert len({mark for mark in marks if mark}) > 3


def _mirror(ready: Any, ledger: Any) -> None:
    server = ready.server
    random = Random(7)
    kills = killed = either(2, 25)
    server.delay = 0.1  # so that a kill meets a run at work
    while killed:
        process = ready.start("sync")
        time.sleep(random.uniform(0.05, 2.0))
        server.change(update=15, insert=4)
        killed -= kill(process)
        ready.check_soundness()
    lost = _lost_after("sync", ready)
    server.change(update=15, insert=4)
    process = ready.start("sync")
    time.sleep(random.uniform(0.1, 1.0))
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    # After its last line the process has no handler left; a shell tells a death by the signal as 143, too.
    assert process.wait().returncode in (143, -signal.SIGTERM, 0)
    ready.check_soundness()
    lost += _lost_after("sync", ready)
    server.change(update=15, insert=4, delete=3)
    server.delay = 1.0  # so that the first is at work when the second begins
    both = [ready.start("sync") for _ in range(2)]
    assert sorted(process.wait().returncode for process in both) == [0, 75]
    server.delay = 0.0
    lost += _lost_after("reconcile", ready)
    server.failing = 0.0  # no waiting between requests, so that they are more a second than are answered, anywhere
    done = ready.run("sync", "--full", page_size="3")
    assert done.returncode == 0, done.stderr[-2000:]
    lost += len(ready.lost())
    faulty = sum(count for name, count in server.answers.items() if name in FAILURES)
    tried = {
        "16 % of the answers faulty": faulty,
        "`kill -9`, with changes between": kills,
        "SIGTERM, two syncs at once": 2,
        "429 past 8 requests a second": server.answers["429"],
        "tokens that die after a second": server.answers["401"],
    }
    for fault, trials in tried.items():
        assert trials > 0, fault
        ledger("independent", fault, ready.place, trials=trials, lost=lost)
    assert lost == 0


def _lost_after(command: str, ready: Any) -> int:
    done = ready.run(command)
    assert done.returncode == 0, done.stderr[-2000:]
    ready.check_soundness()
    return len(ready.lost())
