"""Reads and writes times and durations of the API, the settings and the database.

Every datetime from this module is aware, in UTC, and cut to whole milliseconds. This is the API's unit, so a time that
is read, stored and sent again stays the same.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
_LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)
_LEAST_MILLISECONDS = (EARLIEST - EPOCH) // _MILLISECOND
_MOST_MILLISECONDS = (LATEST - EPOCH) // _MILLISECOND
# A smaller number counts seconds, a larger one milliseconds: in milliseconds this is March 1973, in seconds the
# year 5138.
_SECONDS_BELOW = 10**11

_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?")
_ISO = re.compile(
    r"(?P<year>[0-9]{4})(?P<dash>-?)(?P<month>[0-9]{2})(?P=dash)(?P<day>[0-9]{2})"
    r"(?:[Tt ](?P<hour>[0-9]{2})(?P<colon>:?)(?P<minute>[0-9]{2})"
    r"(?:(?P=colon)(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?)?"
    r" ?(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_LONGEST = 100  # characters; the time to read a number grows with the square of its digits
_USUAL_LENGTH = len("2025-05-26T18:30:00.000Z")

_DURATION = re.compile(
    r"(?:(?P<days>[0-9]+)d)? ?(?:(?P<hours>[0-9]+)h)? ?(?:(?P<minutes>[0-9]+)m)? ?"
    r"(?:(?P<seconds>[0-9]+(?:\.[0-9]+)?)s)?"
)
_BARE_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def now() -> datetime:
    """Return the time of this machine."""
    return to_milliseconds(datetime.now(UTC))


def parse_time(value: object) -> datetime | None:
    """Return the time of an API's value or a setting; None if it is missing.

    Missing is None, blank text, `{}` and `[]`. Accepted are ISO 8601 with or without time, fraction and offset (no
    offset means UTC; a leap second is the next minute's first), seconds or milliseconds since 1970 as a number or as
    text, MongoDB's `{"$date": ...}`, and dates of TOML. Anything else raises ValueError.
    """
    if isinstance(value, str):
        return _from_text(value)
    if value is None or value in ({}, []):
        return None
    if isinstance(value, dict):
        return _from_mongo(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    if isinstance(value, date):
        return _from_date(value)
    raise ValueError(f"a {type(value).__name__} is not a date")


def shifted(moment: datetime, by: timedelta) -> datetime:
    """Return the time that is so much later, or the earliest or latest one if there is none."""
    try:
        return min(moment + by, LATEST)
    except OverflowError:
        return EARLIEST if by < timedelta() else LATEST


def interval(start: datetime, end: datetime | None) -> str:
    """Write a range of time in ISO 8601; a range without an end is open."""
    return f"{format_time(start)}/{format_time(end) if end else '..'}"


def format_time(moment: datetime) -> str:
    """Write a time for the API: UTC, three digits of fraction, a Z. A naive time raises ValueError."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone cannot be told to the API")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_duration(text: object) -> timedelta:
    """Return a duration from seconds (`300`, `"300"`) or units in falling order (`"1h30m"`, `"7d"`).

    Never negative; anything else raises ValueError.
    """
    if isinstance(text, timedelta):
        return _not_negative(text)
    if isinstance(text, int | float) and not isinstance(text, bool):
        return _not_negative(_seconds(text))
    plain = text.strip().lower() if isinstance(text, str) else ""
    if _BARE_SECONDS.fullmatch(plain):
        return _seconds(plain)
    match = _DURATION.fullmatch(plain)
    if not plain or match is None:
        raise ValueError("a duration is a number of seconds, or such as 90s, 5m, 2h, 7d, 1h30m")
    return _units(**match.groupdict(default="0"))


def format_duration(duration: timedelta) -> str:
    """Write a duration in the units of `parse_duration`: `5m`, `1h30m`, `0s`."""
    if duration < timedelta(0):
        return "-" + format_duration(-duration)
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    units = [(duration.days, "d"), (hours, "h"), (minutes, "m")]
    shown = [f"{count}{unit}" for count, unit in units if count]
    if seconds or duration.microseconds or not shown:
        fraction = f".{duration.microseconds:06}".rstrip("0").rstrip(".")
        shown.append(f"{seconds}{fraction}s")
    return "".join(shown)


def _from_text(text: str) -> datetime | None:
    # The API's own form in milliseconds, checked by shape because fromisoformat also accepts odd ones.
    has_separators = len(text) == _USUAL_LENGTH and text[4] == text[7] == "-" and text[10] == "T"
    if has_separators and text[19] == "." and text[23] == "Z":
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    plain = text.strip()
    if not plain:
        return None
    if len(plain) > _LONGEST:
        raise ValueError("a text of this length is no date")
    if _NUMBER.fullmatch(plain):
        return _from_epoch(Decimal(plain))
    match = _ISO.fullmatch(plain)
    if match is None:
        raise ValueError("the text is not a date")
    return _from_parts(match)


def _from_parts(match: re.Match[str]) -> datetime:
    day = datetime(int(match["year"]), int(match["month"]), int(match["day"]), tzinfo=_zone(match["zone"]))
    hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
    milliseconds = int((match["fraction"] or "")[:3].ljust(3, "0"))
    midnight = (hour, minute, second, milliseconds) == (24, 0, 0, 0)
    if minute > 59 or second > 60 or (hour > 23 and not midnight):
        raise ValueError("the text is not a time of day")
    try:
        # A sum, so that 23:59:60 and 24:00 carry over into the next minute and day.
        clock = timedelta(hours=hour, minutes=minute, seconds=second, milliseconds=milliseconds)
        return (day + clock).astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the date is out of range") from error


def _zone(text: str | None) -> timezone:
    if text is None or text in "Zz":
        return UTC
    hours, minutes = int(text[1:3]), int(text[3:].removeprefix(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("the text is not an offset from UTC")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def _from_mongo(value: dict[object, object]) -> datetime | None:
    inner = value.get("$date", value)
    if isinstance(inner, dict):
        inner = inner.get("$numberLong", inner)
    # It is not read any deeper: an object in it is no date, and thousands may be nested.
    if not inner or not isinstance(inner, dict):
        return parse_time(inner)
    raise ValueError("the object is not a date")


def _from_number(value: float) -> datetime:
    if isinstance(value, int):
        return _from_epoch(value)
    if not math.isfinite(value):
        raise ValueError("the number is not a date")
    # The shortest decimal of this float is what was sent; its binary value could lose a millisecond.
    return _from_epoch(Decimal(repr(value)))


def _from_epoch(value: int | Decimal) -> datetime:
    in_seconds = -_SECONDS_BELOW < value < _SECONDS_BELOW
    milliseconds = math.floor(value * 1000) if in_seconds else math.floor(value)
    if not _LEAST_MILLISECONDS <= milliseconds <= _MOST_MILLISECONDS:
        raise ValueError("the number is out of the range of dates")
    return EPOCH + milliseconds * _MILLISECOND


def _from_date(value: date) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    try:
        return to_milliseconds(value if value.tzinfo else value.replace(tzinfo=UTC))
    except OverflowError as error:
        raise ValueError("the date is out of range") from error


def to_milliseconds(moment: datetime) -> datetime:
    """Return a time in UTC without the part below a millisecond."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    rest = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - rest) if rest else moment


def _units(days: str, hours: str, minutes: str, seconds: str) -> timedelta:
    try:
        return timedelta(days=int(days), hours=int(hours), minutes=int(minutes), seconds=float(seconds))
    except OverflowError as error:
        raise ValueError("the duration is too long") from error


def _seconds(value: float | str) -> timedelta:
    try:
        return timedelta(seconds=float(value))
    except OverflowError as error:
        raise ValueError("the duration is too long") from error


def _not_negative(duration: timedelta) -> timedelta:
    if duration < timedelta(0):
        raise ValueError("a duration is not negative")
    return duration


def utc_offsets(name: str) -> list[tuple[datetime, int]]:
    """Return from when on a time zone is how many seconds east of UTC; empty for UTC.

    The first offset holds for all times before 1990, too, and the last for all times after 2060. The first and the last
    day of the calendar have none, because their times would lie outside of it.
    """
    if name == "UTC":
        return []
    from zoneinfo import ZoneInfo

    zone, week, minute = ZoneInfo(name), timedelta(days=7), timedelta(minutes=1)
    moment = datetime(1990, 1, 1, tzinfo=UTC)
    found = [(EARLIEST, 0), (EARLIEST + timedelta(days=1), _seconds_east(moment, zone))]
    while moment.year < 2061:
        before, moment = moment, moment + week
        if _seconds_east(moment, zone) != found[-1][1]:
            after = moment
            while after - before > minute:
                middle = before + (after - before) // minute // 2 * minute
                is_old = _seconds_east(middle, zone) == found[-1][1]
                before, after = (middle, after) if is_old else (before, middle)
            found.append((after, _seconds_east(after, zone)))
    return [*found, (_LAST_DAY, 0)]


def _seconds_east(moment: datetime, zone: tzinfo) -> int:
    return round((moment.astimezone(zone).utcoffset() or timedelta()).total_seconds())
