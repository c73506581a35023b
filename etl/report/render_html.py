"""Writing the page: one file with its style, its script and its numbers, that asks nothing of any network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, time
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from etl.report import colors, freshness
from etl.report.freshness import Source
from etl.report.period import Period
from etl.report.query_numbers import NOBODY, Figures

#: The charts, in the order of the page.
CHARTS = {
    "backlog": "Open tasks over time",
    "flow": "Created and resolved",
    "ages": "Age of open tasks by priority",
    "agents": "Open tasks by agent",
    "queues": "Open tasks by queue",
    "stays": "Time spent in each status",
    "arrivals": "When tasks arrive",
}
#: The headline numbers: what is now, then what was in seven days or in the period.
TILES = {
    "open": "Open now",
    "overdue": "Overdue",
    "breached": "SLA breached",
    "unassigned": "Unassigned",
    "created": "Created in 7 days",
    "resolved": "Resolved in 7 days",
    "reopened": "Reopened in 7 days",
    "resolution": "Median time to resolve",
    "response": "Median first response",
}


def page(found: Figures, sources: Sequence[Source], period: Period, *, title: str, task_url: str | None = None) -> str:
    """Return the whole page as HTML."""
    now, zone = period.now, period.zone
    environment = Environment(
        loader=PackageLoader("etl.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    fresh, is_late = freshness.headline(sources, now, zone)
    shades = [colors.pair(color, place) for place, color in enumerate(found["colors"])]
    more = {"now": round(now.timestamp() * 1000), "zone": str(zone), "nobody": NOBODY, "taskUrl": task_url}
    return environment.get_template("page.html").render(
        title=title,
        made=freshness.clock(now, zone),
        zone=str(zone),
        days_of=period.days_of,
        start=freshness.day(datetime.combine(period.steps[0], time(), zone), zone),
        end=freshness.day(now, zone),
        fresh=fresh,
        is_late=is_late,
        is_empty=not found["cells"] and not any(source.tasks for source in sources),
        charts=CHARTS,
        tiles=TILES,
        plain=_plain(found),
        filters={"stream": "Source", "queue": "Queue", "priority": "Priority"},
        light=[light for light, _ in shades],
        dark=[dark for _, dark in shades],
        style=_resource("page.css"),
        script=_resource("charts.js"),
        data=_json(found | more),
        completeness=[freshness.told(source, now, zone) for source in sources],
        unit=period.unit,
    )


def _plain(found: Figures) -> dict[str, int]:
    """The headline numbers that a browser without scripts shows as well."""
    week = [row for row in found["flow"] if row[2] == 1]
    return {
        "open": sum(row[3] for row in found["open"]),
        "overdue": sum(row[4] for row in found["open"]),
        "created in 7 days": sum(row[3] for row in week),
        "resolved in 7 days": sum(row[4] for row in week),
    }


def _json(value: dict[str, Any]) -> Markup:
    """JSON that no text in it can end: within a script, a browser looks for nothing but "<"."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - made safe here


def _resource(name: str) -> Markup:
    return Markup((files("etl.report") / name).read_text("utf-8"))  # noqa: S704 - our own
