"""The query: every parameter of the API's page is a field of it, and one that is unset is not sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from etl.extract.http.query import Query

MOMENT = datetime(2025, 5, 26, 18, 30, tzinfo=UTC)

# Field, value, and what is sent for it: the parameters of the vendor's table and of its sample.
PARAMETERS = [
    ("skip", 20, "skip", 20),
    ("limit", 50, "limit", 50),
    ("search_text", "router", "searchText", "router"),
    ("unresolved", True, "unresolved", True),
    ("unassigned", False, "unassigned", False),
    ("mytask", False, "mytask", False),
    ("mycase", True, "mycase", True),
    ("selected_columns", ("name",), "selectedColumns", ["name"]),
    ("priority", ("Critical", "High"), "priority", ["Critical", "High"]),
    ("agents", ("a-1",), "agents", ["a-1"]),
    ("status", ("In-Progress",), "status", ["In-Progress"]),
    ("custom_fields", ({"id": "fd-1"},), "customFields", [{"id": "fd-1"}]),
    ("eta_list", ("today",), "ETAlist", ["today"]),
    ("channel", ("rtm",), "channel", ["rtm"]),
    ("queues", (), "queues", []),
    ("start", MOMENT, "startDate", "2025-05-26T18:30:00.000Z"),
    ("end", MOMENT + timedelta(milliseconds=999), "endDate", "2025-05-26T18:30:00.999Z"),
    ("due_date", MOMENT, "dueDate", "2025-05-26T18:30:00.000Z"),
    ("sort_by", ("dueDate", "desc"), "sortBy", {"dueDate": "desc"}),
]


def test_every_field_is_tried_here():
    assert list(Query.__struct_fields__) == [name for name, *_ in PARAMETERS]


def test_every_parameter_of_the_vendors_page_can_be_sent():
    table = "searchText unresolved unassigned mycase priority status channel queues startDate endDate sortBy dueDate"
    sample = (
        "skip limit searchText unresolved unassigned mytask selectedColumns priority agents status customFields "
        "ETAlist channel queues startDate endDate sortBy"
    )
    body = Query(**{name: value for name, value, *_ in PARAMETERS}).body()
    assert set(body) == {*table.split(), *sample.split()}


@pytest.mark.parametrize(("name", "value", "key", "sent"), PARAMETERS, ids=[name for name, *_ in PARAMETERS])
def test_only_set_parameters_are_sent_under_their_names(name, value, key, sent):
    assert Query(**{name: value}).body() == {"skip": 0, key: sent}


def test_an_unset_parameter_is_not_sent():
    assert Query().body() == {"skip": 0}


def test_dates_are_sent_in_utc():
    east = MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert Query(start=east).body()["startDate"] == "2025-05-26T18:30:00.000Z"
