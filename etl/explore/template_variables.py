"""A Datasette plugin that gives the start page its numbers and answers, and a task's page its facts and timeline."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Any

from datasette import hookimpl
from datasette.database import QueryInterrupted
from datasette.utils import urlsafe_components
from markupsafe import Markup, escape

from etl.explore.datasette_metadata import DATABASE, Question, questions
from etl.explore.foreign_key_links import link

_ROWS = 3  # of each question
_PATIENCE_MS = 4000
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}")
_LATE = "due_at < strftime('%Y-%m-%d %H:%M:%f', 'now')"
_HEADLINE = {
    "Open": ("is_open", "is_open=1"),
    "Overdue": (f"is_open and {_LATE}", f"_where=is_open+and+{_LATE.replace(' ', '+').replace('%', '%25')}"),
    "SLA breached": ("is_open and is_breached", "is_open=1&is_breached=1"),
    "Unassigned": ("is_open and assignee_id is null", "is_open=1&assignee_id__isnull=1"),
    "Reopened": ("is_open and reopened > 0", "is_open=1&reopened__gt=0"),
}
# The table that the ids of a change refer to.
_NAMED = {"status": "statuses", "priority": "priorities", "assignee": "agents", "queue": "queues"}


@hookimpl  # type: ignore[untyped-decorator]
def extra_template_vars(table: str | None, view_name: str, request: Any, datasette: Any) -> Any:
    """Return what the templates of the start page and of a task's page show."""
    database = datasette.get_database(DATABASE)
    if view_name == "index":
        return lambda: _start(database)
    if view_name == "row" and table == "tasks":
        return lambda: _task(database, urlsafe_components(request.url_vars["pks"]))
    return {}


async def _start(database: Any) -> dict[str, Any]:
    counts = ", ".join(f"count(case when {condition} then 1 end)" for condition, _ in _HEADLINE.values())
    numbers, *answers = await asyncio.gather(
        _rows(database, f"select {counts} from task_overview"),  # noqa: S608 our own names
        *(_answer(database, number, each) for number, each in enumerate(questions(), start=1)),
    )
    links = [f"/{DATABASE}/task_overview?{query}" for _, query in _HEADLINE.values()]
    headline = list(zip(_HEADLINE, numbers.rows[0], links, strict=True)) if numbers else []
    return {"headline": headline, "answers": answers}


async def _answer(database: Any, number: int, question: Question) -> dict[str, Any]:
    found = await _rows(database, f"select * from ({question.sql}) limit {_ROWS}")  # noqa: S608 as above
    return {
        "title": f"{number}. {question.title}",
        "link": f"/{DATABASE}/{question.name}",
        "columns": found.columns if found else [],
        "rows": [[_short(cell) for cell in row] for row in found.rows] if found else [],
        "instead": "No row." if found else "This takes a while: open it.",
    }


async def _rows(database: Any, sql: str) -> Any:
    try:
        return await database.execute(sql, custom_time_limit=_PATIENCE_MS)
    except QueryInterrupted:
        return None


async def _task(database: Any, key: list[str]) -> dict[str, Any]:
    found = (await database.execute("select * from task_overview where _id = ? and source_id = ?", key)).first()
    if found is None:
        return {"task": None}
    changes = await database.execute(
        "select *, coalesce(changed_at, seen_at) as at from task_changes where task_id = ? and source_id = ?"
        " order by at, id",
        key,
    )
    task = dict(found)
    return {"task": task, "facts": list(_facts(task)), "timeline": list(_timeline(task, map(dict, changes.rows)))}


def _facts(task: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    source = task["source_id"]
    state = "deleted" if task["deleted_at"] else "open" if task["is_open"] else "resolved"
    yield "State", f"{state}, SLA breached" if task["is_breached"] else state
    for name, table in (
        ("Status", "statuses"),
        ("Priority", "priorities"),
        ("Assignee", "agents"),
        ("Queue", "queues"),
    ):
        label, key = task[name.lower()], task[f"{name.lower()}_id"]
        yield name, link(table, key, source, label or key) if key else "none"
    yield "Case", link("cases", task["case_id"], source, task["case_ref_id"]) if task["case_id"] else "none"
    for name in ("Created", "Updated", "Due", "Resolved"):
        if task[f"{name.lower()}_at"]:
            yield name, _minute(task[f"{name.lower()}_at"])
    yield "Source", task["source"]


def _timeline(task: Mapping[str, Any], changes: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if task["created_at"]:
        yield {"at": _minute(task["created_at"]), "what": "created"}
    for change in changes:
        yield {"at": _minute(change["at"]), "what": _described(change)}


def _described(change: Mapping[str, Any]) -> Any:
    if change["field"] in {"deletion", "return"}:
        return "gone from the server" if change["field"] == "deletion" else "on the server again"
    old, new = (_value(change, which) for which in ("old", "new"))
    return Markup("{}: {} → {}").format(change["field_key"] or change["field"], old, new)


def _value(change: Mapping[str, Any], which: str) -> Any:
    key, text = change[f"{which}_id"], change[f"{which}_value"]
    table = _NAMED.get(change["field"])
    if table and key:
        return link(table, key, change["source_id"], text or key)
    return escape(text) if text else "none"


def _short(cell: Any) -> Any:
    """What a small table shows of a value: of a time no seconds."""
    if isinstance(cell, str) and _TIME.fullmatch(cell):
        return _minute(cell)
    return "-" if cell is None else cell


def _minute(moment: str) -> str:
    return moment[:16]
