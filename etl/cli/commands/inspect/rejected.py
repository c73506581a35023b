"""``kore-etl rejected``: list, store, acknowledge or drop rejected records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from etl.cli.options import Common, common_options, confirm, output_option, source_option
from etl.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from etl.settings import Settings, SourceSettings

_NUMBER = click.IntRange(min=1, max=2**63 - 1)
_LISTED = ("id", "record_id", "reason", "times_seen", "first_seen_at", "last_seen_at", "last_run_id", "acknowledged_at")


@click.group()
def rejected() -> None:
    """List, store, acknowledge or drop the records that could not be stored.

    \b
    Example:
      kore-etl rejected list
      kore-etl rejected replay
    """


@rejected.command("list", short_help="List the rejected records.")
@common_options
@click.option("--source", metavar="NAME", help="Only the records of this source.")
@output_option
def list_(common: Common, source: str | None, output: str) -> None:
    """List the rejected records, each once, however often it was seen.

    \b
    Example:
      kore-etl rejected list
      kore-etl rejected list --output json | jq '.[].reason'
    """
    from etl.cli.open_database import reading_database, sources_named
    from etl.cli.output import print_json, print_table
    from etl.load.ledger import rejected_records

    with reading_database(common.start(need_sources=False).settings, schema="newest") as connection:
        if source is not None:
            sources_named(connection, source)
        found = rejected_records.entries(connection, source=source)
    if output == "json":
        print_json(found)
    elif found:
        of_many = len({entry["source"] for entry in found}) > 1
        columns = ("source", *_LISTED) if of_many else _LISTED
        print_table(columns, found, optional=("last_run_id", "first_seen_at", "acknowledged_at", "times_seen"))
    else:
        common.say("there is no rejected record")


@rejected.command(short_help="Show a rejected record.")
@common_options
@click.argument("number", metavar="ID", type=_NUMBER)
@output_option
def show(common: Common, number: int, output: str) -> None:
    """Show a rejected record with its reason and its whole text.

    ID is the id in kore-etl rejected list. Terminal control characters are escaped; JSON has the text itself.

    \b
    Example:
      kore-etl rejected show 3
      kore-etl rejected show 3 --output json | jq '.raw | fromjson'
    """
    from etl.cli.open_database import reading_database
    from etl.cli.output import print_json, print_record

    with reading_database(common.start(need_sources=False).settings, schema="newest") as connection:
        (found,) = _found(connection, [number], whole=True)
    if output == "json":
        print_json(found)
    else:
        print_record(found)


@rejected.command(short_help="Store the records that are valid now.")
@common_options
@source_option
@click.argument("numbers", metavar="[ID]...", nargs=-1, type=_NUMBER)
@output_option
def replay(common: Common, select: tuple[str, ...], numbers: tuple[int, ...], output: str) -> int:
    """Check all or some rejected records again and store the valid ones.

    It makes no request. An older version never replaces a stored row. A stored record leaves the list. A record that is
    still bad stays with the new reason, and the command exits 3. A record that the server no longer has stays as it is.
    Replay is a run and exits 75 while another run works.

    \b
    Example:
      kore-etl rejected replay
      kore-etl rejected replay 3 4
    """
    from dataclasses import replace

    from etl.cli.run_job_on_sources import Work, work_on_sources
    from etl.jobs.maintenance.retry_rejected import replay as job

    ids = sorted(set(numbers)) or None
    settings = common.start(select=select).settings
    sources = _sources_of(settings, ids)
    if not sources and output == "text":
        common.say("there is no rejected record; there was nothing to do")
        return 0
    chosen = replace(settings, sources=sources)
    return work_on_sources(chosen, Work("replay", lambda run: job(run, ids)), output=output)


@rejected.command(short_help="Mark records as known, so that syncs no longer exit 3.")
@common_options
@click.argument("numbers", metavar="[ID]...", nargs=-1, type=_NUMBER)
@output_option
def acknowledge(common: Common, numbers: tuple[int, ...], output: str) -> None:
    """Mark all or some rejected records as known: they no longer make a sync exit 3.

    They stay in the list and are counted when a sync sees them again. A bad record with new content is a new record: it
    makes a sync exit 3 again.

    \b
    Example:
      kore-etl rejected acknowledge
      kore-etl rejected acknowledge 3 4
    """
    from etl.cli.open_database import existing_database
    from etl.cli.output import counted, print_json
    from etl.load.ledger import rejected_records
    from etl.times import now

    ids = sorted(set(numbers)) or None
    with existing_database(common.start(need_sources=False).settings) as engine, engine.begin() as connection:
        if ids is not None:
            _found(connection, ids)
        acknowledged = rejected_records.acknowledge(connection, ids, now())
    if output == "json":
        print_json({"acknowledged": acknowledged})
    else:
        common.say(f"{counted(acknowledged, 'record')} acknowledged")


@rejected.command(short_help="Delete rejected records.")
@common_options
@click.argument("numbers", metavar="ID...", nargs=-1, required=True, type=_NUMBER)
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
def drop(common: Common, numbers: tuple[int, ...], yes: bool, output: str) -> None:
    """Delete rejected records. A sync that sees one again stores it here again.

    \b
    Example:
      kore-etl rejected drop 3 --yes
    """
    from etl.cli.open_database import existing_database
    from etl.cli.output import counted, print_json
    from etl.load.ledger import rejected_records

    ids = sorted(set(numbers))
    with existing_database(common.start(need_sources=False).settings) as engine:
        with engine.connect() as connection:
            _found(connection, ids)
        if not yes:
            _confirm(ids)
        with engine.begin() as connection:
            dropped = rejected_records.drop(connection, ids)
    if output == "json":
        print_json({"dropped": dropped})
    else:
        common.say(f"{counted(dropped, 'record')} dropped")


def _found(connection: Connection, ids: Sequence[int], *, whole: bool = False) -> list[dict[str, Any]]:
    from etl.load.ledger import rejected_records

    found = rejected_records.entries(connection, ids, whole=whole)
    missing = set(ids) - {entry["id"] for entry in found}
    if missing:
        numbers = ", ".join(map(str, sorted(missing)))
        raise ConfigError(f"ID {numbers}: no such record is kept; see: kore-etl rejected list")
    return found


def _sources_of(settings: Settings, ids: Sequence[int] | None) -> tuple[SourceSettings, ...]:
    """Return the sources of the chosen records, from the settings."""
    from etl.cli.open_database import reading_database
    from etl.load.ledger import rejected_records

    with reading_database(settings, schema="newest") as connection:
        if ids is not None:
            _found(connection, ids)
        rejecting = rejected_records.sources_of(connection, ids)
    known = {source.identity: source for source in settings.sources}
    others = [name for name, identity in rejecting if identity not in known]
    if ids is not None and others:
        raise ConfigError(
            f"records of source {', '.join(others)} were chosen, which is not among the sources to work on"
        )
    return tuple(known[identity] for _, identity in rejecting if identity in known)


def _confirm(ids: Sequence[int]) -> None:
    from etl.cli.output import counted

    text = "its text" if len(ids) == 1 else "their texts"
    confirm("rejected drop deletes records", f"This deletes {counted(len(ids), 'record')}, with all of {text}.")
