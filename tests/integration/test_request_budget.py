"""One request budget for each account, exact over threads and processes, as the server itself counts."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime

import orjson
import pytest
from sqlalchemy import Engine, insert

from etl.extract.http.rate_limiter import RateLimiter
from etl.load.database.engine import open_engine
from etl.load.ledger.request_budgets import StoredBudgets
from etl.load.schema.ledger_tables import sources
from etl.sandbox import Sandbox
from tests.conftest import CHECKOUT, clean_environment

LIMIT, SPAN = 9, 0.6  # requests in any so many seconds: the server refuses the next


@pytest.fixture
def server(sandbox: Callable[..., Sandbox]) -> Sandbox:
    return sandbox(tasks=3, requests_per_minute=LIMIT, minute_seconds=SPAN, latency_ms=150.0)


@pytest.fixture
def start(server: Sandbox, migrated_url: str, tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that sends requests; the test tells when to begin and when to end."""
    with ExitStack() as started:

        def process(threads: int, timezone: str = "") -> subprocess.Popen[str]:
            options = server.options
            given = {
                "url": server.url,
                "database_url": migrated_url,
                "limit": LIMIT,
                "span": SPAN,
                "threads": threads,
                **{name: getattr(options, name) for name in ("account_id", "stream_id", "client_id", "client_secret")},
                "timezone": timezone if migrated_url.startswith("postgresql") else "",
            }
            command = [sys.executable, "-m", "tests.integration.budget_process", orjson.dumps(given).decode()]
            pipe = subprocess.PIPE
            environment = clean_environment(tmp_path)
            popen = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=CHECKOUT, env=environment, text=True)
            started.enter_context(popen)
            started.callback(popen.kill)
            return popen

        yield process


def test_processes_and_threads_never_exceed_the_limit(server, start):
    processes = [start(1, "Asia/Kolkata"), start(3, "America/Caracas"), start(2)]
    for each in processes:
        each.stdout.readline()
    for each in processes:
        print("go", file=each.stdin, flush=True)
    until(lambda: server.request_count >= LIMIT)
    processes[2].kill()  # with requests in flight, which the server still counts
    server.configure(latency_ms=30.0)
    until(lambda: server.request_count >= 3 * LIMIT)
    sums = [int(each.communicate(timeout=20)[0]) for each in processes[:2]]
    assert {each["status"] for each in server.requests} == {200}
    assert min(sums) > 0


def until(condition: Callable[[], bool]) -> None:
    last = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < last
        time.sleep(0.01)


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    engine = open_engine(migrated_url)
    yield engine
    engine.dispose()


@pytest.fixture
def budgets(engine: Engine) -> Iterator[StoredBudgets]:
    with closing(StoredBudgets(engine)) as budgets:
        yield budgets


def test_a_stored_text_replaces_only_the_latest(budgets):
    budget = budgets.of("a-1")
    before, *empty = budget.read()
    assert empty == [0, ""]
    assert budget.replace(0, "one")
    assert not budget.replace(0, "two")
    assert budget.replace(1, "three")
    assert not budget.replace(1, "four")
    now, *latest = budget.read()
    assert (latest, now >= before) == ([2, "three"], True)
    assert budgets.of("a-2").read()[1:] == (0, "")


def test_a_budget_does_not_wait_for_a_storing_transaction(engine, budgets):
    with engine.begin():
        assert budgets.of("a-1").replace(0, "while another transaction holds the write lock")


def test_threads_agree_on_every_version(budgets):
    budgets.engine()
    done = Counter()

    def count(thread: int) -> None:
        budget = budgets.of("a-1")
        while done[thread] < 20:
            _, version, text = budget.read()
            done[thread] += budget.replace(version, str(int(text or 0) + 1))

    threads = [threading.Thread(target=count, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budgets.of("a-1").read()[1:] == (80, "80")


def test_backfills_of_many_processes_share_one_part(engine, budgets):
    budgets.engine()
    make_sync_due(engine)
    begin, granted = threading.Barrier(6), []

    def backfill() -> None:  # each with a limiter of its own, as a process has
        budget = RateLimiter(50, store=budgets.of("a-1"))
        begin.wait(20)
        while budget.acquire(90.0, longest=0.0, percent=30) == 0:
            granted.append(1)
            budget.answered()

    threads = [threading.Thread(target=backfill) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 15


def make_sync_due(engine: Engine) -> None:
    names = {name: name for name in ("name", "base_url", "host", "stream_id")}
    due = datetime.now(UTC)
    with engine.begin() as connection:
        row = insert(sources).values(account_id="a-1", created_at=due, every=300, next_due_at=due, **names)
        connection.execute(row)


def test_a_run_counts_what_other_runs_have_sent(sandbox, environment, migrated_url, run_cli):
    server = sandbox(tasks=30)
    settings = environment(server, migrated_url)
    assert run_cli("sync", env=settings).returncode == 0
    spent = server.request_count
    settings["KORE_ETL_REQUESTS_PER_HOUR"] = str(spent)
    refused = run_cli("sync", env=settings)
    assert (refused.returncode, server.request_count) == (5, spent)
    assert f"the {spent} requests of this hour are used up; go on at " in refused.stderr


def test_a_refusal_pauses_the_account_for_the_next_run(sandbox, environment, migrated_url, run_cli):
    server = sandbox(tasks=30, requests_per_hour=2, hour_seconds=3600.0, retry_after="seconds")
    settings = environment(server, migrated_url)
    assert run_cli("sync", env=settings).returncode == 5
    asked = server.request_count
    paused = run_cli("sync", env=settings)
    assert (paused.returncode, server.request_count) == (5, asked)
    assert "the API wants no requests; go on at " in paused.stderr
