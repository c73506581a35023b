"""The sandbox as a process, and the control plane that a test of such a process uses."""

from __future__ import annotations

import shlex
import signal
import socket
import stat
import time

import jwt
import pytest
import requests

from etl.sandbox.options import Options
from etl.sandbox.server import control_api
from etl.sandbox.server.answer_requests import Service


@pytest.fixture
def call():
    with requests.Session() as session:

        def send(server, method, name, body=None):
            url = getattr(server, "url", server)
            return session.request(method, f"{url}/_sandbox/{name}", json=body, timeout=10)

        yield send


def ask(url, options, **body):
    claims = {"appId": options.client_id, "sub": "tests", "exp": int(time.time()) + 300}
    headers = {"AccountId": options.account_id, "auth": jwt.encode(claims, options.client_secret)}
    path = f"/caseManagement/api/public/analytics/{options.stream_id}/getTasks"
    return requests.post(url + path, json=body, headers=headers, timeout=10)


# --- the control plane --------------------------------------------------------------------------------------------


def test_the_tasks_are_given_as_they_are_served(sandbox, call):
    server = sandbox(tasks=5)
    assert call(server, "GET", "tasks").json() == server.tasks()


def test_the_requests_are_logged_until_the_log_is_reset(sandbox, call):
    server = sandbox(tasks=5)
    ask(server.url, server.options, limit=2)
    ask(server.url, server.options, limit="2")
    assert call(server, "GET", "requests").json() == {
        "count": 2,
        "log": [
            {"body": {"limit": 2}, "status": 200, "rows": 2, "fault": None},
            {"body": {"limit": "2"}, "status": 412, "rows": 0, "fault": None},
        ],
    }
    call(server, "POST", "reset-requests")
    assert call(server, "GET", "requests").json() == {"count": 0, "log": []}


def test_the_log_remembers_only_the_last_requests(sandbox):
    server = sandbox(tasks=5, log_size=2)
    for limit in (1, 2, 3):
        ask(server.url, server.options, limit=limit)
    assert (server.request_count, [each["rows"] for each in server.requests]) == (3, [2, 3])


def test_resetting_the_log_gives_the_budget_back(sandbox, call):
    server = sandbox(tasks=5, requests_per_minute=1)
    assert [ask(server.url, server.options).status_code for _ in range(2)] == [200, 429]
    call(server, "POST", "reset-requests")
    assert ask(server.url, server.options).status_code == 200


def test_tasks_are_changed_on_request(sandbox, call):
    server = sandbox(tasks=20)
    told = call(server, "POST", "change", {"update": 3, "insert": 2, "delete": 1, "same_instant": True}).json()
    assert [len(told[kind]) for kind in ("updated", "inserted", "deleted")] == [3, 2, 1]
    tasks = {each["_id"]: each for each in server.tasks()}
    assert len({tasks[each]["updatedAt"] for each in told["updated"] + told["inserted"]}) == 1
    assert told["deleted"][0] not in tasks


def test_odd_records_are_stored_as_they_are_sent(sandbox, call):
    server = sandbox(tasks=0)
    text = '{"tasks": [{"_id": "a\\ud800\\u0000", "n": 1' + "0" * 40 + '}, 7, {"_id": 7}]}'
    told = requests.post(f"{server.url}/_sandbox/put", data=text, timeout=10).json()
    assert told["ids"][0] == "a\ud800\x00"
    assert server.tasks() == [{"_id": "a\ud800\x00", "n": 10**40}, 7, {"_id": 7}]
    assert requests.get(f"{server.url}/_sandbox/tasks", timeout=10).text.startswith(
        '[{"_id": "a\\ud800\\u0000", "n": 100'
    )


def test_records_are_removed_by_name(sandbox, call):
    server = sandbox(tasks=3)
    first, *others = server.tasks()
    call(server, "POST", "remove", {"ids": [first["_id"]]})
    assert server.tasks() == others


def test_the_behaviour_changes_while_it_runs(sandbox, call):
    server = sandbox(tasks=60)
    told = call(server, "POST", "options", {"cap": 5, "faults": {"503": 0.0}, "sort_fields": ["name"]}).json()
    assert (told["cap"], told["faults"], told["sort_fields"]) == (5, {"503": 0.0}, ["name"])
    assert len(ask(server.url, server.options, limit=50).json()["results"]) == 5
    assert call(server, "GET", "options").json() == told


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("options", {"cap": 0}, "cap"),
        ("options", {"caps": 1}, "caps"),
        ("options", {"tasks": 1}, "tasks"),
        ("change", {"updates": 1}, "updates"),
        ("change", {"update": "some"}, "some"),
        ("put", {}, "tasks"),
        ("put", [], "object"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_refused_by_its_name(sandbox, call, name, body, told):
    answer = call(sandbox(tasks=1), "POST", name, body)
    assert answer.status_code == 400
    assert told in answer.json()["errors"][0]["msg"]


def test_an_unknown_name_is_answered_with_those_there_are(sandbox, call):
    answer = call(sandbox(tasks=1), "GET", "change")
    assert answer.status_code == 404
    assert "POST /_sandbox/change" in answer.json()["errors"][0]["msg"]


@pytest.mark.parametrize(
    ("client", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("192.0.2.7", 403), ("2001:db8::7", 403)],
)
def test_the_control_plane_is_for_the_same_machine_only(client, status):
    assert control_api.handle(Service(Options(tasks=1)), "GET", "/_sandbox/tasks", b"", client).status == status


# --- the command --------------------------------------------------------------------------------------------------


def settings(lines):
    return dict(line.removeprefix("export ").split("=", 1) for line in (shlex.split(each)[1] for each in lines))


@pytest.fixture
def started(start_cli):
    """Start the command, wait until it listens, and give the process with the settings that it printed."""

    def start(*arguments, env=None):
        process = start_cli("sandbox", *arguments, env=env)
        return process, settings([process.stdout.readline() for _ in range(6)])

    return start


def test_the_command_prints_what_reaches_it(started):
    _, told = started("--tasks", "5")
    assert list(told) == [
        "KORE_ETL_BASE_URL",
        "KORE_ETL_ACCOUNT_ID",
        "KORE_ETL_STREAM_ID",
        "KORE_ETL_CLIENT_ID",
        "KORE_ETL_CLIENT_SECRET",
        "KORE_ETL_CONFIG",
    ]
    assert ask(told["KORE_ETL_BASE_URL"], Options()).json()["totalResults"] == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_cleanly(started, number):
    process, _ = started("--tasks", "5")
    process.send_signal(number)
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")
    assert "Ctrl-C" in errors
    assert "Traceback" not in errors


def test_options_come_from_the_command_line_and_the_environment(started, call):
    env = {
        "KORE_ETL_SANDBOX_CAP": "7",
        "KORE_ETL_SANDBOX_JTI_REQUIRED": "1",
        "KORE_ETL_SANDBOX_FAULT": "503=0.25 cut=0",
    }
    _, told = started(
        *("--max-skip-status", "412", "--sort-fields", "name,updatedAt", "--window-field", "updatedAt", "--strict"),
        *("--visible-after", "2.5"),
        env=env,
    )
    options = call(told["KORE_ETL_BASE_URL"], "GET", "options").json()
    expected = {
        "cap": 7,
        "jti_required": True,
        "faults": {"503": 0.25, "cut": 0},
        "max_skip_status": 412,
        "sort_fields": ["name", "updatedAt"],
        "window_field": "updatedAt",
        "strict": True,
        "visible_after": 2.5,
    }
    assert {name: options[name] for name in expected} == expected


def test_without_options_the_command_has_the_defaults(started, call):
    _, told = started()
    options = call(told["KORE_ETL_BASE_URL"], "GET", "options").json()
    assert options == {**options, "tasks": 2000, "cap": 50, "requests_per_minute": 60, "faults": {}, "public_key": ""}
    assert Options(**options) == Options()


def test_the_settings_go_into_a_file_for_its_owner_only(started, tmp_path):
    process, told = started(
        *("--tasks", "5", "--env-file", "sandbox.env", "--requests-per-minute", "0"),
        *("--client-secret", "it's a secret; $(of 32 bytes or more)"),
    )
    file = tmp_path / "sandbox.env"
    written = settings(file.read_text().splitlines())
    assert told.items() <= written.items()
    assert written["KORE_ETL_CLIENT_SECRET"] == "it's a secret; $(of 32 bytes or more)"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["sandbox.env"]
    assert written["KORE_ETL_CONFIG"] == "/dev/null"
    assert written["KORE_ETL_REQUESTS_PER_MINUTE"] == "6000"
    assert process.poll() is None


def test_a_public_key_is_read_from_its_file(started, call, tmp_path):
    (tmp_path / "key.pem").write_text("a key")
    _, told = started("--algorithm", "RS256", "--public-key", "key.pem")
    assert call(told["KORE_ETL_BASE_URL"], "GET", "options").json()["public_key"] == "a key"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--cap", "0"], "cap: 0 is not within"),
        (["--window-field", "dueDate"], "--window-field"),
        (["--fault", "503"], "KIND=RATE"),
        (["--fault", "504=0.5"], "504"),
        (["--algorithm", "RS256"], "public_key"),
        (["--public-key", "nowhere.pem"], "nowhere.pem"),
        (["--env-file", "nowhere/sandbox.env"], "nowhere/sandbox.env"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_ends_with_two_and_names_it(run_cli, arguments, told):
    ended = run_cli("sandbox", "--tasks", "1", *arguments, timeout=20)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_in_use_ends_with_two_and_is_named(run_cli):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ended = run_cli("sandbox", "--tasks", "1", "--port", str(port), timeout=20)
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr


def test_help_shows_an_example_and_every_option(run_cli):
    ended = run_cli("sandbox", "--help")
    assert ended.returncode == 0
    assert "kore-etl sandbox --env-file sandbox.env &" in ended.stdout
    for name in Options.__dataclass_fields__:
        assert f"--{'fault' if name == 'faults' else name.replace('_', '-')} " in ended.stdout
