"""``kore-etl source`` as a process, and that a source which left the settings is listed apart and judged nowhere."""

from __future__ import annotations

import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from etl.load.database.engine import open_engine
from etl.load.database.locks import named_lock
from tests.e2e.terminal import on_terminal

both = pytest.mark.parametrize("database", ["sqlite_url", "postgres_url"])


@pytest.fixture
def old(sandbox):
    return sandbox(tasks=12)


@pytest.fixture
def new(sandbox):
    return sandbox(tasks=7, stream_id="st-new")


@pytest.fixture
def settings(run_cli, old, new, environment, sqlite_url) -> dict[str, str]:
    """The settings of the new source; the old one was synced before, under the same name."""
    assert run_cli("sync", env=environment(old, sqlite_url)).returncode == 0
    return environment(new, sqlite_url)


def listed(run_cli, env):
    return json.loads(run_cli("source", "list", "--output", "json", env=env).stdout)


def test_init_stores_no_source_that_refuses(run_cli, old, sqlite_url, tmp_path):
    known = old.options
    given = ["--base-url", old.url, "--account-id", known.account_id, "--stream-id", known.stream_id]
    given += ["--client-id", known.client_id, "--client-secret-file", "-", "--config", str(tmp_path / "k.toml")]
    done = run_cli("init", *given, "--database-url", sqlite_url, input="wrong" * 10)
    assert done.returncode == 4
    assert done.stderr.count("the API refused the token") == 1
    assert not (tmp_path / "kore-etl.db").exists()


def test_a_source_that_left_the_settings_is_listed_apart(run_cli, settings, tmp_path):
    never = run_cli("status", "--max-age", "1h", env=settings)
    assert (never.returncode, "was never synced" in never.stdout) == (3, True)
    assert run_cli("sync", env=settings).returncode == 0
    done = run_cli("status", "--max-age", "1h", env=settings)
    assert done.returncode == 0
    judged, apart = done.stdout.split("Not in the settings any more; see: kore-etl source list\n")
    assert "st-new" in judged
    assert "12 tasks, complete until" in apart
    engine = open_engine(settings["KORE_ETL_DATABASE_URL"])
    with engine.begin() as connection:
        connection.exec_driver_sql("delete from watermarks where source_id = 1")
    engine.dispose()
    assert run_cli("status", "--max-age", "1h", env=settings).returncode == 0
    assert run_cli("report", "--out", "r.html", env=settings).returncode == 0
    page = (tmp_path / "r.html").read_text()
    assert "It is not in the settings any more" in page
    assert "incomplete: the first sync has not finished yet" not in page


def test_without_any_source_in_the_settings_all_are_judged(run_cli, settings):
    only = {"KORE_ETL_DATABASE_URL": settings["KORE_ETL_DATABASE_URL"]}
    done = run_cli("status", "--max-age", "1h", env=only)
    assert (done.returncode, "Not in the settings" in done.stdout) == (0, False)


def test_metrics_lose_a_source_that_left_the_settings(run_cli, old, new, environment, sqlite_url, tmp_path):
    for server in (old, new):
        assert run_cli("sync", "--metrics-file", "m.prom", env=environment(server, sqlite_url)).returncode == 0
    families = text_string_to_metric_families((tmp_path / "m.prom").read_text())
    streams = {sample.labels["stream"] for each in families for sample in each.samples if "stream" in sample.labels}
    assert streams == {"st-new"}


def test_is_renamed_unless_another_has_the_name(run_cli, old, settings):
    assert run_cli("sync", env=settings).returncode == 0
    both_named = run_cli("source", "rename", "default", "old", env=settings)
    assert (both_named.returncode, "2 sources have this name; give an id" in both_named.stderr) == (2, True)
    assert run_cli("source", "rename", old.options.stream_id, "old", env=settings).returncode == 0
    assert [row["name"] for row in listed(run_cli, settings)] == ["default", "old"]
    refused = run_cli("source", "rename", "old", "default", env=settings)
    assert (refused.returncode, "is the name of another source" in refused.stderr) == (2, True)
    back = run_cli("source", "rename", "default", "new", env=settings)
    assert 'the settings still call it default: set name = "new" there' in back.stderr


@both
def test_is_dropped_with_all_its_rows_and_no_others(run_cli, old, new, environment, request, database):
    url = request.getfixturevalue(database)
    for server in (old, new):
        assert run_cli("sync", env=environment(server, url)).returncode == 0
    done = run_cli("source", "drop", old.options.stream_id, "--yes", "--output", "json", env=environment(new, url))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]["tasks"] == 12
    (left,) = listed(run_cli, environment(new, url))
    assert (left["stream_id"], left["tasks"], left["in_settings"]) == ("st-new", 7, True)
    assert run_cli("sync", env=environment(old, url)).returncode == 0


def test_says_what_goes_and_asks(run_cli, old, settings, tmp_path):
    refused = run_cli("source", "drop", "default", env=settings)
    assert (refused.returncode, "add --yes" in refused.stderr) == (2, True)
    code, shown = on_terminal(["source", "drop", "default"], tmp_path, settings, typed=["n"], columns=200)
    assert code == 130
    assert f"This deletes default ({old.options.stream_id}) with 12 tasks, " in shown
    assert len(listed(run_cli, settings)) == 1


def test_is_not_dropped_while_a_run_works_on_it(run_cli, old, settings):
    engine = open_engine(settings["KORE_ETL_DATABASE_URL"])
    lock = named_lock(engine, f"sync 127.0.0.1 {old.options.account_id} {old.options.stream_id}")
    assert lock.acquire(wait=False)
    assert run_cli("source", "drop", "default", "--yes", env=settings).returncode == 75
    lock.release()
    engine.dispose()
