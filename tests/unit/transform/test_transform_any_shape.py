from __future__ import annotations

import copy
import json
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from etl.transform import Rejection, Stream, TaskRows, transform

STREAM = Stream(source_id=7, stream_id="st-084d3c5e")
CREATED = datetime(2025, 5, 28, 12, 5, 38, 807000, tzinfo=UTC)
UPDATED = datetime(2025, 5, 28, 14, 0, tzinfo=UTC)
QUEUED = datetime(2025, 5, 28, 13, 0, tzinfo=UTC)
DUE = datetime(2025, 6, 1, tzinfo=UTC)
MISSING = [pytest.param(value, id=repr(value)) for value in (None, "", {}, [])]

FULL = {
    "_id": "ti-c7c61c9-1392",
    "caseId": "ci-884ca36-6b0c",
    "caseRefId": "CS000108",
    "refId": "TS000105",
    "taskTmp": "tt-1",
    "name": "Rückruf für 山田",
    "lname": "rückruf für 山田",
    "tags": ["vip"],
    "source": "rtm",
    "conversationType": "TASK",
    "accountId": "6639f7bd58c97ffac03b",
    "iId": "st-of-the-task",
    "orgId": "o-1",
    "convIds": ["c-1"],
    "sessIds": [],
    "userInfo": {"_id": "u-user", "name": "Uma", "emailId": "uma@example.com"},
    "status": {
        "_id": "sts-1",
        "name": "Open",
        "lname": "open",
        "statusCategory": "open",
        "type": "system",
        "desc": "just arrived",
        "isEnabled": True,
        "isActive": False,
    },
    "priority": {
        "_id": "pr-1",
        "name": "Medium",
        "lname": "medium",
        "color": "#16A34A",
        "score": 2,
        "type": "custom",
        "desc": "soon",
        "isEnabled": False,
        "isActive": True,
    },
    "fields": [{"_id": "fd-1", "displayName": "City", "metaData": {"name": "city"}, "selectedValue": "Köln"}],
    "participants": [{"agentId": "a-1", "aId": "a-2", "name": "Ada", "pStatus": "active"}],
    "assigneeType": "agent",
    "currAssignee": {"aId": "a-2", "agentId": "a-1", "name": "Ada"},
    "queues": [
        {"_id": "qu-2", "name": "Second", "startTime": "2025-05-28T13:00:00.000Z"},
        {"_id": "qu-1", "name": "First", "startTime": "2025-05-28T12:30:00.000Z"},
    ],
    "channel": ["rtm"],
    "createdBy": {"_id": "u-creator", "name": "Cleo", "profImage": ""},
    "updatedBy": {"_id": "u-updater", "name": "Udo", "profImage": ""},
    "isCustTsk": False,
    "isActive": True,
    "isBreached": False,
    "attachments": [],
    "ETA": "",
    "dueDate": 1748736000000,
    "timestampValue": 1748433938807,
    "createdAt": "2025-05-28T12:05:38.807Z",
    "updatedAt": "2025-05-28T14:00:00.000Z",
    "new field": {"id": "fd-9", "displayName": "new field", "selectedValue": "x"},
}

FULL_TASK_ROW = {
    "_id": "ti-c7c61c9-1392",
    "source_id": 7,
    "stream_id": "st-of-the-task",
    "case_id": "ci-884ca36-6b0c",
    "ref_id": "TS000105",
    "name": "Rückruf für 山田",
    "status_id": "sts-1",
    "priority_id": "pr-1",
    "assignee_type": "agent",
    "assignee_id": "a-2",
    "assignee": "Ada",
    "queue_id": "qu-2",
    "queue": "Second",
    "conversation_type": "TASK",
    "origin": "rtm",
    "account_id": "6639f7bd58c97ffac03b",
    "org_id": "o-1",
    "user_id": "u-user",
    "user_name": "Uma",
    "created_by_id": "u-creator",
    "created_by": "Cleo",
    "updated_by_id": "u-updater",
    "updated_by": "Udo",
    "is_active": True,
    "is_breached": False,
    "is_custom": False,
    "due_at": DUE,
    "created_at": CREATED,
    "updated_at": UPDATED,
    "raw": json.dumps(FULL, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
}


def rows(**keys) -> TaskRows:
    made = transform({"_id": "ti-1", **keys}, STREAM)
    assert isinstance(made, TaskRows), made
    return made


def task(**keys):
    return rows(**keys).task


def rejection(record) -> Rejection:
    made = transform(record, STREAM)
    assert isinstance(made, Rejection), made
    return made


def nested(levels: int) -> object:
    value: object = "core"
    for level in range(levels):
        value = [value] if level % 2 else {"in": value}
    return value


def test_a_full_task_fills_every_column():
    assert transform(FULL, STREAM).task == FULL_TASK_ROW


def test_a_full_task_gives_its_status_priority_and_case():
    made = transform(FULL, STREAM)

    assert made.status == {
        "_id": "sts-1",
        "source_id": 7,
        "name": "Open",
        "category": "open",
        "type": "system",
        "description": "just arrived",
        "is_enabled": True,
        "is_active": False,
        "seen_at": UPDATED,
        "raw": json.dumps(FULL["status"], sort_keys=True, separators=(",", ":")),
    }
    assert made.priority == {
        "_id": "pr-1",
        "source_id": 7,
        "name": "Medium",
        "color": "#16A34A",
        "score": 2.0,
        "type": "custom",
        "description": "soon",
        "is_enabled": False,
        "is_active": True,
        "seen_at": UPDATED,
        "raw": json.dumps(FULL["priority"], sort_keys=True, separators=(",", ":")),
    }
    assert made.case == {"_id": "ci-884ca36-6b0c", "source_id": 7, "ref_id": "CS000108", "seen_at": UPDATED}


def test_a_record_is_left_as_it_was():
    record = copy.deepcopy(FULL) | {"name": "dirty\0"}
    before = copy.deepcopy(record)

    transform(record, STREAM)

    assert record == before


def test_an_id_alone_is_a_task_with_everything_else_unknown():
    made = rows()

    known = {"_id": "ti-1", "source_id": 7, "stream_id": "st-084d3c5e", "raw": '{"_id":"ti-1"}'}
    assert made == TaskRows(dict.fromkeys(FULL_TASK_ROW) | known, None, None, None)


@pytest.mark.parametrize("value", MISSING)
@pytest.mark.parametrize("key", [key for key in FULL if key != "_id"])
def test_a_key_that_says_nothing_is_as_good_as_a_missing_one(key, value):
    without = {name: held for name, held in FULL.items() if name != key}

    said = transform(FULL | {key: value}, STREAM)
    unsaid = transform(without, STREAM)

    assert said.task | {"raw": None} == unsaid.task | {"raw": None}
    # A key of the customer's own that says nothing is still a key that was seen.
    assert replace(said, task={}, unknown_keys=()) == replace(unsaid, task={})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("ti-1", "ti-1", id="text"),
        pytest.param(" ti-1 ", " ti-1 ", id="blanks around are kept"),
        pytest.param("x" * 256, "x" * 256, id="longest"),
        pytest.param(12, "12", id="integer"),
        pytest.param(0, "0", id="zero"),
        pytest.param(10**40, "1" + "0" * 40, id="integer past 64 bits"),
        pytest.param("ti-\0\ud800", "ti-\ufffd\ufffd", id="NUL and surrogate"),
    ],
)
def test_a_usable_id_is_kept_as_it_was_sent(value, expected):
    assert task(_id=value)["_id"] == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        *(pytest.param(value, "_id is missing", id=repr(value)) for value in (None, "", " \t", {}, [])),
        pytest.param("x" * 257, "_id is longer than 256 characters", id="too long"),
        pytest.param(10**256, "_id is longer than 256 characters", id="integer too long"),
        pytest.param(True, "_id is not text", id="boolean"),
        pytest.param(1.5, "_id is not text", id="fraction"),
        pytest.param({"$oid": "ti-1"}, "_id is not text", id="object"),
        pytest.param(["ti-1"], "_id is not text", id="list"),
    ],
)
def test_a_record_without_a_usable_id_is_rejected(value, reason):
    record = {"name": "x", "_id": value}

    assert rejection(record) == Rejection(reason, None, json.dumps(record, sort_keys=True, separators=(",", ":")))


def test_a_record_without_the_key_of_its_id_is_rejected():
    assert rejection({"name": "x"}) == Rejection("_id is missing", None, '{"name":"x"}')


@pytest.mark.parametrize(
    ("record", "raw"),
    [
        (None, "null"),
        ("ti-1", '"ti-1"'),
        ("a\0\udfff", '"a\ufffd\ufffd"'),
        (5, "5"),
        (10**20, "1" + "0" * 20),
        (True, "true"),
        ([{"_id": "ti-1"}], '[{"_id":"ti-1"}]'),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_a_record_that_is_no_object_is_rejected_whole(record, raw):
    assert rejection(record) == Rejection("the record is not an object", None, raw)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("yesterday", '"yesterday"', id="word"),
        pytest.param(False, "false", id="boolean"),
        pytest.param({"at": 1}, '{"at":1}', id="object"),
        pytest.param("2025-02-30T00:00:00.000Z", '"2025-02-30T00:00:00.000Z"', id="30 February"),
        pytest.param("x" * 500, '"' + "x" * 79, id="long"),
        pytest.param("a\x1b[31m\x9b\n\0", '"a\\u001b[31m\ufffd\\n\ufffd"', id="what a terminal would obey"),
    ],
)
def test_an_unreadable_updatedat_rejects_the_record(value, shown):
    made = rejection({"_id": "ti-1", "updatedAt": value})

    assert (made.reason, made.record_id) == (f"updatedAt is unreadable: {shown}", "ti-1")


def test_a_rejected_record_can_be_replayed_from_its_text():
    record = copy.deepcopy(FULL) | {"updatedAt": "yesterday"}

    again = json.loads(rejection(record).raw) | {"updatedAt": FULL["updatedAt"]}

    assert transform(again, STREAM).task == FULL_TASK_ROW


def test_a_missing_time_of_update_is_legal():
    assert task(createdAt="2025-05-28T12:05:38.807Z")["updated_at"] is None


@pytest.mark.parametrize("created", [None, "", "yesterday", True, {"at": 1}], ids=repr)
def test_the_time_of_creation_falls_back_on_the_timestamp(created):
    assert task(createdAt=created, timestampValue=1748433938807)["created_at"] == CREATED


def test_an_unreadable_createdat_is_unknown():
    assert task(createdAt="yesterday", timestampValue="then")["created_at"] is None


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        pytest.param({"updatedAt": 1748440800000, "createdAt": "2025-05-28T12:05:38.807Z"}, UPDATED, id="update"),
        pytest.param({"createdAt": "2025-05-28T12:05:38.807Z"}, CREATED, id="creation"),
        pytest.param({}, None, id="neither"),
    ],
)
def test_what_a_task_names_was_seen_when_the_task_last_changed(keys, expected):
    made = rows(status="Open", priority="High", caseId="ci-1", **keys)

    assert [row["seen_at"] for row in (made.status, made.priority, made.case)] == [expected] * 3


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(5, "5", id="integer"),
        pytest.param(2.5, "2.5", id="fraction"),
        pytest.param(True, "true", id="true"),
        pytest.param(False, "false", id="false"),
        pytest.param(10**5000, "1" + "0" * 5000, id="more digits than Python prints"),
        pytest.param(float("nan"), None, id="nan"),
        pytest.param(float("-inf"), None, id="infinity"),
        pytest.param({"name": "x"}, None, id="object"),
        pytest.param(["x"], None, id="list"),
        pytest.param("  ", "  ", id="blanks"),
        pytest.param("x" * 300_000, "x" * 300_000, id="300,000 characters"),
        pytest.param("a\0b\ud800c\udfff", "a\ufffdb\ufffdc\ufffd", id="NUL and lone surrogates"),
        pytest.param("😀", "😀", id="beyond the basic plane"),
        pytest.param("C:\\u0000", "C:\\u0000", id="what only looks like a NUL"),
    ],
)
@pytest.mark.parametrize(
    ("key", "column"),
    [
        ("name", "name"),
        ("assigneeType", "assignee_type"),
        ("conversationType", "conversation_type"),
        ("source", "origin"),
    ],
)
def test_text_is_kept_and_made_of_what_can_be_text(key, column, value, expected):
    assert task(**{key: value})[column] == expected


def test_reference_numbers_are_cut_to_what_an_index_holds():
    made = rows(refId="\u5c71" * 300_000, caseRefId="\u5c71" * 300_000)

    assert made.task["ref_id"] == made.case["ref_id"] == "\u5c71" * 500
    assert made.case["_id"] != rows(caseRefId="\u5c71" * 299_999).case["_id"]
    assert task(refId="x" * 500)["ref_id"] == "x" * 500


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((value, True) for value in (True, "true", "TRUE", " true ", 1, 1.0)),
        *((value, False) for value in (False, "false", "False", 0, 0.0)),
        *((value, None) for value in ("yes", "1", 2, -1, float("nan"), 10**400, {"is": True}, [True])),
    ],
    ids=lambda value: repr(value)[:12],
)
@pytest.mark.parametrize(
    ("key", "column"), [("isActive", "is_active"), ("isBreached", "is_breached"), ("isCustTsk", "is_custom")]
)
def test_a_boolean_is_read_in_each_of_its_spellings(key, column, value, expected):
    assert task(**{key: value})[column] is expected


@pytest.mark.parametrize("key", ["accountId", "orgId", "iId"])
@pytest.mark.parametrize("value", ["  ", "x" * 257, 1.5, True], ids=lambda value: repr(value)[:6])
def test_an_unusable_id_of_something_else_is_unknown(key, value):
    made = task(**{key: value})

    assert (made["account_id"], made["org_id"], made["stream_id"]) == (None, None, "st-084d3c5e")


def test_equal_records_have_equal_text_in_any_key_order():
    turned = dict(reversed(FULL.items()))

    assert transform(turned, STREAM).task["raw"] == FULL_TASK_ROW["raw"]


def test_cleaning_reaches_every_key_and_text_of_the_record():
    made = rows(
        name="na\0me",
        status={"_id": "sts\0", "name": "o\ud800pen", "de\0ep": [{"\udfffkey": "\0"}]},
        userInfo={"_id": "u\0", "name": "\ud800"},
        huge=10**30,
        **{"cust\0om": {"selectedValue": ["\0"]}},
    )

    assert made.task["raw"] == (
        '{"_id":"ti-1","cust\ufffdom":{"selectedValue":["\ufffd"]},"huge":1000000000000000000000000000000,'
        '"name":"na\ufffdme","status":{"_id":"sts\ufffd","de\ufffdep":[{"\ufffdkey":"\ufffd"}],"name":"o\ufffdpen"},'
        '"userInfo":{"_id":"u\ufffd","name":"\ufffd"}}'
    )
    assert made.status["raw"] == '{"_id":"sts\ufffd","de\ufffdep":[{"\ufffdkey":"\ufffd"}],"name":"o\ufffdpen"}'
    assert (made.status["_id"], made.status["name"]) == ("sts\ufffd", "o\ufffdpen")
    assert made.task["status_id"] == "sts\ufffd"
    assert (made.task["user_id"], made.task["user_name"]) == ("u\ufffd", "\ufffd")


def test_one_odd_number_leaves_the_rest_as_written():
    held = {"a": 1e16, "b": -0.0, "c": 1.5e-7, "d": 'q"\\/\n\x7fé😀', "e": [True, None, float("nan")], "f": 2**64 - 1}
    usual = task(held=held)["raw"]

    odd = task(held=held, z=2**64)["raw"]

    assert odd == usual[:-1] + ',"z":18446744073709551616}'


def test_nan_and_infinity_are_null_in_the_text():
    assert task(x=[float("nan"), float("inf"), float("-inf")])["raw"] == '{"_id":"ti-1","x":[null,null,null]}'


def test_two_hundred_levels_are_stored():
    assert json.loads(task(deep=nested(200))["raw"])["deep"] == nested(200)


@pytest.mark.parametrize("extra", [{}, {"name": "\0"}, {"name": 10**30}], ids=["plain", "NUL", "huge"])
@pytest.mark.parametrize("core", ["core", [], {}], ids=repr)
def test_the_nesting_limit_holds_with_and_without_cleaning(extra, core):
    deepest = core
    # 254 with the record itself.
    for _ in range(253 if core == "core" else 252):
        deepest = [deepest]

    assert isinstance(transform({"_id": "ti-1", "deep": deepest, **extra}, STREAM), TaskRows)
    assert rejection({"_id": "ti-1", "deep": [deepest], **extra}).reason == "the record is nested too deeply"


@pytest.mark.parametrize("levels", [300, 5_000, 100_000])
def test_a_too_deeply_nested_record_is_rejected_with_its_text(levels):
    made = rejection({"_id": "ti-\0", "deep": nested(levels)})

    assert (made.reason, made.record_id) == ("the record is nested too deeply", "ti-\ufffd")
    assert made.raw.count("[") + made.raw.count("{") == levels + 1
    assert '"core"' in made.raw


def test_a_too_deeply_nested_list_is_rejected_without_id():
    assert rejection([nested(300)]).record_id is None
