"""What the charts have in common: each is drawn from one table of wide rows, whose columns are folded into marks.

Colours are variables of the page's style, so that a chart follows the reader's dark mode and prints well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

Spec = dict[str, Any]
_ROWS = "rows"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_AXIS: dict[str, Any] = {
    "labelColor": "var(--ink-2)", "titleColor": "var(--ink-2)", "gridColor": "var(--grid)", "domain": False,
    "ticks": False, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelPadding": 6,
    "labelFont": _FONT, "titleFont": _FONT, "labelLimit": 150,
}  # fmt: skip
_BAR, _GAP = 20, 10  # pixels
QUIET: dict[str, Any] = {"legend": None}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a chart's table: its field, its title, how its values are written, and how its marks look."""

    field: str
    title: str
    kind: str = "count"
    swatch: str = ""
    mark: str = ""  # "line" or "dashed", where it is one


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: what it is called, its columns, and how it is drawn; the height follows its rows where it has bars."""

    name: str
    title: str
    columns: Sequence[Column]
    chart: Any  # an altair chart; its layers have types of their own
    bars: bool = False
    ramp: str = ""  # the colour that is the stronger the more there are

    @property
    def legend(self) -> list[Column]:
        """The columns that are told apart by colour."""
        return [column for column in self.columns if column.swatch]

    def spec(self, rows: Sequence[Mapping[str, Any]] | None = None, width: int = 560) -> Spec:
        """The chart as Vega-Lite; without rows, they are to be given to the data set "rows"."""
        spec: Spec = self.chart.properties(width=width).configure(**_config()).to_dict()
        if rows is not None:
            spec["datasets"] = {_ROWS: list(rows)}
        if self.bars:
            spec["height"] = {"step": _BAR + _GAP}
        return spec


def _config() -> dict[str, Any]:
    return {
        "background": "transparent",
        "padding": {"left": 2, "right": 8, "top": 6, "bottom": 2},
        "autosize": alt.AutoSizeParams(type="fit-x", contains="padding"),
        "font": _FONT,
        "view": alt.ViewConfig(stroke=None),
        "axis": alt.AxisConfig(**_AXIS),
        "aria": False,  # the page gives each chart a text and a table
    }


def named_data() -> alt.NamedData:
    """The rows that are given later."""
    return alt.NamedData(_ROWS)


def color(columns: Sequence[Column]) -> alt.Color:
    """Marks in the colours of their columns."""
    scale = alt.Scale(domain=[each.field for each in columns], range=[each.swatch for each in columns])
    return alt.Color("key:N", scale=scale, **QUIET)


def tooltips(columns: Sequence[Column], *more: alt.Tooltip) -> list[alt.Tooltip]:
    """What a mark tells: its numbers, under what they are of."""
    return [*more, *(alt.Tooltip(f"{each.field}:Q", title=each.title, format=",") for each in columns)]


def whole_ticks(channel: str, most: str) -> dict[str, Any]:
    """Ticks at whole numbers alone, so many at most: of a few tasks, halves would be told as wholes, some twice."""
    return {"tickCount": {"expr": f"min({most}, domain('{channel}')[1])"}, "tickMinStep": 1}


def amount(title: str | None, field: str = "value:Q", stack: Any = "zero") -> alt.Y:
    """Whole numbers upwards from 0."""
    axis = alt.Axis(title=title, format=",d", titleAnchor="start", **whole_ticks("y", "4"))
    scale = alt.Scale(nice=4, domainMin=0)  # said, because a running mean of naught may be a hair less
    return alt.Y(field, stack=stack, axis=axis, scale=scale)
