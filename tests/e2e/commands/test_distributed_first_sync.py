"""A large first sync under workers: they share its windows, and the sync that follows reads on where these end."""

from __future__ import annotations

import pytest

RUNS = "select command, state, exit_code from sync_runs order by id"
SHARED = [("backfill", "finished", 0), ("sync", "finished", 0)]


def assert_exact(company):
    company.assert_equal_to_servers()
    account = "server_total - stored_live, missing, rejected"
    assert company.rows(f"select {account} from sync_runs order by id desc limit 1") == [(0, 0, 0)]
    assert company.rows("select count(*) from watermarks") == [(1,)]
    assert company.rows("select count(*) from coverage_gaps") == [(0,)]
    assert company.rows("select count(*) from sync_windows where claimable_at is not null") == [(0,)]


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_two_workers_share_a_first_sync(company, serve, field):
    server = serve(1, 1, tasks=3200, window_field=field, shape="eight", latency_ms=30)
    company.add(server)
    company.schedule()
    workers = [company.start("--threads", "1"), company.start("--threads", "1")]
    company.until(RUNS, SHARED)
    assert_exact(company)
    read = [sum(each["event"] == "window.read" for each in company.stop(worker)) for worker in workers]
    assert min(read) > 0
    assert server.request_count < 3200 / 49 + 12 + 14 + 8  # pages, the probe, windows whose last page is not full


@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
def test_a_shared_first_sync_misses_no_change(company, serve, sort):
    server = serve(1, 1, tasks=3200, shape="eight", window_field="updatedAt", sort=sort, latency_ms=20)
    company.add(server)
    company.schedule()
    server.configure(churn_every=3, churn_change=5, churn_add=1)
    company.start()
    company.until("select count(*) > 500 from tasks", [(True,)])
    company.make_due()  # its sync is due again, and waits for the windows
    company.until(f"{RUNS} limit 1", SHARED[:1])
    server.configure(churn_every=0)
    company.until(RUNS, SHARED)
    company.make_due()
    company.until(RUNS, [*SHARED, ("sync", "finished", 0)])
    assert_exact(company)


def test_a_worker_killed_in_a_first_sync_loses_nothing(company, serve):
    server = serve(1, 1, tasks=3200, shape="eight", latency_ms=100)
    company.add(server)
    company.schedule()
    killed = company.start("--stall-after", "2s")
    company.until("select count(*) > 500 from tasks", [(True,)])
    company.kill(killed)
    server.configure(latency_ms=0)
    company.start("--stall-after", "2s")
    company.until(RUNS, SHARED)
    assert_exact(company)


@pytest.mark.parametrize("arguments", [["sync"], ["sync", "--full"]], ids=" ".join)
def test_a_sync_by_hand_takes_over_a_first_sync(company, serve, arguments):
    server = serve(1, 1, tasks=3200, shape="eight", latency_ms=100)
    company.add(server)
    company.schedule()
    worker = company.start()
    company.until("select count(*) > 500 from tasks", [(True,)])
    company.stop(worker)
    read = company.rows("select count(*) from tasks")[0][0]
    server.configure(latency_ms=0)
    before = server.request_count
    done = company.command(*arguments).wait()
    assert done.returncode == 0, done.stderr
    assert company.rows(RUNS) == [("backfill", "abandoned", None), ("sync", "finished", 0)]
    assert company.rows("select error from sync_runs where id = 1") == [("another run took over",)]
    assert_exact(company)
    assert 0 < read < 3200
    assert server.request_count - before < 3200 / 49 + 12


def test_a_failed_first_sync_is_read_on_by_a_sync(company, serve):
    server = serve(1, 1, tasks=3200, shape="eight", latency_ms=100)
    company.add(server)
    company.schedule()
    company.start()
    company.until("select count(*) > 500 from tasks", [(True,)])
    server.configure(scope="missing")
    company.until(RUNS, [("backfill", "failed", 4)])
    server.configure(scope="granted", latency_ms=0)
    company.make_due()
    company.until(RUNS, [("backfill", "failed", 4), ("sync", "finished", 0)])
    assert_exact(company)


@pytest.mark.parametrize("options", [{"tasks": 400}, {"tasks": 100, "totals": "missing"}, {"tasks": 0}])
def test_a_small_first_sync_is_not_shared(company, serve, options):
    servers = [serve(account, 1, shape="eight", **options) for account in (1, 2)]
    for server in servers:
        company.add(server)
    assert company.command("sync", "--source", "source-0").wait().returncode == 0
    assert company.command("schedule", "set", "source-1", "--every", "1h").wait().returncode == 0
    company.make_due()
    company.start()
    company.until(RUNS, [("sync", "finished", 0)] * 2)
    company.assert_equal_to_servers()
    assert servers[1].request_count == servers[0].request_count
