"""The period that a report shows, and the pieces of SQL that tell its days in any time zone on either database.

SQLite knows no time zones: the offset from UTC is looked up here, and the statement says which one holds when.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from etl.load.database.types import to_text

_LONG = timedelta(days=182)  # from here on a step of a chart is a week
_TWO_WEEKS = timedelta(days=14)  # are compared whatever the period is
_PIECES = {
    "created": "coalesce({0}.created_at, {0}.first_seen_at)",
    # When a task that came resolved was resolved at the latest.
    "known": "case when {0}.first_updated_at < {0}.first_seen_at then {0}.first_updated_at else {0}.first_seen_at end",
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
        "local": "datetime({0}, {offset:{0}})",
        "local_day": "substr({local:{0}}, 1, 10)",
        "hour_of_week": "(strftime('%w', {local:{0}}) + 6) % 7 * 24 + strftime('%H', {local:{0}})",
        "milliseconds": "cast((julianday({0}) - 2440587.5) * 86400000.0 + 0.5 as integer)",
    },
    "postgresql": {
        "local": "(({0}) at time zone 'UTC' + cast({offset:{0}} as interval))",
        "local_day": "cast(cast({local:{0}} as date) as text)",
        "hour_of_week": "cast((extract(isodow from {local:{0}}) - 1) * 24 + extract(hour from {local:{0}}) as integer)",
        "milliseconds": "cast(extract(epoch from {0}) * 1000 as bigint)",
    },
}


@dataclass(frozen=True, slots=True)
class Period:
    """What is shown: ``steps`` are the first days of its days or weeks, ``now`` is its end."""

    now: datetime
    zone: ZoneInfo
    steps: tuple[date, ...]

    @property
    def unit(self) -> str:
        """What a step is, a day or a week."""
        return "week" if self.steps[1] - self.steps[0] > timedelta(days=1) else "day"

    def step(self, day: str) -> int:
        """The place of the step that a day is in, -1 for one before them."""
        return bisect_right(self.steps, date.fromisoformat(day)) - 1

    def pieces(self, dialect: str) -> dict[str, str]:
        """The pieces of SQL that depend on the period."""
        shown = datetime.combine(self.steps[0], time(), self.zone)
        since = min(shown, self.now - _TWO_WEEKS)
        week, before = (_moment(self.now - timedelta(days=days), dialect) for days in (7, 14))
        offsets = self._offsets(since)
        whens = [f"when {{0}} < {_moment(end, dialect)} then '{seconds} seconds'" for end, seconds in offsets]
        return _PIECES | _DIALECTS[dialect] | {
            "now": _moment(self.now, dialect),
            "shown": _moment(shown, dialect),
            "since": _moment(since, dialect),
            # 1 in the last seven days, 2 in the seven before.
            "week": f"case when {{0}} >= {week} then 1 when {{0}} >= {before} then 2 else 0 end",
            "offset": f"case {' '.join(whens)} else '0 seconds' end",
        }  # fmt: skip

    def _offsets(self, since: datetime) -> list[tuple[datetime, int]]:
        """Until when which offset holds, in seconds east of UTC; the last until the end of time."""
        found: list[tuple[datetime, int]] = []
        moment = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        while moment <= self.now + timedelta(hours=1):
            east = round((moment.astimezone(self.zone).utcoffset() or timedelta()).total_seconds())
            if found and found[-1][1] == east:
                found.pop()
            moment += timedelta(hours=1)
            found.append((moment, east))
        return [*found[:-1], (datetime(9999, 1, 1, tzinfo=UTC), found[-1][1])]


def period_until(now: datetime, length: timedelta, zone: ZoneInfo) -> Period:
    """Return the period of this length: by days, or by weeks that end today where it is long."""
    today = now.astimezone(zone).date()
    days = 7 if length > _LONG else 1
    number = max(2, -(-length.days // days))
    steps = [today - timedelta(days=days * back - 1 if days > 1 else back) for back in range(number, -1, -1)]
    return Period(now, zone, tuple(step for step in steps if step <= today))


def _moment(moment: datetime, dialect: str) -> str:
    text = f"'{to_text(moment)}'"
    return f"cast('{to_text(moment)}+00' as timestamp(3) with time zone)" if dialect == "postgresql" else text
