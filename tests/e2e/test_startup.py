"""What a command imports: the time until it starts is the modules that it loads, and those can be counted."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import clean_environment

PROGRAM = """
import sys
from etl.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(*sys.modules, file=open("modules", "w"))
    raise
"""
NEVER_IN_A_QUIET_SYNC = {
    *("alembic", "hypothesis", "logging.handlers", "multiprocessing", "prometheus_client"),
    *(
        "cryptography",
        "jwt",
        "pyarrow",
        "rich",
        "tomli_w",
        "xml",
        "etl.cli.notify.metrics_file",
        "etl.jobs.reconcile",
        "etl.sandbox",
    ),
}
NEVER_AT_ONCE = NEVER_IN_A_QUIET_SYNC | {
    *("asyncio", "email", "http", "msgspec", "orjson", "requests", "sqlalchemy", "ssl"),
    *("structlog", "tenacity", "tomllib", "urllib3", "etl.extract", "etl.jobs", "etl.load", "etl.settings"),
}

Loaded = Callable[..., set[str]]


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """Run a command that is to end well and give the modules that it imported."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> set[str]:
        subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=tmp_path,
            env=clean_environment(tmp_path, env),
            check=True,
            capture_output=True,
        )
        return set((tmp_path / "modules").read_text().split())

    return run


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_the_version_and_the_help_import_next_to_nothing(loaded, argument):
    modules = loaded(argument)
    assert modules & NEVER_AT_ONCE == set()
    assert len({name for name in modules if name.startswith("etl")}) < 12


@pytest.mark.parametrize("command", ["sync", "backfill", "export", "prune", "reconcile"])
def test_help_imports_nothing_that_the_command_works_with(loaded, command):
    assert loaded(command, "--help") & (NEVER_AT_ONCE - {"etl.load", "etl.jobs"}) == set()


def test_a_quiet_sync_imports_only_what_it_needs(loaded, sandbox, environment, sqlite_url, run_cli):
    env = environment(sandbox(tasks=20), sqlite_url)
    assert run_cli("sync", env=env).returncode == 0
    modules = loaded("sync", env=env)
    assert modules & NEVER_IN_A_QUIET_SYNC == set()
    assert [name for name in modules if name.startswith(("sqlalchemy.dialects.postgresql", "psycopg"))] == []


def test_a_quiet_sync_imports_only_its_own_dialect(loaded, sandbox, environment, postgres_url, run_cli):
    env = environment(sandbox(tasks=20), postgres_url)
    assert run_cli("sync", env=env).returncode == 0
    modules = loaded("sync", env=env)
    assert modules & NEVER_IN_A_QUIET_SYNC - {"xml"} == set()
    assert [name for name in modules if name.startswith(("sqlalchemy.dialects.sqlite", "sqlite3"))] == []
