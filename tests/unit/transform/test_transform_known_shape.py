"""The typed transform gives the same rows as the tolerant one, or leaves the record to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from etl.api_record import KNOWN, Record
from etl.exact_json import canonical, read
from etl.sandbox.data.generator import TaskGenerator
from etl.sandbox.options import Options
from etl.transform import Rejection, Stream, TaskRows, transform, transform_typed

STREAM = Stream(7, "st-1")
NOW = 1_780_000_000_000
SAMPLES = {
    shape: list(TaskGenerator(Options(tasks=300, shape=shape), Random(1)).history(NOW)) for shape in ("eight", "full")
}
ODD = [
    None, "", " ", "x", "a-0e5dcb68-93ed", "2025-05-28T12:05:38.807Z", "soon", 0, 1, 5, 1.5, -0.0, 10**25,
    1739702333030, "1739702333030", True, False, [], {}, ["x"], [None], [{"name": "n"}], {"name": "n"},
    {"_id": "q-1", "name": ""},
    {"_id": "q-1", "name": "other", "emailId": "e"}, {"_id": 5, "name": 5}, {"selectedValue": "v"}, "é\u2028",
    "x" * 600,
    {"id": "fd-1", "displayName": "d", "selectedValue": 5},
    [{"_id": "fd-1", "lname": "d", "selectedValue": "2025-01-01"}],
    [{"_id": "fd-2", "displayName": "ETA", "selectedValue": "2025-01-01"}, {"_id": "fd-2"}],
    {"aId": "a-1", "name": "A"},
]  # fmt: skip
KEYS = [*sorted(KNOWN), "d", "new field", "a key"]


def both(record: object) -> tuple[TaskRows | None, TaskRows | Rejection]:
    """The rows of both transforms; the text that is stored is the record's own, or canonical."""
    text = record if isinstance(record, bytes) else json.dumps(record).encode()
    return transform_typed(Record(text), STREAM), transform(read(text), STREAM)


def assert_same(record: object) -> None:
    typed, tolerant = both(record)
    if typed is not None:
        assert isinstance(tolerant, TaskRows)
        assert canonical(read(typed.task["raw"])) == tolerant.task["raw"]
        assert replace(typed, task=typed.task | {"raw": ""}) == replace(tolerant, task=tolerant.task | {"raw": ""})


@pytest.mark.parametrize("shape", SAMPLES)
def test_every_usual_record_is_read_by_its_type(shape: str) -> None:
    assert [record for record in SAMPLES[shape] if both(record)[0] is None] == []


@pytest.mark.parametrize("shape", SAMPLES)
def test_usual_records_give_the_same_rows(shape: str) -> None:
    for record in SAMPLES[shape]:
        assert_same(record)


@settings(max_examples=800, deadline=None)
@given(
    st.sampled_from(SAMPLES["full"]), st.dictionaries(st.sampled_from(KEYS), st.sampled_from(ODD), max_size=4),
    st.sets(st.sampled_from(KEYS), max_size=3),
)  # fmt: skip
@example(SAMPLES["full"][0], {"createdBy": {"_id": "u-1", "name": ""}, "updatedBy": {"_id": "u-1", "name": "U"}}, set())
def test_odd_values_give_the_same_rows(record: dict, odd: dict, without: set[str]) -> None:
    assert_same({key: value for key, value in record.items() if key not in without} | odd)


@settings(max_examples=800, deadline=None)
@given(st.sampled_from(SAMPLES["full"]), st.data())
def test_odd_values_of_fields_give_the_same_rows(record: dict, data: st.DataObject) -> None:
    names = st.sampled_from(["_id", "id", "displayName", "lname", "name", "dataType", "metaData", "selectedValue"])
    odd = st.one_of(st.sampled_from(ODD), st.sampled_from(["fd-1", "d", "date", {"name": "dueDate", "type": "number"}]))
    fields = data.draw(st.lists(st.dictionaries(names, odd, max_size=5), max_size=4))
    keyed = data.draw(
        st.dictionaries(st.sampled_from(["d", "D", "fd-1", "e"]), st.dictionaries(names, odd, max_size=4))
    )
    assert_same(record | {"fields": fields} | keyed)


@settings(max_examples=800, deadline=None)
@given(st.sampled_from(SAMPLES["full"]), st.data())
def test_odd_people_and_queues_give_the_same_rows(record: dict, data: st.DataObject) -> None:
    names = ["_id", "aId", "agentId", "name", "type", "status", "pStatus", "startTime", "assignedAt"]
    plain = st.sampled_from([None, "", " ", "q-1", "q-2", "a-1", "x", "2025-05-28T12:05:38.807Z", 1739702333030])
    value = st.one_of(plain, plain, plain, st.sampled_from(ODD))
    entries = st.lists(st.dictionaries(st.sampled_from(names), value, max_size=6), max_size=4)
    assert_same(record | {"queues": data.draw(entries), "participants": data.draw(entries)})


@pytest.mark.parametrize(("value", "month"), [("2025-06-01", 6), ("", 7), (None, 7), ("soon", 7), (0, 7)])
def test_the_due_date_of_a_field_gives_the_same_rows(value: object, month: int) -> None:
    eta = {"_id": "fd-1", "displayName": "ETA", "selectedValue": value}
    due = {"_id": "fd-2", "displayName": "Due Date", "selectedValue": "2025-07-01"}
    record = {"_id": "ti-1", "fields": [eta, due]}
    typed, _ = both(record)
    assert typed is not None
    assert typed.task["due_at"] == datetime(2025, month, 1, tzinfo=UTC)
    assert_same(record)


def test_the_text_stays_as_it_came() -> None:
    text = b'{"updatedAt": "2025-05-28T12:05:38.807Z",\n "_id":"ti-1", "n": 1.50, "big": 12345678901234567890123}'
    typed, _ = both(text)
    assert typed is not None
    assert typed.task["raw"] == text.decode()


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"_id": "ti-1", "name": "a\0b"}, id="NUL"),
        pytest.param({"_id": "ti-1", "status": {"selectedValue": "v"}}, id="a field in a key's place"),
        pytest.param({"_id": 5}, id="a number for an id"),
        pytest.param({"_id": " "}, id="a blank id"),
        pytest.param({"_id": "ti-1", "updatedAt": "soon"}, id="an unreadable date"),
        pytest.param(orjson.loads("[" * 254 + "]" * 254), id="no object"),
        pytest.param({"_id": "ti-1", "deep": orjson.loads("[" * 253 + "]" * 253)}, id="deeply nested"),
    ],
)
def test_what_is_not_plain_is_left_to_the_tolerant_one(record: object) -> None:
    assert both(record)[0] is None
