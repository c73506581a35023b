"""``kore-etl verify``: read history again, compare every field, and explain the differences."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from etl.cli.options import Common, common_options, date, metrics_option, output_option, source_option

if TYPE_CHECKING:
    from etl.jobs.run.run_context import RunContext


@click.command()
@common_options
@source_option
@click.option("--requests", type=click.IntRange(min=1), help="Stop after this many requests. Default: once around.")
@click.option("--since", type=date, help="Start of a range to verify, instead of going on.")
@click.option("--until", type=date, help="End of the range, not included. Default: the watermark.")
@metrics_option
@output_option
def verify(
    common: Common,
    select: tuple[str, ...],
    requests: int | None,
    since: datetime | None,
    until: datetime | None,
    metrics_file: Path | None,
    output: str,
) -> int:
    """Read history again, take over what the server says, and explain each difference.

    It goes on where the last verification ended, and goes once around. A difference is explained as changed since,
    backdated, restored, hidden for a while, altered without a date, or deleted. Syncs do a little of this by themselves
    (see the setting verify_within). The dates are those of the field that the server filters on.

    \b
    Example:
      kore-etl verify
      kore-etl verify --requests 20
      kore-etl verify --since 2024-01-01 --until 2024-02-01
    """
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since must be before --until.")
    from etl.cli.output import print_text
    from etl.cli.run_job_on_sources import Work, work_on_sources
    from etl.jobs.verify import verify as job

    loaded = common.start({"metrics_file": metrics_file}, select=select)

    results: dict[str, dict[str, Any]] = {}

    def work(run: RunContext) -> dict[str, Any]:
        found = dict(job(run, requests=requests, since=since, until=until))
        results[run.source.name] = found["verify"]
        return found

    code = work_on_sources(loaded.settings, Work("verify", work), output=output)
    if output == "text":
        for name, result in results.items():
            print_text(_sentence(name, result))
    return code


def _sentence(name: str, found: dict[str, Any]) -> str:
    differences = ", ".join(f"{number:,} {kind}" for kind, number in found["differences"].items() if number)
    return f"{name}: {found['tasks']:,} tasks verified; differences: {differences or 'none'}"
