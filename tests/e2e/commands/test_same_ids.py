"""Three sources that give equal ids under other names: each question, view, export and panel is right for each.

What one database with all three says must be what three databases with one source each say together.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import create_engine

from etl.load.schema.task_tables import CHILDREN, task_changes
from etl.load.schema.view_columns import VIEWS
from tests.e2e.test_readme import QUESTIONS
from tests.integration.test_grafana import PANELS, as_sent

NAMES = ("first", "second", "copy")  # the third is a copy of the first on another host: the same account and stream
NOW = datetime.now(UTC)
# What is another one in each database, or another a second later.
_OWN = {
    *("source_id", "id", "run_id", "first_run_id", "last_run_id", "window_id", "seen_at", "watermark", "age_seconds"),
    *("last_started_at", "last_finished_at", "gap_start", "gap_end", "minutes_old"),
    *("median", "longest", "seconds", "overdue_seconds"),
    *("watermark", "complete_until", "complete until", "hours", "late"),
    *("ended", "started_at", "last_seen_at", "first_seen_at"),
}  # fmt: skip
_WHEN_FOUND = {"deleted_at", "ended_at", "changed_at"}  # may be when a run found a task gone
Rows = list[dict[str, Any]]


def record(name: str, number: int, status: int, hours: int = 0) -> dict[str, Any]:
    """A task; what its status means differs from source to source, and all names do."""
    place = NAMES.index(name)
    category = ("open", "inProgress", "resolved")[(status + place) % 3]
    created = NOW - timedelta(days=30 + number + 5 * place)
    moment = created + timedelta(days=1 + place, hours=hours)
    return {
        "_id": f"ti-{number}",
        "refId": "TS000105" if number == 1 else f"TS{number}",
        "name": f"{name} task {number}",
        "caseId": f"ci-{number // 2}",
        "caseRefId": f"{name} case {number // 2}",
        "status": {"_id": f"sts-{status}", "name": f"{name} status {status}", "statusCategory": category},
        "priority": {"_id": f"pr-{number % 2}", "name": f"{name} priority {number % 2}", "score": number % 2 + 1},
        "currAssignee": {"aId": f"a-{number % 2}", "name": f"{name} agent {number % 2}"},
        "queues": [{"_id": f"qu-{number % 2}", "name": f"{name} queue {number % 2}"}],
        "participants": [{"aId": "a-9", "name": f"{name} helper"}],
        "userInfo": {"_id": "u-1", "name": f"{name} user", "emailId": f"{name}@example.com"},
        "tags": [f"{name} tag"],
        "channel": [f"{name} channel"],
        "dueDate": f"{created + timedelta(days=10):%Y-%m-%dT%H:%M:%S}.000Z",
        "isBreached": number % 2 == place % 2,
        "Produktgruppe": {"id": "fd-1", "displayName": "Produktgruppe", "selectedValue": f"{name} product"},
        "createdAt": f"{created:%Y-%m-%dT%H:%M:%S}.000Z",
        "updatedAt": f"{moment:%Y-%m-%dT%H:%M:%S}.000Z",
    }


@pytest.fixture
def databases(
    sandbox: Callable[..., Any], run_cli: Callable[..., Any], tmp_path: Path, request: Any, database_url: str
) -> tuple[str, dict[str, str]]:
    """The database with all three sources, and one with each: synced, with statuses changed, and with a task gone."""
    servers = {name: sandbox(tasks=0, stream_id="st-second" if name == "second" else "st-first") for name in NAMES}
    alone = {name: _another(request, database_url, name) for name in NAMES}
    for step in range(3):
        for name, server in servers.items():
            numbers = range(5 + NAMES.index(name))
            server.put([record(name, number, (number + step * (number % 2)) % 3, hours=step) for number in numbers])
            if step == 2:
                server.remove(["ti-3"])
        command = ("reconcile", "--force") if step == 2 else ("sync",)
        for url, names in [(database_url, NAMES), *((alone[name], (name,)) for name in NAMES)]:
            settings = tmp_path / f"{len(names)}-{names[0]}.toml"
            settings.write_text("".join(_source(name, servers[name]) for name in names), "utf-8")
            settings.chmod(0o600)
            done = run_cli(*command, "--config", str(settings), env={"KORE_ETL_DATABASE_URL": url})
            assert done.returncode == 0, done.stderr
    return database_url, alone


def _another(request: Any, url: str, name: str) -> str:
    if url.startswith("sqlite"):
        return url.replace(".db", f"-{name}.db")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f'create schema "{name}"')
    engine.dispose()
    return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D{name}"


def _source(name: str, server: Any) -> str:
    options = server.options
    host = "localhost" if name == "copy" else "127.0.0.1"
    return f"""
[[source]]
name = "{name}"
base_url = "http://{host}:{server.port}"
account_id = "{options.account_id}"
stream_id = "{options.stream_id}"
client_id = "{options.client_id}"
client_secret = "{options.client_secret}"
requests_per_minute = 100000
"""


def asked(url: str, query: str) -> Rows:
    engine = create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("set time zone 'UTC'")
        rows = [dict(row) for row in connection.exec_driver_sql(query.replace("%", "%%")).mappings()]
    engine.dispose()
    return rows


def summed(rows: Rows) -> list[Any]:
    """The rows by what they name, with the sums of what they count; without what is each database's own."""
    sums: dict[Any, list[float]] = defaultdict(list)
    for row in rows:
        told = {key: value for key, value in row.items() if key not in _OWN}
        told |= {key: told[key] is not None for key in _WHEN_FOUND & told.keys()}
        if told.get("field") == "deletion":
            del told["new_value"]
        is_number = {
            key for key, value in told.items() if hasattr(value, "as_integer_ratio") and not isinstance(value, bool)
        }
        key = tuple((key, str(value)) for key, value in told.items() if key not in is_number)
        numbers = [float(told[key]) for key in told if key in is_number]
        sums[key] = [a + b for a, b in zip(sums[key] or [0.0] * len(numbers), numbers, strict=True)]
    return sorted((key, [round(number, 3) for number in numbers]) for key, numbers in sums.items())


def compare(databases: tuple[str, dict[str, str]], queries: dict[str, str]) -> None:
    together, alone = databases
    wrong = {}
    for title, query in queries.items():
        expected = summed([row for url in alone.values() for row in asked(url, query)])
        found = summed(asked(together, query))
        if found != expected:
            wrong[title] = [row for row in found if row not in expected], [row for row in expected if row not in found]
    assert wrong == {}


def test_each_is_right_for_each_source(
    databases: tuple[str, dict[str, str]], run_cli: Callable[..., Any], tmp_path: Path
) -> None:
    together, alone = databases
    assert {row["source"]: row["tasks"] for row in asked(together, "select source, tasks from sync_freshness")} == {
        "first": 4, "second": 5, "copy": 6,
    }  # fmt: skip
    tables = [table.name for table in (task_changes, *CHILDREN)]
    compare(databases, {name: f"select * from {name}" for name in [*(view.name for view in VIEWS), *tables]})
    dialect = "sqlite" if together.startswith("sqlite") else "postgresql"
    questions = [each for each in QUESTIONS if each.dialect in ("", dialect)]
    compare(databases, {each.title: re.sub(r"\nlimit \d+$", "", each.sql) for each in questions})
    for name in NAMES:
        for view in ("task_overview", "task_changes", "daily_flow", "agent_load", "task_tags", "open_backlog"):
            exported = [export(run_cli, url, view, name) for url in (together, alone[name])]
            assert summed(exported[0]) == summed(exported[1]) != [], (name, view)


def export(run_cli: Callable[..., Any], url: str, view: str, source: str) -> Rows:
    arguments = ("--view", view, "--format", "jsonl", "--source", source)
    done = run_cli("export", *arguments, env={"KORE_ETL_DATABASE_URL": url})
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


class TestPostgresql:
    @pytest.fixture
    def database_url(self, postgres_url: str) -> str:
        return postgres_url

    def test_each_panel_is_right_for_each_source(self, databases: tuple[str, dict[str, str]]) -> None:
        together, alone = databases
        ids = {row["name"]: row["id"] for row in asked(together, "select id, name from sources")}
        for name in NAMES:
            for panel in PANELS:
                for target in panel["targets"]:
                    found = asked(together, as_sent(target["rawSql"], [ids[name]]))
                    expected = asked(alone[name], as_sent(target["rawSql"], [1]))
                    assert summed(found) == summed(expected), (name, panel["title"])


class TestSqlite:
    @pytest.fixture
    def database_url(self, sqlite_url: str) -> str:
        return sqlite_url

    @pytest.fixture
    def address(self, databases: tuple[str, dict[str, str]], start_cli: Callable[..., Any]) -> Iterator[str]:
        process = start_cli("explore", "-q", env={"KORE_ETL_DATABASE_URL": databases[0]})
        yield process.stdout.readline().strip()
        process.terminate()

    def test_explore_links_each_row_by_its_own_source(self, address: str) -> None:
        for number, name in enumerate(NAMES, start=1):
            task = requests.get(f"{address}tasks/tasks/ti-1,{number}", timeout=30).text
            for label in ("status", "priority", "agent", "queue", "case", "user"):
                assert re.search(rf'<a href="/tasks/\w+/[\w~-]+,{number}">{name} {label}', task), (name, label)
            assert f'href="/tasks/task_changes?task_id=ti-1&amp;source_id={number}"' in task
            status = requests.get(f"{address}tasks/statuses/sts-1,{number}", timeout=30).text
            assert f'href="/tasks/tasks?status_id=sts-1&amp;source_id={number}"' in status
            listed = requests.get(f"{address}tasks/tasks?source_id={number}", timeout=30).text
            assert f'<a href="/tasks/statuses/sts-1,{number}">{name} status 1</a>' in listed
            overview = requests.get(f"{address}tasks/task_overview?source={name}", timeout=30).text
            assert f'<a href="/tasks/tasks/ti-1,{number}">ti-1</a>' in overview
