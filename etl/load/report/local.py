"""Days, hours of the week and lengths of time in SQL, on either database and in any time zone.

A moment is made a number of milliseconds once, and all else is arithmetic, which costs either database little. SQLite
knows no time zones: the offset from UTC is looked up here for the stretch in question, and the statement says which one
holds when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, case, literal_column, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

_STEP = timedelta(hours=1)
_HOUR, _DAY = 3_600_000, 86_400_000  # in milliseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEEKS = 3
_SHORTEST, _RATIO, _BINS = 60.0, 1.35, 48

#: Where one bin of durations ends and the next begins, in seconds: from a minute to some three years.
BOUNDS = tuple(_SHORTEST * _RATIO**number for number in range(_BINS))
# The first whole milliseconds that reach them; to more than a millionth, they are not what they are meant to be.
_REACHED = tuple(ceil(round(bound * 1000, 6)) for bound in BOUNDS)


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of time that is looked at, ``now`` its end, and the clock by which days are told.

    What is shown begins at ``shown``, which is later where two weeks are compared in the report of a shorter time.
    """

    since: datetime
    shown: datetime
    now: datetime
    zone: ZoneInfo

    def shows(self, moment: ColumnElement[int]) -> ColumnElement[bool]:
        """Whether a moment of the stretch is in what is shown."""
        return true() if self.shown <= self.since else moment >= milliseconds_of(self.shown)

    def when(self, moment: ColumnElement[int]) -> ColumnElement[int]:
        """The day and the week of a moment in one number, 0 for one before the stretch: see :func:`day_and_week`."""
        later = self._local(moment) // _literal(_DAY) * _literal(_WEEKS) + self.week(moment)
        return case((moment < milliseconds_of(self.since), _literal(0)), else_=later)

    def hour(self, moment: ColumnElement[int]) -> ColumnElement[int]:
        """The hour of the week of a moment, from Monday's first, which is 0."""
        # 1970 began on a Thursday.
        return (self._local(moment) // _literal(_HOUR) + _literal(72)) % _literal(168)

    def week(self, moment: ColumnElement[int]) -> ColumnElement[int]:
        """1 in the last seven days, 2 in the seven before, else 0."""
        last, earlier = (milliseconds_of(self.now - timedelta(days=days)) for days in (7, 14))
        return case((moment >= last, _literal(1)), (moment >= earlier, _literal(2)), else_=_literal(0))

    def _local(self, moment: ColumnElement[int]) -> ColumnElement[int]:
        """The milliseconds of the clock by which days are told."""
        *changes, last = _offsets(self.since, self.now, self.zone)
        if not changes:
            return moment + _literal(last[1])
        pieces = [(moment < milliseconds_of(end), _literal(offset)) for end, offset in changes]
        return moment + case(*pieces, else_=_literal(last[1]))


def day_and_week(when: int) -> tuple[int, int]:
    """The day, counted from that of 1970-01-01, and the week: 1 for the last seven days, 2 for the seven before."""
    return divmod(when, _WEEKS)


@lru_cache(maxsize=4)
def _offsets(since: datetime, now: datetime, zone: ZoneInfo) -> list[tuple[datetime, int]]:
    """Until when which offset holds, in milliseconds east of UTC."""
    found: list[tuple[datetime, int]] = []
    moment = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    while moment <= now:
        offset = moment.astimezone(zone).utcoffset() or timedelta()
        east = offset // timedelta(milliseconds=1)
        if found and found[-1][1] == east:
            found.pop()
        moment += _STEP
        found.append((moment, east))
    return found or [(now, 0)]


class milliseconds(FunctionElement[int]):  # noqa: N801 written like a function of SQL
    """A moment as a number: whole milliseconds since 1970 began, in UTC."""

    inherit_cache = True
    type = BigInteger()
    name = "milliseconds"


@compiles(milliseconds)
def _on_postgresql(element: milliseconds, compiler: SQLCompiler, **options: Any) -> str:
    return f"cast(extract(epoch from {compiler.process(element.clauses, **options)}) * 1000 as bigint)"


@compiles(milliseconds, "sqlite")
def _on_sqlite(element: milliseconds, compiler: SQLCompiler, **options: Any) -> str:
    # A day is told there as a fraction that is right to less than half a millisecond.
    moment = compiler.process(element.clauses, **options)
    return f"cast((julianday({moment}) - 2440587.5) * {_DAY}.0 + 0.5 as integer)"


def milliseconds_of(moment: datetime) -> ColumnElement[int]:
    """A known moment as such a number."""
    return _literal((moment - _EPOCH) // timedelta(milliseconds=1))


def bin_of(length: ColumnElement[int]) -> ColumnElement[int]:
    """Which bin of durations a number of milliseconds is in: the number of bounds that it reaches."""
    return _search(length, 0, len(BOUNDS))


def _search(length: ColumnElement[int], low: int, high: int) -> ColumnElement[int]:
    if low == high:
        return _literal(low)
    middle = (low + high) // 2
    bound = _literal(_REACHED[middle])
    return case((length < bound, _search(length, low, middle)), else_=_search(length, middle + 1, high))


def _literal(number: int) -> ColumnElement[int]:
    """A number in the text of a statement: a value that is given beside it would be of a type that is guessed."""
    return literal_column(str(number), BigInteger)
