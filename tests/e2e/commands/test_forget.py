"""``kore-etl forget`` and ``kore-etl schema unknown`` as processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import pytest

from tests.e2e.terminal import on_terminal
from tests.integration.mirror import Mirror

TOLD = {
    "_id": "ti-told",
    "refId": "TS900001",
    "name": "a \x1b[31m name",
    "novelty": {"a": 1},
    "createdAt": "2025-05-28T12:05:38.807Z",
    "updatedAt": "2025-05-28T12:05:38.807Z",
}


@pytest.fixture
def mirror(sandbox, migrated_url) -> Mirror:
    server = sandbox(tasks=3)
    server.put([TOLD])
    mirror = Mirror(server, migrated_url)
    mirror.sync()
    return mirror


@pytest.fixture
def run(run_cli, mirror, environment) -> Callable:
    return partial(run_cli, env=environment(mirror.server, mirror.database_url))


def test_forget_erases_the_task_says_so_and_why_knows(run, mirror):
    done = run("forget", "ti-told", "--yes")
    assert (done.returncode, done.stdout) == (0, "")
    assert "kore-etl: ti-told is erased and stays so\n" in done.stderr
    assert mirror.rows("select name, ref_id from tasks where _id = 'ti-told'") == [(None, None)]
    assert mirror.rows("select command, exit_code, requests from sync_runs order by id desc limit 1") == [
        ("forget", 0, 0)
    ]

    why = json.loads(run("why", "ti-told", "--output", "json").stdout)
    assert not why["found"]
    assert "ti-told was erased on request at " in why["hints"][0]["reason"]


def test_forget_takes_a_reference_and_why_says_it_was_erased(run, mirror):
    done = run("forget", "TS900001", "--yes")
    assert done.returncode == 0, done.stderr
    assert "TS900001 (ti-told) is erased" in done.stderr
    assert mirror.rows("select name, ref_id from tasks where _id = 'ti-told'") == [(None, None)]
    assert run("why", "ti-told").stdout.startswith("ti-told was erased on request at ")
    assert "1 task was erased on request, the reference too: it may be one of them" in run("why", "TS900001").stdout


def test_forget_asks_which_one_if_several_have_the_reference(run, mirror, tmp_path, environment):
    mirror.server.put([{**TOLD, "_id": "ti-twin"}])
    mirror.sync()
    done = run("forget", "TS900001", "--yes")
    assert (done.returncode, "give an _id: ti-told, ti-twin" in done.stderr) == (2, True)
    env = environment(mirror.server, mirror.database_url)
    code, shown = on_terminal(["forget", "TS900001", "--yes"], tmp_path, env, typed=["ti-twin"])
    assert code == 0, shown
    assert mirror.rows("select _id from tasks where forgotten_at is not null") == [("ti-twin",)]


def test_why_suggests_a_search_that_can_find_it(run):
    answer = json.loads(run("why", "TS555555", "--output", "json").stdout)
    assert answer["hints"][-1]["command"].startswith("kore-etl fetch --all | jq 'select(._id ==")


def test_forget_asks_first_and_without_a_terminal_needs_yes(run, mirror):
    done = run("forget", "ti-told")
    assert done.returncode == 2
    assert "without one add --yes" in done.stderr
    assert mirror.value("select count(*) from tasks where name is not null") == 4


def test_forget_of_what_is_not_here_ends_with_2_and_what_to_do(run):
    done = run("forget", "ti-nobody", "--yes")
    assert done.returncode == 2
    assert "'ti-nobody': nothing is stored under this id; see: kore-etl why ID" in done.stderr


def test_forget_tells_as_json_what_went_with_the_task(run):
    (source,) = json.loads(run("forget", "ti-told", "--yes", "--output", "json").stdout)["sources"]
    assert source["forgotten"] == "ti-told"
    assert source["erased"] == {"unknown_keys": 1}


def test_unknown_lists_the_keys_with_an_example(run):
    (entry,) = json.loads(run("schema", "unknown", "--output", "json").stdout)
    assert (entry["key"], entry["example"], entry["task_id"]) == ("novelty", '{"a":1}', "ti-told")
    assert "novelty" in run("schema", "unknown").stdout


def test_unknown_says_so_where_there_is_none(run, mirror):
    run("forget", "ti-told", "--yes")
    done = run("schema", "unknown")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "kore-etl: no record has an unknown key\n"


def test_every_count_leaves_an_erased_task_out(sandbox, environment, sqlite_url, run_cli):
    server = sandbox(tasks=20)
    env = environment(server, sqlite_url)
    run_cli("sync", env=env)
    assert run_cli("forget", server.tasks()[0]["_id"], "--yes", env=env).returncode == 0
    (told,) = json.loads(run_cli("status", "--output", "json", env=env).stdout)["sources"]
    assert (told["tasks"], told["deleted"]) == (19, 0)
