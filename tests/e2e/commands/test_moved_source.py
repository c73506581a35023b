"""A source whose host changes in the settings: nothing is read until somebody says whether its server has moved."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.conftest import clean_environment


@pytest.fixture
def moved(
    sandbox: Callable[..., Any], environment: Callable[..., Any], run_cli: Callable[..., Any], database_url: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The settings before and after the host changed; the first were synced with."""
    server = sandbox(tasks=5)
    before = environment(server, database_url)
    assert run_cli("sync", env=before).returncode == 0
    return before, before | {"KORE_ETL_BASE_URL": f"http://localhost:{server.port}"}


def hosts(url: str) -> list[tuple[str, str]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text("select name, host from sources order by id"))]
    engine.dispose()
    return found


def test_a_run_is_refused_until_check_is_told(moved: Any, run_cli: Callable[..., Any], database_url: str) -> None:
    _, after = moved
    for command in (["sync"], ["check"]):
        done = run_cli(*command, env=after)
        assert done.returncode == 2
        assert "source default was read from 127.0.0.1 before, and now from localhost" in done.stdout + done.stderr
        assert "kore-etl check --moved" in done.stdout + done.stderr
    assert hosts(database_url) == [("default", "127.0.0.1")]

    assert run_cli("check", "--moved", env=after).returncode == 0
    assert hosts(database_url) == [("default", "localhost")]
    assert run_cli("sync", env=after).returncode == 0


def test_another_name_makes_it_another_source(
    moved: Any, run_cli: Callable[..., Any], database_url: str, tmp_path: Path
) -> None:
    _, after = moved
    settings = tmp_path / "copy.toml"
    keys = ("base_url", "account_id", "stream_id", "client_id", "client_secret")
    lines = [f'{key} = "{after[f"KORE_ETL_{key.upper()}"]}"\n' for key in keys]
    settings.write_text('[[source]]\nname = "copy"\n' + "".join(lines), "utf-8")
    settings.chmod(0o600)
    done = run_cli("sync", "--config", str(settings), env={"KORE_ETL_DATABASE_URL": database_url})
    assert done.returncode == 0, done.stderr
    assert hosts(database_url) == [("default", "127.0.0.1"), ("copy", "localhost")]


@pytest.mark.parametrize(("answer", "code", "host"), [("y", 0, "localhost"), ("n", 2, "127.0.0.1")])
def test_check_asks_on_a_terminal(
    moved: Any, tmp_path: Path, database_url: str, answer: str, code: int, host: str
) -> None:
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "etl", "check"],
        cwd=tmp_path, env=clean_environment(tmp_path, moved[1]), stdin=child,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    os.close(child)
    os.write(parent, f"{answer}\n".encode())
    said = process.communicate(timeout=60)[1]
    os.close(parent)
    assert process.returncode == code
    assert "Is http://localhost:" in said
    assert hosts(database_url) == [("default", host)]


def test_a_mistyped_host_that_was_never_read_is_no_move(sandbox, environment, sqlite_url, run_cli):
    server = sandbox(tasks=5, shape="eight")
    good = environment(server, sqlite_url)
    assert run_cli("sync", env={**good, "KORE_ETL_BASE_URL": "https://platfrm.kore.invalid"}).returncode == 5
    assert run_cli("sync", env=good).returncode == 0
    assert run_cli("source", "list", env=good).stdout.count("default") == 1
