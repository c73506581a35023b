"""A sentence for each chart, which says what there is to see; page.js says the same of what a reader chooses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from etl.report import words
from etl.report.facts import NOBODY, Facts
from etl.report.summary import WEEKDAYS

Rows = Sequence[Mapping[str, Any]]
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _told_backlog(rows: Rows, _facts: Facts) -> str:
    first, last_one = rows[0]["total"], rows[-1]["total"]
    if not any(row["total"] for row in rows):
        return "No task was open in this time."
    return f"From {words.count(first)} to {words.tasks(last_one)}, by the category of their status."


def _told_flow(rows: Rows, facts: Facts) -> str:
    created, resolved, reopened = (sum(row[name] for row in rows) for name in ("created", "resolved", "reopened"))
    if not created and not resolved and not reopened:
        return "No task was created or resolved in this time."
    smoothed = " The bold lines are the mean of 7 days." if facts.is_smoothed else ""
    done = [f"{words.tasks(created)} created", f"{words.count(resolved)} resolved"]
    if reopened:
        done.append(f"{words.count(reopened)} reopened")
    return f"{words.listed(done)} in this time.{smoothed}"


def _told_ages(rows: Rows, facts: Facts) -> str:
    places = range(len(facts.priorities))
    old = sum(row[f"p{place}"] for row in rows[4:] for place in places)
    whole = sum(row[f"p{place}"] for row in rows for place in places)
    share = round(100 * old / whole) if whole else 0
    return f"{share}% have been open for more than 30 days." if whole else "No task is open."


def _told_stays(rows: Rows, _facts: Facts) -> str:
    if not rows:
        return "No change of a status was recorded in this time."
    return "The bar is the median: half of the stays were shorter. The mark is where 9 of 10 had ended."


def _told_bars(rows: Rows, _facts: Facts) -> str:
    if not rows:
        return "No task is open."
    first = rows[0]
    number = first["on_time"] + first["overdue"]
    told = f"Most with {first['name']}: {words.tasks(number)}, {words.count(first['overdue'])} of them overdue."
    return told if len(rows) == first["of"] else f"{told} The {len(rows)} largest of {first['of']:,}."


def _told_agents(rows: Rows, facts: Facts) -> str:
    nobody = [row for row in rows if row["name"] == NOBODY]
    others = [row for row in rows if row["name"] != NOBODY]
    told = [_told_bars(others, facts)] if others or not nobody else []
    for row in nobody:
        number, overdue = row["on_time"] + row["overdue"], row["overdue"]
        told.append(f"{words.tasks(number)} with nobody, {words.count(overdue)} of them overdue.")
    return " ".join(told)


def _told_heat(rows: Rows, _facts: Facts) -> str:
    number, place, hour = max(
        ((row[name], -place, row["hour"]) for row in rows for place, name in enumerate(WEEKDAYS)), default=(0, 0, 0)
    )
    if not number:
        return "No task was created in this time."
    day = _DAYS[-place]
    return f"Created by weekday and hour. The busiest: {day}, {hour:02}:00 to {hour + 1:02}:00, {words.tasks(number)}."


SENTENCES: dict[str, Callable[[Rows, Facts], str]] = {
    "backlog": _told_backlog,
    "flow": _told_flow,
    "ages": _told_ages,
    "stays": _told_stays,
    "agents": _told_agents,
    "queues": _told_bars,
    "heat": _told_heat,
}
