"""``--metrics-file``: figures for Prometheus, whole or not at all, and the alerts that look at them."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from etl.cli.notify.metrics_file import METRICS, PREFIX
from tests.conftest import clean_environment

CHECKOUT = Path(__file__).resolve().parents[2]
RULES = yaml.safe_load((CHECKOUT / "config/prometheus/kore-etl.rules.yml").read_text())["groups"]
ALERTS = [rule for group in RULES for rule in group["rules"]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kore-etl.prom"


def samples(file: Path) -> dict[str, float]:
    """Each sample by its name, and what tells it from others of that name."""
    found = {}
    for family in text_string_to_metric_families(file.read_text()):
        for sample in family.samples:
            more = [sample.labels[key] for key in ("outcome",) if key in sample.labels]
            found["/".join([sample.name.removeprefix(PREFIX), *more])] = sample.value
    return found


def labels(file: Path, name: str) -> list[dict[str, str]]:
    families = text_string_to_metric_families(file.read_text())
    return [sample.labels for family in families for sample in family.samples if sample.name == PREFIX + name]


def test_a_sync_writes_what_it_did(sandbox, environment, sqlite_url, run_cli, file):
    server, before = sandbox(tasks=20), time.time()
    done = run_cli("sync", "--metrics-file", str(file), "--output", "json", env=environment(server, sqlite_url))
    assert done.returncode == 0
    (told,) = json.loads(done.stdout)["sources"]
    found = samples(file)
    assert {name.partition("/")[0] for name in found} == set(METRICS)
    assert (found["last_run_exit_code"], found["tasks"], found["last_run_rows/inserted"]) == (0, 20, 20)
    parts = ("server_total", "stored_live", "quarantined", "hidden", "missing")
    assert [found[f"account_{part}"] for part in parts] == [20, 20, 0, 0, 0]
    assert found["last_run_requests"] == told["requests"] == server.request_count
    assert found["last_run_budget_used_ratio"] == pytest.approx(server.request_count / 6000)
    assert before - 1 < found["last_success_timestamp_seconds"] <= found["last_run_timestamp_seconds"] < time.time() + 1
    assert found["lag_seconds"] == pytest.approx(
        found["last_run_timestamp_seconds"] - found["complete_until_timestamp_seconds"], abs=0.1
    )
    (of_run,) = labels(file, "last_run_exit_code")
    assert of_run == {"source": "default", "stream": server.environment["KORE_ETL_STREAM_ID"], "command": "sync"}
    assert labels(file, "tasks") == [{key: of_run[key] for key in ("source", "stream")}]
    assert server.environment["KORE_ETL_CLIENT_SECRET"] not in file.read_text()


def test_anyone_may_read_it_and_nothing_is_left_beside_it(sandbox, environment, sqlite_url, tmp_path, file):
    env = environment(sandbox(tasks=20), sqlite_url) | {"KORE_ETL_METRICS_FILE": str(file)}
    command = [sys.executable, "-m", "etl", "sync"]
    subprocess.run(
        command, cwd=tmp_path, env=clean_environment(tmp_path, env), umask=0o077, check=True, capture_output=True
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir() if "prom" in path.name] == [file.name]


@pytest.mark.parametrize("database_is_there", [True, False], ids=["refused", "no database"])
def test_a_failed_run_keeps_when_the_last_one_succeeded(
    sandbox, environment, sqlite_url, run_cli, file, database_is_there
):
    env = environment(sandbox(tasks=20), sqlite_url)
    run_cli("sync", "--metrics-file", str(file), env=env)
    good = samples(file)
    wrong = (
        {"KORE_ETL_CLIENT_SECRET": "x" * 40} if database_is_there else {"KORE_ETL_DATABASE_URL": "sqlite:////x/y.db"}
    )
    done = run_cli("sync", "--metrics-file", str(file), env=env | wrong)
    assert done.returncode == (4 if database_is_there else 6)
    bad = samples(file)
    assert bad["last_run_exit_code"] == done.returncode
    assert bad["last_success_timestamp_seconds"] == good["last_success_timestamp_seconds"]
    assert bad["watermark_timestamp_seconds"] == good["watermark_timestamp_seconds"]
    assert bad["last_run_timestamp_seconds"] > good["last_run_timestamp_seconds"]
    assert bad["tasks"] == 20


def test_a_quiet_sync_keeps_the_watermark_and_is_fresh(sandbox, environment, sqlite_url, run_cli, file):
    env = environment(sandbox(tasks=300), sqlite_url) | {"KORE_ETL_METRICS_FILE": str(file), "KORE_ETL_OVERLAP": "366d"}
    told = []
    for _ in range(3):
        assert run_cli("sync", env=env).returncode == 0
        told.append(samples(file))
    assert told[2]["watermark_timestamp_seconds"] == told[1]["watermark_timestamp_seconds"]
    assert told[2]["complete_until_timestamp_seconds"] > told[1]["last_run_timestamp_seconds"] - 1
    assert told[2]["lag_seconds"] < told[2]["last_run_timestamp_seconds"] - told[2]["watermark_timestamp_seconds"]


def test_each_command_has_figures_of_its_own(sandbox, environment, sqlite_url, run_cli, file):
    env = environment(sandbox(tasks=20), sqlite_url) | {"KORE_ETL_METRICS_FILE": str(file)}
    for command in (["sync"], ["backfill"], ["reconcile"]):
        assert run_cli(*command, env=env).returncode == 0
    assert [each["command"] for each in labels(file, "last_run_exit_code")] == ["sync", "backfill", "reconcile"]


def test_one_that_cannot_be_written_is_a_warning_and_no_more(sandbox, environment, sqlite_url, run_cli, tmp_path):
    done = run_cli(
        "sync", "--metrics-file", str(tmp_path / "no" / "folder.prom"), env=environment(sandbox(tasks=20), sqlite_url)
    )
    assert done.returncode == 0
    (warning,) = [line for line in map(json.loads, done.stderr.splitlines()) if line["level"] == "warning"]
    assert (warning["event"], warning["reason"]) == ("metrics.failed", "No such file or directory")


def test_what_is_no_file_of_ours_is_replaced(sandbox, environment, sqlite_url, run_cli, file):
    file.write_text("kore_etl_tasks{source=} broken\nanother 1\n")
    assert run_cli("sync", "--metrics-file", str(file), env=environment(sandbox(tasks=20), sqlite_url)).returncode == 0
    assert samples(file)["tasks"] == 20
    assert "another" not in file.read_text()


def metrics_in(expression: object) -> set[str]:
    """The metrics that a parsed expression selects."""
    return {
        name
        for attribute in ("vector_selector", "lhs", "rhs", "expr", "args", "func", "param")
        if (part := getattr(expression, attribute, None)) is not None
        for each in (part if isinstance(part, list) else [part])
        for name in metrics_in(each)
    } | ({expression.name} if isinstance(expression, promql_parser.VectorSelector) else set())


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_looks_at_what_is_written(alert):
    names = metrics_in(promql_parser.parse(alert["expr"]))
    assert names, alert["expr"]
    assert names <= {PREFIX + name for name in METRICS}
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert promql_parser.parse_duration(alert["for"])
    assert set(alert["annotations"]) == {"summary", "description"}


def test_there_is_an_alert_for_all_that_may_go_wrong():
    looked_at = set().union(*(metrics_in(promql_parser.parse(alert["expr"])) for alert in ALERTS))
    needed = (
        "complete_until_timestamp_seconds",
        "last_run_timestamp_seconds",
        "last_run_exit_code",
        "rejected_records",
    )
    assert {
        PREFIX + name for name in (*needed, "gaps", "unverified_windows", "account_missing", "last_run_rate_limited")
    } <= looked_at


def test_a_source_that_had_the_same_name_changes_no_figure(sandbox, environment, sqlite_url, run_cli, file):
    """A sync with a mistyped stream leaves such a source behind."""
    server = sandbox(tasks=30, shape="eight")
    good = environment(server, sqlite_url)
    assert run_cli("sync", "--metrics-file", str(file), env=good).returncode == 0
    assert run_cli("sync", env={**good, "KORE_ETL_STREAM_ID": "st-wrong"}).returncode == 4
    assert run_cli("sync", "--metrics-file", str(file), env=good).returncode == 0
    text = file.read_text()
    assert re.search(r"^kore_etl_tasks\{.*\} 30.0$", text, re.MULTILINE)
    assert "kore_etl_watermark_timestamp_seconds{" in text
