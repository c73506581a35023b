"""The charts over time: how many tasks were open, and how many came and went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import altair as alt

from etl.report import words
from etl.report.encoding import QUIET, Chart, Column, amount, color, named_data, tooltips
from etl.report.facts import MANY_DAYS, Facts


def _over_time(columns: Sequence[Column], facts: Facts, marks: Any, height: int) -> Any:
    """Marks, and over them an unseen rule a day that tells its numbers."""
    x, when = _days(facts)
    hover = alt.Chart(named_data()).mark_rule(color="var(--ink-2)", strokeWidth=6, opacity=0)
    over = hover.encode(x=x, tooltip=tooltips(columns, when))
    return alt.layer(marks, over).properties(height=height)


def backlog(facts: Facts) -> Chart:
    """How many tasks were open, by the category of their status."""
    columns = [
        Column(f"c{place}", words.category(name), swatch=f"var(--c{min(place, 7)})")
        for place, name in enumerate(facts.categories)
    ]
    fields: list[Any] = [each.field for each in columns]
    x, _ = _days(facts)
    order = alt.Order("place:Q")
    areas = (
        alt.Chart(named_data())
        .transform_fold(fields, as_=["key", "value"])
        .transform_calculate(place=f"indexof({fields!r}, datum.key)")
        .mark_area(stroke="var(--surface)", strokeWidth=1)
        .encode(x=x, y=amount(None), color=color(columns), order=order)
    )
    table = [Column("day", _step_title(facts), "day"), *columns, Column("total", "Open in all")]
    return Chart("backlog", "Open tasks over time", table, _over_time([*columns, table[-1]], facts, areas, 260))


def _step_title(facts: Facts) -> str:
    return "Week from" if facts.unit == "week" else "Day"


def flow(facts: Facts) -> Chart:
    """How many tasks were created and resolved."""
    columns = [
        Column("created", "Created", swatch="var(--created)", mark="line"),
        Column("resolved", "Resolved", swatch="var(--resolved)", mark="dashed"),
    ]
    x, _ = _days(facts)
    fold = alt.Chart(named_data()).transform_fold(["created", "resolved"], as_=["key", "value"])
    scale = alt.Scale(domain=["created", "resolved"], range=[[1, 0], [6, 3]])
    look = {"x": x, "color": color(columns), "strokeDash": alt.StrokeDash("key:N", scale=scale, **QUIET)}
    lines = fold.mark_line(strokeWidth=2.5, strokeJoin="round").encode(y=amount(None, stack=None), **look)
    if facts.is_smoothed:
        mean = alt.WindowFieldDef(op="mean", field="value", **_named("mean"))
        daily = fold.mark_line(strokeWidth=1, opacity=0.35, strokeJoin="round").encode(
            y=amount(None, stack=None), **{**look, "strokeDash": alt.value([1, 0])}
        )
        days = alt.WindowFieldDef(op="count", field="value", **_named("days"))
        smooth = fold.transform_window(
            [mean, days], frame=[-6, 0], groupby=["key"], sort=[alt.SortField("day")]
        ).transform_filter("datum.days == 7")
        weekly = smooth.mark_line(strokeWidth=2.5, strokeJoin="round").encode(y=amount(None, "mean:Q", None), **look)
        lines = alt.layer(daily, weekly)
    title = f"Created and resolved a {facts.unit}"
    told = [*columns, Column("reopened", "Reopened")]
    table = [Column("day", _step_title(facts), "day"), *told]
    return Chart("flow", title, table, _over_time(told, facts, lines, 220))


def _days(facts: Facts) -> tuple[alt.X, alt.Tooltip]:
    # Of few days each has its label: left to itself, the axis would tell some twice, for noon and for midnight.
    few = facts.unit == "day" and len(facts.steps) <= MANY_DAYS
    ticks: dict[str, Any] = {"values": _moments(facts.steps)} if few else {"tickCount": {"expr": "width / 90"}}
    axis = alt.Axis(title=None, format="%-d %b", grid=False, labelOverlap=True, **ticks)
    return (
        alt.X("day:T", scale=alt.Scale(type="utc"), axis=axis),
        alt.Tooltip("day:T", title=_step_title(facts), format="%a %-d %b %Y"),
    )


def _moments(days: Sequence[str]) -> list[alt.DateTime]:
    dates = [date.fromisoformat(day) for day in days]
    return [alt.DateTime(year=each.year, month=each.month, date=each.day, utc=True) for each in dates]


def _named(name: str) -> dict[str, Any]:
    return {"as": name}  # a keyword of Python
