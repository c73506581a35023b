"""PostgreSQL knows how many changes there are as soon as there are any: it plans the next batch by that."""

from __future__ import annotations

from sqlalchemy import Engine, event

from tests.integration.mirror import Mirror

COUNTED = "select relname from pg_class where reltuples > 0 and relname in ('task_changes', 'tasks') order by 1"


def test_the_first_changes_are_counted_at_once(sandbox, migrated_postgres_url):
    mirror = Mirror(sandbox(tasks=60), migrated_postgres_url)
    assert mirror.sync().exit_code == 0
    assert mirror.rows(COUNTED) == [("tasks",)]
    mirror.server.change(update=20)
    assert mirror.sync().exit_code == 0
    assert mirror.rows(COUNTED) == [("task_changes",), ("tasks",)]


def test_they_are_counted_before_anything_is_derived_of_them(sandbox, migrated_postgres_url):
    mirror = Mirror(sandbox(tasks=60), migrated_postgres_url)
    assert mirror.sync().exit_code == 0
    mirror.server.change(update=60)
    statements = []
    event.listen(Engine, "before_cursor_execute", note := lambda *given: statements.append(given[2]))
    try:
        assert mirror.sync().exit_code == 0
        mirror.server.change(update=60)
        assert mirror.sync().exit_code == 0
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    written = next(place for place, each in enumerate(statements) if each.startswith("INSERT INTO task_changes"))
    derived = next(place for place, each in enumerate(statements) if each.startswith("INSERT INTO status_intervals"))
    (counted,) = (place for place, each in enumerate(statements) if each.startswith("analyze"))
    assert written < counted < derived
