"""``kore-etl config``: show the settings and where each comes from."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from etl.cli.options import Common, common_options, output_option, source_option
from etl.logs import clean

_Rows = Sequence[tuple[str, object, str]]


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
    from etl.settings import describe

    loaded = common.load(select=select)
    rows = [(key, value, loaded.origins[key]) for key, value in describe(loaded.settings).items()]
    for warning in loaded.warnings:
        click.echo(f"kore-etl: warning: {clean(warning)}", err=True)
    if output == "json":
        click.echo(json.dumps({key: {"value": value, "from": origin} for key, value, origin in rows}, indent=2))
    elif sys.stdout.isatty():
        _print_table(rows)
    else:
        _print_columns(rows)


def _text(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case _:
            return clean(str(value))


def _print_columns(rows: _Rows) -> None:
    lines = [("setting", "value", "from"), *((key, _text(value), clean(origin)) for key, value, origin in rows)]
    first, second = (max(len(line[column]) for line in lines) for column in (0, 1))
    for key, value, origin in lines:
        click.echo(f"{key:<{first}}  {value:<{second}}  {origin}")


def _print_table(rows: _Rows) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("setting", "value", "from", box=None, header_style="bold", pad_edge=False)
    for key, value, origin in rows:
        style = "dim" if origin == "default" else ""
        table.add_row(Text(key), Text(_text(value)), Text(clean(origin)), style=style)
    Console().print(table)
