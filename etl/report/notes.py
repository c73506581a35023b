"""What the report says in words: the headline numbers, how complete it is, what its words mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from etl.report import words
from etl.report.encoding import Chart
from etl.report.facts import NOT_RECORDED, Facts, Source
from etl.report.summary import Headline

Rows = Sequence[Mapping[str, Any]]
_FRESH = 26  # hours; a sync a night is fresh


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline number."""

    key: str
    label: str
    value: str
    note: str
    mood: str = ""


@dataclass(frozen=True, slots=True)
class Completeness:
    """What can be said of a source: sentences, and whether something is amiss."""

    name: str
    sentences: Sequence[str]
    amiss: bool


def period(facts: Facts) -> str:
    """The stretch of time that the charts show."""
    return f"{_first_day(facts)} to {words.day(facts.now, ZoneInfo(facts.zone))}"


def _first_day(facts: Facts) -> str:
    zone = ZoneInfo(facts.zone)
    return words.day(datetime.fromisoformat(facts.steps[0]).replace(tzinfo=zone), zone)


def tiles(facts: Facts, head: Headline) -> list[Tile]:
    """The headline numbers, in their order."""
    share = round(100 * head.overdue / head.open) if head.open else 0
    return [
        Tile("open", "Open now", words.count(head.open), grown(head.grown, head.reopened, head.deleted)),
        Tile("created", "Created in 7 days", words.count(head.created), before(head.created, head.created_before)),
        Tile("resolved", "Resolved in 7 days", words.count(head.resolved), before(head.resolved, head.resolved_before)),
        Tile(
            "overdue",
            "Overdue",
            words.count(head.overdue),
            f"{share}% of the open tasks" if head.open else "no task is open",
        ),
        Tile("median", "Median time to resolve", *_median(head, facts)),
        _freshness(facts),
    ]


def grown(number: int, reopened: int, deleted: int) -> str:
    """How that compares with a week ago, and what beside creations and resolutions made the difference."""
    told = f"{abs(number):,} {'more' if number > 0 else 'fewer'} than a week ago" if number else "as many as a week ago"
    others = [f"{count:,} {what}" for count, what in ((reopened, "reopened"), (deleted, "deleted")) if count > 0]
    return "; ".join(filter(None, [told, ", ".join(others)]))


def before(number: int, earlier: int) -> str:
    """How that compares with the week before."""
    change = f" ({number - earlier:+,})".replace("-", "−") if number != earlier else ""
    return f"{earlier:,} in the 7 days before{change}"


def _median(head: Headline, facts: Facts) -> tuple[str, str]:
    since = f"since {_first_day(facts)}"
    week = None if head.median_week is None else f"last 7 days: {words.length(head.median_week)}"
    if head.median is None:
        return "–", f"none {since}; {week}" if week else "no resolution was recorded"
    return words.length(head.median), f"{since}; {week or 'none in 7 days'}"


def _freshness(facts: Facts) -> Tile:
    known = [source.complete_until for source in facts.sources]
    if not known or None in known:
        return Tile("fresh", "Data complete until", "–", "no sync was completed yet", "bad")
    moment = min(each for each in known if each is not None)
    seconds = max(0.0, (facts.now - moment).total_seconds())
    mood = "" if seconds < _FRESH * 3600 else "bad"
    zone = ZoneInfo(facts.zone)
    local = moment.astimezone(zone)
    return Tile(
        "fresh", "Data complete until", f"{local:%H:%M}", f"{local.day} {local:%b}, {words.age(seconds)} ago", mood
    )


def is_empty(chart: Chart, rows: Rows) -> bool:
    """Whether a chart has nothing to show."""
    fields = [each.field for each in chart.columns if each.kind in {"count", "days"}]
    return not any(row[field] for row in rows for field in fields)


def completeness(facts: Facts) -> list[Completeness]:
    """How fresh and how complete each source is, in plain words."""
    return [_complete(each, facts) for each in facts.sources]


def _complete(source: Source, facts: Facts) -> Completeness:
    zone = ZoneInfo(facts.zone)
    if source.complete_until is None:
        return Completeness(
            source.name, ["No sync was completed yet: these numbers are a part of the whole."], amiss=True
        )
    ago = words.age(max(0.0, (facts.now - source.complete_until).total_seconds()))
    everything = (
        f"Everything that was created or changed up to {words.clock(source.complete_until, zone)} is included; "
        f"that was {ago} before this report was made. {words.tasks(source.tasks)} are stored."
    )
    said = [everything]
    if source.last_state in {"failed", "abandoned", "interrupted"}:
        said.append("The latest run did not end well; the numbers are as the last complete one left them.")
    said += _missing(source, zone)
    if source.oldest_reading is not None:
        said.append(
            "The server does not tell what changed on old tasks; the longest that one may be out of date is since "
            f"{words.clock(source.oldest_reading, zone)}."
        )
    return Completeness(source.name, said, amiss=bool(source.gaps or source.rejected or source.unverified))


def _missing(source: Source, zone: ZoneInfo) -> list[str]:
    said = []
    if source.gaps:
        start, end = source.gaps[0]
        told = f"from {words.clock(start, zone)} to {words.clock(end, zone)}"
        number = len(source.gaps)
        which = f"A stretch of time was never read, {told}" if number == 1 else (
            f"{number} stretches of time were never read, the first {told}"
        )  # fmt: skip
        said.append(f"{which}: tasks of then may be missing. kore-etl backfill reads them.")
    if source.unverified:
        number = len(source.unverified)
        which = "A stretch of time was" if number == 1 else f"{number} stretches of time were"
        said.append(f"{which} read without certainty that nothing slipped through. kore-etl sync --full settles it.")
    if source.rejected:
        which = "One record" if source.rejected == 1 else f"{source.rejected:,} records"
        said.append(f"{which} could not be read and are not counted. kore-etl rejected list shows them.")
    return said or ["Nothing is missing: no stretch of time was left out, nothing was rejected, all was verified."]


def explanations(facts: Facts) -> list[str]:
    """What the words of the report mean."""
    said = [
        "A task is open until its status is of the category resolved, closed, completed or done.",
        "Overdue is an open task whose due date is past; tasks without a due date are never overdue.",
        f"Days, weekdays and hours are those of {facts.zone}. The 7 days end with this report.",
        "The time to resolve runs from a task's creation, nights and weekends included, where the resolution was seen.",
        "A task that was reopened is open again, and counts once for each resolution.",
        f"The open tasks of a {facts.unit} are those at its end.",
    ]
    if any(facts.categories[category] == NOT_RECORDED for _cell, _step, category in facts.moves):
        said.append(
            "“Not recorded” are tasks that were done when they were first read: their status before is not known."
        )
    return said
