"""``kore-etl worker``: syncs what is due, beside other workers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click

from etl.cli.options import Common, common_options, duration, metrics_option

if TYPE_CHECKING:
    from etl.settings import Settings

_SESSIONS = 6  # of the database, that a sync has at most
_DRAIN = 25.0  # seconds for the syncs at work to end


@click.command()
@common_options
@click.option("--threads", type=click.IntRange(1, 64), default=4, show_default=True, help="Syncs at once.")
@click.option("--accounts", multiple=True, metavar="GLOB", help="Only accounts with such an id; may be repeated.")
@click.option(
    "--tick", type=duration, default="5s", show_default=True, metavar="TIME", help="Look so often what is due."
)
@click.option(
    "--stall-after",
    type=duration,
    default="30s",
    show_default=True,
    metavar="TIME",
    help="Take over from a worker that is silent for so long.",
)
@metrics_option
def worker(
    common: Common,
    threads: int,
    accounts: tuple[str, ...],
    tick: timedelta,
    stall_after: timedelta,
    metrics_file: Path | None,
) -> int:
    """Sync the sources that are due, together with other workers, until SIGTERM or Ctrl-C.

    Any number of workers, on any number of machines, share the sources of one PostgreSQL database. kore-etl schedule
    set gives each source its interval. Workers also read the windows of kore-etl backfill --distribute. A signal lets
    each sync store what it has read; then the worker exits 0. Needs the extra workers.

    \b
    Example:
      kore-etl schedule set europe --every 5m
      kore-etl worker --threads 8
      kore-etl worker --accounts 'eu-*' --metrics-file worker.prom
    """
    if tick % timedelta(seconds=1) or not timedelta(seconds=1) <= tick <= timedelta(seconds=30):
        raise click.UsageError("--tick is 1 to 30 whole seconds.")
    if stall_after < timedelta(seconds=1):
        raise click.UsageError("--stall-after is 1s or more.")
    _require_what_it_needs(common.load(need_sources=False).settings)
    from etl.cli.open_database import open_database
    from etl.cli.worker_accounts import AccountSyncs
    from etl.load.database.engine import disposing
    from etl.stop_request import graceful
    from etl.workers.account_queue import WorkerOptions, run_worker
    from etl.workers.queue_schema import make_queue

    loaded = common.start({"metrics_file": metrics_file})
    with graceful(_DRAIN) as stop:
        name = f"kore-etl worker {uuid4().hex[:12]}"  # by which other workers end its sessions when it stands still
        with (
            disposing(open_database(loaded.settings, sessions=5 + _SESSIONS * threads, session_name=name)) as engine,
            AccountSyncs(engine, loaded, accounts, stop, lease=stall_after) as work,
        ):
            make_queue(engine, silent_after=stall_after.total_seconds())
            options = WorkerOptions(accounts=work.accounts, threads=threads, tick=tick, stall_after=stall_after)
            run_worker(engine, options, work, stop)
    return 0


def _require_what_it_needs(settings: Settings) -> None:
    from etl.cli.open_database import require_postgresql
    from etl.errors import ConfigError
    from etl.optional_packages import install_command

    require_postgresql(settings)
    try:
        import procrastinate  # noqa: F401
    except ModuleNotFoundError as error:
        message = f"worker: the package {error.name} is not installed; run: {install_command('workers')}"
        raise ConfigError(message) from error
