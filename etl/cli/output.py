"""Prints what commands read from the database: tables for people, JSON for pipes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from etl.logs import clean
from etl.record import Row

_GAP = 2  # blanks between two columns


def print_json(value: object) -> None:
    """Print a value as JSON; times are ISO 8601 in UTC."""
    import orjson

    from etl.exact_json import fragment

    click.echo(orjson.dumps(value, default=fragment, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))


def print_table(columns: Sequence[str], rows: Sequence[Row], *, indent: str = "") -> None:
    """Print some columns of rows; fold them to the width of a terminal."""
    texts = [[shown(row[column]) for column in columns] for row in rows]
    headers = [column.replace("_", " ").strip() for column in columns]
    if sys.stdout.isatty():
        _print_on_terminal(headers, texts)
        return
    widths = [max(map(len, cells)) for cells in zip(headers, *texts, strict=True)]
    for line in (headers, *texts):
        click.echo(indent + "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


def print_record(record: Row, *, indent: str = "") -> None:
    """Print the columns of one row below each other."""
    width = max(map(len, record))
    for name, value in record.items():
        click.echo(f"{indent}{name:<{width}}  {shown(value)}")


def shown(value: object) -> str:
    """Format a value for a person: a time in UTC, a dash for None, no terminal control characters."""
    match value:
        case None:
            return "-"
        case bool():
            return str(value).lower()
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03}Z"
        case _:
            return clean(str(value))


def counted(number: int, noun: str) -> str:
    """Return such as "1 window" or "1,200 windows"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def ago(moment: datetime | None, now: datetime) -> str:
    """Format how long ago something was, in its two largest units."""
    from etl.times import format_duration

    if moment is None:
        return "-"
    seconds = round(max(0.0, (now - moment).total_seconds()))
    coarse = seconds - seconds % (3600 if seconds >= 86_400 else 60 if seconds >= 3600 else 1)
    return f"{format_duration(timedelta(seconds=coarse))} ago"


def _print_on_terminal(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table folded to the width; if its headers do not fit, print each row as a list."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if sum(map(len, headers)) + _GAP * (len(headers) - 1) > console.width:
        for number, row in enumerate(rows):
            click.echo(nl=bool(number))
            print_record(dict(zip(headers, row, strict=True)))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
