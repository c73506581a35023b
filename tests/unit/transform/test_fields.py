from __future__ import annotations

from datetime import UTC, datetime

import pytest

from etl.transform import Stream, TaskRows, transform

STREAM = Stream(source_id=7, stream_id="st-084d3c5e")
DAY = datetime(2025, 6, 1, tzinfo=UTC)


def rows(**keys) -> TaskRows:
    made = transform({"_id": "ti-1", **keys}, STREAM)
    assert isinstance(made, TaskRows), made
    return made


def fields(*listed, **named):
    return rows(fields=list(listed), **named).task_fields


def short(made):
    return [(row["field_id"], row["key"], row["text"]) for row in made]


def value_of(value, data_type=None):
    made = fields({"_id": "fd-1", "dataType": data_type, "selectedValue": value})
    return made[0] if made else None


def test_a_listed_field_is_a_row():
    listed = {"_id": "fd-1", "displayName": "City", "lname": "city", "dataType": "string", "selectedValue": "Köln"}

    assert fields(listed) == (
        {
            "task_id": "ti-1",
            "source_id": STREAM.source_id,
            "position": 0,
            "field_id": "fd-1",
            "key": "City",
            "name": "City",
            "data_type": "string",
            "text": "Köln",
            "number": None,
            "time": None,
        },
    )


def test_a_key_named_after_a_field_is_a_row():
    assert fields(**{"new field": {"id": "fd-9", "displayName": "New!", "selectedValue": "x"}}) == (
        {
            "task_id": "ti-1",
            "source_id": STREAM.source_id,
            "position": 0,
            "field_id": "fd-9",
            "key": "new field",
            "name": "New!",
            "data_type": None,
            "text": "x",
            "number": None,
            "time": None,
        },
    )


@pytest.mark.parametrize(
    ("listed", "named", "expected"),
    [
        pytest.param({"_id": "1", "displayName": "B"}, {"id": "1"}, ("1", "a", "x"), id="by id"),
        pytest.param({"displayName": "A"}, {"id": "1"}, ("1", "a", "x"), id="by name, the list without an id"),
        pytest.param({"_id": "1", "displayName": "A"}, {}, ("1", "a", "x"), id="by name, the key without an id"),
        pytest.param({"lname": "a"}, {"displayName": "B"}, (None, "a", "x"), id="by name, neither with an id"),
        pytest.param({"metaData": {"name": "A"}}, {}, (None, "a", "x"), id="by the inner name"),
    ],
)
def test_a_field_in_both_spellings_is_one_row_under_the_key(listed, named, expected):
    assert short(fields({**listed, "selectedValue": "x"}, a={**named, "selectedValue": "x"})) == [expected]


COMPOSED, DECOMPOSED = "R\u00e9gion", "Re\u0301gion"


@pytest.mark.parametrize(
    ("one", "other"),
    [("Region", "region"), ("Region", "Region "), ("new field", "newfield"), (COMPOSED, DECOMPOSED), ("\u0130", "i")],
)
@pytest.mark.parametrize("listed", [False, True], ids=["two keys", "one in the list"])
@pytest.mark.parametrize("more", [{}, {"_id": "1"}], ids=["no id", "one id"])
def test_fields_of_nearly_one_name_keep_their_own_values(one, other, listed, more):
    first = {**more, "selectedValue": "EMEA"}
    second = {other: {"selectedValue": "north"}}
    if listed:
        made = fields({**first, "displayName": one, "lname": one.lower()}, **second)
    else:
        made = fields(**{one: first}, **second)
    assert {row["key"]: row["text"] for row in made} == {one: "EMEA", other: "north"}


@pytest.mark.parametrize("same_id", [{}, {"_id": "1"}], ids=["no id", "same id"])
def test_two_listed_fields_that_disagree_keep_their_own_values(same_id):
    listed = [{"displayName": "a", "selectedValue": value, **same_id} for value in ("x", "y", "x")]
    assert [row["text"] for row in fields(*listed)] == ["x", "y"]


@pytest.mark.parametrize("order", [("A", "a"), ("a", "A")], ids=str)
def test_a_key_of_the_exact_name_goes_before_a_similar_one(order):
    made = fields({"displayName": "a", "dataType": "string"}, **{key: {"selectedValue": key} for key in order})
    assert {row["key"]: (row["text"], row["data_type"]) for row in made} == {"a": ("a", "string"), "A": ("A", None)}


@pytest.mark.parametrize("key", ["status", "priority", "source", "tags", "queues", "name", "caseId", "currAssignee"])
def test_a_field_named_like_a_key_of_the_api_is_a_field(key):
    made = rows(**{key: {"id": "fd-1", "_id": "fd-1", "displayName": key, "name": "x", "selectedValue": "mine"}})
    assert short(made.task_fields) == [("fd-1", key, "mine")]
    assert (made.status, made.priority, made.case, made.agents, made.queues, made.task_tags) == (
        *(None, None, None),
        *((), (), ()),
    )


def test_two_fields_of_one_name_with_two_ids_stay_two():
    made = fields({"_id": "1", "displayName": "a", "selectedValue": "x"}, a={"id": "2", "selectedValue": "y"})

    assert short(made) == [("1", "a", "x"), ("2", "a", "y")]


@pytest.mark.parametrize("nothing", [None, "", {}, []], ids=repr)
def test_each_spelling_gives_what_the_other_leaves_out(nothing):
    listed = {"_id": "1", "displayName": "Due", "dataType": "date", "selectedValue": nothing}

    assert fields(listed, Due={"id": "1", "selectedValue": "01.06.2025"})[0] | {"time": None} == {
        "task_id": "ti-1",
        "source_id": STREAM.source_id,
        "position": 0,
        "field_id": "1",
        "key": "Due",
        "name": "Due",
        "data_type": "date",
        "text": "01.06.2025",
        "number": None,
        "time": None,
    }


def test_the_name_and_type_may_come_from_the_key_alone():
    made = fields({"_id": "1", "selectedValue": "x"}, a={"id": "1", "displayName": "A", "dataType": "string"})

    assert (made[0]["name"], made[0]["data_type"]) == ("A", "string")


@pytest.mark.parametrize(
    ("names", "key"),
    [
        pytest.param({"displayName": "City", "lname": "city", "metaData": {"name": "c"}}, "City", id="as displayed"),
        pytest.param({"lname": "city", "metaData": {"name": "c"}}, "city", id="in small letters"),
        pytest.param({"metaData": {"name": "c"}}, "c", id="the inner one"),
        pytest.param({}, "1", id="the id"),
    ],
)
def test_a_listed_field_is_known_by_its_first_name(names, key):
    assert short(fields({"_id": "1", "selectedValue": "x", **names})) == [("1", key, "x")]


def test_where_two_spellings_disagree_the_list_stands():
    made = fields({"_id": "1", "selectedValue": 0}, a={"id": "1", "selectedValue": 5})

    assert short(made) == [("1", "a", "0")]


def test_the_list_comes_first_and_the_keys_in_their_order():
    listed = [{"_id": "9", "selectedValue": "x"}, {"_id": "8"}, {"_id": "7", "selectedValue": "y"}]

    made = rows(fields=listed, b={"selectedValue": 1}, a={"selectedValue": 2}).task_fields

    assert [(row["position"], row["key"]) for row in made] == [(0, "9"), (1, "7"), (2, "a"), (3, "b")]


@pytest.mark.parametrize("nothing", [None, "", {}, [], float("nan")], ids=repr)
def test_a_field_without_a_value_has_no_row(nothing):
    made = rows(fields=[{"_id": "1", "selectedValue": nothing}, {"_id": "2"}], a={"selectedValue": nothing})

    assert (made.task_fields, made.unknown_keys) == ((), ())


@pytest.mark.parametrize(
    "value", [None, "x", 5, {}, ["x"], [[{"selectedValue": "x"}]], {"selectedValue": "x"}, [{"_id": "1"}]], ids=repr
)
def test_what_is_no_field_has_no_row(value):
    assert rows(fields=value).task_fields == ()


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        pytest.param("Köln", "Köln", None, id="text"),
        pytest.param(5, "5", 5.0, id="integer"),
        pytest.param(0, "0", 0.0, id="zero"),
        pytest.param(-2.5, "-2.5", -2.5, id="fraction"),
        pytest.param(" 19.90 ", " 19.90 ", 19.9, id="numeric text"),
        pytest.param("-.5e3", "-.5e3", -500.0, id="numeric text with an exponent"),
        pytest.param("2024_10", "2024_10", None, id="an underscore"),
        pytest.param("nan", "nan", None, id="nan as text"),
        pytest.param("infinity", "infinity", None, id="infinity as text"),
        pytest.param("٣", "٣", None, id="a digit of another script"),
        pytest.param("1e999", "1e999", None, id="a number past all floats"),
        pytest.param("9" * 300_000 + "x", "9" * 300_000 + "x", None, id="nearly a number, long"),
        pytest.param(10**400, "1" + "0" * 400, None, id="an integer past all floats"),
        pytest.param(True, "true", None, id="boolean"),
        pytest.param(False, "false", None, id="false"),
        pytest.param(["a", 1], '["a",1]', None, id="list"),
        pytest.param({"b": 1, "a": 2}, '{"a":2,"b":1}', None, id="object"),
    ],
)
def test_a_value_is_text_and_a_number_where_it_is_one(value, text, number):
    made = value_of(value)

    assert (made["text"], made["number"]) == (text, number)


@pytest.mark.parametrize(
    ("value", "data_type", "expected"),
    [
        pytest.param("2025-06-01", None, DAY, id="a date by its form"),
        pytest.param("2025-06-01T05:30:00+05:30", "string", DAY, id="a time by its form"),
        pytest.param({"$date": "2025-06-01T00:00:00Z"}, None, DAY, id="mongo by its form"),
        pytest.param(1748736000000, "date", DAY, id="milliseconds by the type"),
        pytest.param("1748736000", "DateTime", DAY, id="seconds as text by the type"),
        pytest.param("20250601T0000Z", "timestamp", DAY, id="compact by the type"),
        pytest.param(1748736000000, "number", None, id="a number that could be milliseconds"),
        pytest.param("20250601", None, None, id="a number that could be a date"),
        pytest.param("2025-06-01 or so", None, None, id="only begins like a date"),
        pytest.param("soon", "date", None, id="unreadable"),
        pytest.param("9" * 300_000, "date", None, id="a number that would take seconds to read"),
        pytest.param(["2025-06-01"], "date", None, id="a list"),
        pytest.param({"$numberLong": "1748736000000"}, None, None, id="another object"),
    ],
)
def test_a_value_is_a_time_where_its_type_or_form_says_so(value, data_type, expected):
    assert value_of(value, data_type)["time"] == expected


def test_the_type_is_found_in_either_place():
    made = fields({"_id": "1", "metaData": {"type": "date"}, "selectedValue": "1748736000"})

    assert (made[0]["data_type"], made[0]["time"]) == ("date", DAY)


def test_a_long_key_is_cut():
    assert short(rows(**{"k" * 501: {"selectedValue": "x"}}).task_fields) == [(None, "k" * 500, "x")]


@pytest.mark.parametrize(
    ("value", "example"),
    [
        pytest.param(1, "1", id="number"),
        pytest.param(None, "null", id="null"),
        pytest.param("a\0\x9b\n", '"a\ufffd\ufffd\\n"', id="what a terminal would obey"),
        pytest.param({"b": [1], "a": 2}, '{"a":2,"b":[1]}', id="object"),
        pytest.param({"displayName": "x"}, '{"displayName":"x"}', id="a name without an id"),
        pytest.param({"id": "1"}, '{"id":"1"}', id="an id without a name"),
        pytest.param("x" * 300_000, '"' + "x" * 199, id="long"),
    ],
)
def test_a_key_never_seen_before_is_told_with_an_example(value, example):
    assert rows(slaPolicy=value, name="x", tags=[]).unknown_keys == (("slaPolicy", example),)


def test_unknown_keys_are_told_once_each_in_their_order():
    long = {"k" * 500 + end: 1 for end in "ab"}

    assert rows(b=1, a=2, **long).unknown_keys == (("a", "2"), ("b", "1"), ("k" * 500, "1"))


@pytest.mark.parametrize(
    "named", [{"selectedValue": None}, {"id": "1", "displayName": "x"}, {"_id": "1", "displayName": ""}], ids=repr
)
def test_a_custom_field_is_no_unknown_key(named):
    assert rows(x=named).unknown_keys == ()


def test_listed_fields_without_an_id_are_told_apart():
    names = [{"displayName": "Middle name", "selectedValue": ""}, {"displayName": "City", "selectedValue": "Rome"}]
    assert short(fields(*names)) == [(None, "City", "Rome")]
    same = [{"displayName": name, "selectedValue": "yes"} for name in ("Consent", "Newsletter")]
    assert short(fields(*same)) == [(None, "Consent", "yes"), (None, "Newsletter", "yes")]
