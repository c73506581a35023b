"""The charts, in altair, in the order of the page."""

from __future__ import annotations

from typing import Any

import altair as alt

from etl.report.encoding import QUIET, Chart, Column, amount, color, named_data, tooltips, whole_ticks
from etl.report.facts import BANDS, NOBODY, Facts
from etl.report.over_time import backlog, flow
from etl.report.summary import WEEKDAYS

_TWO_LINES = (
    "[slice(datum.label, 0, lastindexof(datum.label, ' ')), slice(datum.label, lastindexof(datum.label, ' ') + 1)]"
)


def charts(facts: Facts) -> list[Chart]:
    """All charts of a report, in the order of the page."""
    return [
        backlog(facts),
        flow(facts),
        _ages(facts),
        # How many nobody has is said beside it: they may be so many that the bars of the agents would vanish.
        _load("agents", "Open tasks by agent", "Agent", f"datum.name !== '{NOBODY}' || datum.of === 0"),
        _load("queues", "Open tasks by queue", "Queue"),
        _stays(),
        _heat(),
    ]


def _ages(facts: Facts) -> Chart:
    columns = [Column(f"p{place}", each.name, swatch=f"var(--p{place})") for place, each in enumerate(facts.priorities)]
    fields: list[Any] = [each.field for each in columns]
    bars = (
        alt.Chart(named_data())
        .transform_fold(fields, as_=["key", "value"])
        .transform_calculate(place=f"indexof({fields!r}, datum.key)")
        .mark_bar(stroke="var(--surface)", strokeWidth=1)
        .encode(
            x=alt.X(
                "band:N",
                sort=list(BANDS),
                axis=alt.Axis(title=None, labelAngle=0, labelExpr=_TWO_LINES, labelLimit=90),
                scale=alt.Scale(paddingInner=0.28, paddingOuter=0.1),
            ),
            y=amount(None),
            color=color(columns),
            order=alt.Order("place:Q"),
            tooltip=tooltips(columns, alt.Tooltip("band:N", title="Age")),
        )
        .properties(height=220)
    )
    return Chart("ages", "Age of open tasks by priority", [Column("band", "Age", "text"), *columns], bars)


def _names(field: str, sort: Any = None) -> alt.Y:
    axis = alt.Axis(title=None, labelLimit=150, labelPadding=8)
    return alt.Y(field, sort=sort, axis=axis, scale=alt.Scale(paddingInner=0.36, paddingOuter=0.12))


def _stays() -> Chart:
    columns = [
        Column("status", "Status", "text"),
        Column("median", "Half within", "days", swatch="var(--bar)"),
        Column("most", "9 of 10 within", "days", swatch="var(--mark)"),
        Column("stays", "Stays"),
    ]
    tips = [
        alt.Tooltip("status:N", title="Status"),
        alt.Tooltip("median:Q", title="Half within, days", format=",.1f"),
        alt.Tooltip("most:Q", title="9 of 10 within, days", format=",.1f"),
        alt.Tooltip("stays:Q", title="Stays", format=","),
    ]
    data, y = alt.Chart(named_data()), _names("status:N")
    axis = alt.Axis(title="days", tickCount={"expr": "width / 70"}, titleAnchor="end", labelFlush=False)
    x = alt.X("most:Q", axis=axis, scale=alt.Scale(domainMin=0))
    reach = data.mark_rule(color="var(--mark)", strokeWidth=2).encode(y=y, x=alt.X("median:Q", axis=axis), x2="most:Q")
    bars = data.mark_bar(color="var(--bar)").encode(y=y, x=alt.X("median:Q", axis=axis), tooltip=tips)
    ends = data.mark_tick(color="var(--mark)", thickness=3, size=14).encode(y=y, x=x, tooltip=tips)
    return Chart("stays", "Time spent in each status", columns, alt.layer(bars, reach, ends), bars=True)


def _load(name: str, title: str, told: str, shown: str = "true") -> Chart:
    columns = [
        Column("on_time", "Not overdue", swatch="var(--bar)"), Column("overdue", "Overdue", swatch="var(--alarm)"),
    ]  # fmt: skip
    bars = (
        alt.Chart(named_data())
        .transform_filter(shown)
        .transform_fold(["on_time", "overdue"], as_=["key", "value"])
        .transform_calculate(place="datum.key == 'overdue' ? 1 : 0")
        .mark_bar(stroke="var(--surface)", strokeWidth=1)
        .encode(
            y=_names("name:N"),
            x=alt.X(
                "value:Q",
                stack="zero",
                axis=alt.Axis(title=None, format=",d", labelFlush=False, **whole_ticks("x", "width / 70")),
            ),
            color=color(columns),
            order=alt.Order("place:Q"),
            tooltip=tooltips(columns, alt.Tooltip("name:N", title=told)),
        )
    )
    return Chart(name, title, [Column("name", told, "text"), *columns], bars, bars=True)


def _heat() -> Chart:
    columns = [Column(name, name) for name in WEEKDAYS]
    cells = (
        alt.Chart(named_data())
        .transform_fold(list(WEEKDAYS), as_=["key", "value"])
        .mark_rect(color="var(--heat)", stroke="var(--surface)", strokeWidth=2, cornerRadius=2)
        .encode(
            x=alt.X(
                "hour:O",
                axis=alt.Axis(
                    title=None, labelAngle=0, values=list(range(0, 24, 3)), labelExpr="pad(datum.value, 2, '0', 'left')"
                ),
            ),
            y=alt.Y("key:N", sort=list(WEEKDAYS), axis=alt.Axis(title=None)),
            opacity=alt.Opacity("value:Q", scale=alt.Scale(domainMin=0, range=[0.06, 1]), **QUIET),
            tooltip=[
                alt.Tooltip("key:N", title="Weekday"),
                alt.Tooltip("hour:O", title="Hour from"),
                alt.Tooltip("value:Q", title="Created", format=","),
            ],
        )
        .properties(height=7 * 28)
    )
    table = [Column("hour", "Hour", "hour"), *columns]
    return Chart("heat", "When tasks arrive", table, cells, ramp="var(--heat)")
