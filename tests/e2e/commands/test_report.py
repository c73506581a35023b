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


def test_it_needs_no_home(run_cli: Run, migrated_sqlite_url: str, tmp_path: Path) -> None:
    unknown_user = "import os, sys; os.environ.pop('HOME', None); sys.modules['pwd'] = None"
    (tmp_path / "sitecustomize.py").write_text(unknown_user, encoding="utf-8")
    done = run_cli("report", env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--timezone", "Europe/Nowhere"), "no time zone such as UTC or Europe/Berlin"),
        (("--since", "0d"), "--since must be from 1d to 3660d"),
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
    assert "choose a file in a folder that is there" in done.stderr


def test_what_is_no_file_is_written_into_and_not_replaced(
    run_cli: Run, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    device = tmp_path / "out"
    device.symlink_to("/dev/stdout")
    done = run_cli("report", "--quiet", "--out", str(device), env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("<!DOCTYPE html>")
    assert device.is_symlink()


def test_a_link_stays_a_link_and_its_file_private(run_cli: Run, migrated_sqlite_url: str, tmp_path: Path) -> None:
    shown = tmp_path / "www" / "support.html"
    shown.parent.mkdir()
    shown.write_text("the one before")
    shown.chmod(0o640)
    link = tmp_path / "report.html"
    link.symlink_to(shown)
    assert run_cli("report", env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url}).returncode == 0
    assert link.is_symlink()
    assert shown.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert shown.stat().st_mode & 0o777 == 0o640


def test_without_a_browser_the_report_is_made_and_says_so(
    run_cli: Run, migrated_sqlite_url: str, tmp_path: Path
) -> None:
    machine = {"PATH": str(tmp_path), "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    done = run_cli("report", "--open", env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url, **machine})
    assert done.returncode == 0, done.stderr
    assert "no browser was found; open report.html yourself" in done.stderr
    assert (tmp_path / "report.html").exists()
