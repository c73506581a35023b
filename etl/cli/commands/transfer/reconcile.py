"""``kore-etl reconcile``: sync, then mark tasks that the server deleted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import click

from etl.cli.options import Common, common_options, metrics_option, output_option, source_option, wait_option


@click.command()
@common_options
@source_option
@click.option("--deep", is_flag=True, help="Read every id instead of comparing totals.")
@click.option("--force", is_flag=True, help="Mark tasks even if over 10 % of a source's tasks are gone.")
@wait_option
@metrics_option
@output_option
def reconcile(
    common: Common,
    select: tuple[str, ...],
    deep: bool,
    force: bool,
    wait: timedelta | None,
    metrics_file: Path | None,
    output: str,
) -> int:
    """Sync, then set deleted_at on tasks that the server deleted. It removes no row.

    The server's totals are compared with the tasks here, and ids are read only where they differ. A server that does
    not count its tasks takes --deep. A task that comes back is unmarked, here and in every sync. Exits 0 when done, 3
    if nothing, or not everything, is marked for want of proof; the message or the log says why.

    \b
    Example:
      kore-etl reconcile
      kore-etl reconcile --deep --source europe
    """
    from etl.cli.run_job_on_sources import Work, work_on_sources
    from etl.jobs.reconcile import reconcile as job

    loaded = common.start({"metrics_file": metrics_file}, select=select)
    work = Work("reconcile", lambda run: job(run, deep=deep, force=force))
    return work_on_sources(loaded.settings, work, output=output, configured=loaded.names, wait=wait)
