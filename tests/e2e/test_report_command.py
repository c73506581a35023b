"""``kore-etl report`` as a process: the file that it writes, and what it says where it cannot."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from etl.sandbox import Sandbox

Run = Callable[..., subprocess.CompletedProcess[str]]
Settings = Callable[[Sandbox, str], dict[str, str]]


@pytest.fixture
def synced(sandbox: Callable[..., Sandbox], environment: Settings, migrated_url: str, run_cli: Run) -> dict[str, str]:
    """The settings of a database into which a desk's tasks were synced."""
    settings = environment(sandbox(tasks=200, pattern="desk", days=60), migrated_url)
    assert run_cli("sync", env=settings).returncode == 0
    return settings


def test_it_writes_one_file_and_says_where(run_cli: Run, synced: dict[str, str], tmp_path: Path) -> None:
    done = run_cli("report", "--timezone", "Europe/Berlin", "--title", "Our desk", env=synced)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "report.html" in done.stderr
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h1>Our desk</h1>" in page
    assert "Everything that was created or changed up to" in page
    assert "200 tasks are stored." in page
    assert [path.name for path in tmp_path.glob("*report*")] == ["report.html"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--timezone", "Europe/Nowhere"), "no time zone such as UTC or Europe/Berlin"),
        (("--since", "0d"), "--since is from 1d to 3660d"),
        (("--since", "soon"), "'soon'"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(run_cli: Run, options: tuple[str, ...], said: str) -> None:
    done = run_cli("report", *options)
    assert done.returncode == 2
    assert said in done.stderr


def test_without_a_database_nothing_is_written(run_cli: Run, sqlite_url: str, tmp_path: Path) -> None:
    done = run_cli("report", env={"KORE_ETL_DATABASE_URL": sqlite_url})
    assert done.returncode == 6
    assert "run: kore-etl sync" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(run_cli: Run, migrated_sqlite_url: str) -> None:
    done = run_cli("report", "--out", "missing/report.html", env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url})
    assert done.returncode == 2
    assert "--out missing/report.html: cannot be written" in done.stderr
