from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from etl.times import format_duration, format_time, parse_duration, parse_time, utc_offsets

USUAL = datetime(2025, 5, 28, 12, 5, 38, 807000, tzinfo=UTC)
WHOLE = datetime(2025, 5, 28, 12, 5, 38, tzinfo=UTC)
DAY = datetime(2025, 5, 28, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(EPOCH.replace(year=2, tzinfo=None), EPOCH.replace(year=9998, tzinfo=None), timezones=offsets)


def cut(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("2025-05-28T12:05:38.807Z", USUAL, id="as the API sends it"),
        pytest.param("2025-05-28T12:05:38.807z", USUAL, id="small z"),
        pytest.param("2025-05-28t12:05:38.807Z", USUAL, id="small t"),
        pytest.param("2025-05-28 12:05:38.807", USUAL, id="space, and no zone means UTC"),
        pytest.param("2025-05-28T12:05:38,807Z", USUAL, id="decimal comma"),
        pytest.param("  2025-05-28T12:05:38.807Z\n", USUAL, id="blanks around"),
        pytest.param("2025-05-28T17:35:38.807+05:30", USUAL, id="offset of India"),
        pytest.param("2025-05-28T17:35:38.807+0530", USUAL, id="offset without a colon"),
        pytest.param("2025-05-28T14:05:38.807+02", USUAL, id="offset of hours only"),
        pytest.param("2025-05-29T02:05:38.807+14:00", USUAL, id="farthest offset east"),
        pytest.param("2025-05-27T22:05:38.807-14:00", USUAL, id="farthest offset west"),
        pytest.param("2025-05-29T12:04:38.807+23:59", USUAL, id="an offset that no country has"),
        pytest.param("2025-05-28 12:05:38.807 +00:00", USUAL, id="space before the offset"),
        pytest.param("20250528T120538.807Z", USUAL, id="basic form"),
        pytest.param("2025-05-28T12:05:38Z", WHOLE, id="no fraction"),
        pytest.param("2025-05-28T12:05:38.8Z", WHOLE.replace(microsecond=800000), id="one digit of fraction"),
        pytest.param("2025-05-28T12:05:38.08Z", WHOLE.replace(microsecond=80000), id="two digits of fraction"),
        pytest.param("2025-05-28T12:05:38.807999999Z", USUAL, id="nine digits of fraction, cut"),
        pytest.param("2025-05-28T12:05Z", WHOLE.replace(second=0), id="no seconds"),
        pytest.param("2025-05-28", DAY, id="date only"),
        pytest.param("2025-05-27T24:00:00.000Z", DAY, id="24 o'clock in the usual form"),
        pytest.param("2025-05-27T24:00", DAY, id="24 o'clock"),
        pytest.param("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC), id="leap second"),
        pytest.param("2016-12-31T23:59:60.000Z", datetime(2017, 1, 1, tzinfo=UTC), id="leap second, usual form"),
        pytest.param("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC), id="leap day"),
        pytest.param("0001-01-01", datetime(1, 1, 1, tzinfo=UTC), id="first day"),
        pytest.param("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999000, UTC), id="last moment"),
        pytest.param(1748433938807, USUAL, id="epoch milliseconds"),
        pytest.param(1748433938807.0, USUAL, id="epoch milliseconds as a float"),
        pytest.param("1748433938807", USUAL, id="epoch milliseconds as text"),
        pytest.param("1.748433938807e12", USUAL, id="epoch milliseconds with an exponent"),
        pytest.param(1748433938, WHOLE, id="epoch seconds"),
        pytest.param(1748433938.807, USUAL, id="epoch seconds with a fraction"),
        pytest.param(1748433938.8079, USUAL, id="epoch seconds with a fraction, cut"),
        pytest.param("1748433938.807", USUAL, id="epoch seconds as text"),
        pytest.param(0, EPOCH, id="zero"),
        pytest.param(-1, EPOCH - timedelta(seconds=1), id="before 1970"),
        pytest.param(-0.0005, EPOCH - timedelta(milliseconds=1), id="half a millisecond before 1970, cut downwards"),
        pytest.param({"$date": "2025-05-28T12:05:38.807Z"}, USUAL, id="mongo text"),
        pytest.param({"$date": 1748433938807}, USUAL, id="mongo number"),
        pytest.param({"$date": {"$numberLong": "1748433938807"}}, USUAL, id="mongo long"),
        pytest.param(USUAL.replace(microsecond=807999), USUAL, id="datetime"),
        pytest.param(USUAL.replace(tzinfo=None), USUAL, id="datetime of TOML without a zone"),
        pytest.param(date(2025, 5, 28), DAY, id="date of TOML"),
    ],
)
def test_a_time_is_read_in_every_form(value, expected):
    assert parse_time(value) == expected


@pytest.mark.parametrize("value", [None, "", "  \t\n", {}, [], {"$date": None}, {"$date": ""}], ids=repr)
def test_a_time_that_is_not_told_is_none(value):
    assert parse_time(value) is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(True, id="boolean"),
        pytest.param("yesterday", id="word"),
        pytest.param("2025-13-01", id="thirteenth month"),
        pytest.param("2025-02-29", id="29 February of a common year"),
        pytest.param("2025-13-01T00:00:00.000Z", id="thirteenth month in the usual form"),
        pytest.param("2025-05-28x12:05:38.807Z", id="another separator"),
        pytest.param("2025-05-28T12:05:38.807Z and more", id="text after it"),
        pytest.param("2025-05-28T12:05:38.807+24:00", id="offset of a day"),
        pytest.param("2025-05-28T12:05:38.807+05:60", id="offset of sixty minutes"),
        pytest.param("2025-05-28T24:00:01Z", id="after 24 o'clock"),
        pytest.param("2025-05-28T25:00", id="hour 25"),
        pytest.param("2025-05-28T12:60", id="minute 60"),
        pytest.param("2025-05-28T12:05:61", id="second 61"),
        pytest.param("2025-05-28T12:0538", id="colons half left out"),
        pytest.param("2025-0528", id="dashes half left out"),
        pytest.param("2025-W22-3T12:05:38.807Z", id="week date"),
        pytest.param("٢٠٢٥-٠٥-٢٨", id="digits of another script"),
        pytest.param("0000-01-01", id="year 0"),
        pytest.param("0001-01-01T00:00:00.000+14:00", id="before year 1 in UTC"),
        pytest.param("9999-12-31T23:59:59.999-14:00", id="after year 9999 in UTC"),
        pytest.param("9999-12-31T24:00", id="year 10000"),
        pytest.param(253402300800000, id="epoch of year 10000"),
        pytest.param(-62135596800001, id="epoch before year 1"),
        pytest.param(10**400, id="number past every float"),
        pytest.param("9" * 5000, id="more digits than Python turns into an int"),
        pytest.param("1e999", id="exponent past every date"),
        pytest.param(float("nan"), id="nan"),
        pytest.param(float("inf"), id="infinity"),
        pytest.param("nan", id="nan as text"),
        pytest.param("1_748_433_938", id="digits in groups"),
        pytest.param({"date": "2025-05-28"}, id="object"),
        pytest.param({"$date": {"$date": "2025-05-28"}}, id="object in an object"),
        pytest.param(["2025-05-28"], id="list"),
        pytest.param(b"2025-05-28", id="bytes"),
        pytest.param(datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), id="datetime past the last in UTC"),
    ],
)
def test_what_is_no_time_raises_value_error(value):
    with pytest.raises(ValueError):
        parse_time(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(10**11 - 1, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC), id="last that counts seconds"),
        pytest.param(10**11, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC), id="first that counts milliseconds"),
        pytest.param(-(10**11), datetime(1966, 10, 31, 14, 13, 20, tzinfo=UTC), id="milliseconds before 1970"),
        pytest.param(253402300799999, datetime(9999, 12, 31, 23, 59, 59, 999000, UTC), id="last millisecond"),
        pytest.param(-62135596800000, datetime(1, 1, 1, tzinfo=UTC), id="first millisecond"),
    ],
)
def test_the_size_of_a_number_tells_seconds_from_milliseconds(value, expected):
    assert parse_time(value) == parse_time(str(value)) == expected


def test_a_nest_of_dates_is_refused_and_not_followed():
    value: object = "2025-05-28"
    for _ in range(100_000):
        value = {"$date": value}

    with pytest.raises(ValueError):
        parse_time(value)


@given(moments)
def test_a_moment_of_any_offset_is_read_to_the_millisecond(moment):
    read = parse_time(moment.isoformat())

    assert read == cut(moment)
    assert read.tzinfo is UTC


@given(moments)
@example(datetime(5, 1, 1, tzinfo=UTC))
def test_a_moment_sent_to_the_api_reads_back_the_same(moment):
    sent = format_time(moment)

    assert len(sent) == len("2025-05-26T18:30:00.000Z")
    assert parse_time(sent) == cut(moment)


@given(st.integers(0, 10**14 - 1))
def test_no_millisecond_is_lost_in_seconds_with_a_fraction(milliseconds):
    assert parse_time(milliseconds / 1000) == EPOCH + timedelta(milliseconds=milliseconds)


@settings(max_examples=200)
@given(
    st.text()
    | st.text("0123456789-:.TZ+ ", max_size=30)
    | st.integers()
    | st.floats()
    | st.dictionaries(st.just("$date"), st.text() | st.integers() | st.lists(st.none()))
)
def test_any_text_is_a_utc_moment_missing_or_a_value_error(value):
    try:
        read = parse_time(value)
    except ValueError:
        return
    assert read is None or (read.tzinfo is UTC and read.microsecond % 1000 == 0)


def test_a_time_is_told_to_the_api_in_utc_with_three_digits():
    moment = datetime(2025, 5, 27, 0, 0, 0, 999, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    assert format_time(moment) == "2025-05-26T18:30:00.000Z"


def test_a_time_without_a_zone_is_never_told_to_the_api():
    with pytest.raises(ValueError, match="zone"):
        format_time(DAY.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (300, timedelta(minutes=5)),
        ("300", timedelta(minutes=5)),
        (" 300 ", timedelta(minutes=5)),
        (0, timedelta(0)),
        (0.5, timedelta(milliseconds=500)),
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("1.5s", timedelta(seconds=1, milliseconds=500)),
        ("5m", timedelta(minutes=5)),
        ("5M", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1h 30m", timedelta(hours=1, minutes=30)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        (timedelta(0), timedelta(0)),
        (timedelta(minutes=5), timedelta(minutes=5)),
    ],
    ids=repr,
)
def test_a_duration_is_read_from_seconds_or_units(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "  ", "-1", -1, "-5m", "5x", "m", "5 minutes", "30m1h", "5m5m", "1.5h", "1e3", "nan", "inf", float("nan"),
     float("inf"), 10**400, "9" * 400, "9" * 400 + "d", "9" * 5000 + "d", "٣s", True, None, [], {}, timedelta(-1)],
    ids=lambda text: repr(text)[:20],
)  # fmt: skip
def test_what_is_no_duration_raises_value_error(text):
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=59), "59s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(minutes=5), "5m"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(days=7), "7d"),
        (timedelta(days=1, seconds=1), "1d1s"),
        (timedelta(milliseconds=1500), "1.5s"),
        (timedelta(microseconds=10), "0.00001s"),
        (timedelta(minutes=-5), "-5m"),
    ],
    ids=str,
)
def test_a_duration_is_shown_in_its_largest_units(duration, expected):
    assert format_duration(duration) == expected


@given(st.timedeltas(min_value=timedelta(0)))
def test_a_duration_that_is_shown_reads_back_as_itself(duration):
    assert parse_duration(format_duration(duration)) == duration


def test_a_number_of_many_digits_is_refused_at_once():
    with pytest.raises(ValueError, match="length"):
        parse_time("1" * 300_000)


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_the_offsets_of_a_zone_are_those_of_its_clocks(name: str) -> None:
    offsets, dice = utc_offsets(name), Random(7)
    for _ in range(2000):
        moment = datetime(1990, 1, 1, tzinfo=UTC) + timedelta(seconds=dice.randrange(71 * 365 * 86_400))
        (*_, seconds) = [seconds for start, seconds in offsets if start <= moment]
        assert timedelta(seconds=seconds) == moment.astimezone(ZoneInfo(name)).utcoffset(), moment


def test_utc_needs_no_offsets() -> None:
    assert utc_offsets("UTC") == []
    assert [seconds for _, seconds in utc_offsets("Asia/Kolkata")] == [0, 19_800, 0]
