"""JSON is read and written with every digit that it came with."""

from __future__ import annotations

import copy
import json
import pickle

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from etl import exact_json
from etl.exact_json import canonical

numbers = some.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)


@example(number="1.50")
@example(number="-0")
@example(number="1e400")
@example(number="12345678901234567890.5")
@given(number=numbers)
def test_a_number_keeps_its_text(number: str) -> None:
    for form in ('{"a":[%s,%s]}', '{"a":{"b":%s,"c":%s}}'):
        text = form % (number, number)
        assert canonical(exact_json.read(text)) == text
        assert canonical(exact_json.read(text.replace(",", " , ").replace(":", " :\n ").encode())) == text


@given(value=some.recursive(some.none() | some.booleans() | some.integers() | some.text(), some.lists))
def test_other_values_are_read_as_by_the_standard_library(value: object) -> None:
    text = json.dumps(value)
    assert exact_json.read(text) == json.loads(text)


def test_a_number_inside_a_text_stays_text() -> None:
    assert exact_json.read('{"a":"1.50, -0, 1e9]","b":1.5}') == {"a": "1.50, -0, 1e9]", "b": 1.5}


def test_a_plain_fraction_is_a_plain_float() -> None:
    assert type(exact_json.read("[1.5]")[0]) is float


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])  # noqa: S301
def test_a_copy_keeps_its_text(copied) -> None:
    assert repr(copied(exact_json.Number("1.50"))) == "1.50"


def test_orjson_writes_it_as_it_came() -> None:
    assert orjson.dumps(exact_json.read("[1.50,1e400]"), default=exact_json.fragment) == b"[1.50,1e400]"
