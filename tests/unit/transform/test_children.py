from __future__ import annotations

from datetime import UTC, datetime

import pytest

from etl.transform import Stream, TaskRows, transform

STREAM = Stream(source_id=7, stream_id="st-084d3c5e")
EARLY = datetime(2025, 5, 28, 12, tzinfo=UTC)


def rows(**keys) -> TaskRows:
    made = transform({"_id": "ti-1", **keys}, STREAM)
    assert isinstance(made, TaskRows), made
    return made


def test_each_queue_that_a_task_went_through_is_a_row():
    made = rows(
        queues=[
            {"_id": "qu-1", "name": "One", "status": "left", "startTime": "2025-05-28T12:00:00.000Z"},
            {"type": "says nothing"},
            {"_id": "qu-2", "startTime": "soon"},
            {"_id": "qu-1", "status": 5},
        ]
    )

    assert made.task_queues == (
        {"task_id": "ti-1", "source_id": 7, "position": 0, "queue_id": "qu-1", "status": "left", "started_at": EARLY},
        {"task_id": "ti-1", "source_id": 7, "position": 1, "queue_id": "qu-2", "status": None, "started_at": None},
        {"task_id": "ti-1", "source_id": 7, "position": 2, "queue_id": "qu-1", "status": "5", "started_at": None},
    )


def test_each_participant_is_a_row_with_the_given_name():
    made = rows(
        currAssignee={"aId": "a-1", "name": "Ada"},
        participants=[
            {"aId": "a-1", "name": "Ada L.", "pStatus": "active", "assignedAt": 1748433600000},
            {"pStatus": "active"},
            {"agentId": "a-2"},
        ],
    )

    assert made.task_participants == (
        {
            "task_id": "ti-1",
            "source_id": 7,
            "position": 0,
            "agent_id": "a-1",
            "name": "Ada L.",
            "status": "active",
            "assigned_at": EARLY,
        },
        {
            "task_id": "ti-1",
            "source_id": 7,
            "position": 1,
            "agent_id": "a-2",
            "name": None,
            "status": None,
            "assigned_at": None,
        },
    )
    assert [row.get("name") for row in made.agents] == ["Ada", None]


@pytest.mark.parametrize(
    ("key", "table", "column"), [("tags", "task_tags", "tag"), ("channel", "task_channels", "channel")]
)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(["vip", "b2b"], ["vip", "b2b"], id="texts"),
        pytest.param(["vip", "vip"], ["vip", "vip"], id="one twice"),
        pytest.param("vip", ["vip"], id="a text for the list"),
        pytest.param(0, ["0"], id="a zero for the list"),
        pytest.param({"name": "vip"}, ["vip"], id="an object for the list"),
        pytest.param([{"_id": "1", "name": "vip"}], ["vip"], id="an object with a name"),
        pytest.param([{"b": 1, "a": "\0"}], ['{"a":"\ufffd","b":1}'], id="an object without a name"),
        pytest.param([{"name": ["x"]}, [["x"]]], ['{"name":["x"]}', '[["x"]]'], id="names in parts, lists"),
        pytest.param([5, 1.5, False, 0], ["5", "1.5", "false", "0"], id="numbers and booleans"),
        pytest.param([None, "", {}, [], "x", float("nan")], ["x"], id="entries that say nothing"),
        pytest.param(["x" * 501, {"n": "x" * 600}], ["x" * 500, '{"n":"' + "x" * 494], id="too long for an index"),
        pytest.param([f"t{n}" for n in range(10_000)], [f"t{n}" for n in range(10_000)], id="10,000"),
        *(pytest.param(value, [], id=repr(value)) for value in (None, "", [], {})),
    ],
)
def test_each_tag_and_channel_is_a_row(key, table, column, value, expected):
    made = getattr(rows(**{key: value}), table)

    assert made == tuple(
        {"task_id": "ti-1", "source_id": 7, "position": n, column: word} for n, word in enumerate(expected)
    )
