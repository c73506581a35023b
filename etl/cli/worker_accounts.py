"""The work of a worker: the syncs of an account that are due, then windows of its distributed backfills."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Self

from msgspec.structs import replace
from sqlalchemy import Engine

from etl import logs
from etl.cli.client_factory import Builder
from etl.cli.notify.run_outcomes import Notifier, Outcome
from etl.cli.run_job_on_sources import Work, work_on_source
from etl.errors import ConfigError, DatabaseError, EtlError, ExitCode
from etl.jobs.distributed_backfill import FIRST, Ending, claim_window, work_on_claim
from etl.jobs.run.lifecycle import join_run
from etl.jobs.schedule_sources import due_accounts, due_sources, make_broken_off_due
from etl.jobs.sync import sync
from etl.load.database.engine import reading
from etl.load.ledger import claims, schedules
from etl.load.ledger.claims import Claim
from etl.load.ledger.sources import Source
from etl.load.queries import status
from etl.settings import Loaded, Settings, SourceSettings
from etl.stop_request import Stop, Terminated

log = logs.get_logger()

_MOST_USED = 0.8  # of the budget, for a window to begin: each beginning may cost a request more


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


class WindowWork:
    """Claims and reads windows, each under a lease; the threads of a worker share it."""

    def __init__(self, engine: Engine, settings: Settings, builder: Builder, lease: timedelta) -> None:
        self._engine = engine
        self._builder = replace(builder, in_background=True)
        self._lease = lease
        self._notifier = Notifier(settings, "backfill")
        self._at_work: set[Claim] = set()

    def claimable_accounts(self, configured: Collection[SourceSettings]) -> list[str]:
        """Return the accounts of configured sources that have a window which may be claimed now."""
        known = {source.identity for source in configured}
        with reading(self._engine) as connection:
            found = claims.claimable_sources(connection)
        return [identity[1] for identity in found if identity in known]

    def renew_leases(self) -> None:
        """Renew the leases of the windows that this worker reads."""
        held = [*self._at_work]
        if held:
            with suppress(DatabaseError), self._engine.begin() as connection:  # then they run out
                claims.renew(connection, held, self._lease)

    def read_one(self, source: SourceSettings) -> bool:
        """Read one window of a source; False if none may be claimed, or the one that was claimed has to wait."""
        with logs.bound(source=source.name):
            try:
                has_spare = self._builder.budget(source).has_spare(_MOST_USED)
                claimed = claim_window(self._engine, source, self._lease) if has_spare else None
                return claimed is not None and self._read(source, *claimed) is Ending.READ
            except EtlError as error:  # of the database or the settings: the window is claimed again later
                log.warning("window.failed", reason=logs.clean(logs.redact(str(error))).partition("\n")[0])
            except (KeyboardInterrupt, Terminated):  # the window was handed back
                pass
        return False

    def _read(self, source: SourceSettings, row: Source, claim: Claim) -> Ending:
        # The end of a run waits for the budget, because its account is one piece of work.
        spec = replace(self._builder, may_wait=claim.is_last).source_spec(source)
        self._at_work.add(claim)
        try:
            with logs.bound(run=claim.run_id):
                ending = work_on_claim(join_run(self._engine, spec, row, claim, clock=self._builder.clock), claim)
                if ending is Ending.RUN_ENDED and claim.job == FIRST:  # the sync reads on
                    with self._engine.begin() as connection:
                        schedules.make_due(connection, source.identity, schedules.now(self._engine))
                if ending in {Ending.RUN_ENDED, Ending.RUN_FAILED}:
                    self._tell(source, claim)
                return ending
        finally:
            self._at_work.discard(claim)
            spec.client.close()
            self._builder.give_back(source)

    def _tell(self, source: SourceSettings, claim: Claim) -> None:
        """Log the end of a distributed run, and report it as the settings say."""
        with reading(self._engine) as connection:
            run = status.run_row(connection, claim.run_id)
        if run is None:
            return
        counts = {name: run[name] for name in claim.counts}
        log.info("run.finished", exit_code=run["exit_code"], error=run["error"], **counts)
        ended = Outcome(
            name=source.name,
            stream_id=source.stream_id,
            exit_code=run["exit_code"],
            began=run["started_at"],
            ended=run["finished_at"],
            error=run["error"],
            run=claim.run_id,
            counts=counts,
        )
        self._notifier.tell(ended, self._engine)
