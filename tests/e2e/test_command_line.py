"""The command as a process: how it starts, how it answers a slip, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import click
import pytest

from etl import __version__
from etl.cli.main import COMMANDS, cli

CHECKOUT = Path(__file__).resolve().parents[2]
ENVIRON = {
    "KORE_ETL_BASE_URL": "https://platform.kore.ai",
    "KORE_ETL_ACCOUNT_ID": "6112",
    "KORE_ETL_STREAM_ID": "st-1",
    "KORE_ETL_CLIENT_ID": "cs-1",
    "KORE_ETL_CLIENT_SECRET": "x" * 32,
}

Program = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def program(tmp_path: Path):
    """Start a process that ends as ``kore-etl`` does, with the given lines as its command."""
    started = []

    def start(body: str, **streams: object) -> subprocess.Popen[str]:
        lines = textwrap.indent(textwrap.dedent(body), "    ")
        (tmp_path / "program.py").write_text(
            f"import sys\nfrom etl.cli.exit_codes import run\ndef command(args):\n{lines}\nsys.exit(run(command, []))\n"
        )
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)}
        process = subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path, env=environ, encoding="utf-8", **pipes)
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def in_shell(words: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run ``kore-etl`` with these words, which may redirect its streams, in a folder of its own."""
    command = f'exec "{sys.executable}" -m etl {words}'
    environ = {"PYTHONPATH": str(CHECKOUT)}
    return subprocess.run(["/bin/sh", "-c", command], cwd=folder, env=environ, capture_output=True, check=False)


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


SETTINGS = {
    "KORE_ETL_BASE_URL": "https://h",
    "KORE_ETL_ACCOUNT_ID": "a",
    "KORE_ETL_STREAM_ID": "st-1",
    "KORE_ETL_CLIENT_ID": "cs-1",
    "KORE_ETL_CLIENT_SECRET": "s" * 40,
}


class TestStart:
    def test_tells_its_version(self, run_cli):
        done = run_cli("--version")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"kore-etl {__version__}\n", "")

    @pytest.mark.parametrize("option", ["--help", "-h"])
    def test_help_lists_every_command(self, run_cli, option):
        done = run_cli(option)
        assert done.returncode == 0
        assert re.findall(r"^  ([a-z]+)  ", done.stdout, re.MULTILINE) == list(COMMANDS)
        assert "\n  Example:\n    kore-etl sync" in done.stdout

    def test_no_help_is_wider_than_80_columns(self):
        commands, texts = [(cli, click.Context(cli, info_name="kore-etl"))], []
        for command, context in commands:
            texts += command.get_help(context).splitlines()
            if isinstance(command, click.Group):
                found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
                commands += [(each, click.Context(each, info_name=name, parent=context)) for name, each in found]
        assert len(commands) > 40
        assert [line for line in texts if len(line) > 80] == []

    @pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["snyc"]], ids=" ".join)
    def test_imports_only_what_it_needs(self, tmp_path, arguments):
        code = (
            "import sys\nfrom etl.cli.main import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
            "print(*sys.modules, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        slow = {"alembic", "asyncio", "jwt", "requests", "rich", "sqlalchemy", "structlog", "etl.sandbox"}
        assert slow & set(done.stderr.split()) == set()

    def test_without_arguments_shows_its_help(self, run_cli):
        done = run_cli()
        assert done.returncode == 2
        assert "Usage: kore-etl" in done.stderr

    def test_completes_a_command_in_the_shell(self, run_cli):
        environ = {"_KORE_ETL_COMPLETE": "bash_complete", "COMP_WORDS": "kore-etl con", "COMP_CWORD": "1"}
        assert run_cli(env=environ).stdout == "plain,config\n"


class TestSlips:
    @pytest.mark.parametrize(("typed", "meant"), [("snyc", "sync"), ("confg", "config"), ("Sync", "sync")])
    def test_a_mistyped_command_is_answered_with_the_nearest(self, run_cli, typed, meant):
        done = run_cli(typed)
        assert (done.returncode, done.stdout) == (2, "")
        assert f"No such command '{typed}': did you mean '{meant}'?" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    def test_what_is_like_no_command_is_answered_with_all(self, run_cli):
        assert ", ".join(COMMANDS) in run_cli("xyzzy").stderr

    def test_a_mistyped_option_is_told_with_where_help_is(self, run_cli):
        done = run_cli("config", "show", "--confg", "x")
        assert done.returncode == 2
        assert "--confg" in done.stderr
        assert "kore-etl config show --help" in done.stderr


class TestEnd:
    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("EtlError", 1),
            ("ConfigError", 2),
            ("AuthError", 4),
            ("RefusedError", 4),
            ("ApiError", 5),
            ("TransientApiError", 5),
            ("DatabaseError", 6),
            ("LockedError", 75),
        ],
    )
    def test_an_error_is_one_line_and_its_code(self, program, name, code):
        body = f"from etl import errors\nraise errors.{name}('it broke\\nhere')"
        assert outcome(program(body)) == (code, "", "kore-etl: error: it broke here\n")

    def test_a_command_returns_its_code(self, program):
        assert outcome(program("print('done')\nreturn 3")) == (3, "done\n", "")

    def test_a_bug_keeps_its_traceback_without_the_secrets_in_it(self, program):
        token = "eyJhbGciOiJIUzI1NiJ9.eyJhcHBJZCI6ImNzLTEifQ.kQ5bB3"
        body = (
            f"from etl import logs\nlogs.hide('not-to-be-seen')\nraise RuntimeError('with not-' + 'to-be-seen {token}')"
        )
        code, _, err = outcome(program(body))
        assert code == 1
        assert "Traceback" in err
        assert "RuntimeError: with *** ***" in err
        assert f"this is a bug in kore-etl {__version__}" in err

    def test_ctrl_c_is_told_without_a_traceback(self, program):
        assert outcome(program("raise KeyboardInterrupt")) == (130, "", "kore-etl: stopped\n")

    def test_control_characters_are_not_passed_on(self, program):
        body = "from etl.errors import ApiError\nraise ApiError('\\x1b[2J and \\u202e')"
        assert outcome(program(body))[2] == "kore-etl: error: \\x1b[2J and \\u202e\n"

    def test_a_full_disk_is_told_in_one_line(self, program):
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            code, _, err = outcome(program("print('x' * 100_000)", stdout=full))
        assert (code, err) == (1, "kore-etl: error: cannot write: No space left on device\n")
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            code, _, err = outcome(program("print('x')", stdout=full))
        assert (code, err) == (1, "kore-etl: error: cannot write to standard output: No space left on device\n")

        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            code, _, err = outcome(program("import sys; print('x'); sys.stdout.flush()", stdout=full))
        assert (code, err.count("No space left")) == (1, 1)

    @pytest.mark.parametrize("lines", [1, 100_000], ids=["at the end", "on the way"])
    def test_a_closed_pipe_ends_it_quietly(self, program, lines):
        reading, writing = os.pipe()
        os.close(reading)
        process = program(f"for _ in range({lines}): print('x')", stdout=writing)
        os.close(writing)
        code, _, err = outcome(process)
        assert (code, err) == (141, "")

    def test_a_connection_that_breaks_is_no_closed_pipe(self, program):
        code, _, err = outcome(program("raise BrokenPipeError(32, 'a socket')"))
        assert code == 1
        assert "Traceback" in err

    @pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"], ids=["output", "errors", "both"])
    @pytest.mark.parametrize(("words", "code"), [("config show", 2), ("source list", 6), ("db upgrade", 0)])
    def test_closed_streams_change_no_exit_code(self, tmp_path, words, code, closed):
        done = in_shell(f"{words} {closed}", tmp_path)
        assert (done.returncode, done.stdout) == (code, b"")

    @pytest.mark.parametrize("words", ["export --view statuses", "status", "--version"])
    def test_a_result_without_an_output_is_a_failure(self, tmp_path, words):
        in_shell("db upgrade", tmp_path)
        done = in_shell(f"{words} >&-", tmp_path)
        assert (done.returncode, done.stderr) == (1, b"kore-etl: error: cannot write: Bad file descriptor\n")


class TestSignals:
    BODY = """
        import time
        from etl.stop_request import graceful
        with graceful({patience}) as stop:
            try:
                print("ready", flush=True)
                {waiting}
            finally:
                print("closing", flush=True)
                {closing}
    """
    WAYS: ClassVar = {
        "a wait that looks": {"patience": "5", "waiting": "stop.sleep(60)"},
        "a thread that looks": {
            "patience": "5",
            "waiting": "from concurrent.futures import ThreadPoolExecutor as Pool\n"
            "                Pool(1).submit(stop.sleep, 60).result()",
        },
        "code that does not look": {"patience": "0.2", "waiting": "time.sleep(60)"},
        "no patience": {"patience": "0", "waiting": "time.sleep(60)"},
    }

    @pytest.mark.parametrize(
        ("number", "code", "told"),
        [(signal.SIGTERM, 143, "stopped by SIGTERM"), (signal.SIGINT, 130, "stopped")],
    )
    @pytest.mark.parametrize("way", WAYS)
    def test_the_first_closes_what_is_open(self, program, number, code, told, way):
        process = program(self.BODY.format(closing="pass", **self.WAYS[way]))
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert outcome(process) == (code, "closing\n", f"kore-etl: {told}\n")

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_code_that_does_not_look_is_left_alone_at_first(self, program, number, code):
        body = """
            import os, time, weakref
            from etl.stop_request import graceful
            class Thing: pass
            def tidy_up(_):
                os.kill(os.getpid(), NUMBER)
                time.sleep(0)
            with graceful() as stop:
                thing = Thing()
                kept = weakref.ref(thing, tidy_up)
                del thing
                while not stop.is_set():
                    time.sleep(0.01)
                print("still here", flush=True)
                stop.check()
        """.replace("NUMBER", str(int(number)))
        code_then, out, err = outcome(program(body))
        assert (code_then, out) == (code, "still here\n")
        assert err.startswith("kore-etl: stopped")
        assert len(err.splitlines()) == 1

    @pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
    def test_the_second_ends_it_at_once(self, program, second):
        process = program(self.BODY.format(closing="time.sleep(60)", **self.WAYS["a wait that looks"]))
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "closing\n"
        process.send_signal(second)
        assert outcome(process)[0] == -second

    def test_afterwards_signals_do_what_they_did(self):
        from etl.stop_request import graceful

        before = signal.getsignal(signal.SIGTERM)
        with graceful():
            assert signal.getsignal(signal.SIGTERM) is not before
        assert signal.getsignal(signal.SIGTERM) is before


def test_a_wrong_view_suggests_the_right_one(run_cli, migrated_sqlite_url):
    done = run_cli("export", "--view", "task_overveiw", env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url})
    assert (done.returncode, "did you mean task_overview?" in done.stderr) == (2, True)


def test_a_number_alone_is_told_to_mean_seconds(run_cli, migrated_sqlite_url):
    done = run_cli("prune", "--runs", "90", env={"KORE_ETL_DATABASE_URL": migrated_sqlite_url})
    assert "--runs 1m30s: is under a day" in done.stderr


def test_one_thing_is_no_plural(run_cli, migrated_sqlite_url, sandbox, environment):
    env = environment(sandbox(tasks=1), migrated_sqlite_url)
    assert run_cli("sync", env=env).returncode == 0
    assert "0 runs, 0 windows and 0 rejected records went" in run_cli("prune", "--runs", "90d", env=env).stderr
    assert "kore-etl: 1 row of tasks written" in run_cli("export", "--view", "tasks", "--out", "t.csv", env=env).stderr


def test_a_url_is_shown_without_driver_and_escapes(run_cli, tmp_path):
    folder = tmp_path / "50% off"
    folder.mkdir()
    env = {"KORE_ETL_DATABASE_URL": f"sqlite:///{folder}/k.db".replace("%", "%25")}
    done = run_cli("db", "upgrade", env=env)
    assert f"sqlite:///{folder}/k.db: the tables" in done.stderr
    shown = run_cli("config", "show", env={**SETTINGS, "KORE_ETL_DATABASE_URL": "postgresql://me@h/d"}).stdout
    assert re.search(r"^database_url +postgresql://me@h/d ", shown, re.MULTILINE)
