from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.exact_json import DEEPEST, canonical, is_too_deep, plain_canonical

ordinary = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
odd_text = st.text(st.characters(exclude_categories=[]))
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | odd_text,
    lambda inner: st.lists(inner) | st.dictionaries(odd_text, inner),
    max_leaves=10,
)


def needing_care(value):
    """The same value beside an integer that orjson refuses, so that the careful way writes it."""
    return [value, 2**64]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"b": 1, "a": {"d": [], "c": {}}}, '{"a":{"c":{},"d":[]},"b":1}', id="keys sorted, no blanks"),
        pytest.param({"é": 1, "z": 2, "😀": 3, "\uffee": 4}, '{"z":2,"é":1,"\uffee":4,"😀":3}', id="by code point"),
        pytest.param([2**64, -(2**63) - 1], "[18446744073709551616,-9223372036854775809]", id="past 64 bits"),
        pytest.param(-(10**5000), "-1" + "0" * 5000, id="more digits than Python prints"),
        pytest.param({"a\0": 1}, '{"a\ufffd":1}', id="NUL in a key"),
        pytest.param("\\u0000", '"\\\\u0000"', id="what only looks like a NUL"),
        pytest.param("\\\0", '"\\\\\ufffd"', id="backslash before a NUL"),
        pytest.param(float("nan"), "null", id="nan"),
    ],
)
def test_a_value_has_one_text(value, expected):
    assert canonical(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"a\0": 1, "a\ufffd": 2}, '{"a\ufffd":2,"a\ufffd\ufffd":1}', id="a clean key keeps its name"),
        pytest.param({"a\ud800": 2, "a\0": 1}, '{"a\ufffd":1,"a\ufffd\ufffd":2}', id="two that are cleaned"),
        pytest.param(
            {"a\0": 1, "a\ufffd": 2, "a\ufffd\ufffd": 3},
            '{"a\ufffd":2,"a\ufffd\ufffd":3,"a\ufffd\ufffd\ufffd":1}',
            id="with the next name in use too",
        ),
    ],
)
def test_no_key_is_lost_when_two_become_equal(value, expected):
    assert canonical(value) == expected
    assert canonical(dict(reversed(value.items()))) == expected


@pytest.mark.parametrize("value", ["\0", "\ud800", {"\0": 1}, 2**64, -(2**63) - 1], ids=repr)
def test_the_quick_way_refuses_what_needs_care(value):
    assert plain_canonical(value) is None


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"in": inner}], ids=["lists", "objects"])
@pytest.mark.parametrize("core", [1, [], {}], ids=repr)
def test_too_deep_is_what_the_quick_way_refuses(wrap, core):
    value = core
    for _ in range(DEEPEST - (core != 1)):
        value = wrap(value)

    assert (is_too_deep(value), plain_canonical(value) is None) == (False, False)
    assert (is_too_deep(wrap(value)), plain_canonical(wrap(value)) is None) == (True, True)


@given(ordinary)
def test_the_careful_way_writes_what_the_quick_way_writes(value):
    assert canonical(needing_care(value)) == f"[{plain_canonical(value) or canonical(value)},18446744073709551616]"


@settings(max_examples=200)
@given(odd)
def test_any_text_is_storable_and_reads_back_the_same(value):
    text = canonical(value)

    assert "\\u0000" not in text.replace("\\\\", "")
    assert canonical(json.loads(text)) == text
    assert text.encode().decode() == text


@given(st.dictionaries(odd_text, st.integers()))
def test_as_many_keys_come_out_as_went_in(value):
    assert len(orjson.loads(canonical(value))) == len(value)
