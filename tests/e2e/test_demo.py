"""``kore-etl demo`` as a process: what a person sees first."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_the_demo_syncs_twice_and_ends_equal_to_the_server(run_cli: Run, tmp_path: Path) -> None:
    done = run_cli("demo", "--tasks", "300", "--keep", "here")
    assert done.returncode == 0, done.stderr
    assert re.search(r"First sync: .* 300 inserted, 0 updated", done.stdout)
    assert re.search(r"Second sync: .* 12 inserted, 120 updated", done.stdout)
    assert "the server holds 312 tasks, the database 312; 312 are equal" in done.stdout
    with closing(sqlite3.connect(tmp_path / "here" / "kore-etl.db")) as connection:
        assert connection.execute("SELECT count(*) FROM task_overview").fetchone() == (312,)


def test_the_demo_ends_by_telling_how_to_see_a_report_worth_looking_at(run_cli: Run, tmp_path: Path) -> None:
    done = run_cli("demo", "--tasks", "300", "--keep", "here")
    told = next(line for line in done.stdout.splitlines() if line.startswith("See it:"))
    command = shlex.split(told.partition("report ")[2])
    assert command.pop() == "--open"
    assert run_cli("report", *command).returncode == 0
    page = (tmp_path / "here" / "report.html").read_text(encoding="utf-8")
    figures = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    drawn = ("open", "breached", "agents", "flow", "moves", "arrivals", "stays", "durations", "waiting")
    assert [name for name in drawn if not figures[name]] == []


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
