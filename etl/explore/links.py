"""The plugin that makes a task's id a link where Datasette sees no foreign key: in views and answers."""

from __future__ import annotations

from typing import Any

from datasette import hookimpl
from datasette.utils import tilde_encode
from markupsafe import Markup

from etl.explore.description import DATABASE
from etl.load.schema.views import VIEWS

_VIEWS = frozenset(view.name for view in VIEWS)


@hookimpl  # type: ignore[untyped-decorator]
def render_cell(value: Any, column: str, table: str | None) -> Markup | None:
    """Return the link, or None for what Datasette shows well itself."""
    if not value or column not in ("_id", "task_id") or (table is not None and table not in _VIEWS):
        return None
    return Markup('<a href="/{}/tasks/{}">{}</a>').format(DATABASE, tilde_encode(str(value)), value)
