from __future__ import annotations

import uuid

import pytest

from etl.transform import Stream, TaskRows, transform

STREAM = Stream(source_id=7, stream_id="st-084d3c5e")
EARLY, LATE = "2025-05-28T12:00:00.000Z", "2025-05-28T13:00:00.000+00:00"


NAMESPACE = uuid.UUID("b7c2f0d4-5d0e-4a57-9a53-0c8f1f6d2e91")
MADE = "made of the name"


def rows(**keys) -> TaskRows:
    return transform({"_id": "ti-1", **keys}, STREAM)


def task(**keys):
    return rows(**keys).task


def made(kind, name, stream=STREAM):
    prefix = {"agent": "a-", "queue": "qu-", "user": "u-"}[kind]
    return f"{prefix}{uuid.uuid5(NAMESPACE, f'{stream.stream_id}|{kind}|{name}')}"


def with_made_id(kind, expected):
    key, name = expected
    return (made(kind, name) if key == MADE else key, name)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"aId": "a-2", "agentId": "a-1", "name": "Ada"}, ("a-2", "Ada"), id="both ids"),
        pytest.param({"aId": "", "agentId": "a-1", "name": "Ada"}, ("a-1", "Ada"), id="the second id"),
        pytest.param({"_id": "a-3", "name": "Ada"}, ("a-3", "Ada"), id="the usual id"),
        pytest.param({"name": "Ada"}, (MADE, "Ada"), id="a name alone"),
        pytest.param({"aId": 5}, ("5", None), id="an id alone, a number"),
        pytest.param({"name": {"first": "Ada"}}, (None, None), id="a name in parts"),
        pytest.param("Ada", (MADE, "Ada"), id="text"),
        pytest.param("a-6639f7bd-58c9-7ffac03b", ("a-6639f7bd-58c9-7ffac03b", None), id="text that is an id"),
        pytest.param("a-team of Ada-Marie", (MADE, "a-team of Ada-Marie"), id="text that only begins like an id"),
        pytest.param(["Ada"], (None, None), id="list"),
        pytest.param({}, (None, None), id="nobody"),
    ],
)
def test_the_assignee_is_read_in_every_form(value, expected):
    read = task(currAssignee=value)

    assert (read["assignee_id"], read["assignee"]) == with_made_id("agent", expected)


@pytest.mark.parametrize(
    ("key", "columns"),
    [
        ("userInfo", ("user_id", "user_name")),
        ("createdBy", ("created_by_id", "created_by")),
        ("updatedBy", ("updated_by_id", "updated_by")),
    ],
)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"_id": "u-1", "name": "Uma"}, ("u-1", "Uma"), id="object"),
        pytest.param("Uma", (MADE, "Uma"), id="name"),
        pytest.param("u-6639f7bd-58c9-7ffac03b", ("u-6639f7bd-58c9-7ffac03b", None), id="id"),
        pytest.param(5, (MADE, "5"), id="number"),
        pytest.param(0, (MADE, "0"), id="zero"),
    ],
)
def test_a_user_is_read_in_every_form(key, columns, value, expected):
    read = task(**{key: value})

    assert tuple(read[column] for column in columns) == with_made_id("user", expected)


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        pytest.param(
            [{"_id": "qu-2", "name": "Two", "startTime": LATE}, {"_id": "qu-1", "name": "One", "startTime": EARLY}],
            ("qu-2", "Two"),
            id="the latest, though it stands first",
        ),
        pytest.param(
            [{"name": "One", "startTime": EARLY}, {"name": "Two", "startTime": LATE}],
            (MADE, "Two"),
            id="the latest, which stands last",
        ),
        pytest.param(
            [{"name": "One", "startTime": EARLY}, {"name": "Two", "startTime": EARLY}],
            (MADE, "Two"),
            id="the last of those that started together",
        ),
        pytest.param(
            [{"name": "One", "startTime": EARLY}, {"name": "Two"}], (MADE, "One"), id="the only one with a time"
        ),
        pytest.param(
            [{"name": "One", "startTime": "soon"}, {"name": "Two", "startTime": "later"}],
            (MADE, "Two"),
            id="the last of those without a readable time",
        ),
        pytest.param(["One", "Two"], (MADE, "Two"), id="texts"),
        pytest.param(["One", {"_id": "qu-2"}], ("qu-2", None), id="text and object"),
        pytest.param(["One", None, {}, "", [], {"type": "x"}], (MADE, "One"), id="entries that say nothing"),
        pytest.param({"_id": "qu-1", "name": "One"}, ("qu-1", "One"), id="an object for the list"),
        pytest.param("One", (MADE, "One"), id="a text for the list"),
        pytest.param("qu-6639f7bd-58c9", ("qu-6639f7bd-58c9", None), id="an id for the list"),
        pytest.param([[["One"]]], (None, None), id="lists in the list"),
        pytest.param([], (None, None), id="empty"),
    ],
)
def test_the_queue_is_the_one_that_the_task_entered_last(queues, expected):
    read = task(queues=queues)

    assert (read["queue_id"], read["queue"]) == with_made_id("queue", expected)


def test_a_named_person_has_one_row_from_all_mentions():
    read = rows(
        updatedAt=LATE,
        currAssignee={"aId": "a-1", "agentId": "x"},
        participants=[{"agentId": "a-2", "name": "Bo"}, {"aId": "a-1", "name": "Ada"}, {"aId": "a-1", "name": "Eve"}],
        queues=[{"_id": "qu-1", "name": "One"}, {"_id": "qu-1", "name": "Other", "type": "queue"}],
        userInfo={"_id": "u-1", "name": "Uma"},
        createdBy={"_id": "u-2", "name": "Cleo", "emailId": "cleo@example.com"},
        updatedBy={"_id": "u-1", "name": "Udo", "emailId": "uma@example.com"},
    )

    seen = {"source_id": 7, "seen_at": read.task["updated_at"]}
    assert read.agents == (
        {"_id": "a-1", "name": "Ada", **seen},
        {"_id": "a-2", "name": "Bo", **seen},
    )
    assert read.queues == ({"_id": "qu-1", "name": "One", "type": "queue", **seen},)
    assert read.users == (
        {"_id": "u-1", "name": "Uma", "email": "uma@example.com", **seen},
        {"_id": "u-2", "name": "Cleo", "email": "cleo@example.com", **seen},
    )


@pytest.mark.parametrize("value", [None, ""], ids=repr)
def test_a_cleared_value_is_told_and_a_missing_one_is_not(value):
    cleared = rows(userInfo={"_id": "u-1", "name": value, "emailId": value}, queues=[{"_id": "qu-1", "type": value}])
    missing = rows(userInfo={"_id": "u-1"}, queues=[{"_id": "qu-1"}])
    unreadable = rows(userInfo={"_id": "u-1", "name": {}, "emailId": []}, queues=[{"_id": "qu-1", "type": [1]}])

    nothing = {"source_id": 7, "seen_at": None}
    assert cleared.users == ({"_id": "u-1", "name": "", "email": "", **nothing},)
    assert cleared.queues == ({"_id": "qu-1", "type": "", **nothing},)
    for made in (missing, unreadable):
        assert (made.users, made.queues) == (({"_id": "u-1", **nothing},), ({"_id": "qu-1", **nothing},))


def test_a_later_mention_fills_what_the_first_has_empty():
    read = rows(currAssignee={"aId": "a-1", "name": ""}, participants=[{"aId": "a-1", "name": "Ada"}])

    assert [row["name"] for row in read.agents] == ["Ada"]


def test_what_the_first_mention_tells_is_kept():
    read = rows(userInfo={"_id": "u-1", "emailId": "first"}, updatedBy={"_id": "u-1", "emailId": "second"})

    assert [row["email"] for row in read.users] == ["first"]


def test_a_blank_name_without_an_id_is_kept_with_the_task_alone():
    read = rows(currAssignee={"name": " "}, queues=" ")

    assert (read.task["assignee"], read.task["assignee_id"], read.agents) == (" ", None, ())
    assert (read.task["queue"], read.task["queue_id"], read.task_queues) == (" ", None, ())


def test_ids_made_of_a_name_never_change():
    """They are keys of rows in databases that exist: another id for the same name would double the row."""
    read = rows(currAssignee="Open", queues="Open", userInfo="Open")

    assert [row["_id"] for row in (*read.agents, *read.queues, *read.users)] == [
        made("agent", "Open"),
        made("queue", "Open"),
        made("user", "Open"),
    ]
    assert read.agents[0]["_id"] == "a-b2468ad1-c423-54b6-a9aa-14715740bb11"


@pytest.mark.parametrize("name", ["Ada", "x" * 300_000], ids=["short", "long"])
def test_one_name_without_an_id_is_one_row_wherever_it_stands(name):
    read = rows(currAssignee=name, participants=[{"name": name}, name], createdBy=name, updatedBy={"name": name})

    assert [row["_id"] for row in read.agents] == [made("agent", name)]
    assert [row["_id"] for row in read.users] == [made("user", name)]
    assert read.task["created_by_id"] == read.task["updated_by_id"] == made("user", name)
    assert {row["agent_id"] for row in read.task_participants} == {read.task["assignee_id"]}


def test_one_name_in_two_streams_is_two_rows():
    other = Stream(7, "st-other")

    assert transform({"_id": "ti-1", "currAssignee": "Ada"}, other).task["assignee_id"] == made("agent", "Ada", other)
    assert made("agent", "Ada", other) != made("agent", "Ada")


@pytest.mark.parametrize("value", [None, "", " ", {}, [], [{}], {"name": " "}, {"name": ["x"], "_id": {}}], ids=repr)
def test_an_entry_without_id_and_name_is_nobody(value):
    read = rows(currAssignee=value, participants=value, queues=value, userInfo=value, createdBy=value, updatedBy=value)

    assert (read.agents, read.queues, read.users, read.task_queues, read.task_participants) == ((),) * 5
    assert [read.task[key] for key in read.task if key.endswith(("assignee_id", "queue_id", "user_id", "by_id"))] == [
        None
    ] * 5
