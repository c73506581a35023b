"""``kore-etl forget``: erase a task permanently."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from etl.cli.options import Common, common_options, confirm, output_option
from etl.errors import ConfigError

if TYPE_CHECKING:
    from etl.settings import Settings, SourceSettings


@click.command()
@common_options
@click.argument("asked", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
def forget(common: Common, asked: str, yes: bool, output: str) -> int:
    """Erase a task: its content, its history and its rejected records.

    ID is the task's _id or its reference (TS000105); it asks if several tasks have that. A tombstone stays: later syncs
    count the task, store nothing of it, and no view shows it. People that no other task names are erased too. It makes
    no request. It does not reach copies such as backups and exports.

    \b
    Example:
      kore-etl forget ti-8d9b7f0e-52c1-5b1f-9a5e-1c34b8a9f001 --yes
    """
    from dataclasses import replace
    from functools import partial

    from etl.cli.run_job_on_sources import Work, work_on_sources
    from etl.jobs.maintenance.forget_task import forget as job

    settings = common.start().settings
    task_id = _chosen(settings, asked)
    name = asked if asked == task_id else f"{asked} ({task_id})"
    chosen = replace(settings, sources=_sources_of(settings, task_id))
    if not yes:
        confirm("forget erases a task", f"This erases {name} permanently.")
    code = work_on_sources(chosen, Work("forget", partial(job, task_id=task_id)), output=output)
    if code == 0 and output == "text":
        common.say(f"{name} is erased and stays so")
    return code


def _chosen(settings: Settings, asked: str) -> str:
    """Return the _id of the task that is asked for by its _id or its reference."""
    from etl.cli.open_database import reading_database
    from etl.load.queries.find_task import task_keys

    with reading_database(settings) as connection:
        found = sorted({task_id for task_id, _ in task_keys(connection, asked)})
    if asked in found or not found:
        return asked
    if len(found) == 1:
        return found[0]
    if not sys.stdin.isatty():
        raise ConfigError(f"ID {asked!r}: several tasks have this reference; give an _id: {', '.join(found)}")
    return str(click.prompt("Several tasks have this reference; which one", type=click.Choice(found), err=True))


def _sources_of(settings: Settings, task_id: str) -> tuple[SourceSettings, ...]:
    """Return the sources in the settings that hold the task."""
    from etl.cli.open_database import reading_database
    from etl.load.queries.find_task import sources_of

    with reading_database(settings) as connection:
        known = sources_of(connection, task_id)
    if not known:
        raise ConfigError(f"ID {task_id!r}: nothing is stored under this id; see: kore-etl why ID")
    found = tuple(each for each in settings.sources if each.identity in known)
    if not found:
        raise ConfigError(f"ID {task_id!r} belongs to a source that is not in the settings")
    return found
