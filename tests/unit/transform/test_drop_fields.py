from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.transform import dropper, tombstone
from etl.transform.drop_fields import custom_fields, history_fields, people_columns

RECORD = {
    "_id": "ti-1",
    "name": "x",
    "userInfo": {"_id": "u-1", "emailId": "uma@example.com", "name": "Uma"},
    "participants": [{"aId": "a-1", "name": "Ada"}, "Bo", {"aId": "a-2"}, [{"name": "Cy", "aId": "a-3"}]],
    "P.O. number": {"id": "fd-1", "selectedValue": "77"},
    "fields": [
        {"_id": "fd-1", "displayName": "P.O. number", "selectedValue": "77"},
        {"_id": "fd-2", "displayName": "name", "lname": "name", "selectedValue": "y"},
        "text",
    ],
}
values = st.recursive(
    st.none() | st.integers() | st.text("ab.", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=3), inner, max_size=3),
    max_leaves=10,
)


def without(*keys):
    return {key: value for key, value in RECORD.items() if key not in keys}


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        pytest.param(["name"], without("name"), id="a key"),
        pytest.param([" name ", "name"], without("name"), id="twice, with blanks around"),
        pytest.param(["userInfo.emailId"], RECORD | {"userInfo": {"_id": "u-1", "name": "Uma"}}, id="a key in a key"),
        pytest.param(
            ["userInfo.emailId", "userInfo.name", "userInfo"], without("userInfo"), id="several, the outer one last"
        ),
        pytest.param(["userInfo", "userInfo.name"], without("userInfo"), id="several, the outer one first"),
        pytest.param(
            ["participants.name"],
            RECORD | {"participants": [{"aId": "a-1"}, "Bo", {"aId": "a-2"}, [{"aId": "a-3"}]]},
            id="through lists",
        ),
        pytest.param(
            ["P.O. number"],
            without("P.O. number") | {"fields": RECORD["fields"][1:]},
            id="a field in both spellings, with dots in its name",
        ),
        pytest.param(
            ["P.O. number.selectedValue"], RECORD | {"P.O. number": {"id": "fd-1"}}, id="a key in a key with dots"
        ),
        pytest.param(["absent", "userInfo.absent", "name.deeper", "userInfo.", ".name"], RECORD, id="nothing there"),
        pytest.param([], RECORD, id="no path"),
    ],
)
def test_what_stands_at_a_path_is_removed_from_a_copy(paths, expected):
    record = copy.deepcopy(RECORD)

    assert dropper(paths)(record) == expected
    assert record == RECORD


@pytest.mark.parametrize(
    ("name", "field"),
    [("Stadt", {"displayName": "Stadt"}), ("Stadt", {"lname": "stadt"}), ("stadt", {"lname": "stadt"})],
    ids=repr,
)
def test_a_listed_field_is_dropped_by_either_of_its_names(name, field):
    assert dropper([name])({"fields": [field, {"lname": "city"}]}) == {"fields": [{"lname": "city"}]}


@pytest.mark.parametrize("paths", [[], ["absent"], ["absent.name"]], ids=repr)
def test_a_record_without_the_key_is_not_even_copied(paths):
    assert dropper(paths)(RECORD) is RECORD


@pytest.mark.parametrize("path", ["", "  ", "_id", " _id"], ids=repr)
def test_a_path_that_cannot_be_meant_is_refused(path):
    with pytest.raises(ValueError, match=r"blank|_id"):
        dropper(["name", path])


@pytest.mark.parametrize("record", [None, "name", 5, [], [["x"]]], ids=repr)
def test_what_is_no_object_stays_as_it_is(record):
    assert dropper(["name"])(record) == record


def test_lists_in_lists_of_any_depth_are_gone_through():
    record: object = {"name": "x", "aId": "a-1"}
    for _ in range(100_000):
        record = [record]

    dropped = dropper(["in.name"])({"in": record})["in"]

    while isinstance(dropped, list):
        (dropped,) = dropped
    assert dropped == {"aId": "a-1"}


def holds(value, keys):
    if isinstance(value, list):
        return any(holds(inner, keys) for inner in value)
    return isinstance(value, dict) and keys[0] in value and (len(keys) == 1 or holds(value[keys[0]], keys[1:]))


@given(values, st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3))
def test_the_path_is_empty_and_the_record_untouched(record, keys):
    before = copy.deepcopy(record)

    assert not holds(dropper([".".join(keys)])(record), keys)
    assert record == before


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
        pytest.param(["tags.name", "fields", "isBreached"], ({"tag", "custom field", "breached"}, set()), id="lists"),
        pytest.param(["status.desc", "userInfo"], (set(), set()), id="not watched"),
    ],
)
def test_a_path_is_found_in_the_history(paths, fields):
    assert history_fields(paths) == fields


def test_a_tombstone_holds_nothing_but_who_and_when():
    at = "2026-01-31T10:04:08.000Z"
    record = {"_id": "ti-1", "name": "x", "updatedAt": at, "createdAt": "c", "isActive": False, "fields": []}
    assert tombstone(record) == {"_id": "ti-1", "createdAt": "c", "updatedAt": at, "isActive": False}
    assert tombstone(record | {"updatedAt": "u"}) == {"_id": "ti-1", "createdAt": "c", "isActive": False}


@pytest.mark.parametrize("path", ["Group", "group.selectedValue", "Group.selectedValue.inner"])
def test_a_dropped_custom_field_is_found_in_the_history(path):
    is_dropped = custom_fields([path, "status.desc"])
    assert is_dropped("Group")
    assert not is_dropped("Groups")
    assert not is_dropped("status")
