"""``kore-etl schedule``: a timer for the sync, of systemd or cron, and the interval of each source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etl.cli.options import Common, common_options, duration, output_option
from etl.errors import ConfigError
from etl.logs import say

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.api_record import Row
    from etl.load.ledger.schedules import Schedule
    from etl.scheduling.installed_command import Installation
    from etl.settings import Loaded

_EVERY = "5m"


@click.group()
def schedule() -> None:
    """Print or install a timer for the sync: a systemd timer, or a line for cron. Or give each source its interval.

    \b
    Example:
      kore-etl schedule systemd
      sudo kore-etl schedule systemd --install
      kore-etl schedule set europe --every 5m
    """


def _schedule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of both schedulers."""

    @common_options
    @click.option("--every", metavar="TIME", help="How often: 1m to 30m, or 1h to 24h.  [default: 5m]")
    @click.option("--install", is_flag=True, help="Install it instead of printing it.")
    @click.option("--user", is_flag=True, help="Run it as you, not as a service of the machine.")
    @click.option("--root", type=click.Path(path_type=Path), hidden=True, help="Install below this folder.")
    @wraps(command)
    def gathered(common: Common, **given: Any) -> Any:
        return command(common, **given)

    return gathered


@schedule.command(short_help="A systemd service and its timer.")
@_schedule_options
@click.option("--worker", is_flag=True, help="Run kore-etl worker all the time, instead of a sync now and then.")
def systemd(common: Common, every: str | None, install: bool, user: bool, root: Path | None, worker: bool) -> None:
    """Print or install systemd units that sync every few minutes, with this installation's paths.

    A second timer runs sync --reconcile once a day, which marks deleted tasks. The services run as a dynamic user.
    Their database is in /var/lib/kore-etl, and they can write nowhere else. systemd passes the settings and the secret
    to them. With --user they are services of your own. --install also enables and starts the timers, if there is a
    systemctl. --worker is for sources with intervals of their own; see kore-etl worker.

    \b
    Example:
      kore-etl schedule systemd
      sudo kore-etl schedule systemd --install
      kore-etl schedule systemd --user --install --every 15m
      sudo kore-etl schedule systemd --worker --install
    """
    if worker and every is not None:
        raise click.UsageError("--every does not go with --worker: each source has its own; see kore-etl schedule set.")
    from etl.scheduling.systemd import filled_in, install_units, unit_folder

    here = _installation(common, user=user, worker=worker)
    texts = filled_in(here, None if worker else every or _EVERY, user=user)
    folder = unit_folder(user=user)
    if install:
        install_units(texts, folder, user=user, root=root)
    else:
        click.echo("\n".join(f"# {folder / name}\n{text}" for name, text in texts.items()), nl=False)


@schedule.command(short_help="A line for cron.")
@_schedule_options
@click.option("--as", "name", metavar="NAME", help="The user to run as. Default: the owner of the settings file.")
def cron(common: Common, every: str | None, install: bool, user: bool, root: Path | None, name: str | None) -> None:
    """Print or install a file for /etc/cron.d that syncs every few minutes, with this installation's paths.

    Once a day it marks deleted tasks, with sync --reconcile. With --user it is lines for your own crontab. A successful
    run prints nothing; cron mails any other output.

    \b
    Example:
      kore-etl schedule cron
      kore-etl schedule cron --user --install
    """
    from etl.scheduling import cron as crontab
    from etl.scheduling.installed_command import install_file

    here = _installation(common, user=True)
    if user:
        lines = crontab.lines(here, every or _EVERY)
        if install:
            crontab.install_lines(lines)
        else:
            click.echo("\n".join(lines))
        return
    name = name or crontab.owner_of(here.files[0])
    crontab.require_user(name, here)
    text = crontab.file(here, every or _EVERY, name)
    if install:
        install_file(crontab.CRON_FILE, text, root=root)
    else:
        click.echo(f"# {crontab.CRON_FILE}\n{text}", nl=False)


@schedule.command("set", short_help="Sync sources at an interval, with kore-etl sync --due.")
@common_options
@click.argument("chosen", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--every", type=duration, required=True, metavar="TIME", help="The interval, such as 5m.")
def set_(common: Common, chosen: tuple[str, ...], every: timedelta) -> None:
    """Sync sources at an interval. SOURCE is a name in the settings.

    The database keeps the interval, and kore-etl sync --due does the syncs. Sources with the same interval are due at
    different times within it. An interval that the account's request budget cannot carry is refused.

    \b
    Example:
      kore-etl schedule set europe --every 5m
      * * * * *  /opt/kore-etl/bin/kore-etl sync --due --for 55s --quiet
    """
    from etl.cli.client_factory import Builder
    from etl.cli.open_database import open_database
    from etl.cli.output import shown
    from etl.jobs.schedule_sources import put_schedule
    from etl.load.database.engine import disposing
    from etl.load.ledger import schedules
    from etl.times import format_duration

    if every % timedelta(seconds=1) or not timedelta(seconds=1) <= every <= timedelta(days=366):
        raise click.UsageError("--every is in whole seconds, such as 30s, 5m or 1h; 366d at most.")
    loaded = common.start(select=chosen)
    budgets = Builder(common.load().settings)
    with disposing(open_database(loaded.settings)) as engine:
        moment = schedules.now(engine)
        with engine.begin() as connection:
            due = {
                source.name: put_schedule(connection, source, every, rate=budgets.budget(source).rate(), now=moment)
                for source in loaded.settings.sources
            }
    for name, moment in due.items():
        common.say(f"{name}: every {format_duration(every)}, next at {shown(moment)}")


@schedule.command("list", short_help="List the intervals of the sources.")
@common_options
@output_option
def list_(common: Common, output: str) -> None:
    """List the sources that have an interval, in the order in which they are due.

    \b
    Example:
      kore-etl schedule list
      kore-etl schedule list --output json | jq '.[] | select(.seconds_late > 60)'
    """
    from etl.cli.output import print_json, print_table
    from etl.load.ledger import schedules
    from etl.times import format_duration

    with _schedules(common) as (engine, found, loaded):
        moment = schedules.now(engine)
        rows: list[Row] = [
            {
                "name": each.name,
                "every": format_duration(each.every),
                "paused": each.paused,
                "next_due_at": each.next_due_at,
                "seconds_late": schedules.seconds_late(each.next_due_at, moment, paused=each.paused),
                "in_settings": each.identity in loaded.names,
            }
            for each in found
        ]
    if output == "json":
        print_json(rows)
    elif rows:
        print_table(tuple(rows[0]), rows, optional=("in_settings", "paused"))
    else:
        common.say("no source has an interval; see: kore-etl schedule set --help")


@schedule.command(short_help="Let kore-etl sync --due leave sources out.")
@common_options
@click.argument("chosen", metavar="SOURCE...", nargs=-1, required=True)
def pause(common: Common, chosen: tuple[str, ...]) -> None:
    """Let kore-etl sync --due leave sources out until kore-etl schedule resume.

    \b
    Example:
      kore-etl schedule pause europe
    """
    _set_paused(common, chosen, paused=True)


@schedule.command(short_help="End a pause.")
@common_options
@click.argument("chosen", metavar="SOURCE...", nargs=-1, required=True)
def resume(common: Common, chosen: tuple[str, ...]) -> None:
    """End a pause. A sync that was due meanwhile is due now.

    \b
    Example:
      kore-etl schedule resume europe
    """
    _set_paused(common, chosen, paused=False)


def _set_paused(common: Common, chosen: tuple[str, ...], *, paused: bool) -> None:
    from etl.load.ledger import sources

    with _schedules(common) as (engine, found, _):
        unknown = set(chosen) - {each.name for each in found}
        if unknown:
            known = ", ".join(each.name for each in found) or "none has an interval; see: kore-etl schedule set --help"
            raise ConfigError(f"SOURCE {min(unknown)!r}: has no interval; accepted: {known}")
        with engine.begin() as connection:
            for each in found:
                if each.name in chosen:
                    sources.put(connection, each.source_id, paused=paused)


@contextmanager
def _schedules(common: Common) -> Iterator[tuple[Engine, list[Schedule], Loaded]]:
    """Give the database, the schedules in it, and the settings."""
    from etl.cli.open_database import existing_database
    from etl.load.database.engine import reading
    from etl.load.ledger import schedules

    loaded = common.start(need_sources=False)
    with existing_database(loaded.settings, schema="newest") as engine:
        with reading(engine) as connection:
            found = schedules.read_all(connection)
        yield engine, found, loaded


def _installation(common: Common, *, user: bool, worker: bool = False) -> Installation:
    """Return what is to be scheduled, and warn of what will not work there."""
    from etl.cli.open_database import require_postgresql
    from etl.scheduling.installed_command import Installation, obstacles

    loaded = common.load()
    if worker:
        try:
            require_postgresql(loaded.settings)
        except ConfigError as error:
            say(str(error), "warning")
    here = Installation.of(loaded)
    for obstacle in obstacles(here, loaded, user=user):
        say(obstacle, "warning")
    return here
