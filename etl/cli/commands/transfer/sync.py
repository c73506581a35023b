"""``kore-etl sync``: the main job."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli.options import (
    Common,
    common_options,
    metrics_option,
    output_option,
    source_option,
    wait_option,
    workers_option,
)

if TYPE_CHECKING:
    from etl.cli.run_sources import Job


@click.command()
@common_options
@source_option
@click.option("--full", is_flag=True, help="Read all history again, not only the changes.")
@click.option("--reconcile", is_flag=True, help="Then mark deleted tasks, like kore-etl reconcile.")
@workers_option
@wait_option
@metrics_option
@output_option
def sync(
    common: Common,
    select: tuple[str, ...],
    full: bool,
    reconcile: bool,
    workers: int | None,
    wait: timedelta | None,
    metrics_file: Path | None,
    output: str,
) -> int:
    """Bring the database up to date with the server.

    The first sync reads everything. Later syncs read what is new or changed. A sync that was interrupted continues
    where it stopped. Exits 0 when done, 3 with rejected records, unverified windows or missing tasks, 75 while another
    run works.

    \b
    Example:
      kore-etl sync
      kore-etl sync --source europe --output json | jq .sources
    """
    from etl.cli.run_sources import Work, work_on_sources

    loaded = common.start({"metrics_file": metrics_file}, select=select)
    work = Work("sync", _reconcile(full=full) if reconcile else _sync(full=full, workers=workers))
    return work_on_sources(loaded.settings, work, output=output, configured=loaded.names, wait=wait)


def _sync(*, full: bool, workers: int | None) -> Job:
    from etl.jobs.sync import sync as job

    return lambda run: job(run, full=full, workers=workers)


def _reconcile(*, full: bool) -> Job:
    from etl.jobs.reconcile.mark_deletions import reconcile as job  # imported only when needed: it imports much

    return lambda run: job(run, full=full)
