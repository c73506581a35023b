from __future__ import annotations

import pytest

from etl.transform import Stream, TaskRows, transform

STREAM = Stream(source_id=7, stream_id="st-084d3c5e")


def rows(stream=STREAM, **keys) -> TaskRows:
    made = transform({"_id": "ti-1", **keys}, stream)
    assert isinstance(made, TaskRows), made
    return made


def status(value, stream=STREAM):
    return rows(stream, status=value).status


@pytest.mark.parametrize("key", ["status", "priority"])
@pytest.mark.parametrize(
    "value",
    [None, "", "  ", {}, [], ["Open"], [{"_id": "x"}], {"name": ""}, {"name": " ", "_id": " "}, {"desc": "x"},
     {"name": ["Open"]}, {"_id": {"name": "Open"}}, float("nan")],
    ids=repr,
)  # fmt: skip
def test_without_id_and_name_there_is_no_row(key, value):
    made = rows(**{key: value})

    assert (made.status, made.priority, made.task["status_id"], made.task["priority_id"]) == (None, None, None, None)


@pytest.mark.parametrize(
    ("value", "name", "raw"),
    [
        pytest.param("Open", "Open", '"Open"', id="text"),
        pytest.param({"name": "Open"}, "Open", '{"name":"Open"}', id="object without an id"),
        pytest.param({"name": "Open", "_id": " "}, "Open", '{"_id":" ","name":"Open"}', id="object with a blank id"),
        pytest.param(5, "5", "5", id="number"),
        pytest.param({"name": True}, "true", '{"name":true}', id="boolean as a name"),
    ],
)
def test_a_name_alone_makes_a_row(value, name, raw):
    made = rows(status=value, priority=value)

    assert (made.status["name"], made.status["raw"]) == (name, raw)
    assert (made.priority["name"], made.priority["raw"]) == (name, raw)
    assert made.task["status_id"] == made.status["_id"]
    assert made.task["priority_id"] == made.priority["_id"]


def test_ids_made_of_a_name_never_change():
    """They are keys of rows in databases that exist: another id for the same name would double the row."""
    made = rows(status="Open", priority={"name": "Open"}, caseRefId="Open")

    assert made.status["_id"] == "sts-3d2cd193-16c2-5a4f-a6ad-9aceed5502ac"
    assert made.priority["_id"] == "pr-1b1376cc-b1dc-5750-a316-d6719f6a726e"
    assert made.case["_id"] == "ci-29d4b0da-c707-5941-ac89-92420433ca3e"


def test_one_name_is_one_status_however_it_is_sent():
    assert status("Open")["_id"] == status({"name": "Open", "desc": "x"})["_id"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(status("Open"), status("open"), id="another name"),
        pytest.param(status("Open"), status("Open", Stream(7, "st-other")), id="another stream"),
        pytest.param(status({"_id": "a", "name": "Open"}), status({"_id": "b", "name": "Open"}), id="another id"),
        pytest.param(status("Open"), status({"_id": "a", "name": "Open"}), id="an id and none"),
    ],
)
def test_what_differs_stays_two_statuses(one, other):
    assert one["_id"] != other["_id"]


def test_a_made_id_does_not_depend_on_the_number_of_the_source():
    assert status("Open", Stream(1, "st-1"))["_id"] == status("Open", Stream(2, "st-1"))["_id"]


def test_an_id_of_its_own_is_kept_and_a_number_becomes_text():
    made = rows(status={"_id": 5}, priority={"_id": "pr-1"})

    assert (made.status["_id"], made.task["status_id"], made.status["name"]) == ("5", "5", None)
    assert (made.priority["_id"], made.task["priority_id"], made.priority["name"]) == ("pr-1", "pr-1", None)


@pytest.mark.parametrize(
    ("score", "expected"),
    [(2, 2.0), (2.5, 2.5), ("3", 3.0), (" 3.5 ", 3.5), (0, 0.0), (-1, -1.0), (True, None), ("high", None), ("", None),
     ("nan", None), (float("nan"), None), (float("inf"), None), (10**400, None), ("9" * 5000, None), ([1], None),
     ({"n": 1}, None), (None, None)],
    ids=lambda value: repr(value)[:12],
)  # fmt: skip
def test_a_score_is_a_number_or_unknown(score, expected):
    assert rows(priority={"name": "High", "score": score}).priority["score"] == expected


def test_a_case_keeps_its_id_and_the_number_that_people_know():
    made = rows(caseId="ci-1", caseRefId="CS000108")

    assert made.case == {"_id": "ci-1", "source_id": 7, "ref_id": "CS000108", "seen_at": None}
    assert made.task["case_id"] == "ci-1"


def test_a_case_without_an_id_gets_a_stable_one_of_its_number():
    one, other = rows(caseRefId="CS000108"), rows(caseId={}, caseRefId="CS000108")

    assert one.case == other.case
    assert one.case["ref_id"] == "CS000108"
    assert one.task["case_id"] == one.case["_id"]
    assert one.case["_id"] != rows(caseRefId="CS000109").case["_id"]


def test_a_case_without_a_number_has_its_id_alone():
    assert rows(caseId="ci-1").case["ref_id"] is None


@pytest.mark.parametrize("value", [None, "", " ", {}, [], ["ci-1"]], ids=repr)
def test_without_id_and_number_there_is_no_case(value):
    made = rows(caseId=value, caseRefId=value)

    assert (made.case, made.task["case_id"]) == (None, None)


@pytest.mark.parametrize("key", ["status", "priority"])
@pytest.mark.parametrize("value", ["Open", {"_id": "x-1", "name": "Open", "desc": "d"}], ids=repr)
def test_each_task_has_a_row_of_its_own_of_what_many_tasks_have(key, value):
    first = getattr(rows(**{key: value}, updatedAt="2025-05-28T12:00:00.000Z"), key)
    second = getattr(rows(**{key: value}, updatedAt="2025-05-29T12:00:00.000Z"), key)
    elsewhere = getattr(rows(Stream(8, "st-other"), **{key: value}), key)

    first["name"] = "changed"

    assert (second["name"], second["seen_at"].day) == ("Open", 29)
    assert (elsewhere["source_id"], elsewhere["seen_at"]) == (8, None)
    assert (second["_id"] == elsewhere["_id"]) is isinstance(value, dict)


@pytest.mark.parametrize("length", [10, 2000, 5000])
def test_statuses_that_differ_in_their_last_letter_differ(length):
    made = [status({"_id": "sts-1", "desc": "x" * length + letter})["description"][-1] for letter in "abab"]

    assert made == ["a", "b", "a", "b"]
