"""``kore-etl probe`` as a process: what it shows, what it asks, what it keeps."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

from etl.load.database.engine import open_engine
from etl.load.database.locks import held, named_lock
from etl.load.ledger.sources import identity
from tests.conftest import clean_environment

QUESTIONS = [
    "startDate and endDate filter on",
    "rows on both dates are included",
    "dates are compared to the",
    "sortBy updatedAt is obeyed",
    "sortBy createdAt is obeyed",
    "most rows a request",
    "inactive tasks are counted",
    "longest range of dates",
    "the server's clock is",
]


def shown(output: str) -> tuple[str, dict[str, tuple[str, str]]]:
    """The line above the table, and the table: question: (answer, evidence)."""
    title, head, *lines = output.splitlines()
    first, second = head.index("answer"), head.index("evidence")
    return title, {
        line[:first].strip(): (line[first:second].strip(), line[second:].strip()) for line in lines if line.strip()
    }


@pytest.mark.parametrize(
    ("options", "answers"),
    [
        pytest.param(
            {},
            ["createdAt", "yes", "millisecond", "yes", "yes", "50", "unknown", "any", "as ours"],
            id="as the page suggests",
        ),
        pytest.param(
            {"window_field": "updatedAt", "granularity": "second", "ends": "exclusive", "sort_fields": ("updatedAt",)},
            ["updatedAt", "no", "second", "yes", "no", "50", "unknown", "any", "as ours"],
            id="each answer another",
        ),
        pytest.param(
            {"sort": "ignored", "cap": 137, "cap_mode": "refuse", "max_range_days": 31, "clock_skew": -3600.0},
            ["createdAt", "yes", "millisecond", "no", "no", "137", "unknown", "31 days", "3600 s behind"],
            id="limits",
        ),
        pytest.param(
            {"date_header": "missing"},
            ["createdAt", "yes", "millisecond", "yes", "yes", "50", "unknown", "any", "unknown"],
            id="no Date",
        ),
        pytest.param({"tasks": 0}, [*["unknown"] * 8, "as ours"], id="no tasks"),
    ],
)
def test_shows_questions_answers_and_evidence(run_cli, sandbox, environment, migrated_sqlite_url, options, answers):
    server = sandbox(**{"tasks": 300, **options})
    done = run_cli("probe", env=environment(server, migrated_sqlite_url))
    assert done.returncode == 0, done.stderr
    title, table = shown(done.stdout)
    assert [*table] == QUESTIONS
    # The Date header is cut to the second: what it says is up to one behind the server's clock.
    assert [answer.replace("3601 s", "3600 s") for answer, _ in table.values()] == answers
    assert all(evidence for _, evidence in table.values())
    count = server.request_count
    assert count <= 12
    assert title == f"default, {count} request{'s' if count > 1 else ''}:"


def test_keeps_the_answers_and_asks_only_what_is_unknown(run_cli, sandbox, environment, migrated_url):
    server = sandbox(tasks=300)
    env = environment(server, migrated_url)
    first = shown(run_cli("probe", env=env).stdout)[1]
    server.reset_requests()
    title, again = shown(run_cli("probe", env=env).stdout)
    assert (title, server.request_count) == ("default, no request was needed:", 0)
    assert {**again, QUESTIONS[-1]: first[QUESTIONS[-1]]} == first
    assert again[QUESTIONS[-1]] == ("unknown", "nothing was asked")
    assert run_cli("probe", "--all", env=env).stdout.startswith("default, 7 requests:\n")


def test_asks_again_what_the_tasks_of_then_could_not_show(run_cli, sandbox, environment, migrated_sqlite_url):
    server = sandbox(tasks=0)
    env = environment(server, migrated_sqlite_url)
    assert shown(run_cli("probe", env=env).stdout)[1]["sortBy updatedAt is obeyed"][0] == "unknown"
    server.change(insert=80)
    assert shown(run_cli("probe", env=env).stdout)[1]["sortBy updatedAt is obeyed"][0] == "yes"


def test_all_finds_what_has_changed_and_says_so(run_cli, sandbox, environment, migrated_sqlite_url):
    server = sandbox(tasks=300)
    env = environment(server, migrated_sqlite_url)
    run_cli("probe", env=env)
    server.configure(window_field="updatedAt")
    done = run_cli("probe", "--all", env=env)
    assert shown(done.stdout)[1]["startDate and endDate filter on"][0] == "updatedAt"
    assert '"event": "probe.changed", "question": "window_field", "before": "createdAt"' in done.stderr


def test_takes_what_is_set_by_hand_for_granted(run_cli, sandbox, environment, migrated_sqlite_url):
    server = sandbox(tasks=300, granularity="second")
    overrides = {
        "KORE_ETL_WINDOW_FIELD": "updatedAt",
        "KORE_ETL_GRANULARITY": "m",
        "KORE_ETL_PAGE_SIZE": "20",
        "KORE_ETL_SORT_UPDATED": "false",
        "KORE_ETL_LONGEST_RANGE": "36h",
    }
    done = run_cli("probe", "--output", "json", env={**environment(server, migrated_sqlite_url), **overrides})
    (source,) = json.loads(done.stdout)["sources"]
    given = {name: entry["answer"] for name, entry in source["answers"].items() if entry["set_by_hand"]}
    assert given == {
        "window_field": "updatedAt",
        "granularity": 60.0,
        "page_rows": 20,
        "sort_updated": False,
        "longest_range": 129600.0,
        "any_range": False,
    }
    assert source["answers"]["sort_created"]["answer"] is True
    assert max(request["body"]["limit"] for request in server.requests) == 20
    text = shown(run_cli("probe", env={**environment(server, migrated_sqlite_url), **overrides}).stdout)[1]
    assert text["dates are compared to the"] == ("minute", "set by hand")
    assert text["longest range of dates"] == ("1 day, 12:00:00", "set by hand")


def test_writes_json_for_a_pipe(run_cli, sandbox, environment, migrated_sqlite_url):
    server = sandbox(tasks=1, clock_skew=90.0)
    done = run_cli("probe", "--output", "json", env=environment(server, migrated_sqlite_url))
    (source,) = json.loads(done.stdout)["sources"]
    assert source["answers"]["page_rows"] == {
        "answer": 50,
        "evidence": "limit 50 in the answer when 1000 were asked for",
        "set_by_hand": False,
    }
    assert source["answers"]["sort_created"] == {"answer": None, "evidence": None, "set_by_hand": False}
    assert source["unknown"] == ["sort_updated", "sort_created"]
    assert source["requests"] == server.request_count
    assert 88 < source["clock_skew"] < 91


def test_shows_each_source_and_ends_with_the_failing_code(run_cli, sandbox, migrated_sqlite_url, tmp_path):
    server = sandbox(tasks=20)
    settings = server.environment
    lines = [
        'account_id = "{KORE_ETL_ACCOUNT_ID}"',
        'client_id = "{KORE_ETL_CLIENT_ID}"',
        'base_url = "{KORE_ETL_BASE_URL}"',
        f'database_url = "{migrated_sqlite_url}"',
        "requests_per_minute = 6000",
        'client_secret_env = "SECRET"',
        '[[source]]\nname = "wrong"\nstream_id = "st-none"',
        '[[source]]\nname = "right"\nstream_id = "{KORE_ETL_STREAM_ID}"',
    ]
    (tmp_path / "two.toml").write_text("\n".join(lines).format(**settings))
    done = run_cli("probe", "--config", "two.toml", env={"SECRET": settings["KORE_ETL_CLIENT_SECRET"]})
    assert done.returncode == 4
    assert "kore-etl: error: wrong: the API refused the stream" in done.stderr
    assert done.stdout.startswith("right, 7 requests:\n")


def test_does_not_disturb_a_sync_under_way(run_cli, sandbox, environment, migrated_sqlite_url):
    server = sandbox(tasks=20)
    env = environment(server, migrated_sqlite_url)
    engine = open_engine(migrated_sqlite_url)
    source = identity(("127.0.0.1", server.options.account_id, server.options.stream_id))
    with held(named_lock(engine, f"sync {source}"), "source default"):
        done = run_cli("probe", env=env)
    engine.dispose()
    assert (done.returncode, done.stdout, server.request_count) == (75, "", 0)


def test_draws_a_table_on_a_terminal(tmp_path, sandbox, environment, migrated_sqlite_url):
    env = environment(sandbox(tasks=1), migrated_sqlite_url)
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "etl", "probe", "--quiet"],
        cwd=tmp_path,
        env={**clean_environment(tmp_path, env), "TERM": "xterm", "COLUMNS": "100"},
        stdin=child,
        stdout=child,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    os.close(child)
    output = b""
    try:
        while part := os.read(parent, 65_536):
            output += part
    except OSError:  # the other side is closed
        pass
    os.close(parent)
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    text = output.decode()
    assert "\x1b[1mquestion" in text
    assert "\x1b[1mquestion" in text


def test_help_has_an_example_and_names_the_settings(run_cli):
    text = run_cli("probe", "--help").stdout
    assert "  Example:\n    kore-etl probe\n" in text
    for setting in ("window_field", "ends_inclusive", "granularity", "sort_created", "page_size", "longest_range"):
        assert setting in text
