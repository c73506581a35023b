"""``make snapshot``: writes ``migrations/snapshot``, the statements that make at once what the migrations leave.

What SQLite holds it tells as it was said to it. For PostgreSQL they are those of the models and, of views, the last
that the migrations said. tests/integration/load/test_new_database.py compares what comes of them with what the
migrations make.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Engine, create_mock_engine, event, text

from etl.load.database.engine import open_engine, reading
from etl.load.schema import migrate
from etl.load.schema.detail_tables import metadata

_TRAILING = re.compile(r"[ \t]+$", re.MULTILINE)
_VERSIONS = """CREATE TABLE alembic_version (
\tversion_num VARCHAR(32) NOT NULL,
\tCONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)"""


def test_write(database_url: str) -> None:
    """Not collected by itself: run once for each database."""
    engine = open_engine(database_url)
    views = _migrate(engine)
    statements = _said_to_sqlite(engine) if engine.dialect.name == "sqlite" else _said_to_postgresql(engine, views)
    statements.append(f"insert into alembic_version (version_num) values ('{migrate.newest()}')")
    every = "".join(f"{_TRAILING.sub('', each)};\n\n" for each in statements)
    path = migrate.snapshot(engine.dialect.name)
    path.write_text(every.rstrip("\n") + "\n", "utf-8")
    engine.dispose()


def _migrate(engine: Engine) -> list[str]:
    """Run each migration, and give what was last said of each view."""
    views: dict[str, list[str]] = {}

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found = re.match(r"\s*(create view|drop view|comment on view) (\w+)", statement)
        if found and found[1] == "drop view":
            del views[found[2]]
        elif found:
            views.setdefault(found[2], []).append(statement.strip())

    event.listen(engine, "before_cursor_execute", note)
    migrate.upgrade(engine, migrate.newest())
    event.remove(engine, "before_cursor_execute", note)
    return [statement for of_view in views.values() for statement in of_view]


def _said_to_sqlite(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        found = connection.execute(text("select sql from sqlite_master where sql is not null order by rowid"))
        return [*found.scalars()]


def _said_to_postgresql(engine: Engine, views: list[str]) -> list[str]:
    made: list[str] = []
    mock = create_mock_engine(
        engine.url, lambda statement, *_, **__: made.append(str(statement.compile(dialect=mock.dialect)).strip())
    )
    metadata.create_all(mock, checkfirst=False)
    is_index = re.compile("CREATE INDEX").match
    indexes = sorted(statement for statement in made if is_index(statement))  # the models hold them in no order
    return [_VERSIONS, *(statement for statement in made if not is_index(statement)), *indexes, *views]
