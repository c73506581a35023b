"""``kore-etl source``: list, rename or drop the sources in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etl.cli.options import Common, common_options, confirm, output_option
from etl.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.api_record import Row
    from etl.settings import Loaded

_LISTED = ("id", "name", "host", "account_id", "stream_id", "in_settings", "tasks", "watermark")


@click.group()
def source() -> None:
    """List, rename or drop the sources in the database, also those that left the settings.

    \b
    Example:
      kore-etl source list
      kore-etl source drop old-name
    """


@source.command("list", short_help="List the sources.")
@common_options
@output_option
def list_(common: Common, output: str) -> None:
    """List the sources in the database, and whether each is in the settings.

    \b
    Example:
      kore-etl source list
      kore-etl source list --output json | jq '.[] | select(.in_settings | not)'
    """
    from etl.cli.open_database import existing_database
    from etl.cli.output import print_json, print_table

    loaded = common.start(need_sources=False)
    with existing_database(loaded.settings, schema="newest") as engine:
        found = _sources(engine, loaded)
    if output == "json":
        print_json([{name: row[name] for name in _LISTED} for row in found])
    elif found:
        print_table(_LISTED, found, optional=("account_id", "watermark", "host", "in_settings"))
    else:
        common.say("no source was synced yet")


@source.command(short_help="Give a source another name.")
@common_options
@click.argument("chosen", metavar="SOURCE")
@click.argument("name")
def rename(common: Common, chosen: str, name: str) -> None:
    """Give a source another name. SOURCE is its name, its stream id, or its id in kore-etl source list.

    Each run gives a source the name that it has in the settings. So change it there too, if it is there.

    \b
    Example:
      kore-etl source rename default europe
    """
    from etl.cli.open_database import existing_database
    from etl.load.ledger import sources
    from etl.settings.definitions import accepted

    name = accepted("name", name)
    loaded = common.start(need_sources=False)
    with existing_database(loaded.settings, schema="newest") as engine:
        found = _sources(engine, loaded)
        row = _only(found, chosen)
        if any(each["name"] == name and each["id"] != row["id"] for each in found):
            raise ConfigError(f"{name} is the name of another source; see: kore-etl source list")
        with engine.begin() as connection:
            sources.put(connection, row["id"], name=name)
    common.say(f"{row['name']} is {name} now")
    if row["in_settings"] and loaded.names[sources.identity_of(row)] != name:
        before = loaded.names[sources.identity_of(row)]
        common.say(f'the settings still call it {before}: set name = "{name}" there, or the next sync renames it back')


@source.command(short_help="Delete a source with everything stored of it.")
@common_options
@click.argument("chosen", metavar="SOURCE")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
def drop(common: Common, chosen: str, yes: bool, output: str) -> None:
    """Delete a source: its tasks, their history, its runs. SOURCE is its name, its stream id or its id in the list.

    It says what goes, and asks. A source that is in the settings is read again by the next sync. Exits 75 while a run
    works on the source.

    \b
    Example:
      kore-etl source drop old-name
      kore-etl source drop st-1111 --yes
    """
    from etl.cli.open_database import existing_database
    from etl.cli.output import print_json
    from etl.jobs.run.source_lease import keep_runs_out
    from etl.load.database.engine import erasing, reading
    from etl.load.ledger import sources

    loaded = common.start(need_sources=False)
    with existing_database(loaded.settings, schema="newest") as engine:
        row = _only(_sources(engine, loaded), chosen)
        with reading(engine) as connection:
            counts = sources.row_counts(connection, row["id"])
        if not yes:
            _confirm(row, counts)
        identity = sources.identity(sources.identity_of(row))
        with keep_runs_out(engine, source=identity, name=row["name"]), erasing(engine) as connection:
            sources.drop(connection, row["id"])
    if output == "json":
        print_json({"dropped": row["name"], "stream_id": row["stream_id"], "rows": counts})
    common.say(f"{row['name']} ({row['stream_id']}) is dropped")


def _sources(engine: Engine, loaded: Loaded) -> list[Row]:
    from etl.load.database.engine import reading
    from etl.load.ledger.sources import identity_of
    from etl.load.queries import status

    with reading(engine) as connection:
        return [
            {
                **row,
                "in_settings": identity_of(row) in loaded.names,
                "tasks": status.task_counts(connection, row["id"])[0],
            }
            for row in status.source_rows(connection)
        ]


def _only(found: list[Row], chosen: str) -> Row:
    """Return the chosen source."""
    same = [row for row in found if chosen in (row["name"], row["stream_id"], str(row["id"]))]
    if not same:
        known = ", ".join(row["name"] for row in found) or "none is synced yet"
        raise ConfigError(f"SOURCE {chosen!r}: no such source; accepted: {known}")
    if len(same) > 1:
        ids = ", ".join(f"{row['id']} ({row['stream_id']})" for row in same)
        raise ConfigError(f"SOURCE {chosen!r}: {len(same)} sources have this name; give an id: {ids}")
    return same[0]


def _confirm(row: Row, counts: dict[str, int]) -> None:
    from etl.cli.output import counted

    nouns = {"tasks": "task", "task_changes": "change", "sync_runs": "run", "rejected_records": "rejected record"}
    parts = [counted(counts[table], noun) for table, noun in nouns.items() if table in counts]
    again = " The next sync reads it again." if row["in_settings"] else ""
    what = f"{row['name']} ({row['stream_id']}) with {', '.join(parts) or 'no row'}"
    confirm("source drop deletes data", f"This deletes {what}, and all that belongs to them.{again}")
