"""The work of a worker: the syncs of an account that are due, then windows of its distributed backfills."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Self

from sqlalchemy import Engine

from etl import logs
from etl.cli.client_factory import Builder
from etl.cli.notify.run_outcomes import Notifier
from etl.cli.run_job_on_sources import Work, work_on_source
from etl.cli.worker_windows import WindowWork
from etl.errors import ConfigError, ExitCode
from etl.jobs.distributed_backfill import FIRST
from etl.jobs.schedule_sources import due_accounts, due_sources, make_broken_off_due
from etl.jobs.sync import sync
from etl.load.database.engine import reading
from etl.load.ledger import claims, schedules
from etl.settings import Loaded, SourceSettings
from etl.stop_request import Stop, Terminated

log = logs.get_logger()


class AccountSyncs(AbstractContextManager["AccountSyncs"]):
    """Syncs the configured accounts whose id fits a glob; the threads of a worker share it."""

    def __init__(
        self, engine: Engine, loaded: Loaded, globs: Collection[str], stop: Stop, *, lease: timedelta
    ) -> None:  # fmt: skip
        settings = loaded.settings
        self._sources: dict[str, list[SourceSettings]] = {}
        for source in settings.sources:
            if not globs or any(fnmatchcase(source.account_id, glob) for glob in globs):
                self._sources.setdefault(source.account_id, []).append(source)
        if not self._sources:
            known = ", ".join(sorted({source.account_id for source in settings.sources}))
            raise ConfigError(f"--accounts {' '.join(globs)}: no account fits; the settings have {known}")
        self._engine = engine
        self._now = partial(schedules.now, engine)
        self._stop = stop
        self._work = Work("sync", partial(sync, is_shared=True))
        self._notifier = Notifier(settings, "sync", {stream for _, _, stream in loaded.names})
        self._builder = Builder(settings, engine, stop)
        for several in self._sources.values():  # now, because threads would make two budgets for one account
            self._builder.budget(several[0])
        self._windows = WindowWork(engine, settings, self._builder, lease)
        self._counting = Lock()
        self._counts = {"running": 0, "syncs": 0, "failed_syncs": 0}

    def __enter__(self) -> Self:
        log.info("worker.started", accounts=len(self._sources), sources=len(self._every))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._builder.close()
        self.tell()
        log.info("worker.stopped", **self._counts)

    @property
    def accounts(self) -> Collection[str]:
        """The accounts that this worker works for."""
        return self._sources.keys()

    @property
    def _every(self) -> list[SourceSettings]:
        return [source for several in self._sources.values() for source in several]

    def due(self, stalled: Collection[str]) -> list[str]:
        """Return the accounts with due sources, the latest first. Runs of the ``stalled`` accounts may have died."""
        if stalled:
            make_broken_off_due(self._engine, stalled, now=self._now())
        due = due_accounts(self._engine, self._every, now=self._now())
        return list(dict.fromkeys([*due, *self._windows.claimable_accounts(self._every)]))

    def sync(self, account: str) -> None:
        """Sync the sources of an account that are due, and read windows of its distributed backfills.

        It ends when a stop is requested or the budget is full. What is left stays due, so that a full budget keeps no
        thread from other accounts. Syncs go first: a window goes back as soon as one is due.
        """
        self._sync_due(account)
        for source in self._sources[account]:
            while not self._stop.is_set() and self._windows.read_one(source):
                self._sync_due(account)

    def _sync_due(self, account: str) -> None:
        budget = self._builder.budget(self._sources[account][0])
        sources = due_sources(self._engine, self._sources[account], clock=self._now, account=account)
        while not self._stop.is_set() and not budget.wait():
            source = next(sources, None)
            if source is None:
                return
            self._count("running")
            try:
                with logs.bound(source=source.name):
                    self._sync(source)
            finally:
                self._count("running", -1)

    def tell(self) -> None:
        """Renew the leases of the windows at work, and write this worker's figures into the metrics file."""
        self._windows.renew_leases()
        self._notifier.tell_of_worker(self._counts)

    def _sync(self, source: SourceSettings) -> None:
        with reading(self._engine) as connection:
            if claims.is_distributed(connection, source.identity, FIRST):
                return  # the source is due as soon as its windows are read
        code: int = ExitCode.BUG
        try:
            code = work_on_source(
                self._engine, self._builder, source, self._work, self._notifier, alone=False
            )["exit_code"]  # fmt: skip
        except Exception:
            log.exception("worker.failed")
        except (KeyboardInterrupt, Terminated):  # what was read is stored, and another worker goes on
            now = self._now()
            with self._engine.begin() as connection:
                schedules.make_due(connection, source.identity, now)
            return
        self._count("syncs")
        if code not in (ExitCode.DONE, ExitCode.INCOMPLETE, ExitCode.LOCKED):
            self._count("failed_syncs")

    def _count(self, name: str, more: int = 1) -> None:
        with self._counting:
            self._counts[name] += more
