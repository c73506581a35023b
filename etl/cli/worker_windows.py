"""The windows of distributed backfills that a worker reads, out of the budget that syncs leave."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta

from msgspec.structs import replace
from sqlalchemy import Engine

from etl import logs
from etl.cli.client_factory import Builder
from etl.cli.notify.run_outcomes import Notifier, Outcome
from etl.errors import DatabaseError, EtlError
from etl.jobs.distributed_backfill import FIRST, Ending, claim_window, work_on_claim
from etl.jobs.run.lifecycle import join_run
from etl.load.database.engine import reading
from etl.load.ledger import claims, schedules
from etl.load.ledger.claims import Claim
from etl.load.ledger.sources import Source
from etl.load.queries import status
from etl.settings import Settings, SourceSettings
from etl.stop_request import Terminated

log = logs.get_logger()

_MOST_USED = 0.8  # of the budget, for a window to begin: each beginning may cost a request more


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
