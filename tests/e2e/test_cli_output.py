"""What every command owes to a person: help with an example, a hint at a slip, and a shell that completes."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import cache

import click
import pytest
from click.testing import CliRunner

from etl.cli.main import cli
from etl.cli.output import print_table
from tests.conftest import clean_environment
from tests.e2e.terminal import on_terminal


def paths(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command there is."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*words, name)
        if isinstance(command, click.Group):
            yield from paths(command, (*words, name))


COMMANDS = list(paths(cli))
FOREIGN = "\u8acb\u6c42\u66f8 \U0001f600"


@pytest.fixture(scope="module")
def help_of():
    """The help of a command, which is made once."""
    return cache(lambda *words: CliRunner().invoke(cli, [*words, "--help"]).output)


def test_every_help_has_an_example_with_the_program(help_of):
    assert COMMANDS
    form = r"^  Example:\n(?:    .*\n)*?    .*kore-etl"
    assert [words for words in COMMANDS if not re.search(form, help_of(*words), re.MULTILINE)] == []


def test_help_puts_a_commands_own_options_first(help_of):
    options = re.findall(r"^  (?:-\w, )?--([a-z-]+)", help_of("sync"), re.MULTILINE)
    assert options.index("full") < options.index("config")
    assert options[-6:] == ["config", "database-url", "log-file", "verbose", "quiet", "help"]


def test_every_example_is_a_command_with_its_options(help_of):
    shown = "\n".join(help_of(*words).partition("Example:\n")[2].partition("\n\n")[0] for words in COMMANDS)
    lines = re.findall(r"kore-etl ([^|&>#\n]+)", shown)
    assert [line for line in lines if not has_its_options(line, help_of)] == []


def has_its_options(line, help_of):
    options = [word.partition("=")[0] for word in line.split() if word.startswith("--")]
    inner = [word for word in line.split() if not word.startswith("-")]
    deepest = max((path for path in COMMANDS if list(path) == inner[: len(path)]), key=len, default=None)
    if deepest is None:
        return False
    helps = help_of(*deepest), help_of(*deepest, "list")  # a group may stand for its list
    told = {option for each in helps for option in re.findall(r"--[a-z-]+", each.partition("\nOptions:\n")[2])}
    return told >= set(options)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("chekc", "check"), ("runs shwo", "show"), ("schedule sytemd", "systemd"), ("db upgrad", "upgrade")],
)
def test_a_slip_is_answered_with_what_was_probably_meant(run_cli, typed, meant):
    done = run_cli(*typed.split())
    assert done.returncode == 2
    assert f"id you mean '{meant}'?" in done.stderr


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_shell_is_given_its_script(self, run_cli, shell):
        done = run_cli(env={"_KORE_ETL_COMPLETE": f"{shell}_source"})
        assert done.returncode == 0
        assert f"_KORE_ETL_COMPLETE={shell}_complete" in done.stdout

    @pytest.mark.parametrize(
        ("line", "completed"),
        [("sta", "status"), ("watermark s", "show"), ("schedule sys", "systemd"), ("status --max", "--max-age")],
    )
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_words_are_completed(self, run_cli, shell, line, completed):
        words = f"kore-etl {line}"
        environ = {"_KORE_ETL_COMPLETE": f"{shell}_complete", "COMP_WORDS": words}
        environ["COMP_CWORD"] = line.split()[-1] if shell == "fish" else str(len(line.split()))
        assert completed in run_cli(env=environ).stdout

    def test_bash_completes_with_the_documented_line(self, tmp_path):
        (tmp_path / "kore-etl").write_text(f'#!/bin/sh\nexec {sys.executable} -m etl "$@"\n')
        (tmp_path / "kore-etl").chmod(0o755)
        script = (
            'eval "$(_KORE_ETL_COMPLETE=bash_source kore-etl)"; COMP_WORDS=(kore-etl stat); COMP_CWORD=1; '
            '_kore_etl_completion kore-etl; echo "${COMPREPLY[@]}"'
        )
        environ = clean_environment(tmp_path)
        environ["PATH"] = f"{tmp_path}:{environ['PATH']}"
        done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, encoding="utf-8", check=True)
        assert done.stdout == "status\n", done.stderr


class TestNarrow:
    @pytest.mark.parametrize("words", [["--help"], ["sync", "--help"], ["config", "show"], ["check"]], ids=" ".join)
    def test_output_fits_forty_columns_where_it_can_be_broken(self, sandbox, tmp_path, words):
        settings = {**sandbox(tasks=0).environment, "NO_COLOR": "1"}
        code, shown = on_terminal(words, tmp_path, settings, columns=40)
        assert code == 0
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
        if words[0] != "check":  # whose lines are folded by the terminal
            assert [line for line in plain.splitlines() if len(line) > 80] == []
        assert "Traceback" not in plain


@pytest.fixture
def foreign_names(sandbox, environment, run_cli, migrated_sqlite_url) -> dict[str, str]:
    """The settings of a database with a task whose name few encodings have."""
    server = sandbox(tasks=3)
    settings = environment(server, migrated_sqlite_url)
    assert run_cli("sync", env=settings).returncode == 0
    with closing(sqlite3.connect(migrated_sqlite_url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("update tasks set name = ?, raw = json_set(raw, '$.name', ?)", [FOREIGN, FOREIGN])
    return settings


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-1", "cp1252", "utf-8"])
def test_a_name_that_cannot_be_encoded_is_printed_as_escapes(tmp_path, foreign_names, encoding):
    for words in (["why", "TS000001"], ["status"], ["export"], ["fetch", "--limit", "1"], ["config", "show"]):
        done = run_in(tmp_path, encoding, words, foreign_names)
        assert done.returncode == 0, (words, done.stderr)
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "iso8859-1"])
def test_an_export_is_utf_8_whatever_the_terminal_is(tmp_path, foreign_names, encoding):
    assert FOREIGN in run_in(tmp_path, encoding, ["export"], foreign_names).stdout


def run_in(folder, encoding, words, settings):
    environ = clean_environment(folder, {**settings, "PYTHONIOENCODING": encoding, "LANG": "C"})
    command = [sys.executable, "-m", "etl", *words]
    return subprocess.run(
        command, env=environ, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", check=False
    )


def test_a_table_lines_up_where_letters_are_wide(capsys):
    print_table(["queue", "open"], [{"queue": "サポート", "open": 3}, {"queue": "Re\u0301gion", "open": 12}])
    assert capsys.readouterr().out.splitlines() == ["queue     open", "サポート  3", "Re\u0301gion    12"]
