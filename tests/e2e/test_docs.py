"""What the pages show in a ``console`` block is run, and what comes out is compared with what they show.

A page is one session from top to bottom, in a home folder of its own, against a server of its own. Where a page makes
its settings itself (``kore-etl init``) there are none, where it takes those of a sandbox it has the server's; else
there are some in /etc/kore-etl, and one sync was made. On a page, ``...`` stands for what is left out: a part of a
line, or lines. Times, ages, counts and widths of columns may differ; words, exit codes and their order may not.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import CHECKOUT, clean_environment

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SERVER = "https://platform.kore.ai"
# The line by which a page takes the settings of a sandbox of its own, if it does.
_FROM_SANDBOX = "\n. ./sandbox.env\n"
# As the pages call them.
_IDS = {
    "account_id": "64f0c1d2e3a4b5c6d7e8f901",
    "stream_id": "st-11111111-2222-5333-8444-555555555555",
    "client_id": "cs-66666666-7777-5888-8999-aaaaaaaaaaaa",
}
_FOLDERS = ("/etc/kore-etl", "/var/lib/kore-etl", "/opt/kore-etl", "/etc/systemd/system", "/etc/cron.d")
# What only root, or only a machine with systemd at work, can do: done below another root instead.
_AS_ROOT = "--config /etc/kore-etl/kore-etl.toml --database-url sqlite:////var/lib/kore-etl/kore-etl.db"
_STARTED = "kore-etl: the timers are started; see: systemctl list-timers 'kore-etl*'"
_LEFT_TO_DO = (
    "kore-etl: now run: systemctl daemon-reload && systemctl enable --now kore-etl.timer kore-etl-reconcile.timer"
)
# What is so only because the other root is in a folder of a test.
_OF_THIS_MACHINE = re.compile(
    r"^kore-etl: warning: (\S+ is in \S+, where only its owner may go"
    r"|the service can write in /var/lib/kore-etl alone, and the database is /var/lib/kore-etl/).*\n",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and the lines that a page shows below it."""

    command: str
    shown: str


def steps(page: Path) -> list[Step]:
    return [step for block in _FENCE.findall(page.read_text("utf-8")) for step in _steps_of(block)]


def _steps_of(block: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, shown = re.sub(r"\\\n *(?:> )?", "", part).partition("\n")
        yield Step(command, shown)


class Session:
    """A home, a machine's folders below another root, and the few programs that are not ours."""

    def __init__(self, root: Path, url: str, secret: str) -> None:
        self._root, self._url, self._secret = root, url, secret
        self._settings: dict[str, str] = {}
        self._home = root / "home"
        for folder in ("home", "bin", "etc/kore-etl", "var/lib/kore-etl", "opt/kore-etl/bin"):
            (root / folder).mkdir(parents=True)
        for name in ("bin/kore-etl", "opt/kore-etl/bin/kore-etl"):
            _program(root / name, f'exec {sys.executable} -m etl "$@"')
        _program(root / "bin/sudo", 'exec "$@"')
        for name in ("systemctl", "crontab", "loginctl"):
            _program(root / "bin" / name, "exit 0")

    def take_settings(self, settings: dict[str, str]) -> None:
        """Do as ``. ./sandbox.env`` does."""
        self._settings = settings

    def make_settings(self) -> None:
        lines = [f'{name} = "{value}"' for name, value in _IDS.items()]
        lines += [f'base_url = "{self._url}"', 'client_secret_file = "client-secret"', "requests_per_minute = 6000"]
        lines += [f'database_url = "sqlite:///{self._root}/var/lib/kore-etl/kore-etl.db"']
        folder = self._root / "etc/kore-etl"
        for name, text in (("kore-etl.toml", "\n".join(lines) + "\n"), ("client-secret", self._secret)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        self.run("kore-etl sync")

    def run(self, command: str) -> str:
        """Run a command, and give what it writes as the pages have it."""
        settings = {"NO_COLOR": "1", "CONFIGURATION_DIRECTORY": str(self._root / "etc/kore-etl"), **self._settings}
        environ = clean_environment(self._home, settings)
        environ["PATH"] = f"{self._root / 'bin'}:{environ['PATH']}"
        done = subprocess.run(
            ["/bin/bash", "-c", self._here(command)],
            cwd=self._home,
            env=environ,
            input=self._secret,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            check=False,
            timeout=120,
        )
        return self._as_shown(done.stdout)

    def _here(self, command: str) -> str:
        if "kore-etl init" in command and "--config" not in command:
            command = command.replace("kore-etl init", f"kore-etl init {_AS_ROOT}")
        if "schedule" in command and "--install" in command and "--user" not in command:
            command = command.replace("--install", f"--install --root {self._root}")
        for folder in _FOLDERS:
            command = re.sub(rf"(?<![\w.]){folder}", f"{self._root}{folder}", command)
        return command.replace(_SERVER, self._url)

    def _as_shown(self, text: str) -> str:
        text = "".join(map(_as_on_a_terminal, text.splitlines(keepends=True)))
        for there, here in ((str(self._root / "home"), "~"), (str(self._root), ""), (self._url, _SERVER)):
            text = text.replace(there, here)
        for command in (f"{sys.executable} -m etl", str(Path(sys.executable).parent / "kore-etl")):
            text = text.replace(command, "/opt/kore-etl/bin/kore-etl")
        return _OF_THIS_MACHINE.sub("", text.replace(_LEFT_TO_DO, _STARTED))


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def _as_on_a_terminal(line: str) -> str:
    """Write a line of the log as a person sees it, who reads it on a terminal."""
    if not line.startswith('{"timestamp"'):
        return line
    event = json.loads(line)
    if "summary" in event:
        return f"{event['timestamp']} {event['source']}: {event['summary']}\n"
    moment, level, name = (event.pop(key) for key in ("timestamp", "level", "event"))
    return f"{moment} [{level}] {name} {' '.join(f'{key}={value}' for key, value in event.items())}\n"


_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?"), "TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d"), "DATE"),
    (re.compile(r"(?<![\w.*/-])(?:\d+(?:\.\d+)?[dhms])+(?= ago)"), "AGE"),
    (re.compile(r"(?<![\w.*/-])\d+(?:,\d{3})*(?:\.\d+)?(?:s|ms)?(?![\w*/-])(?! requests a minute)"), "N"),
    (re.compile(r"\[(\w+) *\]"), r"[\1]"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" $", re.MULTILINE), ""),
)


def normal(text: str) -> str:
    """Give a text without what differs from run to run; exit codes stay."""
    text = re.sub(r"(exit[_ ]codes?\"?[ =:]*)(\d+)", lambda found: f"{found[1]}<{'x' * (1 + int(found[2]))}>", text)
    for pattern, plain in _VARYING:
        text = pattern.sub(plain, text)
    return text.strip("\n")


def pattern_of(shown: str) -> str:
    """Give the pattern of what a page shows: ``...`` alone is any lines, else any part of a line."""
    parts = []
    for line in normal(shown).split("\n"):
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(re.escape(line).replace(re.escape("..."), ".*") + "\n")
    return "".join(parts)


def fits(shown: str, written: str) -> bool:
    return re.fullmatch(pattern_of(shown), f"{normal(written)}\n") is not None


@pytest.mark.parametrize("page", [page for page in PAGES if steps(page)], ids=lambda page: page.stem)
def test_a_page_shows_what_its_commands_write(page: Path, sandbox: Callable, tmp_path: Path) -> None:
    server = sandbox(tasks=120, **_IDS)
    session = Session(tmp_path / "machine", server.url, server.options.client_secret)
    found = steps(page)
    if _FROM_SANDBOX in page.read_text("utf-8"):
        session.take_settings(server.environment)
    elif not any("kore-etl init" in step.command for step in found):
        session.make_settings()
    for step in found:
        written = session.run(step.command)
        told = f"\n$ {step.command}\n--- shown\n{normal(step.shown)}\n--- written\n{normal(written)}"
        assert fits(step.shown, written), told


def test_what_differs_from_run_to_run_is_no_difference() -> None:
    assert fits("at 2026-01-01 10:00:00Z, 12 rows (5m3s ago)", "at 2027-05-02 11:22:33.444Z,   7 rows (2s ago)")
    assert fits("a\n...\nz", "a\nb\nc\nz")
    assert fits("a ... z", "a b c z")


@pytest.mark.parametrize(
    ("shown", "written"),
    [("exit code 0", "exit code 3"), ("12 rows", "12 lines"), ("a\nb", "a"), ("", "a"), ("a", ""), ("*/5 x", "*/15 x")],
)
def test_another_word_line_or_exit_code_is_one(shown: str, written: str) -> None:
    assert not fits(shown, written)


def test_pages_have_commands_to_run() -> None:
    assert {"README", "operate", "schedule"} <= {page.stem for page in PAGES if steps(page)}
