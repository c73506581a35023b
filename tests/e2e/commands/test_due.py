"""``kore-etl schedule set|list|pause|resume`` and ``kore-etl sync --due`` as processes."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import text

from etl.load.database.engine import open_engine


@pytest.fixture
def server(sandbox):
    return sandbox(tasks=20)


@pytest.fixture
def cli(run_cli, server, environment, migrated_sqlite_url):
    settings = environment(server, migrated_sqlite_url)

    def run(*arguments: str, code: int = 0, **more: str):
        done = run_cli(*arguments, env={**settings, **more})
        assert done.returncode == code, done.stderr
        return done

    return run


@pytest.fixture
def make_due(migrated_sqlite_url):
    def change() -> None:
        engine = open_engine(migrated_sqlite_url)
        with engine.begin() as connection:
            connection.execute(text("update sources set next_due_at = '2026-01-01 00:00:00.000'"))
        engine.dispose()

    return change


def listed(cli) -> dict:
    (only,) = json.loads(cli("schedule", "list", "--output", "json").stdout)
    return only


def test_a_due_source_is_synced_once_until_it_is_due_again(cli, server, make_due):
    assert "default: every 5m, next at " in cli("schedule", "set", "default", "--every", "5m").stderr
    assert (listed(cli)["every"], listed(cli)["seconds_late"], listed(cli)["in_settings"]) == ("5m", None, True)
    make_due()
    assert listed(cli)["seconds_late"] > 0
    assert "late" in cli("status").stdout
    done = json.loads(cli("sync", "--due", "--for", "55s", "--output", "json").stdout)
    assert [each["inserted"] for each in done["sources"]] == [20]
    asked = server.request_count
    assert json.loads(cli("sync", "--due", "--output", "json").stdout) == {"sources": [], "exit_code": 0}
    assert server.request_count == asked


def test_a_paused_source_is_not_synced(cli, server, make_due):
    cli("schedule", "set", "default", "--every", "5m")
    cli("schedule", "pause", "default")
    make_due()
    cli("sync", "--due")
    assert (server.request_count, listed(cli)["paused"]) == (0, True)
    assert "paused" in cli("status").stdout
    cli("schedule", "resume", "default")
    cli("sync", "--due")
    assert server.request_count > 0


def test_wrong_intervals_and_sources_are_refused(cli):
    refused = cli("schedule", "set", "default", "--every", "2s", code=2, KORE_ETL_REQUESTS_PER_MINUTE="30")
    assert "accepted: 4s or longer" in refused.stderr
    assert "no such source" in cli("schedule", "set", "other", "--every", "5m", code=2).stderr
    assert "has no interval" in cli("schedule", "pause", "default", code=2).stderr
    assert "whole seconds" in cli("schedule", "set", "default", "--every", "1.5", code=2).stderr
    assert "--for goes with --due" in cli("sync", "--for", "1m", code=2).stderr
