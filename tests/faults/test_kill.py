"""``kill -9`` at random moments of every job that writes, and the power cut at the same moments."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from etl.load.ledger.rejected_records import digest_of
from tests.faults.conftest import either
from tests.faults.fault_scenario import Content, Databases, FaultScenario, copy_after_power_loss, kill

TASKS, PAGE = either(120, 300), either(20, 50)
SEED = 20_250_528
MOST_ATTEMPTS = 10  # for each trial: a kill may come after the end


@dataclass(frozen=True, slots=True)
class Job:
    """A command, the database in which it has something to do, and how often it is killed there."""

    command: tuple[str, ...]
    prepare: Callable[[FaultScenario], None]
    trials: int = either(2, 20)


def _nothing(_scenario: FaultScenario) -> None:
    pass


def _synced(scenario: FaultScenario) -> None:
    assert scenario.run("sync").returncode == 0


def _changed_since(scenario: FaultScenario) -> None:
    _synced(scenario)
    scenario.server.change(update=TASKS // 3, insert=TASKS // 5)


def _deleted_since(scenario: FaultScenario) -> None:
    _synced(scenario)
    scenario.server.change(delete=TASKS // 12, update=20)


def _rejected_then_mended(scenario: FaultScenario) -> None:
    """Keep half of the records aside for their date, which is then mended: here and on the server."""
    good = scenario.server.tasks()[: TASKS // 2]
    scenario.server.put([{**record, "updatedAt": "yesterday"} for record in good])
    assert scenario.run("sync").returncode == 3
    assert scenario.rejected() == TASKS // 2
    for record in good:
        raw = orjson.dumps(record).decode()
        scenario.execute(
            "update rejected_records set raw = :raw, digest = :digest where record_id = :id",
            raw=raw, digest=digest_of(raw), id=record["_id"],
        )  # fmt: skip
    scenario.server.put(good)


def _without_tables(scenario: FaultScenario) -> None:
    """The migrations make them, which an empty database is spared."""
    _synced(scenario)
    assert scenario.run("db", "downgrade", "base", "--yes").returncode == 0


JOBS = {
    "first sync": Job(("sync",), _nothing),
    "later sync": Job(("sync",), _changed_since, either(1, 10)),
    "backfill": Job(("backfill",), _nothing),
    "reconcile": Job(("reconcile",), _deleted_since),
    "replay": Job(("rejected", "replay"), _rejected_then_mended),
    "migration": Job(("sync",), _without_tables, either(1, 20)),
}


@pytest.fixture(params=JOBS)
def job(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def prepared(job: str, sandbox: Any, scenario: Any, migrated_url: str) -> FaultScenario:
    """The server, and a database in which the job has its work before it."""
    ready = scenario(sandbox(tasks=TASKS, cap=PAGE), migrated_url)
    JOBS[job].prepare(ready)
    ready.server.configure(latency_ms=4)
    return ready


@pytest.fixture
def undisturbed(job: str, prepared: FaultScenario, databases: Databases) -> tuple[Content, float]:
    """What the database holds after the job when nothing goes wrong, and the seconds that it takes."""
    twin = prepared.on(databases.copy(prepared.url))
    began = time.monotonic()
    done = twin.run(*JOBS[job].command)
    assert done.returncode == 0, done.stderr
    lasted = time.monotonic() - began
    assert twin.lost() == []
    return twin.content(), lasted


def test_nothing_is_lost_wherever_it_is_killed(
    job: str,
    prepared: FaultScenario,
    undisturbed: tuple[Content, float],
    databases: Databases,
    ledger: Any,
    tmp_path: Path,
) -> None:
    content, lasted = undisturbed
    trials = JOBS[job].trials
    random = Random(f"{SEED} {job} {prepared.place}")
    killed = lost = cuts = lost_in_cuts = 0
    for attempt in range(MOST_ATTEMPTS * trials):
        victim = prepared.on(databases.copy(prepared.url))
        process = victim.start(*JOBS[job].command)
        time.sleep(random.uniform(0.05, 1.0) * lasted)
        if not kill(process):
            databases.remove(victim.url)
            lasted *= 0.8  # the machine is quicker now than it was
            continue
        killed += 1
        if victim.is_sqlite:
            survivor = victim.on(copy_after_power_loss(victim, tmp_path / f"survivor-{attempt}.db", random))
            lost_in_cuts += _lost_after(job, survivor, content)
            cuts += 1
            databases.remove(survivor.url)
        lost += _lost_after(job, victim, content)
        databases.remove(victim.url)
        if killed == trials:
            break
    ledger("kill", f"`kill -9` in the middle of a {job}", prepared.place, trials=killed, lost=lost)
    if cuts:
        ledger("kill", f"a power cut in the middle of a {job}", prepared.place, trials=cuts, lost=lost_in_cuts)
    assert (killed, lost, lost_in_cuts) == (trials, 0, 0)


def _lost_after(job: str, victim: FaultScenario, content: Content) -> int:
    """See that a database is sound after a kill, let the job come to its end, and count the tasks that are lost."""
    if job != "migration":  # a half-migrated database does not exist, but one before the migration has no tables
        victim.check_soundness()
    done = victim.run(*JOBS[job].command)
    assert done.returncode == 0, done.stderr
    victim.check_soundness()
    lost = len(victim.lost())
    if not lost:
        victim.check_equality(content)
    return lost
