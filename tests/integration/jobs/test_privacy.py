"""What is to be stored nowhere is nowhere: keys to drop, and tasks that are forgotten; also what was stored before."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import inspect, text
from sqlalchemy.engine import make_url

from etl.errors import ConfigError
from etl.exact_json import clean_text
from etl.jobs.maintenance.forget_task import forget
from etl.jobs.reconcile import reconcile
from etl.load.database.engine import open_engine, reading
from tests.integration.mirror import NONE, Mirror

SECRET = "uma.secret@example.com"
NAME = "Uma Secretive"
MOMENT = "2025-05-28T12:05:38.807Z"
LATER = "2025-05-29T12:05:38.807Z"


def told(number: int, **keys: object) -> dict[str, Any]:
    return {
        "_id": f"ti-told-{number}",
        "refId": f"TS9{number}",
        "name": f"Refund for {NAME}",
        "userInfo": {"_id": "u-uma", "name": NAME, "emailId": SECRET},
        "createdBy": {"_id": "u-uma", "name": NAME, "emailId": SECRET},
        "currAssignee": {"aId": f"a-{number}", "name": NAME},
        "status": {"_id": "sts-told", "name": "Open", "statusCategory": "open", "desc": f"as {SECRET} wished"},
        "mail address": {"id": "fd-1", "displayName": "mail address", "selectedValue": SECRET},
        "novelty": {"holds": SECRET},
        "createdAt": MOMENT,
        "updatedAt": MOMENT,
        **keys,
    }


IMPOSSIBLE = told(7, updatedAt="yesterday")
PATHS = "userInfo.emailId,createdBy.emailId,status.desc,mail address,novelty"


def everything(mirror: Mirror) -> str:
    """Every value of every table."""
    engine = open_engine(mirror.database_url)
    with reading(engine) as connection:
        rows = [
            [str(value) for value in row]
            for table in inspect(engine).get_table_names()
            for row in connection.execute(text(f"select * from {table}"))
        ]
    engine.dispose()
    return json.dumps(rows, ensure_ascii=False)


def files(mirror: Mirror) -> bytes:
    """All bytes of a SQLite database, its log with it."""
    path = Path(str(make_url(mirror.database_url).database))
    return b"".join(found.read_bytes() for found in path.parent.glob(f"{path.name}*"))


@pytest.fixture
def server(sandbox):
    server = sandbox(tasks=20)
    server.put([told(1), told(2), IMPOSSIBLE])
    return server


class TestDroppedKeys:
    def test_are_in_no_table_not_even_among_the_rejected(self, server, migrated_url):
        mirror = Mirror(server, migrated_url, drop_fields=PATHS)
        assert mirror.sync().exit_code == 3
        assert SECRET not in everything(mirror)
        assert mirror.value("select count(*) from rejected_records") == 1
        assert mirror.value("select user_name from tasks where _id = 'ti-told-1'") == NAME

    def test_leave_the_rest_of_each_record_whole(self, server, migrated_url):
        mirror = Mirror(server, migrated_url, drop_fields="novelty")
        mirror.sync()
        there = {task["_id"]: task for task in server.tasks()}
        for key, record in mirror.stored().items():
            assert record == {name: value for name, value in there[key].items() if name != "novelty"}

    def test_are_erased_where_stored_before_without_history(self, server, migrated_url):
        Mirror(server, migrated_url).sync()
        server.put([told(1, name="another", updatedAt=LATER)])
        Mirror(server, migrated_url).sync()
        before = Mirror(server, migrated_url)
        assert SECRET in everything(before)
        changes = before.value("select count(*) from task_changes")

        mirror = Mirror(server, migrated_url, drop_fields=PATHS)
        assert mirror.sync().exit_code in (0, 3)
        assert SECRET not in everything(mirror)
        assert mirror.value("select count(*) from task_changes") == changes
        assert mirror.value("select count(*) from task_fields where key = 'mail address'") == 0
        assert mirror.value("select description from statuses where _id = 'sts-told'") is None
        assert mirror.value("select category from statuses where _id = 'sts-told'") == "open"

    def test_are_erased_of_history_too(self, server, migrated_url):
        Mirror(server, migrated_url).sync()
        server.put([told(1, currAssignee={"aId": "a-9", "name": "Bo"}, name="another", updatedAt=LATER)])
        Mirror(server, migrated_url).sync()
        mirror = Mirror(server, migrated_url, drop_fields="currAssignee.name,name,userInfo,createdBy")
        mirror.sync()
        assert NAME not in everything(mirror)
        assert mirror.rows("select field, old_id, new_id, old_value, new_value from task_changes") == [
            ("assignee", "a-1", "a-9", None, None)
        ]

    def test_are_erased_of_the_history_of_fields_and_tags(self, server, migrated_url):
        def with_secret(value, **keys):
            field = {"id": "fd-1", "displayName": "mail address", "selectedValue": value}
            return told(1, **{"mail address": field, "tags": [value], "channel": [value], **keys})

        Mirror(server, migrated_url).sync()
        server.put([with_secret("first secret", updatedAt=LATER)])
        Mirror(server, migrated_url).sync()
        server.put([with_secret("second secret", updatedAt="2025-05-30T12:05:38.807Z")])
        before = Mirror(server, migrated_url)
        before.sync()
        assert before.value("select count(*) from task_changes where field_key = 'mail address'") == 2
        mirror = Mirror(server, migrated_url, drop_fields="mail address.selectedValue,tags,channel")
        mirror.sync()
        assert "first secret" not in everything(mirror)
        assert "second secret" not in everything(mirror)

    def test_are_not_even_in_the_bytes_of_the_file(self, server, sqlite_url):
        Mirror(server, sqlite_url).sync()
        mirror = Mirror(server, sqlite_url)
        assert SECRET.encode() in files(mirror)
        Mirror(server, sqlite_url, drop_fields=PATHS).sync()
        assert SECRET.encode() not in files(mirror)

    def test_cost_no_request_and_are_erased_once(self, server, migrated_url):
        first = Mirror(server, migrated_url)
        first.sync()
        quiet = first.sync().requests
        mirror = Mirror(server, migrated_url, drop_fields=PATHS)
        refreshed = [mirror.sync() for _ in range(2)]
        assert [outcome.requests for outcome in refreshed] == [quiet, quiet]
        told_of = [[event["event"] for event in outcome.log].count("tasks.refreshed") for outcome in refreshed]
        assert told_of == [1, 0]

    def test_that_are_wanted_again_come_with_the_next_reading(self, server, migrated_url):
        Mirror(server, migrated_url, drop_fields=PATHS).sync()
        mirror = Mirror(server, migrated_url)
        mirror.sync(full=True)
        there = {task["_id"]: task for task in server.tasks() if task.get("_id") in mirror.stored()}
        assert mirror.stored() == there

    @pytest.mark.parametrize("key", ["_id", "iId", "createdAt", "updatedAt", "isActive"])
    def test_cannot_be_those_that_a_task_is_followed_by(self, server, sqlite_url, key):
        with pytest.raises(ConfigError, match=f"drop_fields.*{key}"):
            Mirror(server, sqlite_url, drop_fields=f"name,{key}").sync()

    @pytest.mark.parametrize("path", ["userInfo..emailId", "name,.x", "name."])
    def test_a_blank_key_is_refused(self, sqlite_url, path, sandbox):
        with pytest.raises(ConfigError, match=r"drop_fields.*accepted: keys of a record"):
            Mirror(sandbox(tasks=1), sqlite_url, drop_fields=path).sync()


class TestForget:
    def test_erases_all_that_is_stored_of_a_task(self, server, migrated_url):
        mirror = forgetful(server, migrated_url)
        assert mirror.value("select count(*) from task_changes where task_id = 'ti-told-1'") == 0
        assert mirror.value("select count(*) from task_fields where task_id = 'ti-told-1'") == 0
        assert SECRET not in everything(mirror)

    def test_leaves_a_tombstone_with_nothing_but_its_dates(self, server, migrated_url):
        mirror = forgetful(server, migrated_url)
        assert mirror.stored()["ti-told-1"] == {"_id": "ti-told-1", "createdAt": MOMENT, "updatedAt": LATER}
        tombstones = mirror.rows("select _id, deleted_at is null from tasks where forgotten_at is not null order by 1")
        assert [(key, bool(live)) for key, live in tombstones] == [("ti-told-1", True), ("ti-told-2", False)]

    def test_leaves_other_tasks_and_whom_they_name(self, server, migrated_url):
        server.put([told(2, userInfo={"_id": "u-bo", "name": "Bo"}, createdBy={"_id": "u-bo"}, novelty=None)])
        mirror = forgetful(server, migrated_url, keep=("ti-told-2",))
        assert mirror.value("select name from users where _id = 'u-bo'") == "Bo"
        assert mirror.value("select count(*) from users where _id = 'u-uma'") == 0
        assert mirror.value("select count(*) from tasks where forgotten_at is null") == 21

    def test_holds_whatever_the_server_gives_later(self, server, migrated_url):
        mirror = forgetful(server, migrated_url)
        server.put([told(1, name="once more", status="Open", updatedAt="2025-06-01T00:00:00.000Z")])
        assert mirror.sync().exit_code == 0
        assert mirror.sync(full=True).exit_code == 0
        assert SECRET not in everything(mirror)
        assert mirror.stored()["ti-told-1"]["updatedAt"] == "2025-06-01T00:00:00.000Z"

    @pytest.mark.parametrize("key", ["ti-\x00nul", "ti-\ud800half"])
    def test_holds_for_an_id_that_is_not_stored_as_it_came(self, server, migrated_sqlite_url, key):
        server.put([told(1, _id=key)])
        mirror = Mirror(server, migrated_sqlite_url)
        mirror.sync()
        mirror.work("forget", partial(forget, task_id=clean_text(key)))
        mirror.sync(full=True)
        assert mirror.value("select count(*) from tasks where name is not null and forgotten_at is not null") == 0
        assert mirror.value("select count(*) from tasks where forgotten_at is not null") == 1

    def test_leaves_the_next_sync_quiet_and_reconcile_content(self, server, migrated_url):
        mirror = forgetful(server, migrated_url)
        assert mirror.sync().requests <= 2
        assert mirror.work("reconcile", partial(reconcile, force=False)).exit_code == 0
        assert mirror.rows("select _id from tasks where deleted_at is not null") == [("ti-told-2",)]

    def test_leaves_nothing_in_the_bytes_of_the_file(self, server, sqlite_url):
        mirror = forgetful(server, sqlite_url)
        assert SECRET.encode() not in files(mirror)

    def test_leaves_no_dead_row_in_postgresql(self, server, migrated_postgres_url):
        mirror = forgetful(server, migrated_postgres_url)
        own = "select relname from pg_stat_user_tables where relname in ('tasks', 'task_channels', 'task_participants')"
        assert sorted(mirror.rows(f"{own} and vacuum_count = 2")) == sorted(mirror.rows(own))

    def test_erases_rejected_records_of_a_task_never_stored(self, server, migrated_url):
        mirror = Mirror(server, migrated_url)
        mirror.sync()
        assert mirror.work("forget", partial(forget, task_id="ti-told-7")).exit_code == 0
        assert mirror.value("select count(*) from rejected_records") == 0
        assert mirror.sync(full=True).exit_code == 0
        (kept,) = mirror.rows("select cast(raw as text) from tasks where forgotten_at is not null")
        assert orjson.loads(kept[0]) == {"_id": "ti-told-7", "createdAt": MOMENT}
        assert mirror.value("select count(*) from rejected_records") == 0

    def test_of_what_is_not_here_is_refused(self, server, migrated_url, capsys):
        mirror = Mirror(server, migrated_url)
        mirror.sync()
        assert mirror.work("forget", partial(forget, task_id="ti-nobody")).exit_code == 2
        assert "ti-nobody: nothing is stored under this id" in capsys.readouterr().err


def forgetful(server, database_url: str, keep: tuple[str, ...] = ()) -> Mirror:
    """A mirror that has forgotten, of the tasks that name Uma, all but those to keep; told-1 had a history."""
    mirror = Mirror(server, database_url)
    server.remove([IMPOSSIBLE["_id"]])
    server.put([task | {"status": "Open"} for task in server.tasks() if task["_id"].startswith("ti-told-")])
    mirror.sync()
    server.put([told(1, name="another", status="Open", updatedAt=LATER)])
    mirror.sync()
    assert mirror.value("select count(*) from task_changes where task_id = 'ti-told-1'") == 1
    for key in {"ti-told-1", "ti-told-2"} - set(keep):
        if key == "ti-told-2":
            server.remove([key])
            mirror.work("reconcile", partial(reconcile, force=True))
        assert mirror.work("forget", partial(forget, task_id=key)).exit_code == 0
    return mirror


def test_a_new_key_is_told_once_and_kept_with_an_example(server, migrated_url):
    mirror = Mirror(server, migrated_url)
    outcomes = [mirror.sync(), mirror.sync(full=True)]
    told_of = [[event["key"] for event in outcome.log if event["event"] == "key.unknown"] for outcome in outcomes]
    assert told_of == [["novelty"], []]
    assert mirror.rows("select key, example from unknown_keys") == [("novelty", f'{{"holds":"{SECRET}"}}')]
    assert NONE.missing == mirror.differences().missing - {None, IMPOSSIBLE["_id"]}
