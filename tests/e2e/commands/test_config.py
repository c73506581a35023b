"""``kore-etl config show`` as a process."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

SECRET = "Zp7+not-to-be-seen/9Q="
ENVIRON = {
    "KORE_ETL_BASE_URL": "https://platform.kore.ai",
    "KORE_ETL_ACCOUNT_ID": "6112",
    "KORE_ETL_STREAM_ID": "st-1",
    "KORE_ETL_CLIENT_ID": "cs-1",
    "KORE_ETL_CLIENT_SECRET": SECRET,
}


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    file = tmp_path / "config" / "kore-etl.toml"
    file.parent.mkdir()
    file.write_text('overlap = "7m"\nsettle = 3\n')
    return file


def rows(output: str) -> dict[str, tuple[str, str]]:
    table = [line.split(maxsplit=2) for line in output.splitlines()[1:]]
    return {key: (value, origin) for key, value, origin in table}


def test_shows_each_setting_with_its_value_and_origin(run_cli, settings_file):
    done = run_cli("config", "show", "--database-url", "sqlite:///x.db", env={**ENVIRON, "KORE_ETL_SETTLE": "4"})
    assert (done.returncode, done.stderr) == (0, "")
    shown = rows(done.stdout)
    assert shown["database_url"] == ("sqlite:///x.db", "--database-url")
    assert shown["settle"] == ("4s", "KORE_ETL_SETTLE")
    assert shown["overlap"] == ("7m", "config/kore-etl.toml")
    assert shown["source.default.page_size"] == ("-", "default")


def test_help_shows_how_it_is_used(run_cli):
    assert (
        "\n  Example:\n    kore-etl config show\n    kore-etl config show --output json"
        in run_cli("config", "show", "--help").stdout
    )


def test_masks_secrets(run_cli):
    url = "postgresql://me:hunter2@host/db"
    for output in ("text", "json"):
        done = run_cli("config", "show", "--output", output, env={**ENVIRON, "KORE_ETL_DATABASE_URL": url})
        assert done.returncode == 0
        assert SECRET not in done.stdout
        assert "hunter2" not in done.stdout
        assert "***" in done.stdout


def test_writes_json_for_a_pipe(run_cli, settings_file):
    done = run_cli("config", "show", "--output", "json", env=ENVIRON)
    shown = json.loads(done.stdout)
    assert shown["overlap"] == {"value": "7m", "from": "config/kore-etl.toml"}
    assert shown["source.default.requests_per_minute"] == {"value": 50, "from": "default"}
    assert shown["source.default.client_secret"] == {"value": "***", "from": "KORE_ETL_CLIENT_SECRET"}


def test_shows_the_selected_source_alone(run_cli, settings_file):
    settings_file.write_text(
        'base_url = "https://h"\naccount_id = "a"\nclient_id = "c"\nclient_secret_env = "THEIRS"\n'
    )
    with settings_file.open("a") as file:
        file.writelines(f'[[source]]\nname = "{name}"\nstream_id = "st-{name}"\n' for name in ("emea", "apac"))
    done = run_cli("config", "show", "--source", "apac", env={"THEIRS": SECRET})
    assert rows(done.stdout)["source.apac.stream_id"] == ("st-apac", "config/kore-etl.toml [[source]] #2")
    assert "emea" not in done.stdout


def test_draws_a_table_on_a_terminal(tmp_path, settings_file):
    parent, child = pty.openpty()
    environ = {**ENVIRON, "PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "200"}
    command = [sys.executable, "-m", "etl", "config", "show"]
    with subprocess.Popen(command, cwd=tmp_path, env={**environ, "TERM": "xterm"}, stdout=child) as process:
        os.close(child)
        shown = read_all(parent)
    assert process.returncode == 0
    assert "\x1b[1m" in shown
    assert "config/kore-etl.toml" in shown
    assert SECRET not in shown


def read_all(terminal: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(terminal, 65_536)
        except OSError:  # a terminal whose other side is closed
            break
        if not part:
            break
        parts.append(part)
    os.close(terminal)
    return b"".join(parts).decode()


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({}, "kore-etl: error: there are no settings yet; run: kore-etl init"),
        (
            {**ENVIRON, "KORE_ETL_PAGE_SIZE": "0"},
            "kore-etl: error: page_size (KORE_ETL_PAGE_SIZE): '0' is not accepted; accepted: a whole number from 1",
        ),
        (
            {**ENVIRON, "KORE_ETL_CLIENT_SECRET": "", "KORE_ETL_CLIENT_SECRET_FILE": SECRET},
            "kore-etl: error: client_secret_file (KORE_ETL_CLIENT_SECRET_FILE): the file cannot be read",
        ),
    ],
    ids=["missing", "wrong", "secret in a path's place"],
)
def test_ends_with_2_and_one_line_for_a_bad_setting(run_cli, environ, line):
    done = run_cli("config", "show", env=environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1
    assert SECRET not in done.stderr


def test_warns_of_a_secret_that_anyone_can_read(run_cli, settings_file):
    settings_file.write_text(f'client_secret = "{SECRET}"')
    settings_file.chmod(0o644)
    done = run_cli("config", "show", env={**ENVIRON, "KORE_ETL_CLIENT_SECRET": ""})
    assert done.returncode == 0
    assert done.stderr.startswith("kore-etl: warning: config/kore-etl.toml holds a secret and anyone can read it")


def test_reads_the_file_that_is_named(run_cli, tmp_path):
    (tmp_path / "mine.toml").write_text('overlap = "9m"')
    done = run_cli("config", "show", "--config", "mine.toml", env=ENVIRON)
    assert rows(done.stdout)["overlap"] == ("9m", "mine.toml")


def test_quiet_and_verbose_exclude_each_other(run_cli):
    done = run_cli("config", "show", "--quiet", "--verbose", env=ENVIRON)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not both" in done.stderr
