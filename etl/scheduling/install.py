"""Putting a schedule in place: files for the machine or a user, and what systemctl and crontab have to be told."""

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
    """Return where systemd looks for units that an administrator or a user made."""
    if not user:
        return Path("/etc/systemd/system")
    home = Path(os.environ.get("HOME") or "~").expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"


def install_units(texts: Mapping[str, str], folder: Path, *, user: bool, root: Path | None) -> None:
    """Write the units, and have systemd read and start them; where there is no systemctl, say what to run."""
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
    """Write a file that everyone may read; below ``root`` where one is named, in a folder that may have to be made."""
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
    """Put a line into the user's crontab, in the place of an earlier one.

    Raises:
        ConfigError: there is no crontab command, or it fails.
    """
    if not shutil.which("crontab"):
        message = "there is no crontab command; install cron, or use: kore-etl schedule systemd --user"
        raise ConfigError(message)
    found = subprocess.run(["crontab", "-l"], capture_output=True, encoding="utf-8", check=False)  # noqa: S607
    kept = _without_ours(found.stdout.splitlines() if found.returncode == 0 else [])
    _run(["crontab", "-"], "".join(f"{each}\n" for each in (*kept, _BEGIN, line.rstrip("\n"), _END)))
    _say("your crontab has it; see: crontab -l")


def _without_ours(lines: Sequence[str]) -> list[str]:
    if _BEGIN not in lines or _END not in lines:
        return list(lines)
    return [*lines[: lines.index(_BEGIN)], *lines[lines.index(_END) + 1 :]]


def _run(command: list[str], text: str | None = None) -> None:
    done = subprocess.run(command, input=text, capture_output=True, encoding="utf-8", check=False)  # noqa: S603
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise ConfigError(f"{' '.join(command)} failed: {said}")


def _say(line: str) -> None:
    click.echo(f"kore-etl: {clean(line)}", err=True)
