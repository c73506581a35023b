"""Fills in the file of ``config/cron`` for an installation, or a line for a user's own crontab."""

from __future__ import annotations

import pwd
import shlex
from pathlib import Path

from etl.errors import ConfigError
from etl.scheduling.install import STATE, Installation, shipped_file
from etl.scheduling.interval import crontab_times

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
