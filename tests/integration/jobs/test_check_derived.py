"""``kore-etl db check --deep`` finds a derived row that is not what its tasks and changes say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from etl.times import format_time
from tests.integration.mirror import Mirror


@pytest.fixture
def mirror(sandbox, migrated_url):
    mirror = Mirror(sandbox(tasks=60, shape="full"), migrated_url)
    assert mirror.sync().exit_code == 0
    done = {"_id": "sts-done", "name": "Done", "statusCategory": "closed"}
    now = format_time(datetime.now(UTC))
    mirror.server.put([{**task, "status": done, "updatedAt": now} for task in mirror.server.tasks()[:5]])
    assert mirror.sync().exit_code == 0
    assert mirror.difference() is None
    return mirror


WRONG = {
    "daily_counts": "update daily_counts set created = created + 1",
    "status_intervals": "delete from status_intervals where position = 2",
    "task_progress": "update task_progress set reopened = 7",
    "tasks": "update tasks set assignee = 'nobody' where _id = (select min(_id) from tasks)",
    "task_tags": "insert into task_tags (task_id, source_id, position, tag) select min(_id), 1, 99, 'odd' from tasks",
    "task_fields": "delete from task_fields where task_id = (select min(task_id) from task_fields)",
    "statuses": "update statuses set name = 'odd' where _id = (select min(_id) from statuses)",
    "priorities": "update priorities set seen_at = '2001-01-01 00:00:00.000'",
    "cases": "update cases set ref_id = 'odd'",
    "agents": "update agents set name = 'odd'",
    "queues": "update queues set name = 'odd'",
    "users": "update users set email = 'odd'",
}


@pytest.mark.parametrize("table", WRONG)
def test_the_first_difference_names_its_table(mirror, table):
    mirror.change(
        WRONG[table].replace("00.000'", "00.000+00'") if "postgresql" in mirror.database_url else WRONG[table]
    )
    difference = mirror.difference()
    assert difference is not None
    assert difference.startswith(f"{table}: ")


def test_names_are_compared_beside_rejected_records(mirror):
    mirror.server.put([{"_id": {"no": "id"}, "createdAt": [], "updatedAt": format_time(datetime.now(UTC)), "name": 1}])
    assert mirror.sync().exit_code == 3
    assert mirror.difference() is None
    mirror.change(WRONG["agents"])
    assert mirror.difference().startswith("agents: ")


def test_the_command_exits_6_with_the_difference(mirror, run_cli):
    environment = {"KORE_ETL_DATABASE_URL": mirror.database_url}
    done = run_cli("db", "check", "--deep", env=environment)
    assert (done.returncode, "derived tables are as recomputed" in done.stderr) == (0, True), done.stderr
    mirror.change(WRONG["daily_counts"])
    assert run_cli("db", "check", env=environment).returncode == 0
    wrong = run_cli("db", "check", "--deep", env=environment)
    assert wrong.returncode == 6
    assert "a derived table differs from what is recomputed: daily_counts: " in wrong.stderr
