"""Where history begins."""

from __future__ import annotations

import pytest

from tests.integration.mirror import NONE, Mirror

COLUMNS = {"createdAt": "created_at", "updatedAt": "updated_at"}


@pytest.mark.parametrize("tasks", [30, 300], ids=["less than a page", "more than a page"])
@pytest.mark.parametrize("is_probed", [True, False], ids=["probed", "not probed"])
@pytest.mark.parametrize("field", COLUMNS)
def test_no_task_is_older_than_the_beginning(sandbox, migrated_sqlite_url, field, tasks, is_probed):
    mirrored = Mirror(sandbox(tasks=tasks, shape="eight", window_field=field), migrated_sqlite_url)
    if is_probed:  # the sync then asks for the beginning by itself
        mirrored.work("probe", lambda run: run.capabilities.ensure_known(again=True))
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE
    older = f"select count(*) from tasks, sources where tasks.{COLUMNS[field]} < sources.history_start"
    assert mirrored.value(older) == 0
