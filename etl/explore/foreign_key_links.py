"""A Datasette plugin that shows labels and links for keys of two columns; Datasette itself shows none.

A key is an ``_id`` and its source. An ``_id`` beside its source links to one row. Without the source, as in a query
that does not select it, a task's ``_id`` links to all tasks with this id.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from datasette import hookimpl
from datasette.utils import tilde_encode, urlsafe_components
from markupsafe import Markup
from msgspec import Struct

from etl.explore.datasette_metadata import DATABASE, LABELS
from etl.load.schema.task_tables import metadata
from etl.load.schema.view_columns import VIEWS

_SHOWN = ("_id", "task_id")  # the columns of views and queries that name a task


class _Reference(Struct, frozen=True):
    """A column that, with the source, refers to a row of another table."""

    table: str
    column: str
    target: str


def _references() -> Iterator[_Reference]:
    for table in metadata.sorted_tables:
        for constraint in table.foreign_key_constraints:
            if "source_id" in constraint.column_keys and len(constraint.column_keys) == len(_KEY):
                yield _Reference(table.name, constraint.column_keys[0], constraint.referred_table.name)


_KEY = ("_id", "source_id")
_REFERENCES = tuple(_references())
_TARGETS = {(each.table, each.column): each.target for each in _REFERENCES}
_VIEWS = frozenset(view.name for view in VIEWS)


@hookimpl  # type: ignore[untyped-decorator]
def render_cell(row: Any, value: Any, column: str, table: str | None, datasette: Any) -> Any:
    """Return the link, or None for a cell that Datasette shows well itself."""
    if not value:
        return None
    source_id = row["source_id"] if "source_id" in row.keys() else None  # noqa: SIM118 a SQLite row is no mapping
    if isinstance(source_id, dict):
        source_id = source_id["value"]  # on a table's page, with the source's name beside it
    if table is None or table in _VIEWS:
        return link("tasks", value, source_id, value) if column in _SHOWN else None
    target = _TARGETS.get((table, column))
    if target is None:
        return None

    async def labelled() -> Markup:
        label = await _label(datasette, target, value, source_id)
        return link(target, value, source_id, label or value)

    return labelled


@hookimpl  # type: ignore[untyped-decorator]
def extra_template_vars(table: str | None, view_name: str, request: Any, datasette: Any) -> Any:
    """Show on a row's page which rows of other tables refer to it."""
    if view_name != "row" or table is None:
        return {}

    async def naming() -> dict[str, Any]:
        key = urlsafe_components(request.url_vars["pks"])
        incoming = [each for each in _REFERENCES if each.target == table and len(key) == len(_KEY)]
        return {"foreign_key_tables": [await _count(datasette, each, key) for each in incoming]} if incoming else {}

    return naming


async def _label(datasette: Any, table: str, value: str, source_id: int | None) -> Any:
    column = LABELS.get(table)
    if column is None:
        return None
    query = f"select {column} from {table} where _id = ? and source_id = ?"  # noqa: S608 our own names
    return (await datasette.get_database(DATABASE).execute(query, (value, source_id))).single_value()


async def _count(datasette: Any, naming: _Reference, key: list[str]) -> dict[str, Any]:
    query = f"select count(*) from {naming.table} where {naming.column} = ? and source_id = ?"  # noqa: S608 as above
    count = (await datasette.get_database(DATABASE).execute(query, key)).single_value()
    link = f"/{DATABASE}/{naming.table}?{urlencode({naming.column: key[0], 'source_id': key[1]})}"
    return {"other_table": naming.table, "other_column": naming.column, "count": count, "link": link}


def link(table: str, value: Any, source_id: int | None, label: Any) -> Markup:
    """Return a link to a row of a table; without a source, to all rows with its ``_id``."""
    if source_id is None:
        address = f"{table}?{urlencode({'_id__exact': value})}"
    else:
        address = f"{table}/{tilde_encode(str(value))},{source_id}"
    return Markup('<a href="/{}/{}">{}</a>').format(DATABASE, address, label)
