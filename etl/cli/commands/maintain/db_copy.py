"""``kore-etl db copy``: from one database to another, SQLite and PostgreSQL in any direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etl import logs
from etl.cli.options import Common, common_options, output_option

if TYPE_CHECKING:
    from sqlalchemy import Engine


@click.command(short_help="Copy all that the database holds into another one.")
@common_options
@click.option(
    "--to", "target_url", required=True, metavar="URL", help="An empty database, or a file that is not there."
)
@output_option
def copy(common: Common, target_url: str, output: str) -> None:
    """Copy everything, history and watermarks too, into an empty database; all of it or nothing.

    A database of kore-etl 0.1.0 is carried over so: the copy has the tables of this version, the original stays as it
    is. On PostgreSQL another schema of the same database will do: add ?options=-csearch_path%3DNAME to the URL.

    The next sync into the copy goes on where the last one into this database ended. Stop the timer first: what a sync
    writes here while this runs is not in the copy. A password is better kept in ~/.pgpass or PGPASSWORD than in --to.

    \b
    Example:
      kore-etl db copy --to postgresql://kore@db.example.com/kore
    """
    from etl.cli.open_database import existing_database
    from etl.jobs.maintenance.copy import copy_database
    from etl.load.database.engine import open_engine

    settings = common.start(need_sources=False).settings
    target_url = common.load({"database_url": target_url}, need_sources=False).settings.database_url
    with existing_database(settings, schema="any") as source:
        target = open_engine(target_url)
        try:
            copied = copy_database(source, target, lambda name, rows: _say(common, f"{name}: {rows:,}"))
        finally:
            target.dispose()
        _tell(common, source, target, copied, output)


def _tell(common: Common, source: Engine, target: Engine, copied: dict[str, int], output: str) -> None:
    if output == "json":
        import orjson

        click.echo(orjson.dumps({"rows": copied}, option=orjson.OPT_INDENT_2))
    from etl.load.database.errors import place

    of, to = (place(each.url) for each in (source, target))
    _say(common, f"{to}: holds the {sum(copied.values()):,} rows of {of}; now let database_url name it")


def _say(common: Common, line: str) -> None:
    if common.verbosity >= 0:
        click.echo(f"kore-etl: {logs.clean(logs.redact(line))}", err=True)
