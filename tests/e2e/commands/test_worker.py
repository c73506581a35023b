"""``kore-etl worker`` as processes: several share the sources of a PostgreSQL database."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Collection
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
import yaml
from procrastinate import App, PsycopgConnector
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from etl.cli.commands.transfer import worker as command
from etl.cli.worker_accounts import AccountSyncs
from etl.errors import DatabaseError
from etl.extract.http.rate_limiter import RateLimiter
from etl.jobs.schedule_sources import due_accounts
from etl.load.database.engine import reading
from etl.load.ledger import schedules
from etl.load.ledger.request_budgets import StoredBudgets
from etl.settings import SourceSettings, load_settings
from etl.stop_request import Stop, Terminated
from etl.workers import account_queue
from etl.workers.account_queue import Tick, WorkerOptions, prepare, run_worker
from etl.workers.queue_schema import QueueState, make_queue, read_queue
from tests.conftest import CHECKOUT
from tests.e2e.commands.company import SECONDS

JOBS = "select status from kore_etl_workers.procrastinate_jobs where queue_name like 'account-%'"
FINISHED = "select count(*) from sync_runs where state = 'finished'"


def test_two_workers_sync_six_sources_of_three_accounts(company, serve):
    with company.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = connection.execute(text("select current_database()")).scalar_one()
        connection.execute(text(f"alter database {name} set default_transaction_isolation = 'serializable'"))
    for number in range(6):
        company.add(serve(number // 2, number % 2))
    company.schedule()
    first, second = company.start(), company.start("--metrics-file", "worker.prom")
    company.until(FINISHED, [(6,)])
    company.until(JOBS, [])
    company.assert_equal_to_servers()
    told = json.loads(company.command("status", "--output", "json").wait().stdout)["queue"]
    assert {each["pid"]: each["threads"] for each in told["workers"]} == {first.pid: 4, second.pid: 4}
    assert "at work  0 of 8 threads" in company.command("status").wait().stdout
    for server in company.servers.values():
        server.change(3)
    company.make_due()
    company.until(FINISHED, [(12,)])
    company.assert_equal_to_servers()
    logs = [company.stop(worker) for worker in (first, second)]
    assert "worker.queue_lost" not in {each["event"] for log in logs for each in log}
    ends = [[each["source"] for each in log if each["event"] == "run.finished"] for log in logs]
    assert sorted([*ends[0], *ends[1]]) == sorted([*company.servers] * 2)
    assert company.rows("select * from kore_etl_workers.workers") == []
    figures = (company.folder / "worker.prom").read_text()
    families = {each.name.removeprefix("kore_etl_"): each.samples for each in text_string_to_metric_families(figures)}
    (syncs,) = families["worker_syncs"]
    assert (syncs.labels["worker"].split(":")[1], syncs.value) == (str(second.pid), len(ends[1]))


def test_another_worker_goes_on_after_a_kill(company, serve):
    name = company.add(serve(1, 1, tasks=300, latency_ms=300))
    company.schedule()
    killed = company.start("--stall-after", "2s")
    company.until("select count(*) > 0 from tasks", [(True,)])
    company.kill(killed)
    company.start("--stall-after", "2s")
    company.until("select state from sync_runs order by id", [("abandoned",), ("finished",)])
    company.assert_equal_to_servers()
    company.until(JOBS, [])
    assert company.rows(f"select next_due_at > now() from sources where name = '{name}'") == [(True,)]


def test_a_worker_that_stood_still_stores_nothing_more(company, serve):
    company.add(serve(1, 1))
    company.schedule()
    with company.engine.connect() as blocking:
        blocking.execute(text("lock table sync_windows in share mode"))
        stopped = company.start("--stall-after", "2s")
        waiting = "select count(*) from pg_locks where relation = 'sync_windows'::regclass and not granted"
        company.until(waiting, [(1,)])
        stopped.send_signal(signal.SIGSTOP)  # in a transaction, which holds its rows and the run's
    company.start("--stall-after", "2s")
    company.until("select state from sync_runs order by id", [("abandoned",), ("finished",)])
    company.assert_equal_to_servers()
    stopped.send_signal(signal.SIGCONT)
    company.stop(stopped)
    assert company.rows("select state, inserted from sync_runs where id = 1") == [("abandoned", 0)]
    assert company.rows("select distinct run_id from tasks") == [(2,)]
    company.assert_equal_to_servers()


def test_a_signal_ends_a_sync_at_a_batch(company, serve):
    company.add(serve(1, 1, tasks=300, latency_ms=300))
    company.schedule()
    worker = company.start()
    company.until("select count(*) > 0 from tasks", [(True,)])
    company.stop(worker)
    assert company.rows("select state from sync_runs") == [("interrupted",)]
    assert company.rows("select next_due_at <= now() from sources") == [(True,)]
    assert company.rows(JOBS) == []
    ((stored,),) = company.rows("select count(*) from tasks")
    assert 0 < stored < 300


def test_a_wrong_secret_does_not_slow_the_others(company, serve):
    wrong = company.add(serve(1, 1), secret="x" * 40)
    for number in range(2, 5):
        company.add(serve(number, 1))
    company.schedule()
    worker = company.start("--threads", "1")
    company.until("select count(*) from sync_runs where finished_at is not null", [(4,)])
    assert company.rows("select count(*) from sync_runs where exit_code = 0") == [(3,)]
    assert company.rows(f"select next_due_at > now() from sources where name = '{wrong}'") == [(True,)]
    (end,) = (each for each in company.stop(worker) if each["event"] == "worker.stopped")
    assert (end["syncs"], end["failed_syncs"]) == (4, 1)


def test_a_full_budget_keeps_no_thread_from_others(company, serve):
    full = company.add(serve(1, 1))
    company.add(serve(2, 1))
    company.schedule()
    RateLimiter(50, store=StoredBudgets(company.engine).of("a-1")).pause(3000.0)
    worker = company.start("--threads", "1")
    company.until(FINISHED, [(1,)])
    company.stop(worker)
    assert company.rows("select account_id from sources join sync_runs on source_id = sources.id") == [("a-2",)]
    assert company.rows(f"select next_due_at <= now() from sources where name = '{full}'") == [(True,)]


def test_clocks_of_two_workers_may_be_hours_apart(company, serve):
    company.add(serve(1, 1))
    company.schedule()
    behind = company.start(SHIFTED_BY="-3600")
    company.until(FINISHED, [(1,)])
    ahead = company.start(SHIFTED_BY="3600")
    company.until("select count(*) from kore_etl_workers.workers", [(2,)])
    company.stop(behind)
    company.make_due()
    company.until(FINISHED, [(2,)])
    company.stop(ahead)
    next_due = "select next_due_at > now() and next_due_at <= now() + interval '1 hour' from sources"
    assert company.rows(next_due) == [(True,)]
    offsets = "select round(extract(epoch from started_at - now()) / 3600) from sync_runs order by id"
    assert company.rows(offsets) == [(-1,), (1,)]


def test_two_ticks_at_once_queue_an_account_once(company, serve):
    for number in range(4):
        company.add(serve(number // 2, number % 2))
    company.schedule()
    make_queue(company.engine, silent_after=1)
    loaded = load_settings(company.folder / "kore-etl.toml", {"KORE_ETL_DATABASE_URL": company.url}, {})
    with AccountSyncs(company.engine, loaded, (), Stop(), lease=timedelta(seconds=5)) as work:
        asyncio.run(tick_at_once(company.url, work, 4))
    assert company.rows(JOBS) == [("todo",), ("todo",)]


def test_a_job_that_waits_keeps_no_second_one_away(company, serve):
    """A tick that read the running jobs too early queues a job with the lock of a running one."""
    company.add(serve(1, 1))
    company.schedule()
    make_queue(company.engine, silent_after=1)
    loaded = load_settings(company.folder / "kore-etl.toml", {"KORE_ETL_DATABASE_URL": company.url}, {})
    with AccountSyncs(company.engine, loaded, (), Stop(), lease=timedelta(seconds=5)) as work:
        asyncio.run(tick_at_once(company.url, work, 1))
        with company.engine.begin() as connection:
            connection.execute(text("set local search_path to kore_etl_workers"))
            connection.execute(text("insert into procrastinate_workers default values"))
            running = (
                "update procrastinate_jobs set status = 'doing', worker_id = (select id from procrastinate_workers)"
            )
            connection.execute(text(running))
            same = "queue_name, task_name, lock, queueing_lock, args"
            connection.execute(text(f"insert into procrastinate_jobs ({same}) select {same} from procrastinate_jobs"))
        asyncio.run(tick_at_once(company.url, work, 2))
    held = "lock in (select lock from kore_etl_workers.procrastinate_jobs where status = 'doing')"
    found = f"select status, {held} from kore_etl_workers.procrastinate_jobs order by id"
    assert company.rows(found) == [("doing", True), ("todo", True), ("todo", False)]


def test_10000_sources_due_at_once_are_queued_in_order(company):
    with company.engine.begin() as connection:
        connection.execute(
            text("""
            insert into sources (name, base_url, host, account_id, stream_id, created_at,
                every, paused, next_due_at)
            select 'st-' || n, 'https://h', 'h', 'a-' || n % 100, 'st-' || n, now(),
                300, false, now() - n * interval '1 s'
            from generate_series(0, 9999) n
            """)
        )
    make_queue(company.engine, silent_after=1)
    asyncio.run(tick_at_once(company.url, DueAccounts(company.engine), 2))
    queued = company.rows("select args ->> 'account' from kore_etl_workers.procrastinate_jobs order by id")
    assert [account for (account,) in queued] == [f"a-{number}" for number in reversed(range(100))]


class DueAccounts:
    """What a worker knows of 10,000 sources of 100 accounts; their syncs are no matter here."""

    def __init__(self, engine: Engine) -> None:
        self.accounts = [f"a-{number}" for number in range(100)]
        self._engine = engine
        ids = {"base_url": "https://h", "client_id": "cs-1", "client_secret": "x"}
        self._sources = [
            SourceSettings(name=f"st-{number}", account_id=f"a-{number % 100}", stream_id=f"st-{number}", **ids)
            for number in range(10_000)
        ]

    def due(self, _stalled: Collection[str]) -> list[str]:
        return due_accounts(self._engine, self._sources, now=schedules.now(self._engine))

    def sync(self, account: str) -> None:
        raise AssertionError(account)

    def tell(self) -> None:
        return


async def tick_at_once(url: str, work: Any, times: int) -> None:
    connector = PsycopgConnector(conninfo=url.replace("+psycopg", ""), configure=prepare, min_size=times)
    app = App(connector=connector)
    second = timedelta(seconds=1)
    options = WorkerOptions(accounts=work.accounts, threads=1, tick=second, stall_after=second)
    tick = Tick(app, app.task(name="sync")(work.sync), options, work)
    async with app.open_async():
        await asyncio.gather(*(tick.run(0) for _ in range(times)))


def test_no_interrupt_is_left_of_a_queue_that_ended(company):
    """Else the next SIGTERM calls it, and nothing behind it."""
    stop = Stop()
    stop.set()
    second = timedelta(seconds=1)
    options = WorkerOptions(accounts=["a-1"], threads=1, tick=second, stall_after=second)
    asyncio.run(account_queue._work("", options, None, stop))
    assert stop.interrupts == []


class LongWork(DueAccounts):
    """A job that ends when a test says so."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.began, self.end = Event(), Event()

    def due(self, _stalled: Collection[str]) -> list[str]:
        return [] if self.began.is_set() else ["a-1"]

    def sync(self, account: str) -> None:
        assert account == "a-1"
        self.began.set()
        self.end.wait(SECONDS)


def test_a_job_at_work_lives_on_after_its_queue_is_lost(company):
    make_queue(company.engine, silent_after=1)
    work, stop, second = LongWork(company.engine), Stop(), timedelta(seconds=1)
    options = WorkerOptions(accounts=work.accounts, threads=1, tick=second, stall_after=second)
    worker = Thread(target=run_worker, args=(company.engine, options, work, stop))
    worker.start()
    assert work.began.wait(SECONDS)
    with company.engine.begin() as connection:
        connection.execute(text("alter table kore_etl_workers.procrastinate_jobs rename to elsewhere"))
        ((lost_at,),) = connection.execute(text("select now()"))
    alive = "select count(*) from kore_etl_workers.workers join kore_etl_workers.procrastinate_workers using (id)"
    company.until(f"{alive} where last_heartbeat > timestamptz '{lost_at}' + interval '5 s'", [(1,)])
    with company.engine.begin() as connection:
        connection.execute(text("alter table kore_etl_workers.elsewhere rename to procrastinate_jobs"))
    stop.request(Terminated)
    work.end.set()
    worker.join(SECONDS)
    assert not worker.is_alive()


def test_the_queue_is_made_anew_for_another_version(company, serve):
    company.add(serve(1, 1))
    make_queue(company.engine, silent_after=1)
    with company.engine.begin() as connection:
        connection.execute(text("comment on schema kore_etl_workers is 'another'"))
        connection.execute(text("set local search_path to kore_etl_workers"))
        connection.execute(text("insert into procrastinate_workers default values"))
        connection.execute(text("insert into workers select id, 'here', 1, 1, 1, 'it', 30 from procrastinate_workers"))
    with pytest.raises(DatabaseError, match="workers of another version are at work"):
        make_queue(company.engine, silent_after=60)
    make_queue(company.engine, silent_after=0)
    with company.engine.connect() as connection:
        assert read_queue(connection) == QueueState([], 0, 0)
    done = company.command("db", "check").wait()
    assert done.returncode == 0, done.stderr


def test_what_a_worker_cannot_do_is_refused(company, serve, sqlite_url, run_cli):
    company.add(serve(1, 1))
    refused = {
        ("--tick", "1m"): "--tick is 1 to 30 whole seconds",
        ("--accounts", "b-*"): "no account fits; the settings have a-1",
        ("--database-url", sqlite_url): "this one is SQLite, where cron runs kore-etl sync --due",
    }
    for arguments, said in refused.items():
        done = company.command("worker", *arguments).wait()
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr


def test_the_compose_file_runs_workers_that_exist():
    services = yaml.safe_load((CHECKOUT / "config/compose/kore-etl-workers.yml").read_text())["services"]
    words, (kind, check) = services["worker"]["command"], services["worker"]["healthcheck"]["test"]
    assert command.worker.make_context("worker", words[1:]).params["threads"] == 4
    assert (services["worker"]["deploy"]["replicas"], kind) == (2, "CMD-SHELL")
    assert words[-1] in check


def test_a_worker_that_is_silent_too_long_is_not_counted(company, serve):
    company.add(serve(1, 1))
    make_queue(company.engine, silent_after=1)
    register = "insert into workers select id, 'here', id, 1, 1, 'it', 30 from procrastinate_workers"
    with company.engine.begin() as connection:
        connection.execute(text("set local search_path to kore_etl_workers"))
        beats = "(now()), (now() - interval '31 seconds')"
        connection.execute(text(f"insert into procrastinate_workers (last_heartbeat) values {beats}"))
        connection.execute(text(register))
    with reading(company.engine) as connection:
        queue = read_queue(connection)
    assert [each.is_alive for each in queue.workers] == [True, False]
    assert "1 worker will read them" in company.command("backfill", "--distribute").wait().stdout
