"""The dashboard for Grafana: a real PostgreSQL answers every statement in it, in the shape that its panel needs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine

from etl.load.schema.view_columns import VIEWS
from tests.conftest import CHECKOUT

DASHBOARD = json.loads((CHECKOUT / "config/grafana/kore-etl.json").read_text("utf-8"))
PANELS = DASHBOARD["panels"]
NOW = datetime.now(UTC)
VARIABLES = {each["name"]: each for each in DASHBOARD["templating"]["list"]}


def as_sent(sql: str, chosen: list[object]) -> str:
    """A statement as Grafana sends it: the time chosen is a condition, what is chosen of a list is quoted."""
    start, end = ((NOW - timedelta(days=800)).isoformat(), (NOW + timedelta(minutes=1)).isoformat())
    sql = re.sub(r"\$__timeFilter\(([^)]+)\)", rf"\1 BETWEEN '{start}' AND '{end}'", sql)
    sql = re.sub(r"\$source\b", ",".join(f"'{each}'" for each in chosen), sql)
    assert "$" not in sql, "a macro or variable that nothing stands for"
    return sql


@pytest.fixture
def filled(
    sandbox: Callable, environment: Callable, run_cli: Callable, migrated_postgres_url: str
) -> Iterator[Connection]:
    server = sandbox(tasks=300)
    done = run_cli("sync", env=environment(server, migrated_postgres_url))
    assert done.returncode == 0, done.stderr
    engine = create_engine(migrated_postgres_url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_every_panel_is_answered(filled: Connection) -> None:
    chosen = filled.exec_driver_sql(VARIABLES["source"]["query"]).mappings().all()
    sources = [row["__value"] for row in chosen]
    assert [row["__text"] for row in chosen] == ["default"]
    empty = []
    for panel in PANELS:
        for target in panel["targets"]:
            answer = filled.exec_driver_sql(as_sent(target["rawSql"], sources).replace("%", "%%")).mappings()
            names, rows = list(answer.keys()), answer.all()
            _check(panel, target, names, rows)
            if not rows or all(value is None for value in rows[0].values()):
                empty.append(panel["title"])
            nobody = filled.exec_driver_sql(as_sent(target["rawSql"], [0]).replace("%", "%%")).all()
            assert not any(value for row in nobody for value in row), f"{panel['title']}: not of the source chosen"
    # What nothing was seen of: no resolving yet, no stretch of time that was left out.
    assert set(empty) <= {"Median time to resolve", "Time that was never read"}


def _check(panel: dict[str, Any], target: dict[str, Any], names: list[str], rows: list[Any]) -> None:
    match panel["type"]:
        case "stat":
            assert (len(names), len(rows)) == (1, 1), panel["title"]
        case "timeseries":
            assert target["format"] == "time_series"
            assert names[0] == "time"
            assert [row["time"] for row in rows] == sorted({row["time"] for row in rows})
        case "barchart":
            assert names[0] == panel["options"]["xField"]
    named = [each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]]
    assert set(named) <= set(names), panel["title"]


def test_the_dashboard_uses_every_view_that_is_for_reading() -> None:
    statements = " ".join(target["rawSql"] for panel in PANELS for target in panel["targets"])
    # The overview is for tables of one's own; the others stand behind those that are used.
    behind = {"task_overview", "computed_status_intervals", "computed_task_progress", "daily_events"}
    used = {view.name for view in VIEWS if re.search(rf"\b{view.name}\b", statements)}
    assert used == {view.name for view in VIEWS} - behind


def test_the_dashboard_asks_one_database_without_overlaps() -> None:
    sources = [each["datasource"]["uid"] for panel in PANELS for each in (panel, *panel["targets"])]
    assert set(sources) == {"${datasource}"}
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations([panel["gridPos"] for panel in PANELS], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
