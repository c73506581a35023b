"""Writes docs/schema.md and docs/schema/: the tables and views, from what the program itself says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Column, ForeignKey, Table
from sqlalchemy.dialects import postgresql, sqlite

from etl.load.schema.task_tables import metadata
from etl.load.schema.view_columns import VIEWS, View

_DOCS = Path(__file__).resolve().parent.parent

#: By page: the title, and the tables.
_GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "tasks": ("Tables of tasks and what they name", (
        *("tasks", "statuses", "priorities", "cases", "agents", "queues", "users"),
        *("task_queues", "task_participants", "task_tags", "task_channels", "task_fields"),
    )),
    "history": ("Tables of history", ("task_changes", "rejected_records", "unknown_keys")),
    "program": ("Tables of the program itself", (
        *("sources", "sync_runs", "watermarks", "sync_windows", "request_budgets"),
    )),
}  # fmt: skip
_MADE = "<!-- Made by `make references` from the program itself; change it there. -->\n"

_INTRODUCTION = """# The tables and views

<!-- Made by `make references` from the program itself; change it there. -->

The tables and views are the same on SQLite and on PostgreSQL. Times are UTC, to the millisecond. On SQLite a time is
text such as `2025-05-28 12:05:38.807`, which its date functions read. On PostgreSQL it is `timestamptz(3)`. Where a
column has two types, the first is SQLite's. A key in the form `table._id` is a foreign key, together with `source_id`
where both are the key of that table. [Ask questions of the database](how-to/query.md) shows common queries.

A task is open if it is not deleted and its status is not resolved: see `is_resolved` of the table `statuses`. A day is
one of the source's time zone. No view shows an erased task.
"""


def pages() -> dict[Path, str]:
    """Return the text of each page."""
    grouped = {name for _, names in _GROUPS.values() for name in names}
    rest = tuple(sorted(set(metadata.tables) - grouped))
    groups = _GROUPS | {"derived": ("Derived tables", rest)}
    found = {_DOCS / "schema" / "views.md": _page("Views", (_view(view) for view in VIEWS))}
    links = [f"- [Views](schema/views.md): {', '.join(f'`{view.name}`' for view in VIEWS)}"]
    for page, (title, names) in groups.items():
        found[_DOCS / "schema" / f"{page}.md"] = _page(title, (_table(metadata.tables[name]) for name in names))
        links.append(f"- [{title}](schema/{page}.md): {', '.join(f'`{name}`' for name in names)}")
    return {_DOCS / "schema.md": "\n".join([_INTRODUCTION, *links, "", _diagram()]), **found}


def _page(title: str, parts: Iterator[str]) -> str:
    return "\n".join([f"# {title}\n", _MADE, *parts])


def _diagram() -> str:
    lines = (_line(column, key) for column in _columns() for key in _references(column))
    return "\n".join(["## How the tables are related\n", "```mermaid", "erDiagram", *lines, "```", ""])


def _references(column: Column[object]) -> list[ForeignKey]:
    """Return the foreign keys that begin with a column; the source comes second where a key has two."""
    return [key for key in column.foreign_keys if _columns_of(key)[0] is column]


def _columns_of(key: ForeignKey) -> list[Column[object]]:
    return [*key.constraint.columns] if key.constraint is not None else []


def _columns() -> Iterator[Column[object]]:
    return (column for table in metadata.sorted_tables for column in table.columns)


def _line(column: Column[object], key: ForeignKey) -> str:
    is_only_one = set(_columns_of(key)) == set(column.table.primary_key)
    return f"    {key.column.table.name} ||--o{'|' if is_only_one else '{'} {column.table.name} : {column.name}"


def _view(view: View) -> str:
    rows = (f"| `{name}` | {_cell(comment)} |" for name, comment in view.columns.items())
    return "\n".join([f"## {view.name}\n", f"{_sentence(view.comment)}\n", "| Column | |", "| --- | --- |", *rows, ""])


def _table(table: Table) -> str:
    head = ["| Column | Type | Key | Null | |", "| --- | --- | --- | --- | --- |"]
    rows = (_row(column) for column in table.columns)
    return "\n".join([f"## {table.name}\n", f"{_sentence(table.comment or '')}\n", *head, *rows, ""])


def _row(column: Column[object]) -> str:
    keys = ["primary"] if column.primary_key else []
    keys += [f"`{key.column.table.name}.{key.column.name}`" for key in _references(column)]
    null = "yes" if column.nullable else ""
    return f"| `{column.name}` | {_types(column)} | {', '.join(keys)} | {null} | {_cell(column.comment or '')} |"


def _types(column: Column[object]) -> str:
    names = [column.type.compile(dialect()).lower() for dialect in (sqlite.dialect, postgresql.dialect)]
    names[1] = names[1].replace("timestamp(3) with time zone", "timestamptz(3)")
    return " / ".join(dict.fromkeys(names))


def _cell(comment: str) -> str:
    return comment.replace("|", "\\|").replace("<", "&lt;")


def _sentence(comment: str) -> str:
    return f"{comment[:1].upper()}{comment[1:]}." if comment else ""


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
