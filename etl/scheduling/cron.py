"""Fills in and installs the file of ``config/cron``, or a line of a user's own crontab."""

from __future__ import annotations

import pwd
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from etl.errors import ConfigError
from etl.scheduling.installation import STATE, Installation, run, say, shipped_file
from etl.scheduling.interval import crontab_times

CRON_FILE = Path("/etc/cron.d/kore-etl")
_BEGIN, _END = "# begin of kore-etl", "# end of kore-etl"
_LINE = (
    "*/5 * * * *  kore-etl  cd /var/lib/kore-etl && /opt/kore-etl/bin/kore-etl sync --quiet"
    " --config /etc/kore-etl/kore-etl.toml"
)


def file(here: Installation, every: str, user: str) -> str:
    """Return the file for /etc/cron.d."""
    text = shipped_file("cron/kore-etl.cron")
    if _LINE not in text:
        raise AssertionError("config/cron lacks its line")
    folder = STATE if STATE.is_dir() else here.folder
    heading = text.index("SHELL=")
    return text[heading:].replace(_LINE, f"{crontab_times(every)}  {user}  {_command(here, folder)}")


def line(here: Installation, every: str) -> str:
    """Return the line for a user's own crontab."""
    return f"{crontab_times(every)}  {_command(here, here.folder)}\n"


def owner_of(path: Path) -> str:
    """Return the name of the file's owner.

    Raises:
        ConfigError: the owner has no name on this machine.
    """
    try:
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except KeyError as error:
        raise ConfigError(f"{path}: its owner has no name here; name the user to run as with --as") from error


def _command(here: Installation, folder: Path) -> str:
    words = [*here.command, "sync", "--quiet", "--config", str(here.config)]
    # A % ends a crontab's command.
    return f"cd {shlex.quote(str(folder))} && {shlex.join(words)}".replace("%", "\\%")


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
    run(["crontab", "-"], "".join(f"{each}\n" for each in (*kept, _BEGIN, line.rstrip("\n"), _END)))
    say("your crontab has it; see: crontab -l")


def _without_ours(lines: Sequence[str]) -> list[str]:
    if _BEGIN not in lines or _END not in lines:
        return list(lines)
    return [*lines[: lines.index(_BEGIN)], *lines[lines.index(_END) + 1 :]]
