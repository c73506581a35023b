"""``kore-etl reconcile``: sync, then mark tasks that the server deleted."""

from __future__ import annotations

from pathlib import Path

import click

from etl.cli.options import Common, common_options, metrics_option, output_option, source_option


@click.command()
@common_options
@source_option
@click.option("--deep", is_flag=True, help="Read every id instead of comparing totals.")
@click.option("--force", is_flag=True, help="Mark tasks even if over 10 % of a source's tasks are gone.")
@metrics_option
@output_option
def reconcile(
    common: Common, select: tuple[str, ...], deep: bool, force: bool, metrics_file: Path | None, output: str
) -> int:
    """Sync, then set deleted_at on tasks that the server deleted. It removes no row.

    It compares the server's totals with the stored tasks and reads ids only where they differ. A server without totals
    needs --deep. A task that comes back is unmarked, by every sync too. Exits 0 when done, 3 if it left tasks unmarked
    because of doubt; the message or the log says why.

    \b
    Example:
      kore-etl reconcile
      kore-etl reconcile --deep --source europe
    """
    from etl.cli.runner import Work, work_on_sources
    from etl.jobs.reconcile.job import reconcile as job

    loaded = common.start({"metrics_file": metrics_file}, select=select)
    work = Work("reconcile", lambda run: job(run, deep=deep, force=force))
    return work_on_sources(loaded.settings, work, output=output)
