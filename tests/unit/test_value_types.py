"""Readers of settings' values: which spellings of a number or a switch are accepted."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from etl.settings.value_types import one_of, read_action, read_dropped_keys, read_switch, read_whole, within


class TestLists:
    @pytest.mark.parametrize("read", [read_dropped_keys, read_action])
    @pytest.mark.parametrize("text", ['["first", "second"]', "['first','second']", ' [\n"first", "second",\n]'])
    def test_are_read_from_a_variable_as_from_a_file(self, read, text):
        assert read(text) == ("first", "second")

    @pytest.mark.parametrize("read", [read_dropped_keys, read_action])
    @pytest.mark.parametrize("text", ['["first"', "[first]", "[", '["first"]\nx = 1', "[1]"])
    def test_that_are_none_are_refused(self, read, text):
        with pytest.raises(ValueError, match="is no"):
            read(text)

    def test_of_keys_are_also_read_from_text_with_commas(self):
        assert read_dropped_keys("userInfo.emailId, size [cm]") == ("userInfo.emailId", "size [cm]")


class TestWholeNumbers:
    @pytest.mark.parametrize(
        ("value", "number"),
        [
            (5, 5),
            (-5, -5),
            (2**70, 2**70),
            (5.0, 5),
            (-0.0, 0),
            (1e18, 10**18),
            ("5", 5),
            ("-5", -5),
            ("+5", 5),
            ("-0", 0),
            (" 5\n", 5),
            ("\u00a05\u2003", 5),
            ("007", 7),
            ("000", 0),
            ("-0_7", -7),
            ("0__7", 7),
            ("1_000_000", 1_000_000),
            ("5.0", 5),
            ("1_000.00", 1000),
            ("9" * 4300, int("9" * 4300)),
            ("0" * 5000 + "7", 7),
            ("7." + "0" * 5000, 7),
        ],
    )
    def test_are_read(self, value, number):
        read = read_whole(value)
        assert (read, type(read)) == (number, int)

    @pytest.mark.parametrize(
        "value",
        [
            *(
                "",
                " ",
                "five",
                "inf",
                "nan",
                "true",
                "٥",
                "５",
                "²",
                "5\u200b",
                "\ufeff5",
                "5\0",
                "5\udcff",
                "\x1c5",
                "5\x1f",
            ),
            *("- 5", "+ 5", "--5", "+-5", "\u22125", "5 0", "5,000", "5L", "0x5", "0b1", "0o5"),
            *("1__0", "_1", "1_", "-_1", "0_", "00_", "1_0_"),
            *("5.", ".0", "-.0", "5.5", "5..0", "5.0.0", "5 .0", "5_.0", "5._0", "5.0_0", "5e3", "5.0e0"),
            *("9" * 4301, "0" * 100_000 + "x"),
            *(5.5, 1e19, 2.0**63, -(2.0**63), float("inf"), float("-inf"), float("nan")),
            *(None, [5], (5,), {}, b"5", date(2024, 1, 31), timedelta(5)),
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_of_another_spelling_or_kind_are_refused(self, value):
        with pytest.raises(ValueError, match=r"^is not accepted$"):
            read_whole(value)

    @pytest.mark.parametrize("value", [True, False])
    def test_are_no_switches(self, value):
        with pytest.raises(ValueError, match=r"^is no number$"):
            read_whole(value)


class TestSwitches:
    @pytest.mark.parametrize(
        ("values", "is_on"),
        [
            (("true", "TRUE", "tRuE", "t", "T", "yes", "Yes", "y", "Y", "on", "ON", "1", True, 1, 1.0), True),
            (
                ("false", "FALSE", "fAlSe", "f", "F", "no", "No", "n", "N", "off", "OFF", "0", False, 0, 0.0, -0.0),
                False,
            ),
        ],
    )
    def test_are_read(self, values, is_on):
        assert [read_switch(value) for value in values] == [is_on] * len(values)

    @pytest.mark.parametrize(
        "value",
        [
            *("", " ", "true ", " true", "true\n", "1 ", "\t0", "01", "00", "+1", "-0", "1.0", "0.0", "2"),
            *("enabled", "none", "null", "ja", "ye\u017f", "o\ufb00", "on\udcff"),
            *(2, -1, 2**70, 0.5, -1.0, float("inf"), float("nan")),
            *(None, [True], (1,), {}, b"1", date(2024, 1, 31), timedelta(1)),
        ],
        ids=lambda value: ascii(value)[:20],
    )
    def test_of_another_spelling_or_kind_are_refused(self, value):
        with pytest.raises(ValueError, match=r"^is not accepted$"):
            read_switch(value)


def test_bounds_belong_to_what_is_accepted():
    read = within(read_whole, -2, 3)
    assert [read(-2), read("3")] == [-2, 3]
    for value in (-3, "4"):
        with pytest.raises(ValueError, match=r"^is not accepted$"):
            read(value)
    assert within(read_whole, most=3)(-100) == -100
    assert within(read_whole, 1)(10**9) == 10**9


def test_a_choice_has_one_spelling():
    read = one_of("createdAt", "updatedAt")
    assert read("createdAt") == "createdAt"
    for value in ("createdat", " createdAt", "", None, 1, ["createdAt"]):
        with pytest.raises(ValueError, match=r"^is not accepted$"):
            read(value)
