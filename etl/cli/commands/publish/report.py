"""``kore-etl report``: an HTML page for people who do not query databases."""

from __future__ import annotations

import webbrowser
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli.options import Common, common_options, duration
from etl.errors import ConfigError
from etl.logs import say
from etl.optional_packages import install_command

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

_LONGEST = timedelta(days=3660)


def _zone(value: str) -> ZoneInfo:
    """Look up a time zone by its name."""
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        raise click.BadParameter(f"'{value}' is no time zone such as UTC or Europe/Berlin.") from error


@click.command()
@common_options
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="report.html",
    show_default=True,
    help="Write this file, atomically.",
)
@click.option(
    "--since",
    type=duration,
    default="90d",
    show_default=True,
    metavar="TIME",
    help="How far back the report goes.",
)
@click.option("--timezone", type=_zone, metavar="NAME", help="Whose days. Default: each source's setting.")
@click.option("--title", default="Support tasks", show_default=True, help="The report's title.")
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
def report(common: Common, out: Path, since: timedelta, timezone: ZoneInfo | None, title: str, open_it: bool) -> None:
    """Write a report of the tasks as one HTML file: headline numbers, charts, the ones that wait the longest.

    The file needs no network, so you can send it as it is. It names tasks and agents. The report reads only the
    database. It needs the extra report: see docs/install.md.

    \b
    Example:
      kore-etl report --open
      kore-etl report --since 180d --timezone Europe/Berlin --out support.html
    """
    if not timedelta(days=1) <= since <= _LONGEST:
        raise click.UsageError("--since must be from 1d to 3660d.")
    from etl.atomic_file import output_file
    from etl.cli.open_database import existing_database
    from etl.jobs.diagnostics.status import source_statuses
    from etl.times import now

    try:
        from etl.report.period import period_until
        from etl.report.query_numbers import figures, zones
        from etl.report.render_html import page
    except ModuleNotFoundError as error:
        raise ConfigError(f"a report needs {error.name}; run: {install_command('report')}") from error
    loaded = common.start(need_sources=False)
    settings = loaded.settings
    with existing_database(settings, schema="newest") as engine:
        period = period_until(now(), since, zones(engine), timezone)
        sources = source_statuses(engine, now=period.now, configured=loaded.names)
        text = page(figures(engine, period), sources, period, title=title, task_url=settings.task_url)
    with output_file(out) as file:
        file.write(text.encode())
    common.say(f"the report is in {out} ({len(text.encode()) / 1e6:.1f} MB); open it in a browser")
    if open_it and not webbrowser.open(out.resolve().as_uri()):
        say(f"no browser was found; open {out} yourself")
