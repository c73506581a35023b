from __future__ import annotations

import pytest

from etl.transform import tombstone
from etl.transform.field_lineage import history_fields, people_columns


@pytest.mark.parametrize(
    ("paths", "columns"),
    [
        pytest.param(["userInfo.emailId"], {"users": {"email"}}, id="one of a person"),
        pytest.param(["createdBy"], {"users": {"name", "email"}}, id="a person"),
        pytest.param(["participants.name", "queues.type"], {"agents": {"name"}, "queues": {"type"}}, id="of two kinds"),
        pytest.param(["name", "userInfo._id", "userInfo.emailId.domain"], {}, id="of nobody"),
    ],
)
def test_a_path_is_found_where_people_are_kept(paths, columns):
    assert people_columns(paths) == columns


@pytest.mark.parametrize(
    ("paths", "fields"),
    [
        pytest.param(["name", "ETA"], ({"name", "due date"}, set()), id="whole"),
        pytest.param(["currAssignee.name"], (set(), {"assignee"}), id="only what it is called"),
        pytest.param(["status", "status.name"], ({"status"}, set()), id="both"),
        pytest.param(["status.desc", "tags"], (set(), set()), id="not watched"),
    ],
)
def test_a_path_is_found_in_the_history(paths, fields):
    assert history_fields(paths) == fields


def test_a_tombstone_holds_nothing_but_who_and_when():
    record = {"_id": "ti-1", "name": "x", "updatedAt": "u", "createdAt": "c", "isActive": False, "fields": []}
    assert tombstone(record) == {"_id": "ti-1", "createdAt": "c", "updatedAt": "u", "isActive": False}
