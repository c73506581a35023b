"""Shares the accounts that are due among workers: a queue of Procrastinate, with one job for an account.

The queue only wakes workers up. What is due stands in the ledger, and a job works through what is due of its account.
So a lost job loses nothing: the next tick makes another one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from hashlib import blake2b
from typing import Any, Protocol

from msgspec import Struct
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status
from procrastinate.worker import Worker
from psycopg.conninfo import make_conninfo
from psycopg_pool import PoolTimeout
from sqlalchemy import Engine

from etl.errors import DatabaseError
from etl.logs import get_logger
from etl.stop_request import Stop
from etl.workers.queue_schema import ACCOUNT_QUEUE, SCHEMA

log = get_logger()

_JOBS_OF_AN_ACCOUNT = 2  # at once
_TRIES = 30  # to connect again, one a second
_AT_ONCE = 1.0  # seconds: a queue that is lost so soon will be lost again
_FORGOTTEN = 10  # times the stall time: then a dead worker leaves the list
_PREPARE = """
select set_config('search_path', %s, false) union all
select set_config(name, '0', false) from pg_settings
 where name in ('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
                'transaction_timeout', 'lock_timeout') union all
select set_config('default_transaction_isolation', 'read committed', false)
"""
_REGISTER = """
insert into workers (id, host, pid, threads, accounts, session_name, stall_after)
values (%(id)s, %(host)s, %(pid)s, %(threads)s, %(accounts)s, current_setting('application_name'), %(stall_after)s)
"""
# A worker that stands still keeps its locks and transactions. They end with its sessions; each takes 5 seconds at most.
# A worker that continues opens new sessions, which are left alone.
_END_SESSIONS = """
select pg_terminate_backend(session.pid, 5000)
  from workers join procrastinate_workers using (id)
  join pg_stat_activity as session on session.application_name = workers.session_name
 where last_heartbeat < now() - make_interval(secs => %(silent)s)
   and backend_start < last_heartbeat + make_interval(secs => %(silent)s)
   and session_name <> current_setting('application_name')
"""


class WorkerOptions(Struct, frozen=True, kw_only=True):
    """How a worker works, and the accounts that it works for."""

    accounts: Collection[str]
    threads: int
    tick: timedelta
    stall_after: timedelta


class AccountWork(Protocol):
    """What is due, and its syncs; both are called in threads."""

    def due(self, stalled: Collection[str]) -> list[str]:
        """Return the accounts with due sources, the latest first. Runs of the ``stalled`` accounts may have died."""

    def sync(self, account: str) -> None:
        """Sync the sources of an account that are due; return soon after a stop was requested."""

    def tell(self) -> None:
        """Tell that this worker is alive."""


def run_worker(engine: Engine, options: WorkerOptions, work: AccountWork, stop: Stop) -> None:
    """Work until a stop is requested and the jobs at work have ended.

    Raises:
        DatabaseError: the connection to the queue is lost.
    """
    while not stop.is_set():
        address, began, reason = _address(engine, stop), time.monotonic(), "the log says more"
        try:
            asyncio.run(_work(address, options, work, stop))
        except (ConnectorException, PoolTimeout) as error:
            reason = f"{error.__cause__ or error}"
        if not stop.is_set():
            if time.monotonic() - began < _AT_ONCE:
                raise DatabaseError(f"the worker lost its queue: {reason}")
            log.warning("worker.queue_lost", reason=reason.partition("\n")[0])


def _address(engine: Engine, stop: Stop) -> str:
    """Return how to connect; wait for a server that restarts."""
    tries = _TRIES
    while True:
        try:
            with engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                return make_conninfo(driver.info.dsn, password=driver.info.password)
        except DatabaseError:
            tries -= 1
            if not tries:
                raise
            stop.wait(1)


class _Connector(PsycopgConnector):  # type: ignore[misc]  # an extra, whose types are not read
    """The library's, whose pool waits for a server that restarts; this one also listens again."""

    async def listen_notify(self, on_notification: Any, channels: Iterable[str]) -> None:
        channels = [*channels]
        while True:
            with suppress(ConnectorException):
                await super().listen_notify(on_notification, channels)
            await asyncio.sleep(1)


async def _work(address: str, options: WorkerOptions, work: AccountWork, stop: Stop) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.set_default_executor(ThreadPoolExecutor(options.threads + 2))  # for the tick and the sign of life, too
    loop.set_exception_handler(_tell_of_lost_job)
    interrupt = partial(loop.call_soon_threadsafe, stopped.set)
    stop.interrupts.append(interrupt)
    try:
        if not stop.is_set():
            await _share_work(address, options, work, stopped)
    finally:
        stop.interrupts.remove(interrupt)


async def _share_work(address: str, options: WorkerOptions, work: AccountWork, stopped: asyncio.Event) -> None:
    connector = _Connector(conninfo=address, configure=prepare, min_size=1, max_size=6)
    accounts, ticks = App(connector=connector), App(connector=connector)
    sync = accounts.task(name="sync")(work.sync)
    queue = f"tick-{_hash(' '.join(sorted(options.accounts)))}"
    tick = ticks.task(name="tick", queue=queue, queueing_lock=queue)(Tick(accounts, sync, options, work).run)
    seconds = int(options.tick.total_seconds())
    ticks.periodic(cron=f"* * * * * */{seconds}", periodic_id=queue)(tick)
    stall = options.stall_after.total_seconds()
    usual: dict[str, Any] = {
        "delete_jobs": "always",
        "install_signal_handlers": False,
        "update_heartbeat_interval": stall / 3,
        "stalled_worker_timeout": _FORGOTTEN * stall,
    }
    async with accounts.open_async():
        queues = [_queue_of(account) for account in options.accounts]
        # Ticks have a worker of their own, so that they never wait for a sync.
        of_accounts = Worker(accounts, queues=queues, concurrency=options.threads, **usual)
        of_ticks = Worker(ticks, queues=[queue], **usual)
        runs = [asyncio.create_task(each.run()) for each in (of_accounts, of_ticks)]
        signs = asyncio.create_task(_give_signs_of_life(of_accounts, connector, options, work))
        ends = [*runs, signs, asyncio.create_task(stopped.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for each in (of_accounts, of_ticks):
            each.stop()
        await _drain(of_accounts, runs, options)
        for each in ends[2:]:
            each.cancel()
        await asyncio.gather(*runs)


async def _drain(worker: Any, runs: Collection[asyncio.Task[None]], options: WorkerOptions) -> None:
    """Wait for the jobs at work, and give their signs of life, which the library no longer does."""
    every = options.stall_after.total_seconds() / 3
    while (await asyncio.wait(runs, timeout=every))[1]:
        with suppress(ConnectorException, PoolTimeout):
            await worker.app.job_manager.update_heartbeat(worker.worker_id)


def _tell_of_lost_job(_loop: object, context: dict[str, Any]) -> None:
    """Log that a job could not be closed: this worker stood still, and another one has given the job up."""
    error = context.get("exception")
    reason = f"{getattr(error, '__cause__', None) or error or context['message']}"
    log.warning("worker.job_lost", reason=reason.partition("\n")[0])


async def prepare(connection: Any) -> None:
    """Let a new session find the queue's tables, and never time out."""
    await connection.execute(_PREPARE, [SCHEMA])
    await connection.commit()


async def _give_signs_of_life(worker: Any, connector: Any, options: WorkerOptions, work: AccountWork) -> None:
    while worker.worker_id is None:  # noqa: ASYNC110 the library has no event for it
        await asyncio.sleep(0.02)
    stall = options.stall_after.total_seconds()
    own = {
        "id": worker.worker_id,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "threads": options.threads,
        "accounts": len(options.accounts),
        "stall_after": stall,
    }
    await connector.execute_query_async(_REGISTER, **own)
    while True:
        await _end_silent_sessions(connector, stall)
        await asyncio.to_thread(work.tell)
        await asyncio.sleep(stall / 3)


async def _end_silent_sessions(connector: Any, stall: float) -> None:
    """End the sessions of workers that stand still; ticks may wait for them, so this does not wait for a tick."""
    ended = await connector.execute_query_all_async(_END_SESSIONS, silent=stall)
    if ended:
        log.warning("worker.sessions_ended", sessions=len(ended))


class Tick:
    """Puts the accounts that are due into the queue, in the order of their lateness."""

    def __init__(self, app: Any, sync: Any, options: WorkerOptions, work: AccountWork) -> None:
        self._connector = app.connector
        self._jobs = app.job_manager
        self._sync = sync
        self._options = options
        self._work = work

    async def run(self, timestamp: int) -> None:  # noqa: ARG002 Procrastinate passes it
        """Give up the jobs of dead workers, and put what is due into the queue."""
        stall = self._options.stall_after.total_seconds()
        await _end_silent_sessions(self._connector, stall)  # and with them the locks of these jobs
        stalled = [
            job
            for job in await self._jobs.get_stalled_jobs(seconds_since_heartbeat=stall)
            if job.task_kwargs.get("account") in {None, *self._options.accounts}
        ]
        lost = {job.task_kwargs["account"] for job in stalled if "account" in job.task_kwargs}
        due = await asyncio.to_thread(self._work.due, lost)
        for job in stalled:
            await self._give_up(job)
        await self._jobs.prune_stalled_workers(_FORGOTTEN * stall)
        running = {job.lock for job in await self._jobs.list_jobs_async(status="doing")}
        for account in due:
            await self._put(account, running)

    async def _give_up(self, job: Any) -> None:
        try:
            await self._jobs.finish_job(job, Status.FAILED, delete_job=True)
        except ConnectorException:  # another tick has just done it
            return
        log.warning("worker.stalled", job=job.task_name, account=job.task_kwargs.get("account"))

    async def _put(self, account: str, running: Collection[str]) -> None:
        locks = (f"{account} {number}" for number in range(_JOBS_OF_AN_ACCOUNT))
        lock = next((each for each in locks if each not in running), None)
        if lock is None:
            return
        # Another tick may have queued a job that waits for a running one. It keeps no job with another lock away.
        job = self._sync.configure(queue=_queue_of(account), lock=lock, queueing_lock=lock)
        try:
            await job.defer_async(account=account)
        except AlreadyEnqueued:
            log.debug("worker.already_queued", account=account)


def _queue_of(account: str) -> str:
    return f"{ACCOUNT_QUEUE}{_hash(account)}"


def _hash(text: str) -> str:
    """Return a short name: PostgreSQL's channels allow 63 bytes."""
    return blake2b(text.encode(), digest_size=8).hexdigest()
