"""``kore-etl forget``: erase a task permanently."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from etl.cli.options import Common, common_options, output_option
from etl.errors import ConfigError

if TYPE_CHECKING:
    from etl.settings import Settings


@click.command()
@common_options
@click.argument("task_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
def forget(common: Common, task_id: str, yes: bool, output: str) -> int:
    """Erase a task: its content, its history and its rejected records.

    ID is the task's _id. A tombstone stays: later syncs count the task, store nothing of it, and no view shows it.
    People that no other task names are erased too. It makes no request. It does not reach copies such as backups and
    exports.

    \b
    Example:
      kore-etl forget ti-8d9b7f0e-52c1-5b1f-9a5e-1c34b8a9f001 --yes
    """
    from functools import partial

    from etl.cli.run_sources import Work, work_on_sources
    from etl.jobs.maintenance.forget_task import forget as job

    settings = common.start().settings
    chosen = settings.model_copy(update={"sources": _sources_of(settings, task_id)})
    if not yes:
        _confirm(task_id)
    code = work_on_sources(chosen, Work("forget", partial(job, task_id=task_id)), output=output)
    if code == 0 and output == "text" and common.verbosity >= 0:
        click.echo(f"kore-etl: {task_id} is forgotten", err=True)
    return code


def _sources_of(settings: Settings, task_id: str) -> tuple[object, ...]:
    """Return the sources in the settings that hold the task."""
    from etl.cli.open_database import existing_database
    from etl.load.database.engine import reading
    from etl.load.ledger.sources import host_of
    from etl.load.queries.tasks import sources_of

    with existing_database(settings) as engine, reading(engine) as connection:
        known = sources_of(connection, task_id)
    if not known:
        raise ConfigError(f"ID {task_id!r}: nothing is stored under this id; see: kore-etl why ID")
    found = tuple(
        each for each in settings.sources if (host_of(each.base_url), each.account_id, each.stream_id) in known
    )
    if not found:
        raise ConfigError(f"ID {task_id!r} belongs to a source that is not in the settings")
    return found


def _confirm(task_id: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError("forget erases a task and asks first, which needs a terminal; without one add --yes")
    click.confirm(f"This erases {task_id} permanently. Continue?", abort=True, err=True)
