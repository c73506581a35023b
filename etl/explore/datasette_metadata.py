"""What Datasette shows of the database: comments of tables, views and columns, labels, facets, the ten questions."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from msgspec import Struct
from sqlalchemy import Table

from etl.load.schema.task_tables import metadata
from etl.load.schema.view_columns import VIEWS, View

DATABASE = "tasks"  # its name in every URL, for any file name

LABELS = {
    **dict.fromkeys(("sources", "statuses", "priorities", "agents", "queues", "users"), "name"),
    **dict.fromkeys(("tasks", "cases"), "ref_id"),
}
# Tables that only the views read.
_HIDDEN = ("status_intervals", "task_progress", "daily_counts", "alembic_version")
_OVERVIEW = {
    "facets": ["is_open", "status", "priority", "queue", "assignee"],
    "facet_size": 15,
    "sort_desc": "updated_at",
}
_SEARCH = {
    "title": "Search the names of tasks",
    "description": "Tasks with all the words in their name, or with this number. Case and accents do not matter. "
    "The 200 that changed last.",
    "params": ["words"],
    "hide_sql": True,
    "sql": """\
select _id, source, ref_id, name, status, priority, assignee, queue, created_at, updated_at, deleted_at, source_id
from task_overview
where holds_words(coalesce(name, '') || ' ' || coalesce(ref_id, '') || ' ' || coalesce(case_ref_id, ''), :words)
order by updated_at desc
limit 200""",
}
_START = f"""\
<form action="/{DATABASE}/search" method="get"><p>
<label for="words" style="width: auto">Search the names of tasks:</label>
<input type="search" id="words" name="words"> <input type="submit" value="Search"></p></form>
<p>Begin with <a href="/{DATABASE}/task_overview">task_overview</a>, one row for each task, or with one of the
<a href="/{DATABASE}#queries">ten questions</a>. Times are UTC. Nobody can change data here, and a sync may run
meanwhile.</p>"""


class Question(Struct, frozen=True):
    """A question, and the statement that answers it on SQLite."""

    name: str
    title: str
    sql: str


def describe() -> dict[str, Any]:
    """Return Datasette's metadata."""
    tables = {name: _of_table(table) for name, table in sorted(metadata.tables.items())}
    tables |= {view.name: _of_view(view) for view in VIEWS}
    for name in _HIDDEN:
        tables.setdefault(name, {})["hidden"] = True
    tables["task_overview"] |= _OVERVIEW
    database = {"description_html": _START, "tables": tables, "queries": {"search": _SEARCH, **_asked()}}
    return {
        "title": "Support tasks",
        "extra_css_urls": ["/own/explore.css"],
        "description_html": _START,
        "databases": {DATABASE: database},
    }


def _asked() -> dict[str, Any]:
    return {
        each.name: {"title": f"{number}. {each.title}", "sql": each.sql}
        for number, each in enumerate(questions(), start=1)
    }


def _of_table(table: Table) -> dict[str, Any]:
    told = {column.name: column.comment for column in table.columns if column.comment}
    labels = {"label_column": LABELS[table.name]} if table.name in LABELS else {}
    return {"description": table.comment or "", "columns": told, **labels}


def _of_view(view: View) -> dict[str, Any]:
    told = {name: comment for name, comment in view.columns.items() if comment}
    return {"description": view.comment, "columns": told, "sortable_columns": list(view.columns)}


def questions() -> list[Question]:
    """Return the questions in their order."""
    folder = files(__package__).joinpath("questions")
    found = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name)
    return [_read(each.name.removesuffix(".sql"), each.read_text(encoding="utf-8")) for each in found]


def _read(name: str, text: str) -> Question:
    title, _, sql = text.partition("\n")
    return Question(name, title.removeprefix("-- "), sql.strip())
