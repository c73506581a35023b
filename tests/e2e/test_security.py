"""What docs/security.md promises and no other test holds; and that each of its lines names a test that exists."""

from __future__ import annotations

import ast
import json
import re
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, inspect, text

from etl.settings.definitions import GENERAL_KEYS, SOURCE_KEYS
from tests.conftest import CHECKOUT, clean_environment
from tests.integration.extract.test_client import Authority

PAGE = CHECKOUT / "docs" / "security.md"
SECRET = "Zq3+not-to-be-seen/7Q==not-to-be-seen"
PASSWORD = "p4ssword-not-to-be-seen"

#: What moves a terminal's cursor, rings, hides text, turns it round, or ends a line.
CONTROLS = "\x1b[2J\x1b]0;owned\x07 \x9b31m \r\n \b\x7f \u202e \u2028 \u2066 \x00"
#: What may end a value of SQL, a LIKE, a format, or a JSON path.
QUOTES = "'); drop table tasks; -- \" ` \\ % %s %(x)s :x {0} $1 $.x ; \U0001f600"

OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

# Injection


def spoiled(record: dict[str, Any], words: str, number: int) -> dict[str, Any]:
    """A record that says these words wherever a name may stand."""
    named = {"_id": f"x-{number} {words}", "name": words, "displayName": words, "agentId": f"a-{number} {words}"}
    return {
        **record,
        "_id": f"ti-{number} {words}",
        "name": words,
        "refId": words,
        "caseRefId": words,
        "status": {**named, "statusCategory": words, "desc": words},
        "priority": {**named, "color": words},
        "currAssignee": {**named, "aId": named["agentId"]},
        "queues": [{**named, "type": words, "status": words}],
        "participants": [{**named, "pStatus": words}],
        "userInfo": {**named, "emailId": words},
        "tags": [words],
        "channel": [words],
        "fields": [{**named, "selectedValue": words, "dataType": words}],
        words: {"id": words, "displayName": words, "selectedValue": words},
    }


def test_no_name_is_run_as_sql(sandbox: Any, run_cli: Any, environment: Any, migrated_url: str) -> None:
    server = sandbox(tasks=20)
    server.put([spoiled(record, QUOTES, number) for number, record in enumerate(server.tasks()[:6])])
    given = environment(server, migrated_url)
    for command in (["sync"], ["reconcile", "--deep"], ["sync", "--full"]):
        done = run_cli(*command, env=given)
        assert done.returncode == 0, done.stderr
    server.put([{**record, "name": QUOTES * 2} for record in server.tasks() if QUOTES in record["_id"]])
    assert run_cli("sync", "--full", env=given).returncode == 0
    engine = create_engine(migrated_url)
    with engine.connect() as connection:
        stored = {
            key: json.loads(raw) for key, raw in connection.execute(text("select _id, cast(raw as text) from tasks"))
        }
        assert {"tasks", "task_changes", "task_tags"} <= set(inspect(connection).get_table_names())
        names = connection.execute(text("select distinct name from statuses")).scalars().all()
    engine.dispose()
    assert stored == {record["_id"]: record for record in server.tasks()}
    assert QUOTES in names
    for command in (["why", f"ti-0 {QUOTES}"], ["forget", f"ti-0 {QUOTES}", "--yes"], ["export", "--view", QUOTES]):
        assert run_cli(*command, env=given).returncode in (0, 2, 3)


READING = (
    ["sync", "-v"], ["status"], ["runs"], ["why", f"ti-1 {CONTROLS}"], ["rejected", "list"], ["rejected", "show", "1"],
    ["schema", "unknown"], ["watermark", "show"], ["probe"], ["check"], ["config", "show"], ["reconcile", "-v"],
    ["no such command \x1b[2J"], ["why", "\x1b[2J"], ["export", "--view", "\x1b[2J"],
)  # fmt: skip


def test_no_name_is_obeyed_by_a_terminal_or_forges_a_line(
    sandbox: Any, run_cli: Any, environment: Any, migrated_sqlite_url: str
) -> None:
    server = sandbox(tasks=10)
    whole = server.tasks()
    server.put([spoiled(record, CONTROLS, number) for number, record in enumerate(whole[:3])])
    server.put([{"_id": f"ti-bad {CONTROLS}", "name": CONTROLS, "updatedAt": f"soon {CONTROLS}", CONTROLS: 1}])
    given = environment(server, migrated_sqlite_url)
    for command in READING:
        done = run_cli(*(word.replace("\0", "") for word in command), env=given)
        found = OBEYED.findall(done.stdout + done.stderr)
        assert found == [], f"{command}: {found} in {done.stdout[-300:]!r} {done.stderr[-300:]!r}"
        assert not any(line.startswith("owned") for line in (done.stdout + done.stderr).splitlines())


def test_no_refusal_of_the_server_is_obeyed_by_a_terminal(
    run_cli: Any, sandbox: Any, environment: Any, sqlite_url: str
) -> None:
    with answering(400, {"errors": [{"msg": f"no {CONTROLS} owned", "code": 400}]}) as url:
        given = {**environment(sandbox(tasks=1), sqlite_url), "KORE_ETL_BASE_URL": url}
        done = run_cli("sync", "-v", env=given)
    assert done.returncode == 4
    assert OBEYED.findall(done.stderr) == []


class answering:  # noqa: N801 used as a function
    """A server that gives everyone one answer; over TLS where a context is given."""

    def __init__(self, status: int, body: object, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        outer, content = self, json.dumps(body).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a client that hangs up is what is wanted
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.scheme = "http" if context is None else "https"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> str:
        self.thread.start()
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


EMPTY = {"results": [], "hasMore": False, "totalResults": 0, "limit": 10, "page": 1, "totalPages": 0}
CARELESS = {
    "of Python, curl and requests": {
        "PYTHONHTTPSVERIFY": "0", "CURL_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": ""
    },
    "that is none of ours": {"KORE_ETL_VERIFY": "false"},
    "of an empty authority": {"KORE_ETL_CA_BUNDLE": ""},
}  # fmt: skip


@pytest.mark.parametrize("name", CARELESS)
def test_no_variable_disables_the_check_of_certificates(
    run_cli: Any, sandbox: Any, environment: Any, sqlite_url: str, authority: Authority, name: str
) -> None:
    server = answering(200, EMPTY, authority.server)
    with server as url:
        given = {**environment(sandbox(tasks=1), sqlite_url), "KORE_ETL_BASE_URL": url, "KORE_ETL_DEADLINE": "0.4s"}
        done = run_cli("sync", env={**given, **CARELESS[name]})
    assert done.returncode in (2, 5), done.stderr
    assert server.asked == []


def test_an_authority_of_ones_own_is_trusted_once_it_is_named(
    run_cli: Any, sandbox: Any, environment: Any, sqlite_url: str, authority: Authority
) -> None:
    server = answering(200, EMPTY, authority.server)
    with server as url:
        given = {**environment(sandbox(tasks=1), sqlite_url), "KORE_ETL_BASE_URL": url, "KORE_ETL_DEADLINE": "5s"}
        run_cli("sync", env={**given, "KORE_ETL_CA_BUNDLE": authority.file})
    assert server.asked != []


def test_no_setting_disables_a_check() -> None:
    names = GENERAL_KEYS | SOURCE_KEYS
    # How long the stored tasks take to be read again is no check of the server's identity.
    assert {name for name in names if re.search("verify|insecure|check|tls|ssl", name)} == {"verify_within"}


# Secrets


def test_no_secret_is_in_output_or_arguments(sandbox: Any, environment: Any, sqlite_url: str, tmp_path: Path) -> None:
    server = sandbox(tasks=30, client_secret=SECRET, latency_ms=60)
    given = clean_environment(tmp_path, environment(server, sqlite_url))
    process = subprocess.Popen(
        [sys.executable, "-m", "etl", "sync", "-v"],
        cwd=tmp_path, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
    )  # fmt: skip
    while not server.request_count and process.poll() is None:
        time.sleep(0.005)
    arguments = Path(f"/proc/{process.pid}/cmdline")
    shown = arguments.read_text(encoding="utf-8") if arguments.exists() else ""
    said, _ = process.communicate(timeout=60)
    assert "not-to-be-seen" not in shown + said
    assert process.returncode == 0


@pytest.mark.parametrize(
    "command",
    [
        ["config", "show"],
        ["config", "show", "--output", "json"],
        ["check"],
        ["status"],
        ["sync", "-v"],
        ["db", "check"],
    ],
    ids=" ".join,
)
def test_no_password_of_a_database_is_shown(run_cli: Any, sandbox: Any, environment: Any, command: list[str]) -> None:
    url = f"postgresql://etl:{PASSWORD}@127.0.0.1:1/tasks?connect_timeout=1&application_name=x"
    done = run_cli(*command, env=environment(sandbox(tasks=1, client_secret=SECRET), url))
    assert "not-to-be-seen" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://kore:Winter@Garden/Secret99@db.invalid:5432/kore",
        "postgresql://kore:Winter Garden?Secret99@db.invalid/kore",
        "postgresql:/kore:Winter#Garden[Secret99@db.invalid/kore",
    ],
)
def test_no_password_of_a_malformed_url_is_shown(
    run_cli: Any, sandbox: Any, environment: Any, tmp_path: Path, url: str
) -> None:
    given = {**environment(sandbox(tasks=1), url), "KORE_ETL_LOG_FILE": "kore-etl.log"}
    commands = (["sync", "-v"], ["check"], ["config", "show"], ["db", "check"], ["sync", url])
    done = [run_cli(*command, env=given) for command in commands]
    log = tmp_path / "kore-etl.log"
    said = [log.read_text(encoding="utf-8") if log.exists() else "", *(each.stdout + each.stderr for each in done)]
    assert [word for word in ("Winter", "Garden", "Secret99") for text in said if word in text] == []
    assert {each.returncode for each in done} <= {2, 6}


def test_no_password_of_a_working_url_is_shown(
    run_cli: Any, sandbox: Any, environment: Any, postgres_url: str, tmp_path: Path
) -> None:
    written = quote("Winter@Garden/?#%[] :Secret99", safe="")
    url = postgres_url.replace("postgres:@", f"postgres:{written}@")
    given = {**environment(sandbox(tasks=3), url), "KORE_ETL_LOG_FILE": "kore-etl.log"}
    copied = ("db", "copy", "--to", f"sqlite:///{tmp_path / 'copy.db'}")
    commands = (("sync", "-v"), ("check",), ("config", "show"), ("status",), ("sync", "--database-url", url), copied)
    done = [run_cli(*command, env=given) for command in commands]
    assert [each.returncode for each in done] == [0] * len(commands), done
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        stored = [str(row) for row in connection.execute("select settings from sync_runs")]
    log = (tmp_path / "kore-etl.log").read_text(encoding="utf-8")
    said = [log, *stored, *(each.stdout + each.stderr for each in done)]
    assert [word for word in ("Winter", "Garden", "Secret99") for text in said if word in text] == []
    assert "can see the password in --database-url" in done[4].stderr
    into_itself = run_cli("db", "copy", "--to", url, env={"KORE_ETL_DATABASE_URL": url})
    assert "can see the password in --to" in into_itself.stderr


# The program itself

BUILT_IN = {"eval", "exec", "compile", "__import__"}
METHODS = {"system", "popen", "mktemp"}
PICKLES = {"pickle", "marshal", "shelve"}


def runs_data(node: ast.AST) -> bool:
    """Whether a part of a program may run, or unpickle, what comes from outside."""
    if isinstance(node, ast.Call):
        name, attribute = getattr(node.func, "id", ""), getattr(node.func, "attr", "")
        return name in BUILT_IN or attribute in METHODS or any(word.arg == "shell" for word in node.keywords)
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [getattr(node, "module", "") or "", *(alias.name for alias in node.names)]
        return not PICKLES.isdisjoint(name.partition(".")[0] for name in names)
    return False


def test_nothing_that_comes_from_outside_is_run() -> None:
    files = sorted((CHECKOUT / "etl").rglob("*.py"))
    assert files
    nodes = ((file, node) for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    assert [f"{file}:{node.lineno}" for file, node in nodes if runs_data(node)] == []


@pytest.mark.parametrize(
    "line", ["eval(x)", "a.system(x)", "f(x, shell=True)", "import pickle", "from shelve import x", "import a, marshal"]
)
def test_what_would_run_data_is_seen(line: str) -> None:
    assert any(runs_data(node) for node in ast.walk(ast.parse(line)))


# The page


def lines() -> Iterator[tuple[str, str]]:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and "| Tests |" not in line and not line.startswith("| ---"):
            *_, tests = (cell.strip() for cell in line.strip("|").split("|"))
            yield line, tests


def is_defined(file: str, name: str) -> bool:
    return (CHECKOUT / file).is_file() and f"def {name}(" in (CHECKOUT / file).read_text(encoding="utf-8")


def test_every_line_of_the_threat_model_names_tests() -> None:
    named = {line: re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", tests) for line, tests in lines()}
    assert named
    assert [line for line, tests in named.items() if not tests] == []
    assert [test for tests in named.values() for test in tests if not is_defined(*test)] == []
