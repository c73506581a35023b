"""``kore-etl explore`` as a person uses it: a process that answers a browser."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
import requests

from etl.explore.datasette_metadata import DATABASE, describe, questions
from etl.explore.server import holds_words
from tests.e2e.test_readme import TEN_QUESTIONS
from tests.e2e.test_readme import questions as shown_questions

TOLD = describe()["databases"][DATABASE]


@pytest.fixture
def explored(
    sandbox: Callable, environment: Callable, run_cli: Callable, start_cli: Callable, sqlite_url: str
) -> tuple[subprocess.Popen[str], str, Callable[[], None]]:
    """A process that shows 120 tasks, its address, and a way to sync one task more."""
    server = sandbox(tasks=120)
    env = environment(server, sqlite_url)
    assert run_cli("sync", env=env).returncode == 0

    def another_task() -> None:
        requests.post(f"{server.url}/_sandbox/change", json={"insert": 1}, timeout=30).raise_for_status()
        assert run_cli("sync", env=env).returncode == 0

    process = start_cli("explore", "-q", env={"KORE_ETL_DATABASE_URL": sqlite_url})
    return process, process.stdout.readline().strip(), another_task


def rows(url: str, **parameters: str) -> list[dict]:
    answer = requests.get(url, params={"_shape": "array", **parameters}, timeout=30)
    assert answer.status_code == 200, (url, answer.text)
    return answer.json()


def test_it_shows_everything_changes_nothing_and_ends_clean(explored: tuple) -> None:
    process, address, another_task = explored
    database = f"{address}{DATABASE}"

    for page in ("", DATABASE, *(f"{DATABASE}/{name}" for name in (*TOLD["tables"], *TOLD["queries"]))):
        answer = requests.get(f"{address}{page}", timeout=30)
        assert answer.status_code == 200, page
        assert "//" not in "".join(part.split('"')[0] for part in answer.text.split('src="')[1:]), page
    for page in ("", DATABASE):
        assert 'name="words"' in requests.get(f"{address}{page}", timeout=30).text, "no search to begin with"
    overview = requests.get(f"{database}/task_overview", timeout=30).text
    assert "the reference for people" in overview
    assert 'data-column="assignee"' in overview, "no facets"

    task = rows(f"{database}/task_overview.json", _size="1")[0]
    assert f"/{DATABASE}/tasks/" in overview
    found = rows(f"{database}/search.json", words=f"{task['name'].upper()} {task['ref_id']}")
    assert [each["_id"] for each in found] == [task["_id"]]
    assert "Resolved" in requests.get(f"{database}/tasks", timeout=30).text, "a key without the name that it stands for"

    for statement in ("delete from tasks", "insert into agents (_id) values ('x')", "attach ':memory:' as other"):
        refused = requests.get(f"{database}.json", params={"sql": statement}, timeout=30)
        assert refused.status_code == 400, (statement, refused.text)

    another_task()
    assert rows(f"{database}.json", sql="select count(*) as tasks from tasks") == [{"tasks": 121}]

    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.stderr.read() == ""


def test_only_this_machine_is_answered_and_only_by_its_own_name(explored: tuple) -> None:
    process, address, _ = explored
    port = urlsplit(address).port
    # Where all addresses are listened on, this one is answered too.
    with socket.socket() as elsewhere:
        assert elsewhere.connect_ex(("127.0.0.2", port)) != 0
    assert requests.get(address, headers={"Host": f"localhost:{port}"}, timeout=30).status_code == 200
    assert requests.get(address, headers={"Host": f"attacker.example:{port}"}, timeout=30).status_code == 400
    process.terminate()
    assert process.wait(30) == 0


def test_of_postgresql_it_says_what_to_do(run_cli: Callable) -> None:
    done = run_cli("explore", "--database-url", "postgresql://nobody@127.0.0.1:1/none")
    assert (done.returncode, done.stdout) == (2, "")
    assert "config/grafana/kore-etl.json" in done.stderr


def test_a_port_that_is_in_use_is_told(run_cli: Callable, migrated_sqlite_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = run_cli("explore", "--port", port, "--database-url", migrated_sqlite_url)
    assert done.returncode == 2
    assert f"--port {port}" in done.stderr


def test_the_questions_are_those_of_the_docs() -> None:
    shown = [each for each in shown_questions(TEN_QUESTIONS) if each.dialect in ("", "sqlite")]
    asked = [(f"{number}. {each.title}", each.sql) for number, each in enumerate(questions(), start=1)]
    assert asked == [(each.title, each.sql) for each in shown]


@pytest.mark.parametrize(
    ("text", "words", "holds"),
    [
        pytest.param("Kündigung zum Monatsende", "KUNDIGUNG monat", True, id="any case, accents, order and part"),
        pytest.param("STRASSE", "straße", True, id="folded"),
        pytest.param("在庫確認中", "確認", True, id="no spaces between words"),
        pytest.param("one word", "word two", False, id="one of them is missing"),
        pytest.param(None, "word", False, id="no name"),
        pytest.param("any", "", True, id="nothing asked for"),
    ],
)
def test_words_are_found(text: str | None, words: str, holds: bool) -> None:  # noqa: FBT001
    assert holds_words(text, words) is holds
