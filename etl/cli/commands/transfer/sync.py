"""``kore-etl sync``: the main job."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli.options import (
    Common,
    common_options,
    duration,
    metrics_option,
    output_option,
    source_option,
    wait_option,
    workers_option,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

    from etl.cli.run_job_on_sources import Job
    from etl.jobs.dry_run import DryRun
    from etl.settings import Settings, SourceSettings


@click.command()
@common_options
@source_option
@click.option("--full", is_flag=True, help="Read all history again, not only the changes.")
@click.option("--reconcile", is_flag=True, help="Then mark deleted tasks, like kore-etl reconcile.")
@click.option("--due", is_flag=True, help="Only sources that are due by their interval; see kore-etl schedule set.")
@click.option("--for", "most", type=duration, metavar="TIME", help="With --due: begin no sync after this time.")
@click.option("--dry-run", is_flag=True, help="Say what would be requested; store nothing.")
@click.option("--sample", type=click.IntRange(1, 1000), metavar="N", help="With --dry-run: compare the N newest tasks.")
@workers_option
@wait_option
@metrics_option
@output_option
def sync(
    common: Common,
    select: tuple[str, ...],
    full: bool,
    reconcile: bool,
    due: bool,
    most: timedelta | None,
    dry_run: bool,
    sample: int | None,
    workers: int | None,
    wait: timedelta | None,
    metrics_file: Path | None,
    output: str,
) -> int:
    """Bring the database up to date with the server.

    The first sync reads everything. Later syncs read what is new or changed. A sync that was interrupted continues
    where it stopped. Exits 0 when done, 3 with rejected records, unverified windows or missing tasks, 75 while another
    run works.

    \b
    Example:
      kore-etl sync
      kore-etl sync --source europe --output json | jq .sources
      kore-etl sync --due --for 55s
      kore-etl sync --dry-run --sample 50
    """
    if most is not None and not due:
        raise click.UsageError("--for goes with --due.")
    if due and dry_run:
        raise click.UsageError("--due does not go with --dry-run.")
    if sample is not None and not dry_run:
        raise click.UsageError("--sample goes with --dry-run.")
    from etl.cli.run_job_on_sources import Work, work_on_sources

    loaded = common.start({"metrics_file": metrics_file}, select=select)
    if dry_run:
        return _dry_run(loaded.settings, full=full, sample=sample or 0, output=output)
    work = Work("sync", _reconcile(full=full) if reconcile else _sync(full=full, workers=workers))
    choose = _due(loaded.settings, most) if due else None
    return work_on_sources(loaded.settings, work, output=output, configured=loaded.names, wait=wait, choose=choose)


def _due(settings: Settings, most: timedelta | None) -> Callable[[Engine], Iterator[SourceSettings]]:
    from functools import partial

    from etl.jobs.schedule_sources import due_sources
    from etl.load.ledger import schedules

    return lambda engine: due_sources(engine, settings.sources, clock=partial(schedules.now, engine), most=most)


def _dry_run(settings: Settings, *, full: bool, sample: int, output: str) -> int:
    from contextlib import ExitStack

    from etl.cli.client_factory import Builder
    from etl.cli.open_database import existing_database
    from etl.cli.output import print_json, print_record
    from etl.jobs.dry_run import dry_run
    from etl.load.database.engine import sqlite_file
    from etl.load.schema import migrate
    from etl.stop_request import graceful

    file = sqlite_file(settings.database_url)
    with graceful() as stop, ExitStack() as stack:
        engine = None
        if file is None or file.exists():
            engine = stack.enter_context(existing_database(settings, schema="any"))
            if migrate.current(engine) is None:
                engine = None
            else:
                migrate.require_newest(engine, migrate=False)
        builder = Builder(settings, engine, stop)
        stack.callback(builder.close)
        found = []
        for source in settings.sources:
            spec = builder.source_spec(source)
            stack.callback(spec.client.close)
            found.append(dry_run(engine, spec, full=full, sample=sample))
    if output == "json":
        print_json({"dry_run": True, "sources": found})
        return 0
    for each in found:
        click.echo(f"{each.name}: nothing is stored by this dry run")
        print_record(_lines(each), indent="  ")
    return 0


def _lines(each: DryRun) -> dict[str, object]:
    import orjson

    lines: dict[str, object] = {"reads": each.reads}
    lines |= {"first request": orjson.dumps(dict(each.request)).decode(), "requests": each.requests}
    if each.sampled:
        counts = f"{each.new} new, {len(each.changes)} changed, {each.unchanged} unchanged, {each.rejected} rejected"
        lines["sample"] = f"of {each.sampled} tasks: {counts}"
        lines |= {f"  {key}": ", ".join(columns) for key, columns in each.changes.items()}
    return lines


def _sync(*, full: bool, workers: int | None) -> Job:
    from etl.jobs.sync import sync as job

    return lambda run: job(run, full=full, workers=workers)


def _reconcile(*, full: bool) -> Job:
    from etl.jobs.reconcile import reconcile as job  # imported only when needed: it imports much

    return lambda run: job(run, full=full)
