"""Days, hours of the week and lengths of time in SQL, on either database and in any time zone.

SQLite knows no time zones: the offset from UTC is looked up here for the stretch in question, and the statement says
which one holds when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Float, Integer, case, literal_column, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_STEP = timedelta(hours=1)
_WEEKS = 3
_SHORTEST, _RATIO, _BINS = 60.0, 1.35, 48

#: Where one bin of durations ends and the next begins, in seconds: from a minute to some three years.
BOUNDS = tuple(_SHORTEST * _RATIO**number for number in range(_BINS))


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of time that is looked at, ``now`` its end, and the clock by which days are told.

    What is shown begins at ``shown``, which is later where two weeks are compared in the report of a shorter time.
    """

    since: datetime
    shown: datetime
    now: datetime
    zone: ZoneInfo

    def shows(self, moment: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether a moment of the stretch is in what is shown."""
        return true() if self.shown <= self.since else self.shown <= moment

    def when(self, moment: ColumnElement[Any]) -> ColumnElement[int]:
        """The day and the week of a moment in one number, 0 for one before the stretch: see :func:`day_and_week`."""
        later = self._local(moment, "day") * literal_column(str(_WEEKS)) + self.week(moment)
        return case((moment < self.since, literal_column("0")), else_=later)

    def hour(self, moment: ColumnElement[Any]) -> ColumnElement[int]:
        """The hour of the week of a moment, from Monday's first, which is 0."""
        return self._local(moment, "hour")

    def week(self, moment: ColumnElement[Any]) -> ColumnElement[int]:
        """1 in the last seven days, 2 in the seven before, else 0."""
        earlier = self.now - timedelta(days=14)
        return case(
            (moment >= self.now - timedelta(days=7), literal_column("1")),
            (moment >= earlier, literal_column("2")),
            else_=literal_column("0"),
        )

    def _local(self, moment: ColumnElement[Any], form: str) -> ColumnElement[int]:
        *changes, last = _offsets(self.since, self.now, self.zone)
        if not changes:
            return local_number(moment, minutes=last[1], form=form)
        pieces = [(moment < end, local_number(moment, minutes=offset, form=form)) for end, offset in changes]
        return case(*pieces, else_=local_number(moment, minutes=last[1], form=form))


def day_and_week(when: int) -> tuple[int, int]:
    """The day, counted from that of 1970-01-01, and the week: 1 for the last seven days, 2 for the seven before."""
    return divmod(when, _WEEKS)


@lru_cache(maxsize=4)
def _offsets(since: datetime, now: datetime, zone: ZoneInfo) -> list[tuple[datetime, int]]:
    """Until when which offset holds, in minutes east of UTC."""
    found: list[tuple[datetime, int]] = []
    moment = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while moment <= now:
        offset = moment.astimezone(zone).utcoffset() or timedelta()
        minutes = round(offset.total_seconds() / 60)
        if found and found[-1][1] == minutes:
            found.pop()
        moment += _STEP
        found.append((moment, minutes))
    return found or [(now, 0)]


class local_number(FunctionElement[int]):  # noqa: N801 written like a function of SQL
    """A moment's day, or hour of the week, so many minutes east of UTC, as a number."""

    inherit_cache = False  # offset and form are part of the text
    type = Integer()
    name = "local_number"

    def __init__(self, moment: ColumnElement[Any], *, minutes: int, form: str) -> None:
        super().__init__(moment)
        self.minutes = minutes
        self.form = form


@compiles(local_number)
def _local_on_postgresql(element: local_number, compiler: SQLCompiler, **options: Any) -> str:
    moment = compiler.process(element.clauses, **options)
    local = f"(({moment}) at time zone 'UTC' + interval '{element.minutes} minutes')"
    if element.form == "day":
        return f"(cast({local} as date) - date '1970-01-01')"
    return f"(extract(isodow from {local})::int * 24 - 24 + extract(hour from {local})::int)"


@compiles(local_number, "sqlite")
def _local_on_sqlite(element: local_number, compiler: SQLCompiler, **options: Any) -> str:
    moment = f"{compiler.process(element.clauses, **options)}, '{element.minutes:+} minutes'"
    if element.form == "day":  # a midnight is a whole number and a half there, and exact
        return f"cast(julianday({moment}) - 2440587.5 as integer)"
    # 1970 began on a Thursday.
    return f"((cast(strftime('%s', {moment}) as integer) / 3600 + 72) % 168)"


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
