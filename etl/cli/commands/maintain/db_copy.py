"""``kore-etl db copy``: copy a database to another one, between SQLite and PostgreSQL in any direction."""

from __future__ import annotations

from contextlib import nullcontext

import click

from etl.cli.options import Common, common_options, confirm, output_option
from etl.errors import ConfigError


@click.command(short_help="Copy the whole database into another one.")
@common_options
@click.option("--to", "target_url", required=True, metavar="URL", help="An empty database, or a new file.")
@click.option("--replace", is_flag=True, help="Delete the rows of the target first; it asks.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
def copy(common: Common, target_url: str, replace: bool, yes: bool, output: str) -> None:
    """Copy everything, with history and watermarks, into an empty database. It copies all or nothing.

    This also carries over a database of kore-etl 0.1.0: the copy has this version's tables, the original stays as it
    is. On PostgreSQL the target may be another schema of the same database: add ?options=-csearch_path%3DNAME to the
    URL.

    Stop the timer first: the copy lacks whatever a sync writes during the copy. The next sync into the copy continues
    where the last sync ended. Keep a password in ~/.pgpass or PGPASSWORD rather than in --to.

    \b
    Example:
      kore-etl db copy --to postgresql://kore@db.example.com/kore
    """
    from etl.cli.open_database import existing_database
    from etl.cli.output import print_json
    from etl.jobs.maintenance.copy_database import copy_database
    from etl.jobs.run.source_lease import keep_all_runs_out
    from etl.load.database.engine import disposing, is_same_database, open_engine
    from etl.load.database.errors import place
    from etl.logs import get_logger, has_password
    from etl.settings.value_types import DATABASE_URLS, read_database_url

    settings = common.start(need_sources=False).settings
    try:
        url = read_database_url(target_url)
    except ValueError as error:
        raise ConfigError(f"--to: {error}; accepted: {DATABASE_URLS}") from None
    if has_password(target_url):
        get_logger().warning("settings.exposed", detail="other users can see the password in --to: use PGPASSWORD")
    with existing_database(settings, schema="any") as source, disposing(open_engine(url)) as target:
        if is_same_database(source, target):
            raise ConfigError("--to: names the database that is copied; choose another one")
        if replace and not yes:
            confirm("--replace deletes rows", f"This deletes all rows of kore-etl in {place(target.url)} first.")
        with keep_all_runs_out(target) if replace else nullcontext():  # without, it holds no source
            copied = copy_database(source, target, lambda name, rows: common.say(f"{name}: {rows:,}"), replace=replace)
    if output == "json":
        print_json({"rows": copied})
    of, to = (place(each.url) for each in (source, target))
    common.say(f"{to}: holds the {sum(copied.values()):,} rows of {of}; now set database_url to it")
