"""Views, documented questions and report say the same numbers, on data with a history and in a time zone of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import requests
from sqlalchemy import Engine

from etl.explore.datasette_metadata import questions
from etl.load.database.engine import open_engine, reading
from etl.report.period import period_until
from etl.report.query_numbers import NOBODY, figures, zones
from tests.integration.mirror import Mirror

Rows = list[dict[str, Any]]
QUESTIONS = {each.name[:2]: each.sql for each in questions()}


def ask(engine: Engine, sql: str) -> Rows:
    with reading(engine) as connection:
        return [dict(row) for row in connection.exec_driver_sql(sql).mappings()]


def one(engine: Engine, sql: str) -> Any:
    ((value,),) = (row.values() for row in ask(engine, f"select {sql}"))
    return value


def total(rows: Rows, name: str) -> int:
    return sum(row[name] for row in rows)


def by_day(rows: Rows, name: str) -> dict[str, int]:
    days: Counter[str] = Counter()
    for row in rows:
        days[str(row["day"])] += row[name]
    return {day: number for day, number in days.items() if number}


def answers(engine: Engine) -> dict[str, list[str]]:
    """The rows of each question in any order, with values as both databases tell them."""

    def plain(value: Any) -> str:
        if isinstance(value, datetime):
            return f"{value:%Y-%m-%d %H:%M:%S.%f}"[:23]
        return f"{float(value):g}" if isinstance(value, int | float | Decimal) else str(value)

    return {
        number: sorted(" | ".join(map(plain, row.values())) for row in ask(engine, sql))
        for number, sql in QUESTIONS.items()
    }


@pytest.fixture(params=["demo", "changing"])
def synced(
    request: pytest.FixtureRequest, database_url: str, sandbox: Callable[..., Any], run_cli: Callable[..., Any],
    tmp_path: Any,
) -> Iterator[Engine]:  # fmt: skip
    """The demo's data, or what syncs of a changing server stored; on SQLite the questions have the same answers."""
    file = f"sqlite:///{tmp_path / 'demo' / 'kore-etl.db'}"
    if request.param == "demo":
        made = run_cli("demo", "--keep", str(tmp_path / "demo"))
        assert made.returncode == 0, made.stderr
        copied = run_cli("db", "copy", "--to", database_url, "--database-url", file)
    else:
        server = sandbox(tasks=400, pattern="desk")
        mirror = Mirror(server, database_url, timezone="America/St_Johns")
        for _ in range(4):
            assert mirror.sync().exit_code == 0
            change = {"update": 80, "insert": 8, "delete": 3}
            requests.post(f"{server.url}/_sandbox/change", json=change, timeout=30).raise_for_status()
        assert mirror.difference() is None
        (tmp_path / "demo").mkdir()
        copied = run_cli("db", "copy", "--to", file, "--database-url", database_url)
    assert copied.returncode == 0, copied.stderr
    engine, on_sqlite = open_engine(database_url), open_engine(file)
    assert answers(engine) == answers(on_sqlite)
    on_sqlite.dispose()
    yield engine
    engine.dispose()


def test_views_questions_and_report_agree(synced: Engine) -> None:
    asked = {number: ask(synced, sql) for number, sql in QUESTIONS.items()}
    flow = ask(synced, "select * from daily_flow")
    now = datetime.now(UTC)
    shown = figures(synced, period_until(now, timedelta(days=60), zones(synced)))
    ever = figures(synced, period_until(now, timedelta(days=3650), zones(synced)))
    steps = shown["steps"]
    today = max(str(row["day"]) for row in flow)

    opened = {
        "task_overview": one(synced, "count(*) from task_overview where is_open"),
        "open_backlog": one(synced, "sum(tasks) from open_backlog"),
        "agent_load": one(synced, "sum(open_tasks) from agent_load"),
        "daily_flow": sum(row["backlog"] for row in flow if str(row["day"]) == today),
        "report": sum(row[3] for row in shown["open"]),
        "question 1": total(asked["01"], "tasks"),
        "question 4": total(asked["04"], "open"),
    }
    assert set(opened.values()) == {opened["report"]}, opened
    assert opened["report"] > 20
    oldest = [row["ref_id"] for row in asked["02"]]
    waiting = sorted(shown["waiting"], key=lambda row: row[6])
    assert oldest[:10] == [row[2] for row in waiting][:10]

    overdue = {
        "overdue_tasks": one(synced, "count(*) from overdue_tasks"),
        "open_backlog": one(synced, "sum(overdue) from open_backlog"),
        "report": sum(row[4] for row in shown["open"]),
        "question 3": len(asked["03"]),
        "question 4": total(asked["04"], "overdue"),
    }
    assert set(overdue.values()) == {overdue["report"]}, overdue
    breached = one(synced, "count(*) from task_overview where is_open and is_breached")
    assert sum(row[4] for row in shown["agents"]) == breached
    unassigned = {
        "agent_load": one(synced, "sum(open_tasks) from agent_load where assignee_id is null"),
        "report": sum(row[2] for row in shown["agents"] if shown["agentNames"][row[1]] == NOBODY),
        "question 4": total(asked["04"], "unassigned"),
    }
    assert set(unassigned.values()) == {unassigned["report"]}, unassigned
    assert total(asked["05"], "open") == one(synced, "sum(open_tasks) from agent_load where assignee_id is not null")

    resolved = {
        "task_overview": one(synced, "count(resolved_at) from task_overview"),
        "task_cycle_times": one(synced, "count(resolved_seconds) from task_cycle_times"),
        "report": sum(row[3] for row in ever["durations"] if row[1] == 0),
        "question 7": total(asked["07"], "done"),
    }
    assert set(resolved.values()) == {resolved["question 7"]}, resolved
    assert resolved["question 7"] > 0
    reopened = {
        "task_overview": one(synced, "sum(reopened) from task_overview"),
        "daily_flow": total(flow, "reopened"),
        "question 8": len(asked["08"]),
    }
    assert set(reopened.values()) == {reopened["question 8"]}, reopened
    assert total(asked["09"], "breached") == one(
        synced, "count(*) from task_overview where is_breached and deleted_at is null"
    )
    assert [(row["source"], row["watermark"], row["gaps"]) for row in asked["10"]] == [
        (row["source"], row["watermark"], row["gaps"]) for row in ask(synced, "select * from sync_freshness")
    ]
    months = one(synced, "count(*) from task_overview where deleted_at is null and created_day >= '2025-01-01'")
    assert total(asked["06"], "created") == months

    created = ask(synced, "select created_day as day, count(*) as created from task_overview group by created_day")
    assert by_day(created, "created") == by_day(flow, "created")
    for place, name in enumerate(("created", "resolved", "reopened", "deleted"), start=3):
        drawn: Counter[str] = Counter()
        for row in shown["flow"]:
            if row[1] >= 0:
                drawn[steps[row[1]]] += row[place]
        counted = {day: number for day, number in by_day(flow, name).items() if day >= steps[0]}
        assert {day: number for day, number in drawn.items() if number} == counted, name


def test_a_new_time_zone_rebuilds_the_days(database_url: str, sandbox: Callable[..., Any]) -> None:
    server = sandbox(tasks=300)
    seen = {}
    for zone in ("UTC", "Asia/Kolkata", "America/Los_Angeles", "UTC"):
        mirror = Mirror(server, database_url, timezone=zone)
        assert mirror.sync().exit_code == 0
        assert mirror.difference() is None
        assert mirror.rows("select timezone from sources") == [(zone,)]
        days = mirror.rows("select day, created from daily_flow where created > 0")
        expected = Counter(
            str(datetime.fromisoformat(task["createdAt"]).astimezone(ZoneInfo(zone)).date()) for task in server.tasks()
        )
        assert {str(day): created for day, created in days} == expected
        seen[zone] = expected
    assert seen["UTC"] != seen["Asia/Kolkata"] != seen["America/Los_Angeles"]


def test_each_source_has_the_days_of_its_zone(database_url: str, sandbox: Callable[..., Any]) -> None:
    own = {"west": ZoneInfo("America/St_Johns"), "east": ZoneInfo("Pacific/Auckland")}
    servers = {name: sandbox(tasks=150, days=120, stream_id=f"st-{name}") for name in own}
    mirrors = [
        Mirror(server, database_url, source_name=name, timezone=own[name].key) for name, server in servers.items()
    ]
    for _ in range(3):
        for mirror in mirrors:
            assert mirror.sync().exit_code == 0
            change = {"update": 50, "insert": 4, "delete": 2}
            requests.post(f"{mirror.server.url}/_sandbox/change", json=change, timeout=30).raise_for_status()
    assert mirrors[0].difference() is None
    engine = open_engine(database_url)
    now = datetime.now(UTC)
    shown = figures(engine, period_until(now, timedelta(days=60), zones(engine)))
    tasks, flow = ask(engine, "select * from task_overview"), ask(engine, "select * from daily_flow")
    reopenings = ask(engine, QUESTIONS["08"].replace("select ", "select task_changes.source_id, ", 1))
    asked = {number: ask(engine, QUESTIONS[number]) for number in ("02", "03", "06")}
    engine.dispose()

    def local(row: dict[str, Any], name: str, zone: ZoneInfo | None = None) -> datetime:
        moment = row[name] if isinstance(row[name], datetime) else datetime.fromisoformat(f"{row[name]}+00:00")
        return moment.astimezone(zone or own[row["source"]])

    for name in ("created", "due", "resolved"):
        with_it = [row for row in tasks if row[f"{name}_at"]]
        assert [str(row[f"{name}_day"]) for row in with_it] == [str(local(row, f"{name}_at").date()) for row in with_it]
        assert with_it
        assert name == "resolved" or any(
            str(row[f"{name}_day"]) != str(local(row, f"{name}_at", ZoneInfo("UTC")).date()) for row in with_it
        )
    days = {(row["ref_id"], str(row["created_day"])) for row in tasks}
    assert {(row["ref_id"], str(row["created"])) for row in asked["02"]} <= days
    days = {(row["ref_id"], str(row["due_day"])) for row in tasks if row["due_day"]}
    assert {(row["ref_id"], str(row["due"])) for row in asked["03"]} <= days
    created = Counter(f"{local(row, 'created_at'):%Y-%m}" for row in tasks if not row["deleted_at"])
    assert {row["month"]: row["created"] for row in asked["06"]} == {
        month: number for month, number in created.items() if month >= "2025-01"
    }

    steps = shown["steps"]
    assert steps[-1] == str(now.astimezone(own["east"]).date())
    for source, zone in own.items():
        mine, of_mine = (
            [row for row in tasks if row["source"] == source],
            [row for row in flow if row["source"] == source],
        )
        assert by_day(of_mine, "created") == Counter(str(local(row, "created_at").date()) for row in mine)
        again = [row for row in reopenings if row["source_id"] == mine[0]["source_id"]]
        assert by_day(of_mine, "reopened") == Counter(str(local(row, "reopened_at", zone).date()) for row in again)
        last = max(str(row["day"]) for row in of_mine)
        assert last in {str(moment.astimezone(zone).date()) for moment in (now, datetime.now(UTC))}

        cells = {place for place, (name, *_) in enumerate(shown["cells"]) if shown["streams"][name] == source}
        for place, name in enumerate(("created", "resolved", "reopened", "deleted"), start=3):
            drawn: Counter[str] = Counter()
            for row in shown["flow"]:
                if row[0] in cells and row[1] >= 0 and row[place]:
                    drawn[steps[row[1]]] += row[place]
            assert drawn == {day: number for day, number in by_day(of_mine, name).items() if day >= steps[0]}, name
        hours = [local(row, "created_at") for row in mine if str(row["created_day"]) >= steps[0]]
        arrivals: Counter[int] = Counter()
        for cell, place, number in shown["arrivals"]:
            arrivals[place] += number if cell in cells else 0
        assert +arrivals == Counter(moment.weekday() * 24 + moment.hour for moment in hours)
