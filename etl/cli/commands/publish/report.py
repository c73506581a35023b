"""``kore-etl report``: an HTML page for people who do not query databases."""

from __future__ import annotations

import os
import webbrowser
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli.duration_option import DurationOption
from etl.cli.options import Common, common_options
from etl.errors import ConfigError
from etl.extras import install_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from zoneinfo import ZoneInfo

    from etl.report.facts import Facts

_LONGEST = timedelta(days=3660)


class ZoneOption(click.ParamType):  # type: ignore[type-arg]  # generic for the type checker alone
    """A time zone by its name."""

    name = "zone"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> ZoneInfo:
        """Look the name up."""
        from zoneinfo import ZoneInfo

        try:
            return value if isinstance(value, ZoneInfo) else ZoneInfo(str(value))
        except (KeyError, ValueError, OSError):
            self.fail(f"'{value}' is no time zone such as UTC or Europe/Berlin.", param, ctx)


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
    type=DurationOption(),
    default="90d",
    show_default=True,
    metavar="TIME",
    help="How far back the report goes.",
)
@click.option("--timezone", type=ZoneOption(), default="UTC", show_default=True, metavar="NAME", help="Whose days.")
@click.option("--title", default="Support tasks", show_default=True, help="The report's title.")
@click.option("--open", "open_it", is_flag=True, help="Open it in the browser.")
def report(common: Common, out: Path, since: timedelta, timezone: ZoneInfo, title: str, open_it: bool) -> None:
    """Write a report as one HTML file: key numbers, charts, the oldest and the overdue tasks.

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
    from etl.cli.factory import now
    from etl.cli.open_database import existing_database
    from etl.jobs.report.gather import gather

    runtime, write_page = _page_writer()
    settings = common.start(need_sources=False).settings
    with existing_database(settings, schema="newest") as engine, ProcessPoolExecutor(1, get_context("spawn")) as beside:
        # Building the scripts takes seconds and much memory, but no data. So the memory is free before the drawing
        # needs it.
        scripts = beside.submit(runtime)
        beside.shutdown(wait=False)
        facts = gather(engine, now=now(), period=since, zone=timezone)
        bundle = scripts.result()
    text = write_page(facts, title, bundle)
    with output_file(out) as file:
        file.write(text.encode())
    if common.verbosity >= 0:
        size = len(text.encode()) / 1e6
        click.echo(f"kore-etl: the report is in {out} ({size:.1f} MB); open it in a browser", err=True)
    if open_it and not webbrowser.open(out.resolve().as_uri()):
        click.echo(f"kore-etl: no browser was found; open {out} yourself", err=True)


def _page_writer() -> tuple[Callable[[], str], Callable[[Facts, str, str], str]]:
    os.environ.setdefault("HOME", "/")  # altair asks for it when it is imported, and a container may have none
    try:
        from etl.report.drawing import runtime
        from etl.report.page import write_page
    except ModuleNotFoundError as error:
        raise ConfigError(f"a report needs {error.name}; run: {install_command('report')}") from error
    return runtime, write_page
