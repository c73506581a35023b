"""A real browser, and the report that it is to show: of the demo's tasks, some of them odd."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, sync_playwright

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
EVIL = "<script>document.title = 'run'</script>"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's chromium; where there is none, the tests fail and say what to do."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.fail("no chromium is installed, and the tests install nothing by themselves: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's database, with a second stream and a name that is markup."""
    from etl.cli.commands.setup.demo import demo

    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
        demo.main(["--tasks", "600", "--keep", str(folder)], standalone_mode=False)
    path = folder / "kore-etl.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO sources (id, name, base_url, host, account_id, stream_id, created_at)"
            " SELECT 2, 'second', base_url, host, account_id, 'st-2', created_at FROM sources"
        )
        columns = "value, moved_at, run_id"
        connection.execute(f"INSERT INTO watermarks (source_id, {columns}) SELECT 2, {columns} FROM watermarks")
        for table in ("statuses", "priorities", "cases", "agents", "queues", "users"):
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != "source_id"]
            columns = ", ".join(names)
            connection.execute(f"INSERT INTO {table} (source_id, {columns}) SELECT 2, {columns} FROM {table}")
        seconds = "IN (SELECT _id FROM tasks WHERE ref_id LIKE '%7')"
        connection.execute(f"UPDATE task_changes SET source_id = 2 WHERE task_id {seconds}")
        connection.execute("UPDATE tasks SET source_id = 2, stream_id = 'st-2' WHERE ref_id LIKE '%7'")
        for table in ("task_changes", "status_intervals", "task_progress"):
            connection.execute(
                f"UPDATE {table} SET source_id = 2 WHERE task_id IN (SELECT _id FROM tasks WHERE source_id = 2)"
            )
        connection.execute("UPDATE tasks SET name = ?", (EVIL,))
        connection.execute("UPDATE agents SET name = ? WHERE name LIKE 'J%'", (EVIL,))
    return path


@pytest.fixture(scope="session")
def page_file(database: Path) -> Path:
    """The report of that database."""
    return _written(f"sqlite:///{database}", database.with_name("report.html"))


@pytest.fixture(scope="session")
def week_page_file(database: Path) -> Path:
    """The report of its last days."""
    return _written(f"sqlite:///{database}", database.with_name("week.html"), days=7)


@pytest.fixture(scope="session")
def first_day_page_file(database: Path) -> Path:
    """The report of its tasks as if they were all first read today, with a link to each."""
    path = database.with_name("first.db")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(path)) as copy, copy:
        source.backup(copy)
        copy.execute("UPDATE tasks SET first_seen_at = ?", (f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}.000",))
        for table in ("task_changes", "status_intervals", "task_progress"):
            copy.execute(f"DELETE FROM {table}")
    return _written(f"sqlite:///{path}", database.with_name("first.html"), task_url="https://console.invalid/{_id}")


@pytest.fixture(scope="session")
def young_page_file(database: Path) -> Path:
    """The report of a history that begins in the middle of its days: what is older was first read 40 days ago."""
    path = database.with_name("young.db")
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(path)) as copy, copy:
        source.backup(copy)
        at = f"{datetime.now(UTC) - timedelta(days=40):%Y-%m-%d %H:%M:%S}.000"
        copy.execute("UPDATE tasks SET first_seen_at = max(created_at, ?)", (at,))
        copy.execute("DELETE FROM task_changes WHERE changed_at < ?", (at,))
        for table in ("status_intervals", "task_progress"):
            copy.execute(f"DELETE FROM {table}")
            columns = ", ".join(row[1] for row in copy.execute(f"PRAGMA table_info({table})"))
            copy.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM computed_{table}")
    return _written(f"sqlite:///{path}", database.with_name("young.html"))


@pytest.fixture(scope="session")
def empty_page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a database without a single task."""
    from etl.load.database.engine import open_engine
    from etl.load.schema import migrate

    folder = tmp_path_factory.mktemp("empty")
    engine = open_engine(f"sqlite:///{folder / 'kore-etl.db'}")
    migrate.upgrade(engine)
    engine.dispose()
    return _written(f"sqlite:///{folder / 'kore-etl.db'}", folder / "report.html")


def _written(url: str, path: Path, days: int = 90, task_url: str | None = None) -> Path:
    from etl.jobs.diagnostics.status import source_statuses
    from etl.load.database.engine import open_engine
    from etl.report.period import period_until
    from etl.report.query_numbers import figures
    from etl.report.render_html import page

    now, zone = datetime.now(UTC), ZoneInfo("Europe/Berlin")
    period = period_until(now, timedelta(days=days), [zone], zone)
    engine = open_engine(url)
    sources = source_statuses(engine, now=now)
    text = page(figures(engine, period), sources, period, title="Support tasks", task_url=task_url)
    engine.dispose()
    path.write_text(text, encoding="utf-8")
    return path
