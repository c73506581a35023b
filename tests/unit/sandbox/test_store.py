"""The stored tasks stay sorted and whole, whatever is written to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.sandbox.data.store import VALUES, Store
from etl.sandbox.data.timestamps import format_timestamp

IDS = st.sampled_from([f"ti-{n}" for n in range(12)])
MOMENTS = st.integers(0, 5)
WRITES = st.lists(st.tuples(IDS, st.none() | st.tuples(MOMENTS, MOMENTS)), max_size=60)
INDEXES = [(field, tie) for field in VALUES for tie in ("id", "insertion")]


def task(row_id, created, updated):
    return {
        "_id": row_id,
        "name": row_id,
        "createdAt": format_timestamp(created),
        "updatedAt": format_timestamp(updated),
    }


def write(store, writes):
    for row_id, moments in writes:
        if moments is None:
            store.delete(row_id)
        else:
            store.put(task(row_id, *moments), row_id, 0)


@given(before=WRITES, after=WRITES)
def test_an_index_that_was_kept_equals_one_that_is_made_again(before, after):
    kept, again = Store(), Store()
    write(kept, before)
    for index in INDEXES:
        kept.index(*index)
    write(kept, after)
    write(again, [*before, *after])
    for index in INDEXES:
        assert [row.text for row in kept.index(*index).rows] == [row.text for row in again.index(*index).rows]


@given(writes=WRITES, low=st.none() | MOMENTS, high=st.none() | MOMENTS)
def test_a_range_holds_exactly_the_rows_between_its_ends(writes, low, high):
    store = Store()
    write(store, writes)
    index = store.index("updatedAt")
    start, stop = index.between(low, high)
    inside = [
        row for row in index.rows if (low is None or row.updated >= low) and (high is None or row.updated <= high)
    ]
    assert index.rows[start:stop] == inside


@pytest.mark.parametrize(
    "record",
    [
        {"_id": "a", "n": 10**30},
        {"_id": "a", "text": "nul \x00 and half a pair \ud800"},
        ["a", "list"],
        "text",
        None,
        17,
        {"_id": "a", "status": "Open", "name": {"no": "text"}, "createdAt": [], "updatedAt": "yesterday"},
    ],
    ids=str,
)
def test_an_odd_record_comes_out_as_it_went_in(record):
    store = Store()
    store.put(record, "a", 7)
    (row,) = store.index("updatedAt").rows
    assert row.record == record
    assert len(store) == 1


def test_a_record_with_a_bad_date_is_found_where_stored():
    store = Store()
    store.put({"_id": "a", "updatedAt": "yesterday"}, "a", 7)
    assert store.index("updatedAt").between(7, 7) == (0, 1)


def test_a_replaced_record_keeps_its_place_of_insertion():
    store = Store()
    for name in ("b", "a"):
        store.put(task(name, 0, 0), name, 0)
    store.put(task("b", 0, 9), "b", 0)
    assert [row.id for row in store.index("").rows] == ["b", "a"]
