"""Writing the page: one file with its style, its scripts and its numbers, that asks nothing of any network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from etl.report import colors, drawing, notes, summary, words
from etl.report.charts import charts
from etl.report.encoding import Chart
from etl.report.facts import BANDS, Facts, Line
from etl.report.sentences import SENTENCES

_LISTED = 10
_COUNTS = ("open", "flow", "moves", "weeks", "resolutions", "stays", "load", "arrivals")


def write_page(facts: Facts, title: str, runtime: str) -> str:
    """Return the whole page as HTML; ``runtime`` are the scripts of :func:`etl.report.drawing.runtime`."""
    rows = summary.rows(facts)
    drawn = charts(facts)
    zone = ZoneInfo(facts.zone)
    environment = Environment(
        loader=PackageLoader("etl.report", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"count": words.count, "cell": _cell}
    return environment.get_template("page.html").render(
        title=title,
        facts=facts,
        made=words.clock(facts.now, zone),
        period=notes.period(facts),
        tiles=notes.tiles(facts, summary.headline(facts)),
        charts=[_figure(chart, rows[chart.name], facts) for chart in drawn],
        colors=_color_variables(facts),
        style=_resource("page.css"),
        vega=runtime,
        script=_resource("page.js"),
        data=_json(_data(facts, drawn, title)),
        tables=_tables(facts, zone),
        completeness=notes.completeness(facts),
        explanations=notes.explanations(facts),
    )


def _figure(chart: Chart, rows: Sequence[Mapping[str, Any]], facts: Facts) -> dict[str, Any]:
    return {
        "chart": chart,
        "rows": rows,
        "sentence": SENTENCES[chart.name](rows, facts),
        "svg": Markup(drawing.drawn(chart.spec(rows))),  # noqa: S704 - drawn by Vega, which escapes all text
        "empty": notes.is_empty(chart, rows),
    }


def _tables(facts: Facts, zone: ZoneInfo) -> list[dict[str, Any]]:
    """The two tables of tasks as they are without a filter."""
    kinds = (("oldest", "Open the longest", facts.oldest), ("overdue", "Overdue the longest", facts.overdue))
    return [
        {"name": name, "title": title, "lines": [_told(line, facts, zone) for line in lines[:_LISTED]]}
        for name, title, lines in kinds
    ]


def _told(line: Line, facts: Facts, zone: ZoneInfo) -> dict[str, Any]:
    _stream, queue, priority = facts.cells[line.cell]
    return {
        "ref": line.ref,
        "name": line.name,
        "status": facts.statuses[line.status],
        "priority": facts.priorities[priority].name,
        "swatch": f"var(--p{priority})",
        "with": line.assignee or facts.queues[queue],
        "created": words.day(line.created, zone) if line.created else "–",
        "due": words.day(line.due, zone) if line.due else "–",
        "late": line.due is not None and line.due < facts.now,
    }


def _cell(row: Mapping[str, Any], column: Any) -> str:
    """A value of a chart's table as people read it."""
    value = row[column.field]
    match column.kind:
        case "day":
            moment = datetime.fromtimestamp(value / 1000, ZoneInfo("UTC"))
            return words.day(moment, ZoneInfo("UTC"))
        case "days":
            return f"{value:,.1f} days"
        case "hour":
            return f"{value:02}:00"
        case "text":
            return str(value)
        case _:
            return words.count(value)


def _color_variables(facts: Facts) -> dict[str, Markup]:
    """The priorities' colours as variables of the style, for the light and for the dark page."""
    found = colors.pairs(facts.priorities)
    return {
        mode: Markup("".join(f"--p{place}:{pair[number]};" for place, pair in enumerate(found)))  # noqa: S704 - parsed
        for number, mode in enumerate(("light", "dark"))
    }


def _data(facts: Facts, drawn: Sequence[Chart], title: str) -> dict[str, Any]:
    """All that the page's script works with."""
    return {
        "title": title,
        "now": round(facts.now.timestamp() * 1000),
        "zone": facts.zone,
        "smoothed": facts.is_smoothed,
        "steps": facts.steps,
        "streams": facts.streams,
        "queues": facts.queues,
        "priorities": [each.name for each in facts.priorities],
        "categories": facts.categories,
        "statuses": facts.statuses,
        "agents": facts.agents,
        "bands": BANDS,
        "bounds": [round(each, 3) for each in facts.bounds],
        "cells": facts.cells,
        **{name: [[*key, *numbers] for key, numbers in getattr(facts, name).items()] for name in _COUNTS},
        **{name: [_packed(line) for line in getattr(facts, name)] for name in ("oldest", "overdue")},
        "charts": [
            {
                "name": chart.name,
                "bars": chart.bars,
                "spec": drawing.compiled(chart.spec()),
                "columns": [[each.field, each.kind] for each in chart.columns],
            }
            for chart in drawn
        ],
    }


def _packed(line: Line) -> list[Any]:
    created, due = (moment and round(moment.timestamp() * 1000) for moment in (line.created, line.due))
    return [line.cell, line.ref, line.name, line.status, line.assignee, created, due]


def _json(value: object) -> Markup:
    """JSON that no text in it can end: within a script, a browser looks for nothing but "<"."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - made safe here


def _resource(name: str) -> Markup:
    return Markup((files("etl.report") / name).read_text("utf-8"))  # noqa: S704 - our own
