"""Servers drawn from all options of the sandbox, with drawn histories: what exit 0 says holds for each.

``DRAWN=2000`` (``make drawn``) draws that many; otherwise a few are a part of ``make test``.
"""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from etl.sandbox import Options, Sandbox
from etl.times import format_time
from tests.integration.jobs.drawn_server import DrawnClock, Play, draw
from tests.integration.mirror import Mirror

pytestmark = pytest.mark.slow

FIRST = int(os.environ.get("DRAWN_FROM", "0"))
FAILED_ONCE = (
    *(26, 62, 151, 190, 233, 309, 312, 313, 397, 511, 550, 772, 927),
    *(1137, 1160, 1342, 1364, 1594, 1683, 1760, 1986, 2143, 2246, 2312),
)
# One in four of them each time, and all of them in make test-all.
AGAIN = [pytest.param(seed, marks=pytest.mark.long if place % 4 else ()) for place, seed in enumerate(FAILED_ONCE)]
SEEDS = [*range(FIRST, FIRST + int(os.environ.get("DRAWN", "4"))), *(() if "DRAWN" in os.environ else AGAIN)]
ON_POSTGRESQL = 12  # of so many servers one


@pytest.mark.parametrize("seed", SEEDS)
def test_exit_0_is_true_of_a_drawn_server(request, seed):
    drawn, clock = draw(seed), DrawnClock(seed)
    database = "postgres" if seed % ON_POSTGRESQL == 1 else "sqlite"
    url = request.getfixturevalue(f"migrated_{database}_url")
    limits = {} if drawn.is_honest else {"deadline": "1s", "timeout": "1s"}
    settings = {**limits, "jti": str(drawn.options["jti_required"]).lower()}
    with Sandbox(Options(**drawn.options), clock=clock.seconds) as server:
        Play(drawn, Mirror(server, url, clock=clock.now, **settings), server, clock).run()


HONEST = [seed * 3 for seed in SEEDS if isinstance(seed, int)]


@pytest.mark.parametrize("seed", [seed for seed in HONEST if draw(seed).options["tasks"] > 1])
def test_exit_0_is_true_of_a_part_of_history(migrated_sqlite_url, seed):
    """A single task does not tell by which of its dates the server tells parts apart."""
    drawn, clock = draw(seed), DrawnClock(seed)
    start = (clock.now() - timedelta(days=0.4 * drawn.options["days"])).replace(microsecond=0)
    settings = {"jti": str(drawn.options["jti_required"]).lower(), "start": format_time(start)}
    with Sandbox(Options(**drawn.options), clock=clock.seconds) as server:
        Play(drawn, Mirror(server, migrated_sqlite_url, clock=clock.now, **settings), server, clock, start).run()
