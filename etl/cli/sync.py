"""``kore-etl sync``: the main job."""

from __future__ import annotations

import click

from etl.cli.options import Common, common_options, output_option, source_option


@click.command()
@common_options
@source_option
@click.option("--full", is_flag=True, help="Read every window again, whatever the watermark.")
@click.option("--reconcile", is_flag=True, help="Then mark what is gone from the server; see kore-etl reconcile.")
@output_option
def sync(common: Common, select: tuple[str, ...], full: bool, reconcile: bool, output: str) -> int:
    r"""Bring the database up to date with what the server holds.

    Only what is new or changed since the last sync is read. The first sync reads everything; one that was cut off goes
    on where it ended. Exits 0 when done, 3 with rejected records or unverified windows, 75 if another run is at work.

    \b
    Example:
      kore-etl sync
      kore-etl sync --source europe --output json | jq .sources
    """
    from etl.cli.working import Work, work_on_sources
    from etl.jobs.reconcile import reconcile as sync_and_reconcile
    from etl.jobs.sync import sync as job

    loaded = common.start(select=select)
    work = Work("sync", lambda run: (sync_and_reconcile if reconcile else job)(run, full=full))
    return work_on_sources(loaded.settings, work, output=output)
