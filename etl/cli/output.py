"""Prints what commands read from the database: tables for people, JSON for pipes."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from unicodedata import combining, east_asian_width

import click
from msgspec import Struct
from msgspec.structs import asdict

from etl.api_record import Row
from etl.logs import clean

_GAP = 2  # blanks between two columns


def print_json(value: object) -> None:
    """Print a value as JSON; times are ISO 8601 in UTC."""
    import orjson

    click.echo(orjson.dumps(value, default=_as_json, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z))


def _as_json(value: object) -> object:
    from etl.exact_json import fragment

    return asdict(value) if isinstance(value, Struct) else fragment(value)


def print_table(columns: Sequence[str], rows: Sequence[Row], *, indent: str = "", optional: Sequence[str] = ()) -> None:
    """Print some columns of rows.

    A terminal that is too narrow loses ``optional`` columns, the first ones first. Then cells are wrapped by word.
    Where that does not fit either, each row is a list.
    """
    cells = {column: [_header(column), *(shown(row[column]) for row in rows)] for column in columns}
    widths = {column: max(map(_width, texts)) for column, texts in cells.items()}
    if not sys.stdout.isatty():
        _print_lines(cells, widths, indent)
        return
    room = terminal_columns() - len(indent)
    for column in optional:
        if _total(widths) > room:
            del widths[column]
    least = {column: max(_width(word) for text in cells[column] for word in text.split() or [""]) for column in widths}
    if _total(least) > room:
        for number, row in enumerate(rows):
            click.echo(nl=bool(number))
            print_record({_header(column): row[column] for column in columns})
        return
    while _total(widths) > room:
        widest = max((column for column in widths if widths[column] > least[column]), key=widths.__getitem__)
        widths[widest] -= 1
    _print_lines(cells, widths, indent)
    if len(widths) < len(columns):
        left_out = ", ".join(_header(column) for column in columns if column not in widths)
        text = f"(left out: {left_out}; a wider terminal or --output json shows them)"
        for line in wrapped(text, room):
            click.echo(f"{indent}{line}", err=True)


def fits(columns: Sequence[str], rows: Sequence[Row]) -> bool:
    """Tell whether a table needs no wrapping: on a pipe, or on a terminal that is wide enough."""
    widths = {column: max(len(_header(column)), *(_width(shown(row[column])) for row in rows)) for column in columns}
    return _total(widths) <= terminal_columns()


def _print_lines(cells: Mapping[str, Sequence[str]], widths: Mapping[str, int], indent: str) -> None:
    for number in range(len(next(iter(cells.values())))):
        parts = {column: wrapped(cells[column][number], width) for column, width in widths.items()}
        for place in range(max(map(len, parts.values()))):
            row = {column: part[place] if place < len(part) else "" for column, part in parts.items()}
            line = "  ".join(text + " " * (widths[column] - _width(text)) for column, text in row.items())
            text = f"{indent}{line}".rstrip()
            click.echo(click.style(text, bold=True) if number == 0 and sys.stdout.isatty() else text)


def _header(column: str) -> str:
    return column.replace("_", " ").strip()


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes: letters such as those of Japanese take two each."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def terminal_columns() -> int:
    """Return the width to write in; there is no limit where nobody looks."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines of some width; no word is cut."""
    if _width(text) <= width:
        return [text]
    return textwrap.wrap(text, max(1, width), break_long_words=False, break_on_hyphens=False) or [""]


def print_text(text: str, *, indent: str = "") -> None:
    """Print a line without control characters; on a terminal it is wrapped by word."""
    for line in wrapped(shown(text), terminal_columns() - len(indent)):
        click.echo(f"{indent}{line}")


def print_record(record: Row, *, indent: str = "") -> None:
    """Print the columns of one row below each other; on a terminal long values are wrapped by word."""
    width = max(map(len, record))
    room = terminal_columns() - len(indent) - width - _GAP
    for name, value in record.items():
        first, *others = wrapped(shown(value), room)
        click.echo(f"{indent}{name:<{width}}  {first}")
        for line in others:
            click.echo(f"{indent}{'':<{width}}  {line}")


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
