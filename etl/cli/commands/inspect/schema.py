"""``kore-etl schema``: keys of records that the tables do not know."""

from __future__ import annotations

import click

from etl.cli.options import Common, common_options, output_option

_COLUMNS = ("key", "example", "task_id", "first_seen_at", "run_id")


@click.group()
def schema() -> None:
    """List the keys of records that the tables do not know.

    \b
    Example:
      kore-etl schema unknown
    """


@schema.command(short_help="List the unknown keys.")
@common_options
@output_option
def unknown(common: Common, output: str) -> None:
    """List the keys that are neither known keys of the API nor custom fields.

    Each line has an example, the first task with the key, and when. Nothing is lost: tasks.raw has the whole record.

    \b
    Example:
      kore-etl schema unknown
      kore-etl schema unknown --output json | jq '.[].key'
    """
    from etl.api_record import KNOWN
    from etl.cli.open_database import reading_database
    from etl.cli.output import print_json, print_table
    from etl.load.upsert import unknown_json_keys as load

    with reading_database(common.start(need_sources=False).settings, schema="newest") as connection:
        found = [entry for entry in load.entries(connection) if entry["key"] not in KNOWN]
    if output == "json":
        print_json(found)
    elif found:
        of_many = len({entry["source"] for entry in found}) > 1
        print_table(("source", *_COLUMNS) if of_many else _COLUMNS, found)
    else:
        common.say("no record has an unknown key")
