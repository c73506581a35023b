"""A read ends although a task comes with every second request: more than a server without good totals can prove."""

from __future__ import annotations

import pytest

from etl.sandbox import Options, Sandbox
from tests.integration.jobs.drawn_server import DrawnClock
from tests.integration.mirror import NONE, Mirror

pytestmark = pytest.mark.slow

MOST = 2500  # requests; without an end they go on for as long as tasks come
BY_BOTH = ("createdAt", "updatedAt")
SERVERS = [
    ("createdAt", BY_BOTH, {"totals": "all"}),
    ("updatedAt", BY_BOTH, {"totals": "all", "has_more": "missing"}),
    ("createdAt", ("createdAt",), {"totals": "missing", "has_more": "missing"}),
    ("createdAt", (), {"totals": "all"}),
    ("updatedAt", (), {"totals": "all"}),
    ("updatedAt", (), {"totals": "missing", "has_more": "missing"}),
]


@pytest.mark.every_other
@pytest.mark.parametrize("date_header", ["present", "missing"])
@pytest.mark.parametrize(("window_field", "sort_fields", "told"), SERVERS)
def test_a_read_ends_although_tasks_keep_coming(migrated_sqlite_url, window_field, sort_fields, told, date_header):
    clock = DrawnClock(1)
    sort = {"sort_fields": sort_fields} if sort_fields else {"sort": "ignored"}
    kind = {"window_field": window_field, "date_header": date_header, **sort, **told}
    options = Options(seed=1, requests_per_minute=0, shape="eight", tasks=240, days=2.0, **kind)
    with Sandbox(options, clock=clock.seconds) as server:
        mirrored = Mirror(server, migrated_sqlite_url, clock=clock.now)
        server.configure(churn_every=2, churn_change=0, churn_add=1)
        outcome = mirrored.sync()
        assert outcome.requests < MOST
        problems = [event for event in outcome.log if event["event"].endswith("unverified")]
        assert outcome.exit_code == (3 if problems or mirrored.value("select missing from sync_runs") else 0)
        server.configure(churn_every=0)
        clock.wait()
        assert mirrored.sync().exit_code in {0, 3}
        clock.wait()
        assert (mirrored.sync().exit_code, mirrored.differences()) == (0, NONE)
