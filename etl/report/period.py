"""The period that a report shows, and the pieces of SQL that tell its days on either database.

The days are those of each source's time zone, as in the views, or those of a zone that the reader asks for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from etl.load.database.types import to_text
from etl.times import utc_offsets

_LONG = timedelta(days=182)  # from here on a step of a chart is a week
_TWO_WEEKS = timedelta(days=14)  # are compared whatever the period is
_PIECES = {
    "created": "coalesce({0}.created_at, {0}.first_seen_at)",
    "local_day": "cast({day:{0} to {1}} as text)",
    "resolved_now": "(coalesce({0}.status_id, ''), +{0}.source_id) in ({done})",
    # 1 for a task that came resolved: it is resolved now, or was until a change.
    "came_resolved": (
        "case when {resolved_now:tasks} then 1 else 0 end"
        " - coalesce((select sum({step:task_changes}) from task_changes where {change}), 0)"
    ),
    "unchanged": (
        "not exists (select 1 from task_progress where task_progress.task_id = tasks._id"
        " and task_progress.source_id = tasks.source_id)"
    ),
}
_DIALECTS = {
    "sqlite": {
        "local": "datetime({0}, {offset:{0} to {1}} || ' seconds')",
        "hour_of_week": "(strftime('%w', {local:{0} to {1}}) + 6) % 7 * 24 + strftime('%H', {local:{0} to {1}})",
        "milliseconds": "cast((julianday({0}) - 2440587.5) * 86400000.0 + 0.5 as integer)",
    },
    "postgresql": {
        "local": "(({0}) at time zone 'UTC' + make_interval(secs => {offset:{0} to {1}}))",
        "hour_of_week": (
            "cast((extract(isodow from {local:{0} to {1}}) - 1) * 24"
            " + extract(hour from {local:{0} to {1}}) as integer)"
        ),
        "milliseconds": "cast(extract(epoch from {0}) * 1000 as bigint)",
    },
}


class Period(Struct, frozen=True):
    """What is shown: ``steps`` are the first days of its days or weeks, ``now`` is its end.

    ``zones`` are those of the sources, or one ``asked`` for instead.
    """

    now: datetime
    zones: Sequence[ZoneInfo]
    steps: tuple[date, ...]
    asked: ZoneInfo | None = None

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the page's own clock: where it is the latest."""
        return self.asked or max(self.zones, key=lambda zone: self.now.astimezone(zone).replace(tzinfo=None))

    @property
    def days_of(self) -> str:
        """Whose days they are, in words."""
        return str(self.zone) if self.asked or len(self.zones) == 1 else "each source's own time zone"

    @property
    def unit(self) -> str:
        """What a step is, a day or a week."""
        return "week" if self.steps[1] - self.steps[0] > timedelta(days=1) else "day"

    def step(self, day: str) -> int:
        """The place of the step that a day is in, -1 for one before them."""
        return bisect_right(self.steps, date.fromisoformat(day)) - 1

    def pieces(self, dialect: str) -> dict[str, str]:
        """The pieces of SQL that depend on the period."""
        zones = self.zones if self.asked is None else (self.asked,)
        shown = min(datetime.combine(self.steps[0], time(), zone) for zone in zones)
        since = min(shown, self.now - _TWO_WEEKS)
        in_period = "{0} >= {shown}"
        if self.asked is None and len(self.zones) > 1:  # the first step begins at another moment in each zone
            in_period = f"({in_period} and {{local_day:{{0}} to {{1}}}} >= '{self.steps[0]}')"
        week, before = (_moment(self.now - timedelta(days=days), dialect) for days in (7, 14))
        return _PIECES | _DIALECTS[dialect] | {
            "now": _moment(self.now, dialect),
            "shown": _moment(shown, dialect),
            "in_period": in_period,
            "since": _moment(since, dialect),
            # 1 in the last seven days, 2 in the seven before.
            "week": f"case when {{0}} >= {week} then 1 when {{0}} >= {before} then 2 else 0 end",
        } | self._asked_offset(since, dialect)  # fmt: skip

    def _asked_offset(self, since: datetime, dialect: str) -> dict[str, str]:
        if self.asked is None:
            return {}  # the view's own: that of each source
        offsets = utc_offsets(str(self.asked)) or [(since, 0)]
        started = [each for each in offsets if each[0] <= since][-1:] or offsets[:1]
        whens = [
            f"when {{0}} >= {_moment(start, dialect)} then {seconds}"
            for start, seconds in reversed(offsets)
            if since < start <= self.now
        ]
        return {"offset": f"case {' '.join(whens)} else {started[0][1]} end" if whens else str(started[0][1])}


def period_until(now: datetime, length: timedelta, zones: Sequence[ZoneInfo], asked: ZoneInfo | None = None) -> Period:
    """Return the period of this length: by days, or by weeks that end today where it is long."""
    today = now.astimezone(Period(now, zones, (), asked).zone).date()
    days = 7 if length > _LONG else 1
    number = max(2, -(-length.days // days))
    steps = [today - timedelta(days=days * back - 1 if days > 1 else back) for back in range(number, -1, -1)]
    return Period(now, zones, tuple(step for step in steps if step <= today), asked)


def _moment(moment: datetime, dialect: str) -> str:
    text = f"'{to_text(moment)}'"
    return f"cast('{to_text(moment)}+00' as timestamp(3) with time zone)" if dialect == "postgresql" else text
