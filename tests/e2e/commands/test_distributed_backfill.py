"""``kore-etl backfill --distribute``: workers share the windows of one backfill, each read by one of them at a time."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from etl.jobs.run.options import ADDED_UP

BACKFILLS = "select state, exit_code from sync_runs where command = 'backfill' order by id"
STATES = "select state from sync_windows order by id"
OPEN = "select count(*) from sync_windows where claimable_at is not null"
FINISHED = [("finished", 0)]


def distribute(company: Any, *arguments: str) -> str:
    done = company.command("backfill", "--distribute", *arguments).wait()
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def read_windows(log: list[dict[str, Any]]) -> Counter[int]:
    return Counter(each["window"] for each in log if each["event"] == "window.read")


def until(condition: Any) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def locked(company: Any, table: str) -> Iterator[None]:
    """Let nobody write a table."""
    with company.engine.connect() as connection:
        connection.execute(text(f"lock table {table} in share mode"))
        yield


def waits_for(table: str) -> str:
    return f"select count(*) > 0 from pg_locks where relation = '{table}'::regclass and not granted"


def assert_exact(company: Any) -> None:
    """The backfill has ended well, all is stored, each task counted once, and nothing waits."""
    company.until(BACKFILLS, FINISHED)
    company.assert_equal_to_servers()
    assert company.rows("select distinct run_id from tasks") == [(1,)]
    account = "inserted - (select count(*) from tasks), server_total - stored_live, missing, rejected"
    assert company.rows(f"select {account} from sync_runs") == [(0, 0, 0, 0)]
    assert company.rows(OPEN) == [(0,)]
    done = company.command("db", "check", "--deep").wait()
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_two_workers_share_one_backfill(company, serve, field):
    server = serve(1, 1, tasks=3000, window_field=field, latency_ms=50, shape="eight")
    company.add(server)
    said = distribute(company)
    assert "windows to read; no worker is at work; run: kore-etl worker" in said
    assert company.rows(BACKFILLS) == [("distributed", None)]
    with locked(company, "request_budgets"):
        workers = [company.start("--threads", "1"), company.start("--threads", "1")]
        company.until("select count(*) from sync_windows where state = 'running'", [(2,)])
    assert_exact(company)
    first, second = (read_windows(company.stop(worker)) for worker in workers)
    assert min(len(first), len(second)) > 1
    assert max((first + second).values()) == 1
    assert company.rows("select requests from sync_runs") == [(server.request_count,)]
    assert server.request_count < 3000 / 49 + 12 + 12 + 6  # pages, the probe, windows whose last page is not full


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_workers_are_exact_while_tasks_change(company, serve, field):
    server = serve(1, 1, tasks=2000, window_field=field, shape="eight", latency_ms=20)
    company.add(server)
    assert company.command("sync").wait().returncode == 0
    server.configure(churn_every=3, churn_change=5, churn_add=1)
    distribute(company)
    for _ in range(2):
        company.start()
    company.until(BACKFILLS, FINISHED)
    server.configure(churn_every=0)
    assert company.command("sync").wait().returncode == 0
    company.assert_equal_to_servers()


def test_a_worker_killed_after_its_claim_loses_nothing(company, serve):
    company.add(serve(1, 1, tasks=600, shape="eight"))
    distribute(company)
    with locked(company, "request_budgets"):
        killed = company.start("--stall-after", "2s")
        company.until(f"{STATES} limit 1", [("running",)])
        company.until(waits_for("request_budgets"), [(True,)])
        company.kill(killed)
    company.start("--stall-after", "2s")
    assert_exact(company)
    assert company.rows(
        "select attempts from sync_windows where start_at = (select min(start_at) from sync_windows)"
    ) == [(2,)]


def test_a_worker_killed_while_it_fetches_loses_nothing(company, serve):
    server = serve(1, 1, tasks=1500, shape="eight")
    company.add(server)
    distribute(company)
    server.configure(latency_ms=300)
    killed = company.start("--stall-after", "2s", "--threads", "2")
    company.until("select count(*) > 100 from tasks", [(True,)])
    company.kill(killed)
    server.configure(latency_ms=0)
    company.start("--stall-after", "2s")
    assert_exact(company)
    assert company.rows("select max(attempts) from sync_windows") == [(2,)]


def test_a_worker_killed_while_it_stores_loses_nothing(company, serve):
    company.add(serve(1, 1, tasks=600, shape="eight"))
    distribute(company)
    with locked(company, "tasks"):
        killed = company.start("--stall-after", "2s")
        company.until(waits_for("tasks"), [(True,)])
        company.kill(killed)
    company.start("--stall-after", "2s")
    assert_exact(company)


def test_a_worker_killed_at_the_end_leaves_the_end_to_another(company, serve):
    server = serve(1, 1, tasks=600, shape="eight")
    company.add(server)
    distribute(company)
    server.configure(latency_ms=500)  # the end takes a request or more
    killed = company.start("--stall-after", "2s")
    company.until("select count(*) from sync_windows where state = 'running' and start_at = end_at", [(1,)])
    company.kill(killed)
    server.configure(latency_ms=0)
    company.start("--stall-after", "2s")
    assert_exact(company)


def stopped_with_an_answer(company: Any, server: Any, stall_after: str) -> Any:
    """Return a worker that stands still while the answer to its first request of a window waits for it."""
    server.configure(latency_ms=4000)
    before = server.request_count
    worker = company.start("--stall-after", stall_after)
    company.until("""select usage like '%"held":{"%' from request_budgets""", [(True,)])
    time.sleep(1)  # the request is on its way
    worker.send_signal(signal.SIGSTOP)
    until(lambda: server.request_count > before)
    server.configure(latency_ms=0)
    return worker


def test_a_worker_that_stood_still_stores_nothing_late(company, serve):
    server = serve(1, 1, tasks=20, shape="eight", window_field="createdAt")
    company.add(server)
    distribute(company)
    old = server.tasks()[3]
    server.change(update=20)
    stopped = stopped_with_an_answer(company, server, "2s")
    server.put([old])  # the answer has a newer version, which would win
    other = company.start("--stall-after", "2s")
    assert_exact(company)
    stopped.send_signal(signal.SIGCONT)
    log = company.stop(stopped)
    events = [each["event"] for each in log if each["event"].startswith("window.")]
    # Another of its threads may fail to claim a window, because its session was ended.
    assert [event for event in events if event != "window.failed"] == ["window.lost"]
    assert_exact(company)
    assert sum(read_windows(company.stop(other)).values()) == 1


def test_an_answer_from_before_a_reconcile_is_not_stored(company, serve):
    server = serve(1, 1, tasks=20, shape="eight", window_field="createdAt")
    company.add(server)
    assert company.command("sync").wait().returncode == 0
    distribute(company)
    stopped = stopped_with_an_answer(company, server, "30s")
    server.change(update=0, delete=1)
    left = {task["_id"] for task in server.tasks()}
    assert company.command("reconcile").wait().returncode == 0
    live = "select _id from tasks where deleted_at is null"
    assert {key for (key,) in company.rows(live)} == left
    stopped.send_signal(signal.SIGCONT)
    company.until(BACKFILLS, FINISHED)
    assert {key for (key,) in company.rows(live)} == left
    company.stop(stopped)


def test_a_worker_stopped_while_it_stores_is_replaced(company, serve):
    company.add(serve(1, 1, tasks=600, shape="eight"))
    distribute(company)
    with locked(company, "tasks"):
        stopped = company.start("--stall-after", "2s")
        company.until(waits_for("tasks"), [(True,)])
        stopped.send_signal(signal.SIGSTOP)
    company.start("--stall-after", "2s")
    assert_exact(company)
    stopped.send_signal(signal.SIGCONT)
    company.stop(stopped)
    assert_exact(company)


def test_a_signal_hands_the_windows_back(company, serve):
    server = serve(1, 1, tasks=1500, shape="eight", latency_ms=300)
    company.add(server)
    distribute(company)
    worker = company.start()
    company.until("select count(*) > 100 from tasks", [(True,)])
    company.stop(worker)
    assert company.rows("select count(*) from sync_windows where state = 'running'") == [(0,)]
    assert company.rows("select count(*) > 0 from sync_windows where state = 'pending'") == [(True,)]
    server.configure(latency_ms=0)
    company.start()
    assert_exact(company)


def test_due_syncs_of_the_account_go_before_windows(company, serve):
    company.add(serve(1, 1, tasks=3000, shape="eight", latency_ms=150))
    company.add(serve(1, 2))
    distribute(company, "--source", "source-0")
    company.start("--threads", "1")
    company.until("select count(*) > 100 from tasks", [(True,)])
    assert company.command("schedule", "set", "source-1", "--every", "1h").wait().returncode == 0
    company.make_due()
    company.until("select state from sync_runs where command = 'sync'", [("finished",)])
    assert company.rows(BACKFILLS) == [("distributed", None)]
    company.servers["source-0"].configure(latency_ms=0)
    company.until(BACKFILLS, FINISHED)
    company.assert_equal_to_servers()


def test_the_end_is_reached_although_syncs_break_it_off(company, serve):
    """The end reads what came since the plan, and takes longer than the interval of the syncs."""
    server = serve(1, 1, tasks=200, shape="eight", latency_ms=200)
    name = company.add(server)
    assert company.command("sync").wait().returncode == 0
    assert company.command("schedule", "set", name, "--every", "2s").wait().returncode == 0
    distribute(company)
    windows = "select count(*) from sync_windows where run_id = 2"
    ((planned,),) = company.rows(windows)
    server.change(insert=700)
    company.start()
    company.until(BACKFILLS, FINISHED, seconds=60)
    assert company.rows(windows)[0][0] > planned  # the last one is dropped, and each attempt adds one
    assert company.rows(OPEN) == [(0,)]
    company.assert_equal_to_servers()


def test_a_sync_of_the_same_source_goes_first(company, serve):
    server = serve(1, 1, tasks=3000, shape="eight", window_field="updatedAt")
    company.add(server)
    assert company.command("sync").wait().returncode == 0
    distribute(company)
    server.configure(latency_ms=150)
    workers = [company.start(), company.start()]
    company.until("select fetched > 50 from sync_runs where command = 'backfill'", [(True,)])
    server.change(update=20)
    done = company.command("sync").wait()
    assert done.returncode == 0, done.stderr
    company.assert_equal_to_servers()
    assert company.rows(BACKFILLS) == [("distributed", None)]
    server.configure(latency_ms=0)
    company.until(BACKFILLS, FINISHED)
    company.assert_equal_to_servers()
    for worker in workers:
        company.stop(worker)


def test_a_refused_token_ends_the_run_until_the_next(company, serve):
    server = serve(1, 1, tasks=1500, shape="eight", latency_ms=100)
    company.add(server)
    distribute(company)
    worker = company.start()
    company.until("select count(*) > 100 from tasks", [(True,)])
    server.configure(scope="missing")
    company.until(BACKFILLS, [("failed", 4)])
    assert company.rows(OPEN) == [(0,)]
    server.configure(scope="granted", latency_ms=0)
    read = company.rows("select count(*) from tasks")[0][0]
    distribute(company)
    company.until(BACKFILLS, [("failed", 4), ("finished", 0)])
    company.stop(worker)
    company.assert_equal_to_servers()
    assert company.rows("select sum(fetched) < 1700, sum(inserted) from sync_runs") == [(True, 1500)]
    assert read < 1500


def test_a_failed_run_is_reported_by_a_notice(company, serve):
    server = serve(1, 1, tasks=600, shape="eight")
    company.add(server)
    distribute(company)
    server.configure(scope="missing")
    notice, action = company.folder / "notice.json", company.folder / "notify"
    action.write_text(f"#!/bin/sh\ncat > {notice}.part && mv {notice}.part {notice}\n")
    action.chmod(0o755)
    company.start(KORE_ETL_ON_FAILURE=str(action))
    until(notice.exists)
    sent = json.loads(notice.read_text())
    assert (sent["command"], sent["run"], sent["exit_code"]) == ("backfill", 1, 4)
    assert set(sent["counts"]) == set(ADDED_UP)


def test_windows_are_planned_again_for_another_field(company, serve):
    server = serve(1, 1, tasks=1500, shape="eight", window_field="updatedAt")
    company.add(server)
    distribute(company)
    server.configure(window_field="createdAt")
    company.start()
    assert_exact(company)
    by_creation = "select field from sync_windows where field = 'createdAt' and state = 'verified' limit 1"
    assert company.rows(by_creation) == [("createdAt",)]


@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
def test_a_window_refused_as_too_long_is_read_in_parts(company, serve, sort):
    server = serve(1, 1, tasks=600, shape="eight", sort=sort)
    company.add(server)
    distribute(company)
    server.configure(max_range_days=20)
    company.start()
    assert_exact(company)


@pytest.mark.slow
def test_no_request_is_refused_as_too_many(company, serve):
    """Two workers, one of which is killed, share a budget that the backfill uses up."""
    server = serve(1, 1, tasks=1800, shape="eight", requests_per_minute=30)
    company.add(server, requests_per_minute=30)
    distribute(company)
    workers = [company.start("--threads", "1"), company.start("--threads", "1")]
    company.until("select count(*) > 500 from tasks", [(True,)])
    company.kill(workers[0])
    company.until(BACKFILLS, FINISHED, seconds=200)
    assert_exact(company)
    assert server.request_count > 36
    assert company.rows("select rate_limited from sync_runs") == [(0,)]
    assert [each["status"] for each in server.requests if each["status"] != 200] == []


def test_a_backfill_takes_over_from_the_workers(company, serve):
    company.add(serve(1, 1, tasks=600, shape="eight"))
    distribute(company)
    done = company.command("backfill").wait()
    assert done.returncode == 0, done.stderr
    assert company.rows(BACKFILLS) == [("abandoned", None), ("finished", 0)]
    assert company.rows("select error from sync_runs where id = 1") == [("another run took over",)]
    assert company.rows(OPEN) == [(0,)]
    company.assert_equal_to_servers()


def test_status_and_runs_show_how_far_it_is(company, serve):
    company.add(serve(1, 1, tasks=1500, shape="eight"))
    distribute(company)
    with company.engine.begin() as connection:
        connection.execute(text("update sync_windows set state = 'verified' where id = 1"))
        connection.execute(text("update sync_windows set state = 'running' where id = 2"))
    (waiting,) = company.rows("select count(*) from sync_windows where state = 'pending' and start_at < end_at")[0]
    assert (
        f"backfill        run 1: {waiting} windows wait, 1 claimed, 1 read" in company.command("status").wait().stdout
    )
    told = json.loads(company.command("status", "--output", "json").wait().stdout)["sources"][0]["distributed"]
    assert told == {"run_id": 1, "waiting": waiting, "claimed": 1, "read": 1}
    assert "distributed" in company.command("runs").wait().stdout
    shown = json.loads(company.command("runs", "show", "1", "--output", "json").wait().stdout)
    assert Counter(each["state"] for each in shown["read"]) == {"pending": waiting + 1, "running": 1, "verified": 1}


@pytest.mark.parametrize("refused", [["--plan"], ["--workers", "2"], ["--database-url", "sqlite:///x.db"]])
def test_what_cannot_be_distributed_is_refused(company, serve, refused):
    company.add(serve(1, 1))
    done = company.command("backfill", "--distribute", *refused).wait()
    assert done.returncode == 2
    assert "distribute" in done.stderr
