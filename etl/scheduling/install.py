"""Installs a schedule: writes files for the machine or a user, and calls systemctl or crontab."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from etl.atomic_file import atomic_file
from etl.errors import ConfigError
from etl.logs import clean

CRON_FILE = Path("/etc/cron.d/kore-etl")
_TIMER = "kore-etl.timer"
_BEGIN, _END = "# begin of kore-etl", "# end of kore-etl"


def unit_folder(*, user: bool) -> Path:
    """Return the folder of systemd for an administrator's or a user's own units."""
    if not user:
        return Path("/etc/systemd/system")
    home = os.environ.get("HOME")
    config = os.environ.get("XDG_CONFIG_HOME") or (home and f"{home}/.config")
    if not config:
        raise ConfigError("HOME is not set, so systemd's user units have no place; set HOME")
    return Path(config) / "systemd" / "user"


def install_units(texts: Mapping[str, str], folder: Path, *, user: bool, root: Path | None) -> None:
    """Write the units and start the timer; without systemctl print the commands to run."""
    for name, text in texts.items():
        install_file(folder / name, text, root=root, folder=user)
    options = ["--user"] if user else []
    commands = [["systemctl", *options, "daemon-reload"], ["systemctl", *options, "enable", "--now", _TIMER]]
    if root is None and shutil.which("systemctl"):
        for command in commands:
            _run(command)
        _say(f"{_TIMER} is started; see: systemctl {' '.join([*options, 'list-timers', _TIMER])}")
    else:
        _say("now run: " + " && ".join(map(" ".join, commands)))


def install_file(path: Path, text: str, *, root: Path | None, folder: bool = False) -> None:
    """Write a file that everyone may read, below ``root`` if given; make its folder if needed."""
    target = path if root is None else root / path.relative_to(path.anchor)
    try:
        if folder or root is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target, mode=0o644) as file:
            file.write(text.encode())
    except OSError as error:
        message = f"{target}: cannot be written: {error.strerror}; run it with sudo, or add --user"
        raise ConfigError(message) from error
    _say(f"wrote {target}")


def install_line(line: str) -> None:
    """Add a line to the user's crontab; replace an earlier one.

    Raises:
        ConfigError: there is no crontab command, or it fails.
    """
    if not shutil.which("crontab"):
        message = "there is no crontab command; install cron, or use: kore-etl schedule systemd --user"
        raise ConfigError(message)
    found = subprocess.run(["crontab", "-l"], capture_output=True, check=False)  # noqa: S607
    lines = found.stdout.decode("utf-8", "surrogateescape").splitlines() if found.returncode == 0 else []
    kept = _without_ours(lines)
    _run(["crontab", "-"], "".join(f"{each}\n" for each in (*kept, _BEGIN, line.rstrip("\n"), _END)))
    _say("your crontab has it; see: crontab -l")


def _without_ours(lines: Sequence[str]) -> list[str]:
    if _BEGIN not in lines or _END not in lines:
        return list(lines)
    return [*lines[: lines.index(_BEGIN)], *lines[lines.index(_END) + 1 :]]


def _run(command: list[str], text: str | None = None) -> None:
    done = subprocess.run(  # noqa: S603
        command, input=text, capture_output=True, encoding="utf-8", errors="surrogateescape", check=False
    )
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise ConfigError(f"{' '.join(command)} failed: {said}")


def _say(line: str) -> None:
    click.echo(f"kore-etl: {clean(line)}", err=True)
