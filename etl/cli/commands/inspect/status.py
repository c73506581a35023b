"""``kore-etl status``: show the state of each source, for a person or a monitor."""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

import click

from etl.cli.options import Common, common_options, duration, output_option
from etl.errors import ExitCode

if TYPE_CHECKING:
    from datetime import datetime

    from etl.jobs.diagnostics.status import SourceStatus
    from etl.workers.queue_schema import QueueState


@click.command()
@common_options
@click.option("--source", metavar="NAME", help="Only this source.")
@click.option("--max-age", type=duration, metavar="TIME", help="Exit 3 if a source is older, such as 15m.")
@output_option
def status(common: Common, source: str | None, max_age: timedelta | None, output: str) -> int:
    """Show the state of each source: freshness, number of tasks, gaps, and its last run.

    It reads only the database: it makes no request and writes nothing, and a sync may run meanwhile. With --max-age it
    exits 3 if a source had no complete sync within that time.

    \b
    Example:
      kore-etl status
      kore-etl status --output json | jq '.sources[] | {name, age, stale}'
    """
    from etl.cli.open_database import existing_database
    from etl.cli.output import print_json
    from etl.errors import ConfigError
    from etl.jobs.diagnostics.status import source_statuses
    from etl.load.database.engine import reading
    from etl.times import now
    from etl.workers.queue_schema import read_queue

    moment = now()
    loaded = common.start(need_sources=False)
    with existing_database(loaded.settings, schema="newest") as engine:
        found = source_statuses(engine, now=moment, source=source, most_age=max_age, configured=loaded.names)
        with reading(engine) as connection:
            queue = read_queue(connection)
    names = [name for name in loaded.names.values() if source in (None, name)]
    missing = sorted(set(names) - {each.name for each in found if each.configured})
    if source is not None and not found and not missing:
        raise ConfigError(f"--source {source!r}: no such source in the database; see: kore-etl status")
    judged = any(each.configured for each in found)
    is_stale = max_age is not None and (not judged or bool(missing) or any(each.stale for each in found))
    if output == "json":
        stale = None if max_age is None else is_stale
        told = {"at": moment, "stale": stale, "sources": found, "never_synced": missing}
        print_json(told if queue is None else {**told, "queue": queue})
    else:
        _print(found, missing, moment)
        if queue is not None:
            _print_queue(queue, [each.seconds_late for each in found if each.seconds_late is not None])
    return ExitCode.INCOMPLETE if is_stale else ExitCode.DONE


def _print(found: list[SourceStatus], missing: list[str], now: datetime) -> None:
    from etl.cli.output import counted, print_record

    if not found and not missing:
        click.echo("no source was synced yet; run: kore-etl sync")
    parts = 0
    for each in filter(lambda each: each.configured, found):
        click.echo(f"{chr(10) if parts else ''}{each.name} ({each.stream_id})")
        print_record(_lines(each, now), indent="  ")
        parts += 1
    for name in missing:
        click.echo(f"{chr(10) if parts else ''}{name}\n  was never synced; run: kore-etl sync --source {name}")
        parts += 1
    others = [each for each in found if not each.configured]
    if others:
        click.echo(f"{chr(10) if parts else ''}Not in the settings any more; see: kore-etl source list")
    for each in others:
        click.echo(f"  {each.name} ({each.stream_id}): {counted(each.tasks, 'task')}, {_until(each, now)}")


def _print_queue(queue: QueueState, late: list[float]) -> None:
    from statistics import median

    from msgspec.structs import asdict

    from etl.cli.output import counted, print_record, print_table

    click.echo("\nWorkers")
    rows = [asdict(each) for each in queue.workers]
    if rows:
        print_table(tuple(rows[0]), rows, indent="  ", optional=("pid", "accounts"))
    threads = sum(each.threads for each in queue.workers if each.is_alive)
    lines = {
        "at work": f"{queue.running} of {counted(threads, 'thread')}",
        "waiting": counted(queue.waiting, "account"),
        "late": counted(len(late), "source"),
    }
    if late:
        lines["late"] += f", the latest by {max(late):.0f} s, half of them by {median(late):.0f} s or more"
    print_record(lines, indent="  ")


def _until(each: SourceStatus, now: datetime) -> str:
    moment = each.complete_until
    return "no sync was completed" if moment is None else f"complete until {_with_age(moment, now, never='')}"


def _lines(each: SourceStatus, now: datetime) -> dict[str, Any]:
    gone = f", {each.deleted} more are gone from the server" if each.deleted else ""
    lines = {
        "complete until": _with_age(each.complete_until, now, never="never: no sync was completed yet"),
        "watermark": _with_age(each.watermark, now, never="none yet"),
        "interval": _interval(each),
        "last run": _run(each.last_run, now),
        "at work now": _run(each.running, now) if each.running else None,
        "backfill": _distributed(each),
        "tasks": f"{each.tasks}{gone}",
        "account": _account(each),
        "rejected": f"{each.rejected}; see: kore-etl rejected list" if each.rejected else "none",
        "gaps": _range_text(each.gaps, "kore-etl backfill"),
        "unverified": _range_text(each.unverified, "kore-etl sync --full"),
        "verified": _verified(each, now),
        "the server": _answers(each),
    }
    if each.stale:
        lines["stale"] = "yes: older than --max-age"
    return {name: text for name, text in lines.items() if text is not None}


def _interval(each: SourceStatus) -> str | None:
    """Return such as "5m, next at 2026-03-03 12:00:00.000Z", None where the source has no interval."""
    from etl.cli.output import shown
    from etl.times import format_duration

    if each.every is None:
        return None
    every = format_duration(timedelta(seconds=each.every))
    if each.paused:
        return f"{every}, paused; see: kore-etl schedule resume"
    if each.seconds_late is None:
        return f"{every}, next at {shown(each.next_due_at)}"
    return f"{every}, {format_duration(timedelta(seconds=round(each.seconds_late)))} late"


def _distributed(each: SourceStatus) -> str | None:
    """Return such as "run 12: 5 windows wait, 2 claimed, 9 read", None where workers read no backfill."""
    from etl.cli.output import counted

    found = each.distributed
    if found is None:
        return None
    waiting = f"{counted(found.waiting, 'window')} {'waits' if found.waiting == 1 else 'wait'}"
    return f"run {found.run_id}: {waiting}, {found.claimed} claimed, {found.read} read"


def _account(each: SourceStatus) -> str:
    from etl.jobs.run.options import account_text, not_marked

    account = each.account
    text = account_text(account) if account else None
    if account is None or text is None:
        return "none: " + ("the server told no total" if each.last_sync else "no sync was completed yet")
    if account["missing"]:
        return f"{text}; see: kore-etl sync --full"
    return f"{text}; see: kore-etl reconcile" if not_marked(account) > 0 else text


def _verified(each: SourceStatus, now: datetime) -> str:
    """Return such as "100 % within 6 days, 3 differences mended"."""
    from etl.cli.output import counted

    if each.oldest_reading is None or each.last_sync is None:
        return "not yet"
    days = max(1, ceil((now - each.oldest_reading) / timedelta(days=1)))
    return f"100 % within {counted(days, 'day')}, {counted(each.mended, 'difference')} mended"


def _with_age(moment: datetime | None, now: datetime, *, never: str) -> str:
    from etl.cli.output import ago, shown

    return never if moment is None else f"{shown(moment)} ({ago(moment, now)})"


def _run(run: dict[str, Any] | None, now: datetime) -> str:
    from etl.cli.output import ago

    if run is None:
        return "none yet"
    ended = "" if run["exit_code"] is None else f" with exit code {run['exit_code']}"
    said = f": {run['error']}" if run["error"] else ""
    return f"{run['id']}, a {run['command']}, {run['state']}{ended} ({ago(run['started_at'], now)}){said}"


def _range_text(ranges: list[tuple[datetime, datetime]], command: str) -> str:
    if not ranges:
        return "none"
    start, end = ranges[0]
    more = f" and {len(ranges) - 1} more" if len(ranges) > 1 else ""
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}{more}; see: {command}"


def _answers(each: SourceStatus) -> str:
    if each.probed_at is None:
        return "was not probed yet"
    answers = each.answers
    rows = f"{answers['page_rows']} rows a request" if answers["page_rows"] else "rows a request unknown"
    orders = [name for name, key in (("updatedAt", "sort_updated"), ("createdAt", "sort_created")) if answers[key]]
    sorts = f"sorts by {' and '.join(orders)}" if orders else "does not sort"
    unknown = f"; unknown: {', '.join(each.unknown)}" if each.unknown else ""
    return f"filters on {answers['window_field'] or 'an unknown date'}, {sorts}, {rows}{unknown}"
