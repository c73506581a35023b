"""Numbers, lengths of time and moments as people read them. page.js says the same in the same words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_KNOWN = {"inprogress": "In progress", "open": "Open", "pending": "Pending", "new": "New"}


def count(number: int) -> str:
    """Such as 1,234."""
    return f"{number:,}"


def tasks(number: int) -> str:
    """Such as "1 task" or "1,234 tasks"."""
    return f"{number:,} task{'' if number == 1 else 's'}"


def length(seconds: float) -> str:
    """A length of time in the unit that fits it: "45 min", "5.2 hours", "3.4 days"."""
    if seconds < 1.5 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 1.5 * _DAY:
        return f"{seconds / _HOUR:.1f} hours"
    return f"{seconds / _DAY:.1f} days" if seconds < 99.95 * _DAY else f"{seconds / _DAY:,.0f} days"


def age(seconds: float) -> str:
    """How long ago, roughly: "3 minutes", "1 hour", "12 days"."""
    for size, unit in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number:,} {unit}{'' if number == 1 else 's'}"
    return "less than a minute"


def day(moment: datetime, zone: ZoneInfo) -> str:
    """Such as "3 Nov 2026"."""
    local = moment.astimezone(zone)
    return f"{local.day} {local:%b %Y}"


def clock(moment: datetime, zone: ZoneInfo) -> str:
    """Such as "3 Nov 2026, 16:40"."""
    return f"{day(moment, zone)}, {moment.astimezone(zone):%H:%M}"


def category(name: str) -> str:
    """A category as people write it: "In progress" for inProgress."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]", " ", name).strip().lower()
    return _KNOWN.get(spaced.replace(" ", ""), spaced[:1].upper() + spaced[1:])


def listed(names: Sequence[str]) -> str:
    """Such as "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
