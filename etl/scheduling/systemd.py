"""Fills in and installs the systemd units of ``config/systemd``."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from etl.errors import ConfigError
from etl.logs import say
from etl.scheduling.installed_command import Installation, install_file, minutes_and_hours, run, shipped_file
from etl.settings.toml_files import config_home

SERVICE, TIMER, FAILED = "kore-etl.service", "kore-etl.timer", "kore-etl-failed@.service"
WORKER = "kore-etl-worker.service"
RECONCILE, RECONCILE_TIMER = "kore-etl-reconcile.service", "kore-etl-reconcile.timer"

# The lines of the files that this installation fills in.
_PROGRAM = "ExecStart=/opt/kore-etl/bin/kore-etl "
_SYNC, _WORKER, _RECONCILE = "sync", "worker", "sync --reconcile --wait 10m"
_WORKING = "WorkingDirectory=%S/kore-etl"
_SETTINGS = "LoadCredential=kore-etl.toml:/etc/kore-etl/kore-etl.toml"
_SECRET = "LoadCredential=client-secret:/etc/kore-etl/client-secret"  # noqa: S105 - where it is, not what
_SETTINGS_NAME = "Environment=KORE_ETL_CONFIG=%d/kore-etl.toml"
_SECRET_NAME = "Environment=KORE_ETL_CLIENT_SECRET_FILE=%d/client-secret"  # noqa: S105 - as above
_HOME = "ProtectHome=yes"
_AT_BOOT, _AT_LOGIN = "WantedBy=multi-user.target", "WantedBy=default.target"

# Directives that a user's service manager may not use, or that concern the machine and not the user.
_OF_THE_MACHINE = (
    "Wants=", "After=", "User=", "DynamicUser=", "StateDirectory", "LoadCredential=", "AmbientCapabilities=",
    "CapabilityBoundingSet=", "DevicePolicy=", "KeyringMode=", "Private", "Proc", "Protect", "RemoveIPC=",
)  # fmt: skip


def filled_in(here: Installation, every: str | None, *, user: bool) -> dict[str, str]:
    """Return the text of each unit by its name; a worker's unit takes the place of the sync's without ``every``."""
    reconcile, daily, failed = (shipped_file(f"systemd/{name}") for name in (RECONCILE, RECONCILE_TIMER, FAILED))
    return {
        **(_worker(here, user=user) if every is None else _sync(here, every, user=user)),
        RECONCILE: _service(reconcile, here, _RECONCILE, user=user),
        RECONCILE_TIMER: _without_heading(daily),
        FAILED: _without_the_machine(failed).replace("journalctl", "journalctl --user") if user else failed,
    }


def calendar(every: str) -> str:
    """Return the value for OnCalendar=."""
    minutes, hours = minutes_and_hours(every)
    if hours:
        return f"0/{hours}:00" if hours < 24 else "daily"
    return f"*:0/{minutes}"


def _worker(here: Installation, *, user: bool) -> dict[str, str]:
    text = _service(shipped_file(f"systemd/{WORKER}"), here, _WORKER, user=user)
    return {WORKER: _replaced(text, {_AT_BOOT: [_AT_LOGIN]} if user else {})}


def _sync(here: Installation, every: str, *, user: bool) -> dict[str, str]:
    service, timer = (shipped_file(f"systemd/{name}") for name in (SERVICE, TIMER))
    times = {
        "OnCalendar=*:0/5": [f"OnCalendar={calendar(every)}"],
        "Description=Sync Kore.ai tasks every 5m": [f"Description=Sync Kore.ai tasks every {every}"],
    }
    return {
        SERVICE: _service(service, here, _SYNC, user=user),
        TIMER: _replaced(_without_heading(timer), times),
    }


def unit_folder(*, user: bool) -> Path:
    """Return the folder of systemd for an administrator's or a user's own units."""
    if not user:
        return Path("/etc/systemd/system")
    config = config_home(os.environ)
    if config is None:
        raise ConfigError("HOME is not set, so systemd's user units have no place; set HOME")
    return config / "systemd" / "user"


def install_units(texts: Mapping[str, str], folder: Path, *, user: bool, root: Path | None) -> None:
    """Write the units and start the timers or the worker; without systemctl print the commands to run."""
    started = [name for name in texts if name in (WORKER, TIMER, RECONCILE_TIMER)]
    for name, text in texts.items():
        install_file(folder / name, text, root=root, folder=user)
    options, quoted = ["--user"] if user else [], "'kore-etl*'"
    commands = [
        ["systemctl", *options, "daemon-reload"],
        ["systemctl", *options, "enable", "--now", *started],
    ]
    if root is None and shutil.which("systemctl"):
        try:
            for command in commands:
                run(command)
        except ConfigError as error:
            where, option = ("in a login session of yours", " --user") if user else ("where systemd is at work", "")
            advice = f"the units are written: run it {where}, or use: kore-etl schedule cron{option}"
            raise ConfigError(f"{error}; {advice}") from error
        kind, see = ("worker and its timer", "status") if WORKER in texts else ("timers", "list-timers")
        say(f"the {kind} are started; see: systemctl {' '.join([*options, see, quoted])}")
    else:
        say("now run: " + " && ".join(map(" ".join, commands)))


def _service(text: str, here: Installation, command: str, *, user: bool) -> str:
    program = " ".join(_word(part) for part in here.command)
    replaced = {f"{_PROGRAM}{command}": [f"ExecStart={program} {command}"]}
    if user:
        replaced |= {
            _WORKING: [f"WorkingDirectory={_path(here.folder)}"],
            _SETTINGS_NAME: [_variable("KORE_ETL_CONFIG", here.config)],
            _SECRET_NAME: [],
        }
    else:
        replaced |= _handed_over(here)
        if Path("/home") in Path(sys.base_prefix).parents or Path("/home") in Path(here.command[0]).parents:
            replaced[_HOME] = ["ProtectHome=read-only"]
    text = _replaced(_without_heading(text), replaced)
    return _without_the_machine(text) if user else text


def _handed_over(here: Installation) -> dict[str, list[str]]:
    """Return the lines that pass the settings and the files that they name to the service."""
    folder = here.files[0].parent
    for path in here.beside:
        if path.resolve().parent != folder or not path.is_file():
            raise ConfigError(f"{path}: the service gets only files beside the settings, in {folder}")
    names = "%d" if len(here.files) > 1 else f"%d/{here.files[0].name}"
    return {
        _SETTINGS: [f"LoadCredential={path.name}:{_path(path)}" for path in (*here.files, *here.beside)],
        _SETTINGS_NAME: [f"Environment=KORE_ETL_CONFIG={names}"],
        _SECRET: [f"LoadCredential=client-secret:{_path(here.secret)}"] if here.secret else [],
        _SECRET_NAME: [_SECRET_NAME] if here.secret else [],
    }


def _replaced(text: str, lines: dict[str, list[str]]) -> str:
    """Replace lines; each must exist."""
    missing = lines.keys() - set(text.splitlines())
    if missing:
        raise AssertionError(f"config/systemd lacks {missing}")
    return "".join(f"{new}\n" for line in text.splitlines() for new in lines.get(line, [line]))


def _without_heading(text: str) -> str:
    """Leave out the file's instructions for copying it."""
    return text[text.index("[Unit]") :]


def _without_the_machine(text: str) -> str:
    kept = (line for line in text.splitlines() if not line.startswith(_OF_THE_MACHINE))
    return "".join(f"{line}\n" for line in _without_orphans(kept))


def _without_orphans(lines: Iterator[str]) -> Iterator[str]:
    """Leave out comments without lines below them, and a blank line with each."""
    waiting: list[str] = []
    for line in lines:
        if line.startswith("#") or not line:
            waiting = [*waiting, line] if line else [line]
        else:
            yield from waiting
            yield line
            waiting = []


def _word(text: str) -> str:
    """Quote a word of a command line for systemd."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{plain}"' if any(character.isspace() or character in "'\";" for character in text) else plain


def _variable(name: str, path: Path) -> str:
    value = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'Environment="{name}={value}"' if " " in value else f"Environment={name}={value}"


def _path(path: Path) -> str:
    return str(path).replace("%", "%%")
