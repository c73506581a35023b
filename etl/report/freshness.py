"""How fresh and how complete the data is, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

Source = Any
"""A source as ``kore-etl status`` shows it: a ``SourceStatus`` of ``etl.jobs``, a layer above this one."""
_FRESH = timedelta(hours=26)  # a sync a night is fresh


class Told(Struct, frozen=True):
    """What can be said of a source: sentences, and whether something is missing."""

    name: str
    sentences: Sequence[str]
    is_incomplete: bool


def headline(sources: Sequence[Source], now: datetime, zone: ZoneInfo) -> tuple[str, bool]:
    """Return until when all sources are complete, and whether that is long ago."""
    known = [source.complete_until for source in sources if source.configured]
    moment = min((each for each in known if each is not None), default=None)
    if moment is None or None in known:
        return "incomplete: the first sync has not finished yet", True
    return f"complete until {clock(moment, zone)}, {age(now - moment)} before", now - moment >= _FRESH


def told(source: Source, now: datetime, zone: ZoneInfo) -> Told:
    """Return what can be said of a source; one that is not configured any more is not judged."""
    if not source.configured:
        stored = f"{tasks(source.tasks)} of it {'is' if source.tasks == 1 else 'are'} stored and counted here."
        return Told(source.name, ["It is not in the settings any more.", stored], is_incomplete=False)
    if source.complete_until is None:
        return Told(
            source.name, ["No sync has finished yet: these numbers are a part of the whole."], is_incomplete=True
        )
    moment, ago = clock(source.complete_until, zone), age(now - source.complete_until)
    said = [f"Everything that was created or changed up to {moment} is included; that was {ago} before this report."]
    said.append(f"{tasks(source.tasks)} {'is' if source.tasks == 1 else 'are'} stored.")
    if source.last_run and source.last_run["state"] in {"failed", "abandoned", "interrupted"}:
        said.append("The latest run did not end well; the numbers are as the last complete one left them.")
    found = _missing(source, zone)
    said += found or [f"{_balance(source.account)}There are no gaps, new rejected records or unverified windows."]
    if source.oldest_reading is not None:
        since = clock(source.oldest_reading, zone)
        mended = f"that mended {source.mended:,} difference{'' if source.mended == 1 else 's'}"
        said.append(
            f"Every task was verified with the server since {since}; {mended if source.mended else 'none differed'}."
        )
    return Told(source.name, said, is_incomplete=bool(found))


def _balance(account: Mapping[str, int] | None) -> str:
    if account is None:
        return ""
    if not account["quarantined"]:
        return "Nothing is missing: every task that the server shows is here. "
    return f"Every task that the server shows is here but {tasks(account['quarantined'])}, known as not storable. "


def _missing(source: Source, zone: ZoneInfo) -> list[str]:
    said = []
    if source.gaps:
        start, end = source.gaps[0]
        number = "A gap was" if len(source.gaps) == 1 else f"{len(source.gaps)} gaps were"
        said.append(
            f"{number} never read, the first from {clock(start, zone)} to {clock(end, zone)}: tasks of that time may "
            "be missing. kore-etl backfill reads them."
        )
    if source.unverified:
        number = "A window is" if len(source.unverified) == 1 else f"{len(source.unverified)} windows are"
        said.append(f"{number} unverified: a task may be missing. kore-etl sync --full settles it.")
    if source.account and source.account["missing"]:
        number = source.account["missing"]
        said.append(
            f"The server counts {tasks(number)} more that {'was' if number == 1 else 'were'} not found. kore-etl sync "
            "--full looks for them."
        )
    if source.rejected:
        number = "One record" if source.rejected == 1 else f"{source.rejected:,} records"
        verb = "is" if source.rejected == 1 else "are"
        said.append(f"{number} could not be stored and {verb} not counted. kore-etl rejected list shows them.")
    return said


def tasks(number: int) -> str:
    """Return such as "1 task" or "1,234 tasks"."""
    return f"{number:,} task{'' if number == 1 else 's'}"


def age(length: timedelta) -> str:
    """Return a length of time, roughly: "3 minutes", "1 hour", "12 days"."""
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if length.total_seconds() >= size:
            number = int(length.total_seconds() // size)
            return f"{number:,} {unit}{'' if number == 1 else 's'}"
    return "less than a minute"


def day(moment: datetime, zone: ZoneInfo) -> str:
    """Return such as "3 Nov 2026"."""
    local = moment.astimezone(zone)
    return f"{local.day} {local:%b %Y}"


def clock(moment: datetime, zone: ZoneInfo) -> str:
    """Return such as "3 Nov 2026, 16:40"."""
    return f"{day(moment, zone)}, {moment.astimezone(zone):%H:%M}"
