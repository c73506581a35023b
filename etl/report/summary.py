"""What the page shows of some cells: the headline numbers and the rows of each chart.

page.js does the same for what a reader chooses; what is worked out here is what shows before, and without scripts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from etl.report.facts import BANDS, NOBODY, Facts
from etl.row import Row

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_BARS = 12
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Headline:
    """The numbers at the top; lengths of time are in seconds, None where nothing is known."""

    open: int
    grown: int
    created: int
    created_before: int
    resolved: int
    resolved_before: int
    reopened: int
    deleted: int
    overdue: int
    median: float | None
    median_week: float | None


def headline(facts: Facts) -> Headline:
    """The numbers at the top."""
    weeks = [sum(column) for column in zip(*facts.weeks.values(), strict=True)] or [0] * 7
    created, resolved, reopened, created_before, resolved_before, _, grown = weeks
    bins = _columns(((key[1], numbers) for key, numbers in facts.resolutions.items()), 2)
    return Headline(
        open=sum(numbers[0] for numbers in facts.open.values()),
        overdue=sum(numbers[1] for numbers in facts.open.values()),
        grown=grown,
        created=created,
        created_before=created_before,
        resolved=resolved,
        resolved_before=resolved_before,
        reopened=reopened,
        deleted=created + reopened - resolved - grown,  # while open: what else made the open ones fewer
        median=quantile(bins[0], 0.5, facts.bounds),
        median_week=quantile(bins[1], 0.5, facts.bounds),
    )


def rows(facts: Facts) -> dict[str, list[Row]]:
    """The rows of each chart, by its name."""
    return {
        "backlog": _backlog(facts),
        "flow": _flow(facts),
        "ages": _ages(facts),
        "stays": _stays(facts),
        "heat": _heat(facts),
        "agents": _agents(facts),
        "queues": _bars((facts.queues[facts.cells[key[0]][1]], numbers) for key, numbers in facts.open.items()),
    }


def quantile(bins: Counter[int], share: float, bounds: Sequence[float]) -> float | None:
    """The length of time that this share of them stays under, as nearly as the bins tell; None where there are none."""
    wanted = share * sum(bins.values())
    if not wanted:
        return None
    before = 0
    for place in sorted(bins):
        if before + bins[place] >= wanted:
            part = (wanted - before) / bins[place]
            break
        before += bins[place]
    else:
        place, part = max(bins), 1.0
    if place == 0:
        return bounds[0] * part
    start = bounds[place - 1]
    return float(start * (bounds[1] / bounds[0]) ** part)


def _columns(found: Iterable[tuple[int, Sequence[int]]], width: int) -> list[Counter[int]]:
    sums: list[Counter[int]] = [Counter() for _ in range(width)]
    for place, numbers in found:
        for column, number in zip(sums, numbers, strict=True):
            column[place] += number
    return sums


def _backlog(facts: Facts) -> list[Row]:
    """How many were open at each step's end, by category: those of now, less what was added since."""
    grown: Counter[tuple[int, int]] = Counter()
    for (_cell, step, category), (number,) in facts.moves.items():
        grown[step, category] += number
    now: Counter[int] = Counter()
    for (_cell, category, _band), numbers in facts.open.items():
        now[category] += numbers[0]
    found = []
    for step in range(len(facts.steps) - 1, -1, -1):
        row: Row = {f"c{category}": max(0, now[category]) for category in range(len(facts.categories))}
        found.append({"day": _milliseconds(facts.steps[step]), **row, "total": sum(row.values())})
        for category in range(len(facts.categories)):
            now[category] -= grown[step, category]
    return found[::-1]


def _flow(facts: Facts) -> list[Row]:
    created, resolved, reopened = _columns(((key[1], numbers) for key, numbers in facts.flow.items()), 3)
    return [
        {
            "day": _milliseconds(day),
            "created": created[step],
            "resolved": max(0, resolved[step]),
            "reopened": reopened[step],
        }
        for step, day in enumerate(facts.steps)
    ]


def _ages(facts: Facts) -> list[Row]:
    found: Counter[tuple[int, int]] = Counter()
    for (cell, _category, band), numbers in facts.open.items():
        found[band, facts.cells[cell][2]] += numbers[0]
    return [
        {"band": name, **{f"p{each}": found[band, each] for each in range(len(facts.priorities))}}
        for band, name in enumerate(BANDS)
    ]


def _stays(facts: Facts) -> list[Row]:
    bins: dict[str, Counter[int]] = {}  # by name: two streams may each have a status of the same one
    for (_cell, status, place), (number,) in facts.stays.items():
        bins.setdefault(facts.statuses[status], Counter())[place] += number
    found = [
        {
            "status": status,
            "median": (quantile(each, 0.5, facts.bounds) or 0) / _DAY,
            "most": (quantile(each, 0.9, facts.bounds) or 0) / _DAY,
            "stays": sum(each.values()),
        }
        for status, each in bins.items()
    ]
    return sorted(found, key=lambda row: (-row["median"], row["status"]))


def _heat(facts: Facts) -> list[Row]:
    found: Counter[int] = Counter()
    for (_cell, hour), (number,) in facts.arrivals.items():
        found[hour] += number
    return [{"hour": hour, **{name: found[24 * day + hour] for day, name in enumerate(WEEKDAYS)}} for hour in range(24)]


def _agents(facts: Facts) -> list[Row]:
    """The agents with the most tasks, of how many agents each; at the end those that nobody has."""
    found = [(facts.agents[key[1]], numbers) for key, numbers in facts.load.items()]
    agents = _bars(each for each in found if each[0] != NOBODY)
    number = agents[0]["of"] if agents else 0
    return agents + [{**row, "of": number} for row in _bars(each for each in found if each[0] == NOBODY)]


def _bars(found: Iterable[tuple[str, Sequence[int]]]) -> list[Row]:
    """The longest bars, each with how many there are in all."""
    sums: dict[str, list[int]] = {}
    for name, (opened, overdue) in found:
        numbers = sums.setdefault(name, [0, 0])
        numbers[0] += opened
        numbers[1] += overdue
    ranked = sorted(sums.items(), key=lambda item: (-item[1][0], item[0]))[:MOST_BARS]
    return [
        {"name": name, "on_time": opened - late, "overdue": late, "of": len(sums)} for name, (opened, late) in ranked
    ]


def _milliseconds(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), time(), UTC).timestamp() * 1000)
