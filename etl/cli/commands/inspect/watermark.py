"""``kore-etl watermark``: show or move the watermark of a source."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from etl.cli.options import Common, DefaultGroup, common_options, confirm, date, only_source, output_option
from etl.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from etl.jobs.run.run_context import RunContext

_SHOWN = ("source", "watermark", "age", "moved_at", "run_id")


@click.group(cls=DefaultGroup, default="show")
def watermark() -> None:
    """Show or move the watermark of a source; "kore-etl watermark" alone shows it.

    \b
    Example:
      kore-etl watermark
      kore-etl watermark set 2025-01-31
    """


@watermark.command(short_help="Show the watermark of each source.")
@common_options
@output_option
def show(common: Common, output: str) -> None:
    """Show the watermark of each source: every change before it is stored.

    \b
    Example:
      kore-etl watermark show
      kore-etl watermark show --output json | jq '.[].watermark'
    """
    from etl.cli.open_database import reading_database
    from etl.cli.output import ago, print_json, print_table
    from etl.load.queries import status
    from etl.times import now

    with reading_database(common.start(need_sources=False).settings, schema="newest") as connection:
        rows = status.source_rows(connection)
    moment = now()
    found = [{**row, "source": row["name"], "age": ago(row["watermark"], moment)} for row in rows]
    if output == "json":
        print_json([{name: row[name] for name in _SHOWN if name != "age"} for row in found])
    else:
        print_table(_SHOWN, found)


@watermark.command("set", short_help="Move the watermark of a source.")
@common_options
@click.argument("moment", metavar="TIME", type=date)
@click.option("--source", metavar="NAME", help="The source; needed if there are several.")
@click.option("--force", is_flag=True, help="Allow a later watermark: the next syncs skip the changes in between.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
def set_(common: Common, moment: datetime, source: str | None, force: bool, yes: bool, output: str) -> int:
    """Move the watermark of a source to TIME. A TIME without a zone is UTC.

    After a move back the next sync reads the changes since then again, which is harmless. A move ahead skips the
    changes in between, so it needs --force. The move is a run and exits 75 while another run works on the source.

    \b
    Example:
      kore-etl watermark set 2025-01-31 --yes
      kore-etl watermark set 2025-01-31T08:00:00Z --source europe
    """
    from etl.cli.open_database import open_database
    from etl.cli.run_job_on_sources import Work, work_on_sources
    from etl.load.database.engine import disposing, reading
    from etl.load.queries import status
    from etl.times import now

    loaded = common.start(select=(source,) if source else ())
    chosen = only_source(loaded.settings, "there are several sources, but only one watermark can move; add --source")
    if moment > now():
        raise ConfigError(f"{moment:%Y-%m-%d %H:%M} UTC is in the future; a watermark marks what is already stored")
    with disposing(open_database(loaded.settings)) as engine, reading(engine) as connection:
        rows = status.source_rows(connection, chosen.name)
    known = rows[0]["watermark"] if rows else None
    _refuse_ahead(known, moment, force=force)
    if not yes:
        _confirm(chosen.name, known, moment)

    code = work_on_sources(
        loaded.settings, Work("watermark", lambda run: _move(run, moment, force=force)), output=output
    )
    if code == ExitCode.DONE:
        common.say(f"{chosen.name}: {_consequence(known, moment)}")
    return code


def _confirm(name: str, known: datetime | None, moment: datetime) -> None:
    from etl.cli.output import shown

    question = f"This moves the watermark of {name} from {shown(known)} to {shown(moment)}."
    confirm("watermark set changes what is read", question)


def _move(run: RunContext, moment: datetime, *, force: bool) -> dict[str, Any]:
    from etl.load.ledger import watermarks
    from etl.times import format_time

    known = run.store.watermark()
    _refuse_ahead(known, moment, force=force)
    run.store.write(watermarks.put, moment, run_id=run.id, now=run.clock())
    return {"before": format_time(known) if known else None, "after": format_time(moment)}


def _refuse_ahead(known: datetime | None, moment: datetime, *, force: bool) -> None:
    from etl.cli.output import shown

    if not force and (known is None or moment > known):
        stands = "there is none yet, and this would skip the first sync" if known is None else f"it is {shown(known)}"
        message = f"{shown(moment)} is ahead of the watermark: {stands}; run kore-etl sync, or add --force"
        raise ConfigError(message)


def _consequence(known: datetime | None, moment: datetime) -> str:
    from etl.cli.output import shown

    if known is None or moment > known:
        since = "anything before it" if known is None else f"what changed since {shown(known)}"
        return f"the watermark is {shown(moment)} now; only a backfill or sync --full will read {since}"
    return f"the watermark is {shown(moment)} now; the next sync reads the changes since then again"
