"""``kore-etl runs``: the ledger of runs."""

from __future__ import annotations

from typing import Any

import click

from etl.cli.options import Common, DefaultGroup, common_options, output_option

_LISTED = ("id", "command", "state", "started_at", "took", "exit_code", "requests", "inserted", "updated", "rejected")
_OPTIONAL = ("updated", "inserted", "rejected", "took", "requests")
_OPTIONAL_OF_WINDOW = ("checkpoint_at", "strategy", "requests", "job", "id")
_WINDOW = (
    "id",
    "job",
    "field",
    "start_at",
    "end_at",
    "checkpoint_at",
    "strategy",
    "state",
    "requests",
    "rows",
    "error",
)


@click.group(cls=DefaultGroup, default="list")
def runs() -> None:
    """List the runs of all commands, or show one; "kore-etl runs" alone lists them.

    \b
    Example:
      kore-etl runs
      kore-etl runs show 12
    """


@runs.command("list", short_help="List the runs, the latest first.")
@common_options
@click.option("--source", metavar="NAME", help="Only the runs of this source.")
@click.option("--failed", is_flag=True, help="Only runs with an exit code other than 0.")
@click.option("--limit", type=click.IntRange(1, 2**63 - 1), default=20, show_default=True, help="Show at most N runs.")
@output_option
def list_(common: Common, source: str | None, failed: bool, limit: int, output: str) -> None:
    """List the runs, the latest first, with their counts and exit codes.

    After a day, the syncs of an hour that stored no change become one row with the sums of their counts. "runs" tells
    how many they are.

    \b
    Example:
      kore-etl runs --failed
      kore-etl runs --limit 100 --output json | jq 'map(.requests) | add'
    """
    from etl.cli.open_database import reading_database, sources_named
    from etl.cli.output import print_json, print_table
    from etl.jobs.diagnostics.status import with_true_state
    from etl.load.queries import status

    with reading_database(common.start(need_sources=False).settings, schema="newest") as connection:
        if source is not None:
            sources_named(connection, source)
        rows = status.run_rows(connection, source=source, failed=failed, limit=limit)
        found = [with_true_state(connection, run) for run in rows]
    if output == "json":
        print_json(found)
    elif found:
        of_many = len({run["source"] for run in found}) > 1
        columns = (
            *(("source",) if of_many else ()),
            *_LISTED,
            *(("runs",) if any(run["runs"] > 1 for run in found) else ()),
        )
        print_table(columns, [_with_time(run) for run in found], optional=_OPTIONAL)
    else:
        common.say("there is no such run")


@runs.command(short_help="Show a run with its windows.")
@common_options
@click.argument("number", metavar="ID", type=click.IntRange(min=1, max=2**63 - 1))
@output_option
def show(common: Common, number: int, output: str) -> None:
    """Show a run: its counts, its error, its settings, and the windows that it read.

    \b
    Example:
      kore-etl runs show 12
      kore-etl runs show 12 --output json | jq .settings.overlap
    """
    from etl.cli.open_database import reading_database
    from etl.cli.output import print_json, print_record, print_table
    from etl.errors import ConfigError
    from etl.jobs.diagnostics.status import with_true_state
    from etl.load.queries import status

    with reading_database(common.start(need_sources=False).settings, schema="newest") as connection:
        row = status.run_row(connection, number)
        run = row and with_true_state(connection, row)
        windows = status.windows_of(connection, number)
    if run is None:
        raise ConfigError(f"ID {number}: there is no such run; see: kore-etl runs")
    if output == "json":
        print_json({**run, "read": windows})
        return
    print_record({name: value for name, value in _with_time(run).items() if name != "settings"})
    if windows:
        click.echo("\nWindows")
        print_table(_WINDOW, windows, indent="  ", optional=_OPTIONAL_OF_WINDOW)


def _with_time(run: dict[str, Any]) -> dict[str, Any]:
    """Add how long a run took; several runs in one row took no time that is known."""
    from etl.times import format_duration

    began, ended = run["started_at"], run["finished_at"]
    return {**run, "took": None if ended is None or run["runs"] > 1 else format_duration(ended - began)}
