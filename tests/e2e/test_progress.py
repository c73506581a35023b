"""A run that waits for its request budget says so, on a terminal and in a pipe's log."""

from __future__ import annotations

import re

import pytest

from etl.cli.progress import _LiveLine
from etl.extract.http.rate_limiter import RateLimiter
from etl.jobs.run.options import RunCounters
from tests.e2e.terminal import on_terminal

WAITING = re.compile(r"waiting (5\d|60) s for the request budget")


@pytest.fixture
def settings(sandbox, environment, migrated_sqlite_url) -> dict[str, str]:
    """More pages than the budget has requests in a minute."""
    return {**environment(sandbox(tasks=300, cap=10), migrated_sqlite_url), "KORE_ETL_REQUESTS_PER_MINUTE": "20"}


def test_a_pipe_is_told_of_a_wait(start_cli, settings):
    process = start_cli("sync", env=settings)
    lines = iter(process.stderr.readline, "")
    assert any(WAITING.search(line) for line in lines)


def test_a_terminal_shows_a_wait(settings, tmp_path):
    _, shown = on_terminal(["sync"], tmp_path, settings, until=WAITING)
    assert WAITING.search(shown)


def test_a_quiet_sync_shows_nothing_on_a_terminal(sandbox, environment, migrated_sqlite_url, tmp_path):
    settings = environment(sandbox(tasks=5), migrated_sqlite_url)
    assert on_terminal(["sync", "--quiet"], tmp_path, settings) == (0, "")
    assert "━" in on_terminal(["sync"], tmp_path, settings)[1]


def test_the_time_left_counts_the_budget():
    budget = RateLimiter(10, monotonic=lambda: 1000.0)
    for _ in range(10):
        budget.acquire()
    line = _LiveLine(budget)
    line.show(RunCounters(requests=10, fetched=100), 400)
    assert line.text() == "100 tasks, 10 requests, 3m left"
    line.wait(42.2)
    assert line.text() == "100 tasks, waiting 42 s for the request budget"
