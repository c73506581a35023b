"""``kore-etl prune``: delete old runs, windows and rejected records."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from etl.cli.options import Common, common_options, duration, output_option, source_option
from etl.errors import LockedError
from etl.logs import say
from etl.times import format_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Engine

    from etl.api_record import Row

_DAY = timedelta(days=1)
_MOST = timedelta(days=36_525)


@click.command()
@common_options
@source_option
@click.option("--runs", type=duration, metavar="AGE", help="Delete runs that ended longer ago, such as 90d.")
@click.option("--windows", type=duration, metavar="AGE", help="Merge windows that were read longer ago.")
@click.option("--rejected", type=duration, metavar="AGE", help="Delete rejected records last seen longer ago.")
@click.option("--dry-run", is_flag=True, help="Count what would be deleted, and delete nothing.")
@output_option
def prune(
    common: Common,
    select: tuple[str, ...],
    runs: timedelta | None,
    windows: timedelta | None,
    rejected: timedelta | None,
    dry_run: bool,
    output: str,
) -> int:
    """Delete old runs, windows and rejected records. Tasks and their history stay.

    Windows are merged, so the covered range stays covered. Runs that other rows refer to stay. The latest run of each
    command stays too. A deleted rejected record is lost here, but the server may still have it. Exits 75 while a sync
    runs.

    \b
    Example:
      kore-etl prune --runs 90d --windows 90d --dry-run
      kore-etl prune --runs 90d --windows 90d --rejected 30d
    """
    ages = {"runs": runs, "windows": windows, "rejected": rejected}
    if not any(ages.values()):
        raise click.UsageError("Choose what to delete: --runs AGE, --windows AGE, --rejected AGE.")
    for name, age in ages.items():
        if age is not None and age > _MOST:
            raise click.UsageError(f"--{name} {format_duration(age)}: is over {_MOST.days} days.")
        if age is not None and age < _DAY:
            problem = f"--{name} {format_duration(age)}: is under a day, and a running command may need such rows"
            raise click.UsageError(f"{problem}; a number alone means seconds, so write 90d for 90 days.")
    from etl.cli.open_database import existing_database

    with existing_database(common.start(need_sources=False).settings) as engine:
        code, done = _prune_each(engine, _chosen(engine, select), ages, dry_run=dry_run)
    _tell(done, output=output, dry_run=dry_run, quiet=common.verbosity < 0)
    return code


def _chosen(engine: Engine, select: Sequence[str]) -> list[Row]:
    from etl.cli.open_database import sources_named
    from etl.load.database.engine import reading
    from etl.load.queries import status

    with reading(engine) as connection:
        named = [source for name in dict.fromkeys(select) for source in sources_named(connection, name)]
        return named if select else status.source_rows(connection)


def _prune_each(
    engine: Engine, sources: Sequence[Row], ages: Mapping[str, timedelta | None], *, dry_run: bool
) -> tuple[int, list[Row]]:
    from etl.jobs.maintenance.prune import prune as job
    from etl.times import now

    code, done = 0, []
    for source in sources:
        try:
            done.append(job(engine, source, ages, now=now(), dry_run=dry_run))
        except LockedError as error:
            say(str(error))
            code = error.exit_code
    return code, done


def _tell(done: Sequence[Row], *, output: str, dry_run: bool, quiet: bool) -> None:
    from etl.cli.output import counted, print_json

    if output == "json":
        print_json({"dry_run": dry_run, "sources": done})
    elif not quiet:
        would = "would go" if dry_run else "went"
        for each in done:
            counts = f"{counted(each['runs'], 'run')}, {counted(each['windows'], 'window')}"
            counts += f" and {counted(each['rejected'], 'rejected record')}"
            say(f"{each['source']}: {counts} {would}")
