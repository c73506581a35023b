"""The export formats: each writes rows as they come."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from etl.errors import ConfigError
from etl.optional_packages import install_command
from etl.times import format_time

if TYPE_CHECKING:
    from etl.load.queries.export import Field

Rows = Iterable[Sequence[Any]]
Write = Callable[[BinaryIO, Sequence["Field"], Rows], int]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ROW_GROUP = 5_000  # rows of one Parquet row group, held in memory at a time


def write_csv(out: BinaryIO, fields: Sequence[Field], rows: Rows, *, spreadsheet_safe: bool = False) -> int:
    """Write rows as CSV (RFC 4180, with plain line ends) and return how many."""
    line = io.StringIO()
    lines = csv.writer(line, lineterminator="\n")
    count = -1  # the first line is none
    for cells in chain([[field.name for field in fields]], (map(_cell, row) for row in rows)):
        lines.writerow(map(_safe, cells) if spreadsheet_safe else cells)
        out.write(line.getvalue().encode("utf-8", "backslashreplace"))
        line.seek(0)
        line.truncate()
        count += 1
    return count


def write_jsonl(out: BinaryIO, fields: Sequence[Field], rows: Rows) -> int:
    """Write each row as a JSON object on a line, and return how many."""
    count = 0
    for row in rows:
        values = {field.name: _plain(value, field) for field, value in zip(fields, row, strict=True)}
        out.write(orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE))
        count += 1
    return count


def write_parquet(out: BinaryIO, fields: Sequence[Field], rows: Rows) -> int:
    """Write rows as Parquet and return how many.

    Raises:
        ConfigError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError:
        message = f"--format parquet: pyarrow is not installed; run: {install_command('parquet')}"
        raise ConfigError(message) from None
    types = {
        "boolean": pa.bool_(), "integer": pa.int64(), "number": pa.float64(),
        "moment": pa.timestamp("ms", tz="UTC"),
    }  # fmt: skip
    schema = pa.schema([(field.name, types.get(field.kind, pa.string())) for field in fields])
    count = 0
    with parquet.ParquetWriter(out, schema) as writer:
        left = iter(rows)
        while group := list(islice(left, _ROW_GROUP)):
            columns = [[_arrow(row[at], field) for row in group] for at, field in enumerate(fields)]
            arrays = [pa.array(values, kind) for values, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            count += len(group)
    return count


FORMATS: dict[str, Write] = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case datetime():
            return format_time(value)
        case _:
            return str(value)


def _safe(cell: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run as a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _plain(value: object, field: Field) -> object:
    if field.kind == "json" and isinstance(value, str):
        return orjson.Fragment(value)
    return format_time(value) if isinstance(value, datetime) else value


def _arrow(value: object, field: Field) -> object:
    return _cell(value) if value is not None and field.kind in ("text", "json") else value
