"""A rename that a restored server takes back is taken back by the next ``sync --full``."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from etl.jobs.reconcile import reconcile
from etl.jobs.verify import verify
from etl.times import format_time
from tests.integration.mirror import NONE, Mirror

OPEN = {"_id": "sts-1", "name": "Open", "statusCategory": "open"}
SHUT = {"_id": "sts-1", "name": "Shut", "statusCategory": "closed"}


@pytest.fixture(params=["createdAt", "updatedAt"])
def mirror(sandbox, migrated_url, request):
    mirror = Mirror(sandbox(tasks=120, shape="full", window_field=request.param), migrated_url)
    mirror.server.put([{**task, "status": OPEN, "userInfo": person("Ann")} for task in mirror.server.tasks()])
    assert mirror.sync().exit_code == 0
    mirror.server.back_up()
    return mirror


def person(name):
    return {"_id": "u-9", "name": name, "emailId": f"{name}@example.com"}


def names(mirror):
    people = mirror.rows("select name, email from users where _id = 'u-9'")
    return mirror.rows("select name, category from statuses where _id = 'sts-1'"), people


@pytest.mark.parametrize("shown_by", ["a changed task", "a new task"])
def test_a_full_sync_takes_a_rename_back(mirror, shown_by):
    before = names(mirror)
    renamed = {**mirror.server.tasks()[5], "status": SHUT, "userInfo": person("Bea")}
    renamed |= {"updatedAt": format_time(datetime.now(UTC))}
    mirror.server.put([renamed | ({"_id": "ti-new"} if shown_by == "a new task" else {})])
    assert mirror.sync().exit_code == 0
    assert names(mirror) != before
    mirror.server.restore()
    assert mirror.sync().exit_code == 0
    assert mirror.sync(full=True).exit_code == 0
    assert names(mirror) == before
    assert mirror.difference() is None
    mirror.work("reconcile", reconcile)
    assert (names(mirror), mirror.difference()) == (before, None)
    assert mirror.server.tasks()[0]["_id"] in mirror.stored()


def test_without_a_rename_no_record_is_looked_at_again(mirror):
    assert not [event for event in mirror.sync(full=True).log if event["event"] == "names.reverted"]


@pytest.mark.parametrize("requests", [0, 1], ids=["from the beginning", "from the middle"])
def test_verification_takes_a_rename_back(mirror, requests):
    before = names(mirror)
    renamed = {**mirror.server.tasks()[5], "status": SHUT, "userInfo": person("Bea")}
    mirror.server.put([renamed | {"updatedAt": format_time(datetime.now(UTC))}])
    assert mirror.sync().exit_code == 0
    mirror.server.restore()
    assert mirror.sync().exit_code == 0
    mirror.work("verify", lambda run: verify(run, requests=requests))
    assert (names(mirror) == before) is False
    assert mirror.work("verify", verify).exit_code == 0
    assert (names(mirror), mirror.difference()) == (before, None)


def test_names_are_not_judged_where_no_total_is_told(sandbox, migrated_url):
    mirror = Mirror(sandbox(tasks=120, shape="full", totals="missing"), migrated_url)
    assert mirror.sync().exit_code == 0
    mirror.server.back_up()
    new = {"_id": "ti-new", "updatedAt": format_time(datetime.now(UTC)), "createdAt": format_time(datetime.now(UTC))}
    mirror.server.put([mirror.server.tasks()[5] | new])
    assert mirror.sync().exit_code == 0
    mirror.server.restore()
    assert [mirror.sync().exit_code, mirror.sync(full=True).exit_code] == [0, 0]
    assert mirror.difference() is None


def test_a_full_sync_keeps_the_newest_name_shown(mirror):
    shown = [{**mirror.server.tasks()[5], "status": SHUT, "updatedAt": format_time(datetime.now(UTC))}]
    mirror.server.put(shown)
    assert [mirror.sync().exit_code, mirror.sync(full=True).exit_code] == [0, 0]
    assert names(mirror)[0] == [("Shut", "closed")]
    assert mirror.differences() == NONE
