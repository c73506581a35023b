"""The main job: bring the database up to date with what the server holds."""

from __future__ import annotations

from datetime import datetime

from etl.errors import SkipRefusedError
from etl.extract.capabilities import MILLISECOND, CapabilityDriftError
from etl.extract.paging.read_strategy import ReadStrategy
from etl.jobs.incremental_sync import advance, load_changes, load_newest_first
from etl.jobs.pipeline.completeness_check import take_account
from etl.jobs.pipeline.implausible_answers import require_plausible
from etl.jobs.pipeline.read_windows import TimeRange, read_windows
from etl.jobs.pipeline.read_windows_in_parallel import read_in_parallel
from etl.jobs.pipeline.revert_names_after_server_restore import ShownVersions, revert_names
from etl.jobs.run.history_start import has_beginning, history_start
from etl.jobs.run.run_context import RunContext
from etl.jobs.verify import restart_verification, verify_due
from etl.load.ledger import claims, rejected_records, windows
from etl.logs import get_logger
from etl.times import shifted

log = get_logger()


def sync(run: RunContext, *, full: bool = False, workers: int | None = None, is_shared: bool = False) -> None:
    """Read what is new or changed since the watermark, all of history at first or if ``full``, and store it.

    ``workers`` read history; None is as many as the request budget keeps busy. If it ``is_shared``, the windows of a
    large first sync are left to other processes, and the next sync reads on. Where the server behaves differently
    from its known capabilities, the run corrects them and goes on. Where it refuses to show all changes, the run reads
    all of history.

    Raises:
        EtlError: as the client and the database raise it, or where the server contradicts itself.
    """
    run.capabilities.ensure_known()
    if is_shared and run.store.watermark() is None:
        from etl.jobs.distributed_backfill import distribute_first

        if distribute_first(run):
            return None
    while True:
        strategy = run.strategy
        try:
            watermark = run.store.watermark()
            if full or watermark is None or not has_beginning(run):
                load_history(run, strategy, job="full" if full else "first", workers=workers)
                take_account(run, is_full=True, again=full)
                return restart_verification(run)
            load_changes(run, strategy, watermark)
            take_account(run)
            return verify_due(run)
        except CapabilityDriftError as drift:
            run.capabilities.correct(drift)
        except SkipRefusedError as error:
            if full:
                raise
            log.warning("changes.out_of_reach", reason=str(error), then="all of history is read again")
            full = True


def load_history(run: RunContext, strategy: ReadStrategy, *, job: str, workers: int | None) -> None:
    """Read all of history, then what changed meanwhile; a first sync that was cut off goes on at its checkpoint."""
    require_plausible(run)
    if run.store.watermark() is None:
        run.store.write(claims.take_over, "first", run.clock())
    start = history_start(run, look_before=job == "full")
    done = run.store.read(windows.progress, job, strategy.field, start) if job == "first" else None
    shown = ShownVersions() if job == "full" else None
    time_range = TimeRange(
        job, strategy.field, strategy.history, done.checkpoint if done else start,
        moves_watermark=strategy.field == "updatedAt", takes_back=True, shown=shown,
    )  # fmt: skip
    read_windows(run, read_in_parallel(run, time_range, workers))
    this_start = run.server_clock.earliest_start()
    first_start = done.opened_at if done else this_start
    complete_to = None
    if strategy.changes == "newest_first":
        complete_to = load_newest_first(run, first_start, shown)
    elif strategy.changes == "windows":
        complete_to = _load_what_changed(run, strategy, this_start, shown)
    if shown is not None:
        revert_names(run, shown)
        if not run.counters.unverified:
            run.store.write(rejected_records.mark_vanished, run_id=run.id, now=run.clock())
            run.counted.clear()
    # Without an order nothing shows what changed while a run was cut off: the next one starts where it started.
    advance(run, first_start if strategy.changes == "unresolved" else this_start, complete_to=complete_to)


def _load_what_changed(
    run: RunContext, strategy: ReadStrategy, start: datetime, shown: ShownVersions | None
) -> datetime:
    """Read and store what changed since the start of this run, up to the latest change that an answer showed."""
    newest = run.server_clock.newest_past([run.fetch.client.newest_update])
    if newest > start:
        end = shifted(newest, MILLISECOND)
        read_windows(run, TimeRange("sync", strategy.field, strategy.history, start, end, shown=shown))
    return newest
