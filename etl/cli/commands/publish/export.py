"""``kore-etl export``: write a table or view for other tools."""

from __future__ import annotations

import sys
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli.options import Common, common_options, date

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.cli.commands.publish.export_formats import Write
    from etl.load.queries.export import View


def _since(value: str) -> datetime:
    """Read a date, or how long ago."""
    from etl.times import now, parse_duration

    try:
        return now() - parse_duration(value)
    except (ValueError, OverflowError):
        return date(value)


@click.command()
@common_options
@click.option("--view", default="task_overview", show_default=True, metavar="NAME", help="Any table or view.")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True)
@click.option("--since", type=_since, metavar="DATE|AGE", help="Only rows changed since then, such as 7d.")
@click.option("--source", metavar="NAME", help="Only the rows of this source.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="A file, put in place once it is whole.")
@click.option("--spreadsheet-safe", is_flag=True, help="CSV: write no text that a spreadsheet reads as a formula.")
def export(
    common: Common,
    view: str,
    form: str,
    since: datetime | None,
    source: str | None,
    out: Path | None,
    spreadsheet_safe: bool,
) -> None:
    """Write a table or view as CSV, JSON lines or Parquet, from one consistent read.

    Memory does not grow with the number of rows. --since selects rows that were updated, or marked deleted, since then.
    Times are UTC. Parquet needs the extra parquet: see docs/install.md.

    \b
    Example:
      kore-etl export --since 7d > tasks.csv
      kore-etl export --view task_changes --format jsonl | jq .field
      kore-etl export --format parquet --out tasks.parquet
    """
    if spreadsheet_safe and form != "csv":
        raise click.UsageError("--spreadsheet-safe is for --format csv.")
    if form == "parquet" and out is None and sys.stdout.isatty():
        raise click.UsageError("Parquet is binary: use --out FILE.")
    from etl.cli.commands.publish.export_formats import FORMATS, write_csv
    from etl.cli.open_database import reading_database, sources_named
    from etl.load.queries.export import find_view

    write = partial(write_csv, spreadsheet_safe=True) if spreadsheet_safe else FORMATS[form]
    settings = common.start(need_sources=False).settings
    with reading_database(settings, schema="newest") as connection:
        chosen = find_view(connection, view)
        if since is not None:
            chosen.since(since)
        if source is not None:
            chosen.of_sources(sources_named(connection, source))
        count = _write(connection, chosen, write, out)
    if out is not None:
        from etl.cli.output import counted

        common.say(f"{counted(count, 'row')} of {view} written to {out}")


def _write(connection: Connection, view: View, write: Write, out: Path | None) -> int:
    if out is None:
        count = write(sys.stdout.buffer, view.fields, view.read(connection))
        sys.stdout.buffer.flush()
        return count
    from etl.atomic_file import output_file

    with output_file(out) as file:
        return write(file, view.fields, view.read(connection))
