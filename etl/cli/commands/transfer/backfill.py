"""``kore-etl backfill``: read a range of history again."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etl.cli.options import (
    Common,
    common_options,
    date,
    metrics_option,
    output_option,
    source_option,
    wait_option,
    workers_option,
)

if TYPE_CHECKING:
    from etl.jobs.backfill import Period, Plan
    from etl.jobs.run.run_context import RunContext
    from etl.settings import Loaded


@click.command()
@common_options
@source_option
@click.option("--since", type=date, help="Start of the range. Default: the beginning of history.")
@click.option("--until", type=date, help="End of the range, not included. Default: now.")
@click.option("--restart", is_flag=True, help="Start over instead of continuing an earlier backfill of the range.")
@click.option("--plan", "only_plan", is_flag=True, help="Print windows, requests and time; read and store no tasks.")
@click.option(
    "--distribute", is_flag=True, help="Leave the windows to the workers of kore-etl worker (PostgreSQL only)."
)
@workers_option
@wait_option
@metrics_option
@output_option
def backfill(
    common: Common,
    select: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    restart: bool,
    only_plan: bool,
    distribute: bool,
    workers: int | None,
    wait: timedelta | None,
    metrics_file: Path | None,
    output: str,
) -> int:
    """Read a range of history again and store what is missing or newer.

    The dates are those of the field that the server filters on (see kore-etl probe). After a kill the same command
    continues from the last committed page. Scheduled syncs may run meanwhile and go first. The watermark does not move.

    With --distribute it plans the windows and ends. Workers read them, each window by one worker at a time. kore-etl
    status shows how far they are, and kore-etl runs the exit code at the end.

    \b
    Example:
      kore-etl backfill --since 2024-01-01 --until 2024-07-01 --plan
      kore-etl backfill --since 2024-01-01 --until 2024-07-01
      kore-etl backfill --since 2024-01-01 --distribute
    """
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since must be before --until.")
    if distribute and (only_plan or workers is not None):
        raise click.UsageError("--distribute goes with neither --plan nor --workers.")
    from msgspec.structs import asdict

    from etl.cli.output import print_text
    from etl.cli.run_job_on_sources import Work, work_on_sources
    from etl.extract.http.rate_limiter import RateLimiter
    from etl.jobs.backfill import Period, plan
    from etl.jobs.backfill import backfill as job

    loaded = common.start({"metrics_file": metrics_file}, select=select)
    period = Period(since, until)
    if distribute:
        return _distribute(loaded, period, restart=restart, wait=wait, output=output)
    if not only_plan:
        work = Work("backfill", lambda run: job(run, period, restart=restart, workers=workers))
        return work_on_sources(loaded.settings, work, output=output, configured=loaded.names, wait=wait)
    rates = {source.name: (source.requests_per_minute, source.requests_per_hour) for source in loaded.settings.sources}
    plans: dict[str, tuple[Plan, float | None]] = {}

    def find(run: RunContext) -> dict[str, Any]:
        name = run.source.name
        found = plan(run, period)
        seconds = None if found.requests is None else RateLimiter(*rates[name]).seconds_for(found.requests)
        plans[name] = found, seconds
        return {"plan": asdict(found) | {"seconds": seconds}}

    code = work_on_sources(loaded.settings, Work("backfill", find), output=output)
    if output == "text":
        for name, (found, seconds) in plans.items():
            print_text(_sentence(name, found, rates[name], seconds))
    return code


def _distribute(loaded: Loaded, period: Period, *, restart: bool, wait: timedelta | None, output: str) -> int:
    from etl.cli.open_database import open_database, require_postgresql
    from etl.cli.output import print_text
    from etl.cli.run_job_on_sources import Work, work_on_sources
    from etl.jobs.distributed_backfill import distribute
    from etl.load.database.engine import disposing, reading
    from etl.workers.queue_schema import read_queue

    require_postgresql(loaded.settings, instead="on SQLite run kore-etl backfill without --distribute")
    windows: dict[str, int] = {}

    def plan(run: RunContext) -> dict[str, Any]:
        windows[run.source.name] = distribute(run, period, restart=restart)
        return {"windows_waiting": windows[run.source.name]}

    with disposing(open_database(loaded.settings)) as engine:
        work = Work("backfill", plan)
        code = work_on_sources(
            loaded.settings, work, output=output, configured=loaded.names, wait=wait, opened=engine
        )  # fmt: skip
        with reading(engine) as connection:
            queue = read_queue(connection)
    if output == "text":
        for name, count in windows.items():
            print_text(_waiting(name, count, 0 if queue is None else sum(each.is_alive for each in queue.workers)))
    return code


def _waiting(name: str, windows: int, workers: int) -> str:
    from etl.cli.output import counted

    who = f"{counted(workers, 'worker')} will read them" if workers else "no worker is at work; run: kore-etl worker"
    return f"{name}: {counted(windows, 'window')} to read; {who}; see: kore-etl status"


def _sentence(name: str, plan: Plan, rates: tuple[int, int | None], seconds: float | None) -> str:
    from etl.cli.output import counted
    from etl.times import format_duration

    per_minute, per_hour = rates
    done = f", {plan.done_until:%Y-%m-%d %H:%M} being reached" if plan.done_until else ""
    planned = f"{name}: {plan.field} from {plan.since:%Y-%m-%d %H:%M} to {plan.until:%Y-%m-%d %H:%M}{done}"
    if plan.requests is None or seconds is None:
        windows = counted(plan.windows, "window")
        return f"{planned}: {windows} or more; the server does not count rows, so requests are not known"
    time = format_duration(timedelta(seconds=seconds)) if seconds else "less than a minute"
    return (
        f"{planned}: {counted(plan.rows or 0, 'task')}, {counted(plan.windows, 'window')}, "
        f"about {counted(plan.requests, 'request')}, "
        f"{time} at {per_minute} requests a minute{'' if per_hour is None else f' and {per_hour} an hour'}"
    )
