"""``kore-etl why`` as a process, on both databases."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import text

from etl.load.database.engine import open_engine
from etl.sandbox import Sandbox
from tests.integration.mirror import Mirror

MOMENT = "2025-05-28T12:05:38.807Z"
OPEN = {"_id": "sts-1", "name": "Open", "statusCategory": "open"}
DONE = {"_id": "sts-2", "name": "Done \x1b[31m", "statusCategory": "resolved"}
TASK = {
    "_id": "ti-mine",
    "refId": "TS900001",
    "caseId": "ci-mine",
    "caseRefId": "CS900001",
    "name": "mine",
    "status": OPEN,
    "createdAt": MOMENT,
    "updatedAt": MOMENT,
}
SIBLING = {**TASK, "_id": "ti-sibling", "refId": "TS900002"}
BAD = {"_id": "ti-bad", "refId": "TS900003", "updatedAt": "yesterday"}


@pytest.fixture
def server(sandbox) -> Sandbox:
    return sandbox(tasks=3, days=900)


@pytest.fixture
def mirror(server, migrated_url) -> Mirror:
    """A database that was synced with a task of two references, its sibling in the case, and one that is impossible."""
    server.put([TASK, SIBLING, BAD])
    mirrored = Mirror(server, migrated_url)
    mirrored.sync()
    return mirrored


@pytest.fixture
def why(run_cli, mirror) -> Callable[..., subprocess.CompletedProcess[str]]:
    return partial(run_cli, "why", env={"KORE_ETL_DATABASE_URL": mirror.database_url})


def explained(why, asked: str) -> dict[str, object]:
    done = why(asked, "--output", "json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def hints(why, asked: str) -> dict[str, str]:
    """The command of each reason that is given."""
    return {hint["reason"]: hint["command"] for hint in explained(why, asked)["hints"]}


def execute(mirror: Mirror, *statements: str) -> None:
    engine = open_engine(mirror.database_url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def midnight(mirror: Mirror, day: str) -> str:
    """The beginning of a day in the database's SQL."""
    zone = "" if "sqlite" in mirror.database_url else "+00"
    return f"'{day} 00:00:00.000{zone}'"


def test_tells_the_row_the_history_the_run_and_the_windows(why, mirror):
    mirror.server.put([{**TASK, "status": DONE, "updatedAt": "2025-06-01T00:00:00.000Z"}])
    mirror.sync(full=True)
    done = why("TS900001")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0] == "TS900001 is here, and was on the server when last read."
    assert "status           Done \\x1b[31m" in lines
    assert "2025-05-28 12:05:38.807Z  created on the server" in lines
    assert "2025-06-01 00:00:00.000Z  status: Open -> Done \\x1b[31m (run 2)" in lines
    assert "\x1b" not in done.stdout
    assert any(line.startswith("run 2 (sync, ") and line.endswith("wrote this version") for line in lines)
    (story,) = explained(why, "ti-mine")["tasks"]
    assert [window["job"] for window in story["windows"]] == ["first", "full"]
    assert story["history"][0]["what"] == "created on the server"
    assert (story["run"]["id"], story["task"]["status_category"]) == (2, "resolved")


def test_finds_a_reference_in_small_letters(why):
    assert explained(why, "ts900001")["tasks"][0]["task"]["_id"] == "ti-mine"


@pytest.mark.parametrize("asked", ["CS900001", "ci-mine"])
def test_lists_the_tasks_of_a_case(why, asked):
    assert why(asked).stdout.startswith(f"{asked} is a case with 2 tasks.")
    answer = explained(why, asked)
    assert (answer["found"], answer["case"]) == (True, True)
    assert {task["_id"] for task in answer["case_tasks"]} == {"ti-mine", "ti-sibling"}


def test_says_that_a_task_is_gone_and_how_to_ask_the_server(why, mirror):
    execute(mirror, f"update tasks set deleted_at = {midnight(mirror, '2025-07-01')} where _id = 'ti-mine'")
    assert why("ti-mine").stdout.startswith("ti-mine is here, and is gone from the server.")
    told = hints(why, "ti-mine")
    assert "ti-mine" in told["ti-mine was found gone from the server at 2025-07-01T00:00:00.000Z"]
    (story,) = explained(why, "ti-mine")["tasks"]
    assert "found gone from the server" in [event["what"] for event in story["history"]]


@pytest.mark.parametrize("asked", ["ti-bad", "TS900003"])
def test_finds_a_rejected_record_by_its_id_and_by_its_text(why, asked):
    answer = explained(why, asked)
    (record,) = answer["rejected"]
    assert (answer["found"], record["record_id"]) == (False, "ti-bad")
    commands = [hint["command"] for hint in answer["hints"]]
    assert commands == [f"kore-etl rejected show {record['id']}", f"kore-etl rejected replay {record['id']}"]
    assert "Kept aside" in why(asked).stdout


def test_names_the_times_that_were_not_read(why, mirror):
    told = hints(why, "ti-nobody")
    before, after, never = told
    assert before.startswith("source default: nothing before 20")
    assert told[before].startswith("kore-etl backfill --source default --since 1970-01-02T00:00:00.000Z --until 20")
    assert after.startswith("source default: nothing after 20")
    assert told[after] == "kore-etl sync --source default"
    assert never.startswith("it was never seen in the streams that are here: default (st-")


def test_names_a_gap_and_the_backfill_that_closes_it(why, mirror):
    execute(mirror, "update sync_windows set start_at = checkpoint_at where job = 'first'")
    told = hints(why, "ti-nobody")
    command = next(command for reason, command in told.items() if reason.endswith(" was not read"))
    assert command.startswith("kore-etl backfill --source default --since 20")


def test_takes_a_window_for_verified_that_was_read_again(why, mirror):
    # Two syncs of one second may end at the same time, or the second one a little earlier: the server's time is cut.
    ended = midnight(mirror, "2025-06-01")
    execute(mirror, f"update sync_windows set state = 'unverified', end_at = {ended} where id = 1")
    assert any("not proved complete" in reason for reason in hints(why, "ti-nobody"))
    mirror.sync(full=True)
    assert not any("not proved complete" in reason for reason in hints(why, "ti-nobody"))


def test_says_that_the_first_sync_is_not_at_its_end(why, mirror):
    execute(mirror, "delete from watermarks")
    reason = "source default: the first sync has not come to its end"
    assert hints(why, "ti-nobody")[reason] == "kore-etl sync --source default"


def test_knows_what_is_no_task(why):
    done = why("sts-1")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "sts-1 is not here.")
    assert "by its beginning it is the id of a status" in done.stdout


def test_quotes_what_a_shell_would_take_apart(why):
    command = explained(why, "'; rm -rf ~")["hints"][-1]["command"]
    quoted = '"\'; rm -rf ~"'
    assert shlex.split(command)[-2:] == ["jq", f"select(._id == {quoted} or .refId == {quoted})"]


def test_says_that_nothing_was_ever_synced(run_cli, migrated_url):
    settings = {"KORE_ETL_DATABASE_URL": migrated_url}
    done = run_cli("why", "ti-mine", "--output", "json", env=settings)
    (hint,) = json.loads(done.stdout)["hints"]
    assert hint == {"reason": "nothing was ever synced into this database", "command": "kore-etl sync"}


def test_makes_no_database_where_there_is_none(run_cli, sqlite_url, tmp_path):
    done = run_cli("why", "ti-mine", env={"KORE_ETL_DATABASE_URL": sqlite_url})
    assert done.returncode == 6
    assert not (tmp_path / "kore-etl.db").exists()


def test_help_has_an_example(run_cli):
    assert "  Example:\n    kore-etl why TS000105" in run_cli("why", "--help").stdout


def test_what_a_quiet_sync_covers_is_here(run_cli, sandbox, environment, sqlite_url):
    """The watermark stays behind while syncs find nothing new."""
    server = sandbox(tasks=20, shape="eight")
    env = environment(server, sqlite_url)
    for _ in range(2):
        run_cli("sync", env=env)
    until = json.loads(run_cli("status", "--output", "json", env=env).stdout)["sources"][0]["complete_until"]
    for asked in (server.tasks()[0]["_id"], "ti-nobody"):
        told = run_cli("why", asked, env=env).stdout
        assert re.search(rf"after {until[:23]}\d*Z", told), told
