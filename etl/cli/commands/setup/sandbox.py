"""``kore-etl sandbox``: run the sandbox as a process."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Iterable
from dataclasses import Field, fields
from pathlib import Path
from threading import Event
from typing import Any, Literal, get_args, get_origin

import click

from etl.sandbox import Options, Sandbox
from etl.sandbox.options import FAULT_KINDS, option_types
from etl.stop_request import handling

HELP = """Serve getTasks with made-up tasks, to try things out without an account.

\b
Example:
  kore-etl sandbox --env-file sandbox.env &
  . ./sandbox.env
  kore-etl sync

Each option may also come from the environment, as KORE_ETL_SANDBOX_ and its
name: KORE_ETL_SANDBOX_CAP=10. On start it prints shell lines with the settings
for a sync. Ctrl-C ends it. The secret that it prints works for this server
alone.
"""


def _from_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each field of Options."""
    for each in reversed(fields(Options)):
        command = _decorator(each)(command)
    return command


def _decorator(each: Field[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    if each.name == "faults":
        help_text = f"A fault and its rate; may be repeated. Kinds: {', '.join(FAULT_KINDS)}."
        return click.option(
            "--fault",
            "faults",
            multiple=True,
            metavar="KIND=RATE",
            callback=_faults,
            help=help_text,
            envvar="KORE_ETL_SANDBOX_FAULT",
        )
    settings: dict[str, Any] = {"help": each.metadata["help"], "envvar": f"KORE_ETL_SANDBOX_{each.name.upper()}"}
    if each.name == "sort_fields":
        settings |= {"default": ",".join(Options().sort_fields), "metavar": "FIELD,...", "callback": _names}
    elif each.name == "public_key":
        settings |= {"default": None, "type": click.Path(exists=True, dir_okay=False), "callback": _text_of_file}
    else:
        settings |= {"default": each.default, **_kind(option_types()[each.name])}
    return click.option(f"--{each.name.replace('_', '-')}", each.name, show_default=True, **settings)


def _kind(kind: Any) -> dict[str, Any]:
    """Return the click type for a value of this type."""
    if kind is bool:
        return {"is_flag": True}
    if get_origin(kind) is not Literal:
        return {"type": kind}
    choices = get_args(kind)
    return {"type": click.Choice([str(each) for each in choices]), "callback": _choice(type(choices[0]))}


def _choice(kind: type) -> Callable[[click.Context, click.Parameter, Any], Any]:
    return lambda _context, _parameter, value: kind(value)


def _names(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in value.split(",") if each.strip())


def _text_of_file(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    return Path(value).read_text(encoding="utf-8") if value else ""


def _faults(_context: click.Context, _parameter: click.Parameter, value: Iterable[str]) -> dict[str, float]:
    rates = {}
    for each in value:
        kind, _, rate = each.partition("=")
        try:
            rates[kind] = float(rate)
        except ValueError:
            raise click.BadParameter(f"{each!r} is not of the form KIND=RATE, as in 503=0.05") from None
    return rates


@click.command(help=HELP, short_help="Serve getTasks with made-up tasks on this machine.")
@_from_options
@click.option(
    "--env-file", type=click.Path(dir_okay=False, path_type=Path), help="Also write the shell lines to this file."
)
def sandbox(env_file: Path | None, **given: Any) -> None:
    """Serve until a signal ends it."""
    try:
        options = Options(**given)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    ended = Event()
    stops = (signal.SIGINT, signal.SIGTERM)
    with handling(dict.fromkeys(stops, lambda *_: ended.set())), _listening(options) as server:
        _announce(server, env_file)
        ended.wait()


def _listening(options: Options) -> Sandbox:
    try:
        return Sandbox(options).start()
    except OSError as error:
        raise click.UsageError(f"cannot listen on {options.host}:{options.port}: {error}") from error


def _announce(server: Sandbox, env_file: Path | None) -> None:
    from etl.atomic_file import write_text

    # No settings file of this machine adds to them, so no sync of the sandbox goes into a database of theirs.
    settings = {**server.environment, "KORE_ETL_CONFIG": os.devnull}
    lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
    if env_file:
        write_text(env_file, lines, mode=0o600, advice="choose another --env-file")
    click.echo(lines, nl=False)
    click.echo(f"sandbox: {server.options.tasks} tasks at {server.url}; Ctrl-C ends it", err=True)
