"""``kore-etl demo`` as a process: what a person sees first."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]
NUMBERS = {
    "tasks whose status changed": "select count(distinct task_id) from task_changes where field = 'status'",
    "with a second interval": """
        select count(*) from (select 1 from task_status_intervals group by task_id having count(*) > 1)""",
    "with a cycle time": "select count(first_response_at) from task_cycle_times",
    "resolved by cycle times": "select count(resolved_at) from task_cycle_times",
    "resolved by daily flow": "select sum(resolved) - sum(reopened) from daily_flow",
    "reopened by cycle times": "select sum(reopened) from task_cycle_times",
    "reopened by daily flow": "select sum(reopened) from daily_flow",
    "backlog by daily flow": "select backlog from daily_flow order by day desc limit 1",
    "open now": "select sum(tasks) from open_backlog",
}


def test_the_demo_syncs_twice_and_ends_equal_to_the_server(run_cli: Run, tmp_path: Path) -> None:
    done = run_cli("demo", "--tasks", "300", "--keep", "here")
    assert done.returncode == 0, done.stderr
    assert re.search(r"First sync: .* 300 inserted, 0 updated", done.stdout)
    assert re.search(r"Second sync: .* 12 inserted, 120 updated", done.stdout)
    assert "the server holds 312 tasks, the database 312; 312 are equal" in done.stdout
    with closing(sqlite3.connect(tmp_path / "here" / "kore-etl.db")) as connection:
        assert connection.execute("SELECT count(*) FROM task_overview").fetchone() == (312,)


def test_the_demo_writes_a_report_and_says_where_it_is(run_cli: Run, tmp_path: Path) -> None:
    done = run_cli("demo", "--tasks", "300", "--keep", "here")
    assert re.search(r"^Report: +here/report.html", done.stdout, re.MULTILINE)
    page = (tmp_path / "here" / "report.html").read_text(encoding="utf-8")
    figures = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    drawn = ("open", "agents", "flow", "moves", "arrivals", "stays", "durations", "waiting")
    assert [name for name in drawn if not figures[name]] == []


def test_the_demo_goes_on_where_the_report_extra_is_missing(run_cli: Run, tmp_path: Path) -> None:
    hidden = tmp_path / "jinja2"
    hidden.mkdir()
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError(name='jinja2')", encoding="utf-8")
    done = run_cli("demo", "--tasks", "200", "--keep", "here", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Report: +a report needs jinja2; run: .*pip", done.stdout, re.MULTILINE)
    assert "Your questions:" in done.stdout
    assert not (tmp_path / "here" / "report.html").exists()


def test_all_views_cover_the_made_up_history(run_cli: Run, tmp_path: Path) -> None:
    assert run_cli("demo", "--tasks", "300", "--keep", "here").returncode == 0
    with closing(sqlite3.connect(tmp_path / "here" / "kore-etl.db")) as connection:
        numbers = {name: connection.execute(query).fetchone()[0] for name, query in NUMBERS.items()}
    database_url = f"sqlite:///{tmp_path / 'here' / 'kore-etl.db'}"
    checked = run_cli("db", "check", "--deep", env={"KORE_ETL_DATABASE_URL": database_url})
    assert checked.returncode == 0, checked.stderr
    assert numbers["tasks whose status changed"] > 250
    assert numbers["tasks whose status changed"] == numbers["with a second interval"]
    assert numbers["tasks whose status changed"] == numbers["with a cycle time"]
    assert numbers["resolved by cycle times"] == numbers["resolved by daily flow"]
    assert numbers["reopened by cycle times"] == numbers["reopened by daily flow"]
    assert numbers["backlog by daily flow"] == numbers["open now"]


def test_the_demo_ignores_the_settings_of_whoever_runs_it(run_cli: Run, tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "kore-etl.toml").write_text("no = 'settings'", encoding="utf-8")
    done = run_cli("demo", "--tasks", "200", env={"KORE_ETL_PAGE_SIZE": "none", "KORE_ETL_CONFIG": "missing.toml"})
    assert done.returncode == 0, done.stderr


def test_the_demo_replaces_no_database_but_its_own(run_cli: Run, tmp_path: Path) -> None:
    (tmp_path / "kore-etl.db").write_bytes(b"years of tasks")
    done = run_cli("demo", "--keep", ".")
    assert done.returncode == 2
    assert "--keep ." in done.stderr
    assert (tmp_path / "kore-etl.db").read_bytes() == b"years of tasks"
