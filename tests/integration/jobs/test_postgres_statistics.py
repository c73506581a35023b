"""PostgreSQL knows how many changes there are as soon as there are any: it plans the next batch by that."""

from __future__ import annotations

from tests.integration.mirror import Mirror

COUNTED = "select relname from pg_class where reltuples > 0 and relname in ('task_changes', 'tasks') order by 1"


def test_the_first_changes_are_counted_at_once(sandbox, migrated_postgres_url):
    mirror = Mirror(sandbox(tasks=60), migrated_postgres_url)
    assert mirror.sync().exit_code == 0
    assert mirror.rows(COUNTED) == [("tasks",)]
    mirror.server.change(update=20)
    assert mirror.sync().exit_code == 0
    assert mirror.rows(COUNTED) == [("task_changes",), ("tasks",)]
