"""An hourly limit: a run that uses up the hour ends with 5 and says when to go on, and the next one does."""

from __future__ import annotations

import os

import pytest

from tests.integration.mirror import NONE, Mirror

# Tasks, rows a page, requests an hour: the long form is 100,000 tasks with the vendor's limit.
LONG = os.environ.get("FAULTS") == "long"
TASKS, PAGE, PER_HOUR = (100_000, 50, 1800) if LONG else (2300, 10, 200)
MOST_REQUESTS = 1.2 * TASKS / PAGE

by_limit = pytest.mark.parametrize("by_settings", [True, False], ids=["by the settings", "by the server"])


@pytest.fixture
def mirror(sandbox, migrated_url):
    def make(*, by_settings, **options):
        limit = {"requests_per_hour": 0 if by_settings else PER_HOUR}
        server = sandbox(**{"tasks": TASKS, "shape": "eight", "cap": PAGE, **limit, **options})
        return Mirror(server, migrated_url, **({"requests_per_hour": str(PER_HOUR)} if by_settings else {}))

    return make


def let_an_hour_pass(mirrored):
    """The hour is over for both: the budget and the server have forgotten the requests."""
    mirrored.forget_requests()
    mirrored.server.reset_requests()


@by_limit
def test_a_first_sync_takes_as_many_hours_as_it_needs(mirror, by_settings, capsys):
    mirrored = mirror(by_settings=by_settings)
    codes, requests = [], 0
    while not codes or codes[-1] == 5:
        outcome = mirrored.sync()
        codes.append(outcome.exit_code)
        requests += outcome.requests
        assert outcome.requests <= PER_HOUR + 1
        if outcome.exit_code == 5:
            told = capsys.readouterr().err
            assert "requests of this hour are used up" in told or "requests for this hour are used up" in told
            assert "; go on at " in told
            let_an_hour_pass(mirrored)
    assert codes == [5, 0]
    assert mirrored.differences() == NONE
    assert requests <= MOST_REQUESTS


def test_the_hour_is_shared_with_earlier_runs(mirror):
    mirrored = mirror(by_settings=True)
    assert mirrored.sync().exit_code == 5
    again = mirrored.sync()
    assert (again.exit_code, again.requests) == (5, 0)


def test_a_short_wait_for_the_hour_is_waited_for(mirror):
    mirrored = mirror(by_settings=False, tasks=300, requests_per_hour=20, hour_seconds=2.0, retry_after="seconds")
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE
