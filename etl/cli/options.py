"""The options that commands share, as one value.

A command looks like this::

    @click.command()
    @common_options
    @source_option
    def sync(common: Common, select: tuple[str, ...]) -> int:
        loaded = common.start(select=select)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from etl import logs
from etl.errors import ConfigError

if TYPE_CHECKING:
    # --help needs none of these.
    from etl.logs.rotation import LogFile
    from etl.settings import Loaded, Settings, SourceSettings

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Common(NamedTuple):  # --help shall not wait for msgspec
    """The options of every command: the settings file, the database, and the verbosity."""

    config: Path | None = None
    database_url: str | None = None
    verbosity: int = 0
    log_file: Path | None = None

    def start(
        self,
        options: Mapping[str, object] | None = None,
        *,
        need_sources: bool = True,
        select: Sequence[str] = (),
    ) -> Loaded:
        """Set up the logs, load the settings, hide their secrets, and log warnings.

        ``options`` are settings from the command line, under the settings' own keys.
        """
        logs.configure(self.verbosity)
        loaded = self.load(options, need_sources=need_sources, select=select)
        if loaded.settings.log_file is not None:
            logs.configure(self.verbosity, file=_opened_log(loaded))
        for warning in loaded.warnings:
            logs.get_logger().warning("settings.exposed", detail=warning)
        for odd_id in loaded.id_warnings:
            logs.get_logger().warning("settings.questionable", detail=odd_id)
        return loaded

    def say(self, line: str) -> None:
        """Write a line for a person to stderr; write nothing with --quiet."""
        if self.verbosity >= 0:
            logs.say(line)

    def load(
        self,
        options: Mapping[str, object] | None = None,
        *,
        need_sources: bool = True,
        select: Sequence[str] = (),
    ) -> Loaded:
        """Load the settings and hide their secrets, without any log."""
        from etl.settings import load_settings

        for url in (self.database_url, os.environ.get("KORE_ETL_DATABASE_URL")):
            logs.hide_passwords(url or "")
        given = {"database_url": self.database_url, "log_file": self.log_file, **(options or {})}
        loaded = load_settings(self.config, os.environ, given, need_sources=need_sources, select=select)
        hide_secrets(loaded.settings)
        return loaded


def hide_secrets(settings: Settings) -> None:
    """Hide the secrets of these settings in every later log and error line."""
    for source in settings.sources:
        logs.hide(source.client_secret)
    logs.hide_passwords(settings.database_url)
    for action in (settings.on_failure, settings.on_success):
        if isinstance(action, str):
            # The part after a webhook's host is its secret.
            logs.hide(action.partition("://")[2].partition("/")[2])


def confirm(effect: str, question: str) -> None:
    """Ask on the terminal, and abort the command unless the answer is yes.

    Raises:
        ConfigError: there is no terminal; the message begins with the command's ``effect``.
    """
    if not sys.stdin.isatty():
        raise ConfigError(f"{effect} and asks first, which needs a terminal; without one add --yes")
    # The two letters keep room for what is typed.
    shown = logs.wrapped_for_terminal(f"{logs.clean(question)} Continue? [y/N]:__").removesuffix("__")
    click.confirm(shown, abort=True, err=True, show_default=False, prompt_suffix=" ")


def only_source(settings: Settings, problem: str) -> SourceSettings:
    """Return the source of the settings.

    Raises:
        ConfigError: there are several; the message begins with the ``problem`` and ends with their names.
    """
    if len(settings.sources) != 1:
        raise ConfigError(f"{problem}: {', '.join(source.name for source in settings.sources)}")
    return settings.sources[0]


def _opened_log(loaded: Loaded) -> LogFile:
    from etl.logs.rotation import LogFile

    settings = loaded.settings
    assert settings.log_file is not None  # noqa: S101 - the caller saw to it
    try:
        return LogFile(settings.log_file, size=settings.log_file_size, keep=settings.log_file_keep)
    except OSError as error:
        origin = loaded.origins["log_file"]
        raise ConfigError(
            f"log_file ({origin}): {settings.log_file} cannot be opened: {error.strerror}; "
            "accepted: the path of a file that can be written"
        ) from None


def date(value: str) -> datetime:
    """Read an option's date or time; without a zone it is UTC."""
    from etl.times import parse_time

    try:
        moment = parse_time(value)
    except ValueError:
        moment = None
    if moment is None or value.isdecimal():
        raise click.BadParameter(f"'{value}' is no date or time such as 2024-01-31 or 2024-01-31T08:00:00Z.")
    return moment


def duration(value: str) -> timedelta:
    """Read an option's length of time such as ``15m``; a number alone is seconds."""
    from etl.times import parse_duration

    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"'{value}': {error}.") from error


source_option = click.option(
    "--source", "select", multiple=True, metavar="NAME", help="Only this source; may be given more than once."
)
metrics_option = click.option(
    "--metrics-file", type=click.Path(path_type=Path), help="Write a metrics file for Prometheus's textfile collector."
)
wait_option = click.option(
    "--wait", type=duration, metavar="TIME", help="Wait so long for another run to end, such as 10m."
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(1, 32),
    metavar="N",
    help="Read N windows of history at once. Default: as many as budget and latency suggest.",
)
output_option = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="What goes to stdout."
)


class DefaultGroup(click.Group):
    """A group that runs one of its commands if none is named: ``kore-etl runs`` is ``kore-etl runs list``."""

    def __init__(self, *args: Any, default: str, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command in front where there is none."""
        if ctx.resilient_parsing:  # a shell that completes: what is typed so far stands for itself
            return super().parse_args(ctx, args)
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = [self._default, *args]
        return super().parse_args(ctx, args)


def common_options(command: _Command) -> Callable[..., Any]:
    """Add the options of all commands; the command gets them as its first argument, a Common."""

    @click.option("--config", type=click.Path(path_type=Path), help="A settings file, or a folder of them.")
    @click.option("--database-url", metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/DATABASE.")
    @click.option("--log-file", type=click.Path(path_type=Path), help="Also write the log to this file, as JSON lines.")
    @click.option("-v", "--verbose", is_flag=True, help="Log every step.")
    @click.option("-q", "--quiet", is_flag=True, help="Log warnings and errors only.")
    @wraps(command)
    def gathered(
        config: Path | None, database_url: str | None, log_file: Path | None, verbose: bool, quiet: bool, **rest: Any
    ) -> Any:
        if verbose and quiet:
            raise click.UsageError("Use either --verbose or --quiet, not both.")
        return command(Common(config, database_url, int(verbose) - int(quiet), log_file), **rest)

    # click shows the last ones first: those of the command itself.
    parameters = gathered.__click_params__  # type: ignore[attr-defined]  # click adds it
    own = len(parameters) - 5
    parameters[:] = [*parameters[own:], *parameters[:own]]
    return gathered
