"""The command ``kore-etl``: a table of commands, each imported only when it runs.

This module imports click and nothing else, so ``--version``, ``--help`` and a mistyped command answer at once. A
command returns its exit code, or None for 0. :mod:`etl.cli.exit_codes` turns exceptions into a line and a code.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from etl import __version__

PROGRAM = "kore-etl"
COMPLETE_VARIABLE = "_KORE_ETL_COMPLETE"

# name: (where its click command is, its line in --help)
COMMANDS: dict[str, tuple[str, str]] = {
    "sync": ("etl.cli.commands.transfer.sync:sync", "Bring the database up to date with the server."),
    "backfill": ("etl.cli.commands.transfer.backfill:backfill", "Read a range of history again."),
    "reconcile": ("etl.cli.commands.transfer.reconcile:reconcile", "Sync, then mark tasks that the server deleted."),
    "probe": ("etl.cli.commands.transfer.probe:probe", "Find out the server's capabilities with a few requests."),
    "init": ("etl.cli.commands.setup.init:init", "Write the settings file and test it."),
    "check": ("etl.cli.commands.inspect.check:check", "Check whether a sync would work."),
    "status": ("etl.cli.commands.inspect.status:status", "Show how fresh each source is and what is missing."),
    "runs": ("etl.cli.commands.inspect.runs:runs", "List the runs of all commands, or show one."),
    "watermark": ("etl.cli.commands.inspect.watermark:watermark", "Show or move the watermark of a source."),
    "fetch": ("etl.cli.commands.transfer.fetch:fetch", "Make one getTasks request and print the answer."),
    "rejected": ("etl.cli.commands.inspect.rejected:rejected", "List, store, acknowledge or drop rejected records."),
    "why": ("etl.cli.commands.inspect.why:why", "Explain a task: its history, or why it is missing."),
    "forget": ("etl.cli.commands.maintain.forget:forget", "Erase a task permanently."),
    "schema": ("etl.cli.commands.inspect.schema:schema", "List the keys of records that the tables do not know."),
    "export": ("etl.cli.commands.publish.export:export", "Write a table or view as CSV, JSON lines or Parquet."),
    "report": ("etl.cli.commands.publish.report:report", "Write an HTML page of numbers and charts."),
    "explore": ("etl.cli.commands.publish.explore:explore", "Open a SQLite database in the browser."),
    "prune": ("etl.cli.commands.maintain.prune:prune", "Delete old runs, windows and rejected records."),
    "db": ("etl.cli.commands.maintain.db:db", "Create, migrate, check or copy the tables."),
    "schedule": ("etl.cli.commands.setup.schedule:schedule", "Print or install a timer for the sync: systemd or cron."),
    "config": ("etl.cli.commands.setup.config:config", "Show the settings and where each comes from."),
    "sandbox": ("etl.cli.commands.setup.sandbox:sandbox", "Serve getTasks with made-up tasks on this machine."),
    "demo": ("etl.cli.commands.setup.demo:demo", "Run two syncs against a sandbox and show the tables."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands' names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import and return the command, or None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table is ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the table's texts, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or suggest a similar one."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(_no_such_command(args[0]))
        return super().resolve_command(ctx, args)


def _no_such_command(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"the commands are {', '.join(COMMANDS)}."
    return f"No such command '{name}': {hint}"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def cli() -> None:
    """Copy Kore.ai case-management tasks into a SQL database, exactly as the server has them.

    \b
    Example:
      kore-etl sync --config config/kore-etl.toml
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with the exit code of what happened."""
    from etl.cli.exit_codes import run

    # Importing creates hardly any garbage: collecting it costs more than it frees.
    gc.set_threshold(10_000, 20, 20)
    code = run(_dispatch, list(sys.argv[1:] if args is None else args))
    gc.freeze()  # the same at the end, when Python would collect everything once more
    sys.exit(code)


def _dispatch(args: list[str]) -> object:
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, PROGRAM, COMPLETE_VARIABLE, instruction)
    with cli.make_context(PROGRAM, args) as context:
        return cli.invoke(context)
