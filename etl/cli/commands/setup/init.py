"""``kore-etl init``: the settings file, written from answers, and seen to work."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from etl import logs
from etl.atomic_file import atomic_file
from etl.cli.options import Common, common_options
from etl.errors import ConfigError, EtlError

_HOST = "https://platform.kore.ai"
_ASKED = {
    "base_url": "Where the account lives",
    "account_id": "The account's id",
    "stream_id": "The id of the app whose tasks are wanted (st-...)",
    "client_id": "The Client ID of the JWT app (cs-...)",
}
_SECRET_NAME = "client-secret"  # noqa: S105 - a file's name


@click.command()
@common_options
@click.option("--base-url", metavar="URL", help=f"Where the account lives, such as {_HOST}.")
@click.option("--account-id", metavar="ID", help="The account's id.")
@click.option("--stream-id", metavar="ID", help="The id of the app whose tasks are wanted.")
@click.option("--client-id", metavar="ID", help="The Client ID of the JWT app.")
@click.option("--client-secret-file", metavar="FILE", help='A file with the Client Secret; "-" is standard input.')
@click.option("--force", is_flag=True, help="Overwrite settings that are there.")
@click.option("--no-probe", is_flag=True, help="Make no request: only write the files.")
def init(common: Common, client_secret_file: str | None, force: bool, no_probe: bool, **given: str | None) -> int:
    """Write the settings file, asking for what no option gives; then make the first requests, to see that it works.

    The file is --config, else /etc/kore-etl/kore-etl.toml for root and ~/.config/kore-etl/kore-etl.toml for others. The
    secret goes into a file of its own beside it; both can be read by you alone. No option takes the secret itself,
    since others can see a command line.

    \b
    Example:
      sudo kore-etl init
      kore-etl init --config kore-etl.toml --client-secret-file secret.txt --account-id 6112 ...
    """
    places = _places(common, os.environ, os.geteuid())
    if not force:
        _refuse_existing(places)
    values = {key: _answer(key, given[key]) for key in _ASKED}
    values["database_url"] = _answer("database_url", common.database_url, default=places.database_url)
    _write(places, values, _secret(client_secret_file))
    return _try(common, places, probe=not no_probe)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the settings and the secret go, and the database where nothing else is said."""

    config: Path
    secret: Path
    database_url: str


def _places(common: Common, environ: Mapping[str, str], user_id: int) -> _Places:
    home = Path(environ.get("HOME") or "~").expanduser()
    if user_id == 0:
        config, data = Path("/etc/kore-etl"), Path("/var/lib/kore-etl")
    else:
        config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "kore-etl"
        data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "kore-etl"
    file = config / "kore-etl.toml"
    if common.config is not None:
        file = common.config.expanduser().absolute()
        data = data if file.parent == config else file.parent
    return _Places(file, file.with_name(_SECRET_NAME), f"sqlite:///{data / 'kore-etl.db'}")


def _refuse_existing(places: _Places) -> None:
    there = next((path for path in (places.config, places.secret) if path.exists()), None)
    if there is not None:
        raise ConfigError(f"{there} is there already and was not touched; add --force to overwrite it")


def _answer(key: str, given: str | None, default: str | None = None) -> str:
    """Return a setting as an option gives it, or as somebody answers; asked again until it is right."""
    from etl.settings.models import accepted

    if given is not None:
        return accepted(key, given)
    default = default or (_HOST if key == "base_url" else None)
    if not sys.stdin.isatty():
        if default is not None:
            return default
        option = f"--{key.replace('_', '-')}"
        raise ConfigError(f"{key} is not given, and there is no terminal to ask on; add {option}")
    return str(click.prompt(_ASKED.get(key, "Where the tasks go"), default, err=True, value_proc=_asked(key, accepted)))


def _asked(key: str, accepted: Callable[[str, str], str]) -> Callable[[Any], str]:
    def read(text: Any) -> str:
        try:
            return accepted(key, str(text))
        except ConfigError as error:
            raise click.UsageError(str(error)) from error

    return read


def _secret(file: str | None) -> str:
    if file == "-":
        text = sys.stdin.read()
    elif file is not None:
        try:
            text = Path(file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--client-secret-file {file}: cannot be read; name a file with the secret") from error
    elif sys.stdin.isatty():
        text = str(click.prompt("The Client Secret (it is not shown)", hide_input=True, err=True))
    else:
        raise ConfigError(
            "the Client Secret is not given, and there is no terminal to ask on; add --client-secret-file"
        )
    if not text.strip():
        raise ConfigError("the Client Secret is empty; give what the JWT app shows")
    logs.hide(text)
    return text.strip() + "\n"


def _write(places: _Places, values: Mapping[str, str], secret: str) -> None:
    from etl.scheduling.install import shipped_file

    text = shipped_file("kore-etl.example.toml")
    text = text[text.index("# Files are searched in this order") :]
    for key, value in values.items():
        text = _with(text, key, value)
    database = values["database_url"].removeprefix("sqlite:///")
    if database != values["database_url"]:
        _make_folder(Path(database.partition("?")[0]).parent)
    _make_folder(places.config.parent)
    _write_private(places.secret, secret)
    _write_private(places.config, f"# Settings of kore-etl, written by kore-etl init.\n#\n{text}")


def _with(text: str, key: str, value: str) -> str:
    """Put a value into the example: in the place of its first line, commented out or not."""
    line = f"{key} = {_as_toml(value)}"
    changed, count = re.subn(rf"^(# )?{key} = .*$", lambda _: line, text, count=1, flags=re.MULTILINE)
    if not count:
        raise AssertionError(key)
    return changed


def _as_toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, so that it is there whole or not at all."""
    try:
        with atomic_file(path, mode=0o600) as file:
            file.write(text.encode())
    except OSError as error:
        raise _unwritable(path, error) from error
    click.echo(f"kore-etl: wrote {logs.clean(str(path))}", err=True)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: cannot be written: {error.strerror}; choose another place with --config, or use sudo")


def _try(common: Common, places: _Places, *, probe: bool) -> int:
    """Load what was written, make the first requests, and say what comes next."""
    from etl.cli.commands.transfer.probe import probe_sources

    written = Common(places.config, None, common.verbosity)
    option = "" if _is_found(places.config) else f" --config {places.config}"
    try:
        settings = written.start().settings
        code = probe_sources(settings, anew=False, output="text") if probe else 0
    except EtlError:
        _say(f"the settings are written, and do not work yet; see: kore-etl check{option}")
        raise
    if code:
        _say(f"the settings are written, and do not work yet; see: kore-etl check{option}")
        return code
    _say(f"next, read all tasks: kore-etl sync{option}")
    _say(f"then every five minutes: kore-etl schedule systemd{option} --install (or cron)")
    return 0


def _is_found(config: Path) -> bool:
    """Tell whether the commands find these settings by themselves, from here."""
    from etl.settings.files import find_files

    return [path.resolve() for path in find_files(None, os.environ)] == [config.resolve()]


def _say(line: str) -> None:
    click.echo(f"kore-etl: {logs.clean(line)}", err=True)
