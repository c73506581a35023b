"""``kore-etl schedule``: print or install a systemd timer or a cron line for the sync."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etl.cli.options import Common, common_options
from etl.logs import say

if TYPE_CHECKING:
    from etl.scheduling.installed_command import Installation


@click.group()
def schedule() -> None:
    """Print or install a timer for the sync: a systemd timer, or a line for cron.

    \b
    Example:
      kore-etl schedule systemd
      sudo kore-etl schedule systemd --install
    """


def _schedule_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of both schedulers."""

    @common_options
    @click.option(
        "--every", default="5m", show_default=True, metavar="TIME", help="How often: 1m to 30m, or 1h to 24h."
    )
    @click.option("--install", is_flag=True, help="Install it instead of printing it.")
    @click.option("--user", is_flag=True, help="Run it as you, not as a service of the machine.")
    @click.option("--root", type=click.Path(path_type=Path), hidden=True, help="Install below this folder.")
    @wraps(command)
    def gathered(common: Common, **given: Any) -> Any:
        return command(common, **given)

    return gathered


@schedule.command(short_help="A systemd service and its timer.")
@_schedule_options
def systemd(common: Common, every: str, install: bool, user: bool, root: Path | None) -> None:
    """Print or install systemd units that sync every few minutes, with this installation's paths.

    A second timer runs sync --reconcile once a day, which marks deleted tasks. The services run as a dynamic user.
    Their database is in /var/lib/kore-etl, and they can write nowhere else. systemd passes the settings and the secret
    to them. With --user they are services of your own. --install also enables and starts the timers, if there is a
    systemctl.

    \b
    Example:
      kore-etl schedule systemd
      sudo kore-etl schedule systemd --install
      kore-etl schedule systemd --user --install --every 15m
    """
    from etl.scheduling.systemd import filled_in, install_units, unit_folder

    here = _installation(common, user=user)
    texts = filled_in(here, every, user=user)
    folder = unit_folder(user=user)
    if install:
        install_units(texts, folder, user=user, root=root)
    else:
        click.echo("\n".join(f"# {folder / name}\n{text}" for name, text in texts.items()), nl=False)


@schedule.command(short_help="A line for cron.")
@_schedule_options
@click.option("--as", "name", metavar="NAME", help="The user to run as. Default: the owner of the settings file.")
def cron(common: Common, every: str, install: bool, user: bool, root: Path | None, name: str | None) -> None:
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
        lines = crontab.lines(here, every)
        if install:
            crontab.install_lines(lines)
        else:
            click.echo("\n".join(lines))
        return
    name = name or crontab.owner_of(here.files[0])
    crontab.require_user(name, here)
    text = crontab.file(here, every, name)
    if install:
        install_file(crontab.CRON_FILE, text, root=root)
    else:
        click.echo(f"# {crontab.CRON_FILE}\n{text}", nl=False)


def _installation(common: Common, *, user: bool) -> Installation:
    """Return what is to be scheduled, and warn of what will not work there."""
    from etl.scheduling.installed_command import Installation, obstacles

    loaded = common.load()
    here = Installation.of(loaded)
    for obstacle in obstacles(here, loaded, user=user):
        say(obstacle, "warning")
    return here
