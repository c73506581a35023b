from __future__ import annotations

from datetime import UTC, datetime

import pytest

from etl.transform import Stream, transform

STREAM = Stream(source_id=7, stream_id="st-084d3c5e")
DUE = datetime(2025, 6, 1, tzinfo=UTC)
OTHER = datetime(2030, 1, 1, tzinfo=UTC)
FORMS = [
    pytest.param("2025-06-01T00:00:00.000Z", id="ISO"),
    pytest.param("2025-06-01T05:30:00+05:30", id="ISO with an offset"),
    pytest.param("2025-06-01", id="date"),
    pytest.param(1748736000000, id="epoch milliseconds"),
    pytest.param("1748736000000", id="epoch milliseconds as text"),
    pytest.param(1748736000, id="epoch seconds"),
    pytest.param({"$date": "2025-06-01T00:00:00Z"}, id="mongo"),
]
UNTOLD = [pytest.param(value, id=repr(value)) for value in (None, "", 0, {}, [], "soon", True, {"on": 1}, ["x"])]


def due(**keys):
    return transform({"_id": "ti-1", **keys}, STREAM).task["due_at"]


def field(name, value, **keys):
    return {"_id": "fd-1", "displayName": name, "lname": name.lower(), "selectedValue": value, **keys}


@pytest.mark.parametrize("value", FORMS)
@pytest.mark.parametrize("place", ["dueDate", "ETA"])
def test_the_due_date_is_read_in_every_form_under_both_names(place, value):
    assert due(**{place: value}) == DUE
    assert due(**{place: {"displayName": place, "selectedValue": value}}) == DUE


@pytest.mark.parametrize("value", FORMS)
@pytest.mark.parametrize("name", ["dueDate", "Due Date", "due_date", "ETA", "eta"])
def test_the_due_date_is_read_in_every_form_from_a_field(name, value):
    assert due(fields=[field("City", "Köln"), field(name, value)]) == DUE


@pytest.mark.parametrize(
    "named",
    [
        {"metaData": {"name": "dueDate"}},
        {"name": "dueDate"},
        {"lname": "duedate"},
        {"displayName": "Due Date"},
    ],
    ids=repr,
)
def test_a_field_is_known_by_any_of_its_names(named):
    assert due(fields=[{"selectedValue": "2025-06-01", **named}]) == DUE


def test_the_three_fields_are_asked_in_order():
    fields = [field("ETA", OTHER.isoformat())]

    assert due(dueDate="2025-06-01", ETA=OTHER.isoformat(), fields=fields) == DUE
    assert due(ETA="2025-06-01", fields=fields) == DUE
    assert due(fields=fields) == OTHER


@pytest.mark.parametrize("value", UNTOLD)
def test_an_unreadable_due_date_passes_on_to_the_next_field(value):
    assert due(dueDate=value, ETA="2025-06-01") == DUE
    assert due(dueDate=value, ETA=value, fields=[field("ETA", value), field("Due Date", "2025-06-01")]) == DUE


@pytest.mark.parametrize(
    "fields",
    [
        None,
        {},
        "dueDate",
        {"dueDate": "2025-06-01"},
        [None, "x", 5, [], {}],
        [field("Start", "2025-06-01")],
        [{"displayName": "ETA"}],
        [{"displayName": ["ETA"], "metaData": "ETA", "selectedValue": "2025-06-01"}],
        [{"selectedValue": "2025-06-01"}],
    ],
    ids=repr,
)
def test_without_a_due_date_none_is_made_up(fields):
    assert due(fields=fields) is None
