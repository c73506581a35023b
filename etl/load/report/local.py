"""Days, hours of the week and lengths of time in SQL, on either database and in any time zone.

SQLite knows no time zones: the offset from UTC is looked up here for the stretch in question, and the statement says
which one holds when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Float, Text, case, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_STEP = timedelta(hours=1)
_SHORTEST, _RATIO, _BINS = 60.0, 1.35, 48

#: Where one bin of durations ends and the next begins, in seconds: from a minute to some three years.
BOUNDS = tuple(_SHORTEST * _RATIO**number for number in range(_BINS))


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of time that is looked at, ``now`` its end, and the clock by which days are told."""

    since: datetime
    now: datetime
    zone: ZoneInfo

    def day(self, moment: ColumnElement[Any]) -> ColumnElement[str]:
        """The day of a moment, such as 2025-05-28."""
        return self._local(moment, "day")

    def hour(self, moment: ColumnElement[Any]) -> ColumnElement[str]:
        """The weekday (Sunday is 0 or 7) and the hour of a moment, such as "3 14"."""
        return self._local(moment, "hour")

    def week(self, moment: ColumnElement[Any]) -> ColumnElement[int]:
        """1 in the last seven days, 2 in the seven before, else 0."""
        earlier = self.now - timedelta(days=14)
        return case(
            (moment >= self.now - timedelta(days=7), literal_column("1")),
            (moment >= earlier, literal_column("2")),
            else_=literal_column("0"),
        )

    def _local(self, moment: ColumnElement[Any], form: str) -> ColumnElement[str]:
        *changes, last = self._offsets()
        if not changes:
            return local_text(moment, minutes=last[1], form=form)
        pieces = [(moment < end, local_text(moment, minutes=offset, form=form)) for end, offset in changes]
        return case(*pieces, else_=local_text(moment, minutes=last[1], form=form))

    def _offsets(self) -> list[tuple[datetime, int]]:
        """Until when which offset holds, in minutes east of UTC."""
        found: list[tuple[datetime, int]] = []
        moment = self.since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        while moment <= self.now:
            offset = moment.astimezone(self.zone).utcoffset() or timedelta()
            minutes = round(offset.total_seconds() / 60)
            if found and found[-1][1] == minutes:
                found.pop()
            moment += _STEP
            found.append((moment, minutes))
        return found or [(self.now, 0)]


class local_text(FunctionElement[str]):  # noqa: N801 written like a function of SQL
    """A moment's day, or weekday and hour, so many minutes east of UTC."""

    inherit_cache = False  # offset and form are part of the text
    type = Text()
    name = "local_text"

    def __init__(self, moment: ColumnElement[Any], *, minutes: int, form: str) -> None:
        super().__init__(moment)
        self.minutes = minutes
        self.form = form


@compiles(local_text)
def _local_on_postgresql(element: local_text, compiler: SQLCompiler, **options: Any) -> str:
    moment = compiler.process(element.clauses, **options)
    form = {"day": "YYYY-MM-DD", "hour": "ID HH24"}[element.form]
    return f"to_char(({moment}) at time zone 'UTC' + interval '{element.minutes} minutes', '{form}')"


@compiles(local_text, "sqlite")
def _local_on_sqlite(element: local_text, compiler: SQLCompiler, **options: Any) -> str:
    moment = compiler.process(element.clauses, **options)
    if element.form == "day" and not element.minutes:
        return f"substr({moment}, 1, 10)"
    form = {"day": "%Y-%m-%d", "hour": "%w %H"}[element.form]
    return f"strftime('{form}', {moment}, '{element.minutes:+} minutes')"


class seconds_between(FunctionElement[float]):  # noqa: N801 as above
    """How many seconds lie between two moments."""

    inherit_cache = True
    type = Float()
    name = "seconds_between"


@compiles(seconds_between)
def _seconds_on_postgresql(element: seconds_between, compiler: SQLCompiler, **options: Any) -> str:
    start, end = (compiler.process(each, **options) for each in element.clauses)
    return f"cast(extract(epoch from ({end}) - ({start})) as double precision)"


@compiles(seconds_between, "sqlite")
def _seconds_on_sqlite(element: seconds_between, compiler: SQLCompiler, **options: Any) -> str:
    start, end = (compiler.process(each, **options) for each in element.clauses)
    return f"(julianday({end}) - julianday({start})) * 86400.0"


def bin_of(seconds: ColumnElement[float]) -> ColumnElement[int]:
    """Which bin of durations a time in seconds is in: the number of bounds that it reaches."""
    return _search(seconds, 0, len(BOUNDS))


def _search(seconds: ColumnElement[float], low: int, high: int) -> ColumnElement[int]:
    if low == high:
        return literal_column(str(low))
    middle = (low + high) // 2
    bound: ColumnElement[float] = literal_column(repr(round(BOUNDS[middle], 3)))
    return case((seconds < bound, _search(seconds, low, middle)), else_=_search(seconds, middle + 1, high))
