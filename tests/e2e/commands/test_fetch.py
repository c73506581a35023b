"""``kore-etl fetch`` as a process: what it sends, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from etl.sandbox import Sandbox
from tests.conftest import clean_environment

EVERYTHING = [
    *("--search", "Drucker für Köln"),
    "--unresolved",
    "--no-unassigned",
    "--mine",
    *("--priority", "High", "--priority", "Critical"),
    *("--status", "Open", "--status", "In-Progress"),
    *("--channel", "rtm", "--channel", "email"),
    *("--queue", "Billing", "--queue", "Returns"),
    *("--agent", "a-1", "--agent", "a-2"),
    *("--start", "2025-05-26"),
    *("--end", "2025-05-27T18:29:59.999+05:30"),
    *("--due", "2025-06-01T08:00:00Z"),
    *("--custom-field", '{"name": "Region", "value": 7}', "--custom-field", '"Floor"'),
    *("--eta", "2025-06-02", "--eta", "later"),
    *("--sort", "dueDate:desc"),
    *("--column", "name", "--column", "new field"),
    *("--skip", "3"),
    *("--limit", "7"),
]
SENT = {
    "searchText": "Drucker für Köln",
    "unresolved": True,
    "unassigned": False,
    "mytask": True,
    "priority": ["High", "Critical"],
    "status": ["Open", "In-Progress"],
    "channel": ["rtm", "email"],
    "queues": ["Billing", "Returns"],
    "agents": ["a-1", "a-2"],
    "startDate": "2025-05-26T00:00:00.000Z",
    "endDate": "2025-05-27T12:59:59.999Z",
    "dueDate": "2025-06-01T08:00:00.000Z",
    "customFields": [{"name": "Region", "value": 7}, "Floor"],
    "ETAlist": ["2025-06-02", "later"],
    "sortBy": {"dueDate": "desc"},
    "selectedColumns": ["name", "new field"],
    "skip": 3,
    "limit": 7,
}


@pytest.fixture
def fetch(run_cli) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command against a server: ``fetch(server, "--limit", "5")``."""

    def fetched(server: Sandbox, *arguments: str) -> subprocess.CompletedProcess[str]:
        settings = {**server.environment, "KORE_ETL_REQUESTS_PER_MINUTE": "6000"}
        return run_cli("fetch", *arguments, env=settings)

    return fetched


def ids(output: str) -> list[str]:
    return [json.loads(line)["_id"] for line in output.splitlines()]


class TestParameters:
    def test_each_option_is_sent_with_its_type(self, fetch, sandbox):
        server = sandbox(tasks=30, strict=True)
        done = fetch(server, *EVERYTHING)
        assert (done.returncode, done.stdout) == (0, "")
        assert [request["body"] for request in server.requests] == [SENT]

    def test_what_is_not_given_is_not_sent(self, fetch, sandbox):
        server = sandbox(tasks=30)
        done = fetch(server)
        assert len(done.stdout.splitlines()) == 10
        assert [request["body"] for request in server.requests] == [{"skip": 0}]

    @pytest.mark.parametrize(
        ("arguments", "sent"),
        [
            (
                ["--no-unresolved", "--unassigned", "--no-mine"],
                {"unresolved": False, "unassigned": True, "mytask": False},
            ),
            (["--sort", "createdAt"], {"sortBy": {"createdAt": "asc"}}),
            (["--sort", "my:field:asc", "--search", ""], {"sortBy": {"my:field": "asc"}, "searchText": ""}),
        ],
        ids=["flags the other way", "ascending by itself", "colon in a name, empty text"],
    )
    def test_other_forms(self, fetch, sandbox, arguments, sent):
        server = sandbox(tasks=30)
        assert fetch(server, *arguments).returncode == 0
        assert server.requests[0]["body"] == {"skip": 0, **sent}

    def test_filters_filter(self, fetch, sandbox):
        server = sandbox(tasks=200)
        done = fetch(server, "--status", "open", "--unassigned", "--limit", "50")
        expected = {
            task["_id"] for task in server.tasks() if task["status"]["name"] == "Open" and not task["currAssignee"]
        }
        assert 0 < len(expected) < 50
        assert set(ids(done.stdout)) == expected

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--sort", "name:up"], "Invalid sort 'name:up': use FIELD, FIELD:asc or FIELD:desc"),
            (["--sort", ":desc"], "use FIELD, FIELD:asc or FIELD:desc"),
            (["--custom-field", "Region"], "'Region' is not JSON"),
            (["--start", "yesterday"], "'yesterday' is no date or time"),
            (["--due", "20250601"], "'20250601' is no date or time"),
            (["--limit", "0"], "0 is not in the range x>=1"),
            (["--skip", "-1"], "-1 is not in the range x>=0"),
            (["--unsolved"], "No such option '--unsolved'"),
        ],
        ids=" ".join,
    )
    def test_a_wrong_one_ends_with_2_and_no_request(self, fetch, sandbox, arguments, said):
        server = sandbox(tasks=1)
        done = fetch(server, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert server.request_count == 0

    def test_bytes_that_are_no_text_end_with_2(self, sandbox, tmp_path):
        command = [sys.executable, "-m", "etl", "fetch", "--search", b"\xff"]
        environ = clean_environment(tmp_path, sandbox(tasks=1).environment)
        done = subprocess.run(command, env=environ, check=False, capture_output=True, timeout=60)
        assert done.returncode == 2
        assert b"cannot be sent" in done.stderr


class TestOutput:
    def test_is_each_task_as_the_server_sent_it(self, fetch, sandbox):
        server = sandbox(tasks=40)
        done = fetch(server, "--limit", "50")
        assert [json.loads(line) for line in done.stdout.splitlines()] == server.tasks()
        assert done.stderr == "kore-etl: 40 tasks, 1 request; 40 match\n"

    def test_keeps_what_is_odd(self, fetch, sandbox):
        odd = {"_id": "ti-1", "name": "\ud800 \x00 \u202e", "big": 2**70, "z": [1.5, None, {}], "a": "Zoë"}
        server = sandbox(tasks=0)
        server.put([odd, None, "text"])
        done = fetch(server)
        assert [json.loads(line) for line in done.stdout.splitlines()] == [odd, None, "text"]
        assert list(json.loads(done.stdout.splitlines()[0])) == list(odd)

    def test_is_the_whole_answer_if_raw(self, fetch, sandbox):
        done = fetch(sandbox(tasks=30), "--raw", "--limit", "2", "--column", "_id")
        (line,) = done.stdout.splitlines()
        answer = json.loads(line)
        assert {**answer, "results": len(answer["results"])} == {
            "results": 2,
            "page": 1,
            "limit": 2,
            "hasMore": True,
            "totalPages": 15,
            "totalResults": 30,
        }
        assert done.stderr == "kore-etl: 2 tasks, 1 request; 30 match; --all reads on\n"

    def test_says_nothing_of_a_total_that_is_not_told(self, fetch, sandbox):
        done = fetch(sandbox(tasks=1, totals="missing"))
        assert done.stderr == "kore-etl: 1 task, 1 request; the server gives no total\n"

    def test_is_silent_beside_it_if_told_so(self, fetch, sandbox):
        assert fetch(sandbox(tasks=1), "--quiet").stderr == ""

    def test_ends_quietly_where_nobody_reads_on(self, start_cli, sandbox):
        process = start_cli("fetch", "--all", "--limit", "50", env=sandbox(tasks=400).environment)
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read().count("\n") <= 1
        assert process.wait(timeout=60) == 141

    def test_makes_no_database(self, fetch, sandbox, tmp_path):
        assert fetch(sandbox(tasks=1)).returncode == 0
        assert list(tmp_path.iterdir()) == []


class TestAll:
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"has_more": "missing"},
            {"totals": "missing"},
            {"totals": "missing", "has_more": "missing"},
            {"totals": "missing", "has_more": "always_true"},
        ],
        ids=["told", "totals alone", "hasMore alone", "neither", "hasMore always"],
    )
    def test_reads_page_by_page_to_the_end_and_warns(self, fetch, sandbox, options):
        server = sandbox(tasks=120, **options)
        done = fetch(server, "--all", "--sort", "createdAt:desc", "--skip", "5")
        assert done.returncode == 0
        expected = sorted(server.tasks(), key=lambda task: task["createdAt"], reverse=True)
        assert ids(done.stdout) == [task["_id"] for task in expected[5:]]
        skips = [request["body"]["skip"] for request in server.requests]
        assert skips[:3] == [5, 55, 105]
        assert len(skips) == (3 if "totals" not in options or options == {"totals": "missing"} else 4)
        assert done.stderr.startswith("kore-etl: warning: paging by skip may miss")
        assert f"kore-etl: 115 tasks, {len(skips)} requests; " in done.stderr

    def test_does_not_warn_of_a_single_page(self, fetch, sandbox):
        assert fetch(sandbox(tasks=9), "--all").stderr == "kore-etl: 9 tasks, 1 request; 9 match\n"

    def test_asks_for_the_page_size_of_the_settings(self, run_cli, sandbox):
        server = sandbox(tasks=30)
        run_cli("fetch", "--all", env={**server.environment, "KORE_ETL_PAGE_SIZE": "20"})
        assert [request["body"]["limit"] for request in server.requests] == [20, 20]

    def test_stops_with_3_where_skip_is_ignored(self, fetch, sandbox):
        server = sandbox(tasks=120, skip="ignored")
        done = fetch(server, "--all")
        assert done.returncode == 3
        assert len(ids(done.stdout)) == 50
        assert "ignores skip and repeats the page" in done.stderr
        assert done.stderr.endswith("kore-etl: 50 tasks, 2 requests; 120 match\n")
        assert server.request_count == 2

    def test_takes_equal_rows_without_an_id_for_what_they_are(self, fetch, sandbox):
        server = sandbox(tasks=0)
        server.put([{"name": "same"}] * 25)
        done = fetch(server, "--all", "--limit", "10")
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 25)

    def test_raw_prints_each_answer(self, fetch, sandbox):
        done = fetch(sandbox(tasks=60), "--all", "--raw")
        assert [len(json.loads(line)["results"]) for line in done.stdout.splitlines()] == [50, 10]


class TestEndings:
    def test_wrong_secret(self, run_cli, sandbox):
        done = run_cli("fetch", env={**sandbox(tasks=1).environment, "KORE_ETL_CLIENT_SECRET": "wrong-" * 8})
        assert (done.returncode, done.stdout) == (4, "")
        assert "kore-etl: error: the API refused the token" in done.stderr

    def test_refused_query(self, fetch, sandbox):
        done = fetch(sandbox(tasks=1, cap_mode="refuse"), "--limit", "51")
        assert (done.returncode, done.stdout) == (4, "")
        assert "limit must be less than or equal to 50" in done.stderr

    def test_refused_on_the_way(self, fetch, sandbox):
        done = fetch(sandbox(tasks=120, max_skip=100), "--all", "--quiet")
        assert (done.returncode, len(done.stdout.splitlines())) == (4, 100)

    def test_no_server(self, run_cli, sandbox):
        server = sandbox(tasks=1)
        settings = {
            **server.environment,
            "KORE_ETL_DEADLINE": "1s",
            "KORE_ETL_TIMEOUT": "1s",
            "KORE_ETL_CONNECT_TIMEOUT": "1s",
        }
        server.stop()
        done = run_cli("fetch", env=settings)
        assert (done.returncode, done.stdout) == (5, "")

    def test_no_source(self, run_cli):
        done = run_cli("fetch")
        assert done.returncode == 2
        assert done.stderr.startswith("kore-etl: error: there are no settings yet; run: kore-etl init")

    def test_terminated(self, start_cli, sandbox):
        server = sandbox(tasks=1, faults={"stall": 1.0})
        process = start_cli("fetch", env=server.environment)
        while not server.request_count:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGTERM)
        assert process.communicate(timeout=60)[1] == "kore-etl: stopped by SIGTERM\n"
        assert process.returncode == 143


def test_reads_one_source_and_asks_which(run_cli, sandbox, tmp_path):
    server = sandbox(tasks=3)
    settings = server.environment
    (tmp_path / "two.toml").write_text(
        'account_id = "{KORE_ETL_ACCOUNT_ID}"\nclient_id = "{KORE_ETL_CLIENT_ID}"\nbase_url = "{KORE_ETL_BASE_URL}"\n'
        'client_secret_env = "SECRET"\n[[source]]\nname = "emea"\nstream_id = "{KORE_ETL_STREAM_ID}"\n'
        '[[source]]\nname = "apac"\nstream_id = "st-2"\n'.format(**settings)
    )
    secret = {"SECRET": settings["KORE_ETL_CLIENT_SECRET"]}
    done = run_cli("fetch", "--config", "two.toml", env=secret)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("choose it with --source: emea, apac\n")
    assert len(run_cli("fetch", "--config", "two.toml", "--source", "emea", env=secret).stdout.splitlines()) == 3


def test_help_has_examples_and_says_how_mine_is_sent(run_cli):
    text = run_cli("fetch", "--help").stdout
    assert "  Example:\n    kore-etl fetch --unresolved --priority Critical" in text
    assert "mytask" in text
    assert "mycase" in text
