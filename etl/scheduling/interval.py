"""Writes a schedule's interval for systemd and cron; it must divide an hour or a day evenly."""

from __future__ import annotations

from datetime import timedelta

from etl.errors import ConfigError
from etl.times import parse_duration

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


def calendar(every: str) -> str:
    """Return the value for OnCalendar=."""
    minutes, hours = _parts(every)
    if hours:
        return f"0/{hours}:00" if hours < 24 else "daily"
    return f"*:0/{minutes}"


def crontab_times(every: str) -> str:
    """Return the five fields of a crontab's line."""
    minutes, hours = _parts(every)
    if hours:
        return f"0 */{hours} * * *" if hours < 24 else "0 0 * * *"
    return f"*/{minutes} * * * *" if minutes > 1 else "* * * * *"


def _parts(every: str) -> tuple[int, int]:
    """Return (minutes, hours); one of the two is 0."""
    try:
        length = parse_duration(every)
    except ValueError:
        length = timedelta()
    minute = timedelta(minutes=1)
    if length >= minute and not length % minute:
        if length < _HOUR and not _HOUR % length:
            return length // minute, 0
        if not length % _HOUR and not _DAY % length:
            return 0, length // _HOUR
    seconds = " (a number alone means seconds)" if every.strip().isdecimal() else ""
    raise ConfigError(
        f"--every {every}{seconds}: does not divide an hour or a day evenly; "
        "accepted: 1m, 5m, 15m, 30m, 1h, 6h, 24h ..."
    )
