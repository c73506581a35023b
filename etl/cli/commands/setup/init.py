"""``kore-etl init``: write the settings file from answers, and test it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from etl import logs
from etl.cli.commands.setup.write_settings import write
from etl.cli.options import Common, common_options
from etl.errors import ConfigError, DatabaseError, EtlError

if TYPE_CHECKING:
    from etl.settings import Settings

_HOST = "https://platform.kore.ai"
_ASKED = {
    "base_url": "The URL of the account's server",
    "account_id": "The account's id",
    "stream_id": "The id of the app with the tasks (st-...)",
    "client_id": "The Client ID of the JWT app (cs-...)",
}
_SECRET_NAME = "client-secret"  # noqa: S105 - a file's name


@click.command()
@common_options
@click.option("--base-url", metavar="URL", help=f"The URL of the account's server, such as {_HOST}.")
@click.option("--account-id", metavar="ID", help="The account's id.")
@click.option("--stream-id", metavar="ID", help="The id of the app with the tasks.")
@click.option("--client-id", metavar="ID", help="The Client ID of the JWT app.")
@click.option("--client-secret-file", metavar="FILE", help='A file with the Client Secret; "-" is standard input.')
@click.option("--force", is_flag=True, help="Change existing settings; their values are the defaults.")
@click.option("--no-probe", is_flag=True, help="Only write the files; make no request.")
def init(common: Common, client_secret_file: str | None, force: bool, no_probe: bool, **given: str | None) -> int:
    """Write the settings file and test it with the first requests. It asks for settings that no option gives.

    The file is --config, else /etc/kore-etl/kore-etl.toml for root and ~/.config/kore-etl/kore-etl.toml for others. The
    secret goes into its own file beside it. Only you can read the two files. No option takes the secret itself, because
    other users can see a command line.

    \b
    Example:
      sudo kore-etl init
      kore-etl init --config kore-etl.toml --account-id 6112 ...
    """
    paths = _paths(common, os.environ, os.geteuid())
    if not force:
        _refuse_existing(paths)
    present = _present(paths.config)
    values = {key: _answer(key, given[key], present.get(key)) for key in _ASKED}
    place = present.get("database_url", paths.database_url)
    values["database_url"] = _answer("database_url", common.database_url, place)
    values["client_secret_file"] = _SECRET_NAME
    secret = _secret(client_secret_file, present=paths.secret)
    write(paths.config, paths.secret, values, secret, is_change=bool(present))
    return _try(common, paths, probe=not no_probe)


class _Paths(NamedTuple):
    """Where the settings and the secret go, and the database where nothing else is said."""

    config: Path
    secret: Path
    database_url: str


def _paths(common: Common, environ: Mapping[str, str], user_id: int) -> _Paths:
    from etl.load.database.engine import sqlite_url
    from etl.settings.value_types import expanded

    config, data = _folders(environ, user_id)
    if common.config is not None:
        file = expanded(str(common.config)).absolute()
        data = data if data and file.parent == config else file.parent
    elif config is None or data is None:
        raise ConfigError("HOME is not set, so the settings have no default path; name their file with --config")
    else:
        file = config / "kore-etl.toml"
    return _Paths(file, file.with_name(_SECRET_NAME), sqlite_url(data / "kore-etl.db"))


def _folders(environ: Mapping[str, str], user_id: int) -> tuple[Path | None, Path | None]:
    """Return the folders of the settings and of the data; None if the user has no home."""
    from etl.settings.toml_files import config_home

    if user_id == 0:
        return Path("/etc/kore-etl"), Path("/var/lib/kore-etl")
    home, config = environ.get("HOME"), config_home(environ)
    data = environ.get("XDG_DATA_HOME") or (home and f"{home}/.local/share")
    return config and config / "kore-etl", Path(data) / "kore-etl" if data else None


def _refuse_existing(paths: _Paths) -> None:
    there = next((path for path in (paths.config, paths.secret) if os.path.lexists(path)), None)
    if there is not None:
        raise ConfigError(f"{there} is there already and was not touched; add --force to change it")


def _present(config: Path) -> dict[str, str]:
    """Return the values of the present file, none where it cannot be used.

    Raises:
        ConfigError: the file has [[source]] tables.
    """
    from etl.settings.toml_files import read_files

    try:
        tables = read_files([config])
    except ConfigError:
        return {}
    if tables.problems:
        return {}
    if tables.sources:
        raise ConfigError(
            f"{config} has [[source]] tables, which init cannot change; edit it, then run: kore-etl check"
        )
    return {key: str(found.value) for key, found in tables.top.items()}


def _answer(key: str, given: str | None, default: str | None = None) -> str:
    """Return a setting from its option, or ask for it until the answer is valid and not questioned."""
    from etl.settings.definitions import accepted
    from etl.settings.precedence import id_warning

    if given is not None:
        value = accepted(key, given)
        if odd_id := id_warning(key, value):
            logs.say(odd_id, "warning")
        return value
    default = default or (_HOST if key == "base_url" else None)
    if not sys.stdin.isatty():
        if default is not None:
            return default
        option = f"--{key.replace('_', '-')}"
        raise ConfigError(f"{key} is not given, and there is no terminal to ask on; add {option}")
    question = _ASKED.get(key, "Where the tasks go")
    while True:
        try:
            value = accepted(key, click.prompt(question, default, err=True))
        except ConfigError as error:
            logs.say(str(error), "error")
            continue
        odd_id = id_warning(key, value)
        if odd_id is None or click.confirm(odd_id, err=True):
            return value


def _secret(file: str | None, *, present: Path) -> str:
    from etl.settings.value_types import expanded

    kept = present.read_text(encoding="utf-8-sig") if present.is_file() else ""
    if file is not None:
        try:
            text = (sys.stdin.buffer.read() if file == "-" else expanded(file).read_bytes()).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"--client-secret-file {file}: cannot be read; name a file with the secret") from error
    elif sys.stdin.isatty():
        question = f"The Client Secret (it is not shown{'; empty: as it is' if kept else ''})"
        text = click.prompt(question, "" if kept else None, hide_input=True, show_default=False, err=True) or kept
    elif kept:
        text = kept
    else:
        raise ConfigError(
            "the Client Secret is not given, and there is no terminal to ask on; add --client-secret-file"
        )
    if not text.strip():
        raise ConfigError("the Client Secret is empty; give what the JWT app shows")
    logs.hide(text)
    return text.strip() + "\n"


def _try(common: Common, paths: _Paths, *, probe: bool) -> int:
    """Load what was written, make the first requests, and say what comes next."""
    from etl.cli.commands.transfer.probe import probe_sources

    written = Common(paths.config, None, common.verbosity)
    option = "" if _is_found(paths.config) else f" --config {paths.config}"
    not_yet = (
        "the settings are written, but do not work yet; see: kore-etl check{0}; change them: kore-etl init{0} --force"
    )
    try:
        settings = written.start().settings
        _ask_about_moves(settings)
        if probe:
            _require_access(settings)
        code = probe_sources(settings, every=False, output="text") if probe else 0
    except EtlError:
        logs.say(not_yet.format(option))
        raise
    if code:
        logs.say(not_yet.format(option))
        return code
    logs.say(f"next, read all tasks: kore-etl sync{option}")
    as_user = " --user" if os.geteuid() else ""
    logs.say(f"then every five minutes: kore-etl schedule systemd{option}{as_user} --install (or cron)")
    return 0


def _ask_about_moves(settings: Settings) -> None:
    """Ask whether a known source's server has moved; without an answer the first request refuses it."""
    from etl.cli.commands.inspect.check import settle_move
    from etl.cli.open_database import existing_database

    with (
        suppress(DatabaseError),
        existing_database(settings, schema="newest") as engine,
    ):  # there is none yet, or a later step reports it
        for source in settings.sources:
            settle_move(engine, source)


def _require_access(settings: Settings) -> None:
    """Make one request for each source: without an accepted one, nothing of it goes into the database."""
    from etl.cli.client_factory import Builder
    from etl.extract.http.query import Query

    builder = Builder(settings)
    for source in settings.sources:
        with closing(builder.client(source)) as client:
            client.answer(Query(limit=1))


def _is_found(config: Path) -> bool:
    """Tell whether commands in this folder find these settings without --config."""
    from etl.settings.toml_files import find_files

    return [path.resolve() for path in find_files(None, os.environ)] == [config.resolve()]
