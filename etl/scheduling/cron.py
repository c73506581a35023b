"""Fills in and installs the file of ``config/cron``, or a line of a user's own crontab."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

from etl.errors import ConfigError
from etl.logs import say
from etl.scheduling.installed_command import STATE, Installation, minutes_and_hours, run, shipped_file

CRON_FILE = Path("/etc/cron.d/kore-etl")
_BEGIN, _END = "# begin of kore-etl", "# end of kore-etl"
_DAILY = "40 3 * * *"
_COMMAND = "cd /var/lib/kore-etl && /opt/kore-etl/bin/kore-etl {command} --quiet --config /etc/kore-etl/kore-etl.toml"
_SYNC, _RECONCILE = "sync", "sync --reconcile --wait 10m"


def file(here: Installation, every: str, user: str) -> str:
    """Return the file for /etc/cron.d."""
    text = shipped_file("cron/kore-etl.cron")
    text = text[text.index("SHELL=") :]
    folder = STATE if STATE.is_dir() else here.folder
    for shipped, times, command in (("*/5 * * * *", crontab_times(every), _SYNC), (_DAILY, _DAILY, _RECONCILE)):
        there = f"{shipped}  kore-etl  {_COMMAND.format(command=command)}"
        if there not in text:
            raise AssertionError(f"config/cron lacks {there}")
        text = text.replace(there, f"{times}  {user}  {_command(here, folder, command)}")
    return text


def lines(here: Installation, every: str) -> list[str]:
    """Return the lines for a user's own crontab."""
    times = {crontab_times(every): _SYNC, _DAILY: _RECONCILE}
    return [f"{when}  {_command(here, here.folder, command)}" for when, command in times.items()]


def crontab_times(every: str) -> str:
    """Return the five fields of a crontab's line."""
    minutes, hours = minutes_and_hours(every)
    if hours:
        return f"0 */{hours} * * *" if hours < 24 else "0 0 * * *"
    return f"*/{minutes} * * * *" if minutes > 1 else "* * * * *"


def require_user(name: str, here: Installation) -> None:
    """Make sure that a user exists and can read the settings.

    Raises:
        ConfigError: not so.
    """
    try:
        user = pwd.getpwnam(name)
    except KeyError as error:
        raise ConfigError(f"--as {name}: there is no such user; make it with useradd, or name another") from error
    for path in (*here.files, *here.beside, *filter(None, [here.secret])):
        if user.pw_uid and not _can_read(path, user):
            to_do = f"run: chown -R {name} {path.parent}, or name another user"
            raise ConfigError(f"--as {name}: cannot read {path}; {to_do}")


def _can_read(path: Path, user: pwd.struct_passwd) -> bool:
    """Tell whether a user may read a file and go into its folders, by their modes."""
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    needed = [(path, stat.S_IRUSR), *((folder, stat.S_IXUSR) for folder in path.parents)]
    for each, bit in needed:
        found = each.stat()
        shift = 0 if found.st_uid == user.pw_uid else 3 if found.st_gid in groups else 6
        if not found.st_mode & bit >> shift:
            return False
    return True


def owner_of(path: Path) -> str:
    """Return the name of the file's owner.

    Raises:
        ConfigError: the owner has no name on this machine.
    """
    try:
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except KeyError as error:
        raise ConfigError(f"{path}: its owner has no name here; name the user to run as with --as") from error


def _command(here: Installation, folder: Path, command: str) -> str:
    words = [*here.command, *command.split(), "--quiet", "--config", str(here.config)]
    # A % ends a crontab's command.
    return f"cd {shlex.quote(str(folder))} && {shlex.join(words)}".replace("%", "\\%")


def install_lines(own: Sequence[str]) -> None:
    """Add lines to the user's crontab; replace earlier ones.

    Raises:
        ConfigError: there is no crontab command, or it fails.
    """
    if not shutil.which("crontab"):
        message = "there is no crontab command; install cron, or use: kore-etl schedule systemd --user"
        raise ConfigError(message)
    found = subprocess.run(["crontab", "-l"], capture_output=True, check=False)  # noqa: S607
    lines = found.stdout.decode("utf-8", "surrogateescape").splitlines() if found.returncode == 0 else []
    kept = _without_ours(lines)
    run(["crontab", "-"], "".join(f"{each}\n" for each in (*kept, _BEGIN, *own, _END)))
    say("your crontab has them; see: crontab -l")


def _without_ours(lines: Sequence[str]) -> list[str]:
    if _BEGIN not in lines or _END not in lines:
        return list(lines)
    return [*lines[: lines.index(_BEGIN)], *lines[lines.index(_END) + 1 :]]
