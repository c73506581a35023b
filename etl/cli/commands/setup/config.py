"""``kore-etl config``: show the settings and where each comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from etl.cli.options import Common, common_options, output_option, source_option
from etl.logs import say

if TYPE_CHECKING:
    from etl.api_record import Row


@click.group()
def config() -> None:
    """Show the settings and where each comes from.

    \b
    Example:
      kore-etl config show
    """


@config.command()
@common_options
@source_option
@output_option
def show(common: Common, select: tuple[str, ...], output: str) -> None:
    """Print every setting with its value and its origin; secrets are masked.

    \b
    Example:
      kore-etl config show
      kore-etl config show --output json | jq '.overlap.value'
    """
    from etl.cli.output import fits, print_record, print_table, shown
    from etl.settings import describe

    loaded = common.load(select=select)
    rows = [(key, value, loaded.origins[key]) for key, value in describe(loaded.settings).items()]
    for warning in loaded.warnings:
        say(warning, "warning")
    if output == "json":
        click.echo(json.dumps({key: {"value": value, "from": origin} for key, value, origin in rows}, indent=2))
        return
    columns = ("setting", "value", "from")
    table: list[Row] = [dict(zip(columns, row, strict=True)) for row in rows]
    if fits(columns, table):
        print_table(columns, table)
    else:
        print_record({key: f"{shown(value)} ({origin})" for key, value, origin in rows})
