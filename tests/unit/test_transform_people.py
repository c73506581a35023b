from __future__ import annotations

import pytest

from etl.transform import Stream, transform

STREAM = Stream(source_id=7, stream_id="st-084d3c5e")
EARLY, LATE = "2025-05-28T12:00:00.000Z", "2025-05-28T13:00:00.000+00:00"


def task(**keys):
    return transform({"_id": "ti-1", **keys}, STREAM).task


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"aId": "a-2", "agentId": "a-1", "name": "Ada"}, ("a-2", "Ada"), id="both ids"),
        pytest.param({"aId": "", "agentId": "a-1", "name": "Ada"}, ("a-1", "Ada"), id="the second id"),
        pytest.param({"_id": "a-3", "name": "Ada"}, ("a-3", "Ada"), id="the usual id"),
        pytest.param({"name": "Ada"}, (None, "Ada"), id="a name alone"),
        pytest.param({"aId": 5}, ("5", None), id="an id alone, a number"),
        pytest.param({"name": {"first": "Ada"}}, (None, None), id="a name in parts"),
        pytest.param("Ada", (None, "Ada"), id="text"),
        pytest.param("a-6639f7bd-58c9-7ffac03b", ("a-6639f7bd-58c9-7ffac03b", None), id="text that is an id"),
        pytest.param("a-team of Ada-Marie", (None, "a-team of Ada-Marie"), id="text that only begins like an id"),
        pytest.param(["Ada"], (None, None), id="list"),
        pytest.param({}, (None, None), id="nobody"),
    ],
)
def test_the_assignee_is_read_in_every_form(value, expected):
    made = task(currAssignee=value)

    assert (made["assignee_id"], made["assignee"]) == expected


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
        pytest.param("Uma", (None, "Uma"), id="name"),
        pytest.param("u-6639f7bd-58c9-7ffac03b", ("u-6639f7bd-58c9-7ffac03b", None), id="id"),
        pytest.param(5, (None, "5"), id="number"),
    ],
)
def test_a_user_is_read_in_every_form(key, columns, value, expected):
    made = task(**{key: value})

    assert tuple(made[column] for column in columns) == expected


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
            (None, "Two"),
            id="the latest, which stands last",
        ),
        pytest.param(
            [{"name": "One", "startTime": EARLY}, {"name": "Two", "startTime": EARLY}],
            (None, "Two"),
            id="the last of those that started together",
        ),
        pytest.param(
            [{"name": "One", "startTime": EARLY}, {"name": "Two"}], (None, "One"), id="the only one with a time"
        ),
        pytest.param(
            [{"name": "One", "startTime": "soon"}, {"name": "Two", "startTime": "later"}],
            (None, "Two"),
            id="the last of those without a readable time",
        ),
        pytest.param(["One", "Two"], (None, "Two"), id="texts"),
        pytest.param(["One", {"_id": "qu-2"}], ("qu-2", None), id="text and object"),
        pytest.param(["One", None, {}, "", [], {"type": "x"}], (None, "One"), id="entries that say nothing"),
        pytest.param({"_id": "qu-1", "name": "One"}, ("qu-1", "One"), id="an object for the list"),
        pytest.param("One", (None, "One"), id="a text for the list"),
        pytest.param("qu-6639f7bd-58c9", ("qu-6639f7bd-58c9", None), id="an id for the list"),
        pytest.param([[["One"]]], (None, None), id="lists in the list"),
        pytest.param([], (None, None), id="empty"),
    ],
)
def test_the_queue_is_the_one_that_the_task_entered_last(queues, expected):
    made = task(queues=queues)

    assert (made["queue_id"], made["queue"]) == expected
