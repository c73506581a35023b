"""Whatever a server may send: the transform makes rows that both databases take, or a rejection, and never raises."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from etl.transform import Rejection, Stream, TaskRows, transform

STREAM = Stream(source_id=7, stream_id="st-084d3c5e")
TEXTS = [
    "_id", "stream_id", "case_id", "ref_id", "name", "status_id", "priority_id", "assignee_type", "assignee_id",
    "assignee", "queue_id", "queue", "conversation_type", "origin", "account_id", "org_id", "user_id",
    "user_name", "created_by_id", "created_by", "updated_by_id", "updated_by", "category", "type", "description",
    "color", "raw",
]  # fmt: skip
BOOLEANS = ["is_active", "is_breached", "is_custom", "is_enabled"]
TIMES = ["due_at", "created_at", "updated_at", "seen_at"]
KINDS = (
    dict.fromkeys(TEXTS, str)
    | dict.fromkeys(BOOLEANS, bool)
    | dict.fromkeys(TIMES, datetime)
    | {"source_id": int, "score": float}
)
NEVER_NONE = {"_id", "source_id", "stream_id", "raw"}

texts = st.text(st.characters(exclude_categories=[]), max_size=20)
times = st.sampled_from(["2025-05-28T12:05:38.807Z", 1748433938807, "1748433938", "2025-02-30", "", 1e300])
numbers = st.floats()
finite = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers() | st.integers(-(10**400), 10**400)
KEYS = [
    "_id", "caseId", "caseRefId", "refId", "name", "source", "conversationType", "accountId", "iId", "orgId",
    "userInfo", "status", "priority", "fields", "assigneeType", "currAssignee", "queues", "createdBy",
    "updatedBy", "isCustTsk", "isActive", "isBreached", "ETA", "dueDate", "timestampValue", "createdAt",
    "updatedAt", "statusCategory", "type", "desc", "isEnabled", "score", "color", "aId", "agentId", "startTime",
    "selectedValue", "displayName", "lname", "metaData", "$date", "$numberLong",
]  # fmt: skip
keys = st.sampled_from(KEYS) | texts


def values(floats=numbers):
    return st.recursive(
        st.none() | st.booleans() | integers | floats | texts | times,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
        max_leaves=12,
    )


def records(floats=numbers):
    ids = st.sampled_from(["ti-1", "ti-\ud800", 5])
    return st.builds(lambda key, rest: {**rest, "_id": key}, ids, st.dictionaries(keys, values(floats), max_size=12))


def parts(made: TaskRows):
    return [row for row in (made.task, made.status, made.priority, made.case) if row is not None]


def assert_storable(text: str) -> None:
    assert "\0" not in text
    assert "\\u0000" not in text.replace("\\\\", "")
    text.encode()


def assert_is_of_its_kind(column: str, value: object) -> None:
    assert value is None or type(value) is KINDS[column], column
    assert value is not None or column not in NEVER_NONE, column
    if isinstance(value, str):
        assert_storable(value)
    if isinstance(value, datetime):
        assert value.tzinfo is UTC
        assert value.microsecond % 1000 == 0


@settings(max_examples=300)
@given(records() | values())
def test_every_record_becomes_storable_rows_or_a_rejection(record):
    made = transform(record, STREAM)

    if isinstance(made, Rejection):
        assert_storable(made.reason + (made.record_id or "") + made.raw)
        assert len(made.reason) <= 120
        return
    for row in parts(made):
        for column, value in row.items():
            assert_is_of_its_kind(column, value)


@settings(max_examples=150)
@given(records())
def test_a_task_refers_only_to_rows_that_come_with_it(record):
    made = transform(record, STREAM)

    if isinstance(made, TaskRows):
        for column, row in (("status_id", made.status), ("priority_id", made.priority), ("case_id", made.case)):
            assert made.task[column] == (row and row["_id"])


@settings(max_examples=150)
@given(records())
def test_the_same_record_gives_the_same_rows_and_is_left_alone(record):
    before = repr(record)

    assert transform(copy.deepcopy(record), STREAM) == transform(record, STREAM)
    assert repr(record) == before


@settings(max_examples=150)
@given(records(finite))
def test_a_record_stored_as_text_gives_the_same_rows_again(record):
    made = transform(record, STREAM)

    raw = made.raw if isinstance(made, Rejection) else made.task["raw"]
    assert transform(json.loads(raw), STREAM) == made
