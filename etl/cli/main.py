"""The command ``kore-etl``: a table of commands, each imported only when it is run.

Importing this module costs click and nothing else, so that ``--version``, ``--help`` and a mistyped command answer at
once. A command returns its exit code, or nothing for 0; whatever it raises becomes a line and a code in
:mod:`etl.cli.exit_codes`, the only place from which the process ends.
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

# name: (where its click command is, what --help says of it)
COMMANDS: dict[str, tuple[str, str]] = {
    "sync": ("etl.cli.commands.transfer.sync:sync", "Bring the database up to date with what the server holds."),
    "worker": ("etl.cli.commands.transfer.worker:worker", "Sync what is due, beside workers on other machines."),
    "backfill": ("etl.cli.commands.transfer.backfill:backfill", "Read a range of history again."),
    "reconcile": (
        "etl.cli.commands.transfer.reconcile:reconcile",
        "Sync, and mark tasks that are gone from the server.",
    ),
    "verify": (
        "etl.cli.commands.transfer.verify:verify",
        "Read history again, compare every field, and mend the differences.",
    ),
    "probe": ("etl.cli.commands.transfer.probe:probe", "Find out what the server does with a handful of requests."),
    "init": ("etl.cli.commands.setup.init:init", "Write the settings file, and see that it works."),
    "check": ("etl.cli.commands.inspect.check:check", "See whether a sync would work, and what to do if not."),
    "status": ("etl.cli.commands.inspect.status:status", "Tell how fresh each source is, and what is missing."),
    "runs": ("etl.cli.commands.inspect.runs:runs", "List the runs of all commands, or show one."),
    "watermark": ("etl.cli.commands.inspect.watermark:watermark", "Show how far a source is complete, or move that."),
    "fetch": ("etl.cli.commands.transfer.fetch:fetch", "Make one getTasks request and print what comes back."),
    "rejected": (
        "etl.cli.commands.inspect.rejected:rejected",
        "See the records that could not be stored, and store or drop them.",
    ),
    "why": ("etl.cli.commands.inspect.why:why", "Tell all that is known of a task, or why it is not here."),
    "forget": ("etl.cli.commands.maintain.forget:forget", "Erase what is stored of a task, for good."),
    "schema": ("etl.cli.commands.inspect.schema:schema", "See what records have that the tables do not know."),
    "export": ("etl.cli.commands.publish.export:export", "Write a table or view as CSV, lines of JSON or Parquet."),
    "report": ("etl.cli.commands.publish.report:report", "Write a page of numbers and charts to look at or to send."),
    "explore": (
        "etl.cli.commands.publish.explore:explore",
        "Show a SQLite database in the browser, to ask it questions.",
    ),
    "prune": ("etl.cli.commands.maintain.prune:prune", "Delete old runs, windows and rejected records."),
    "backup": ("etl.cli.commands.maintain.backup:backup", "Write all that is stored to a new file, and rotate those."),
    "restore": ("etl.cli.commands.maintain.backup:restore", "Replace all that is stored by a backup."),
    "source": ("etl.cli.commands.maintain.source:source", "List, rename or drop the sources in the database."),
    "db": ("etl.cli.commands.maintain.db:db", "Create the tables, or bring them to another version."),
    "schedule": (
        "etl.cli.commands.setup.schedule:schedule",
        "Print or install a timer for the sync, or set intervals.",
    ),
    "config": ("etl.cli.commands.setup.config:config", "Show the settings in force and where each comes from."),
    "sandbox": ("etl.cli.commands.setup.sandbox:sandbox", "Serve getTasks with made-up tasks on this machine."),
    "demo": ("etl.cli.commands.setup.demo:demo", "Run two syncs against a sandbox and show the tables."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports only the one that is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name the commands in the order of the table, which is the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Import and return the command, or None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table is ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the table's own texts, so that help imports no command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
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
    """Keep Kore.ai case-management tasks in a SQL database, exactly as the server holds them.

    \b
    Example:
      kore-etl sync --config config/kore-etl.toml
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with the exit code of what happened."""
    from etl.cli.exit_codes import run

    # A stream may be closed before the command starts. What is written to the output fails then, as a result is lost.
    for name, access in (("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, access), "w"))
    # Hardly anything that importing and starting makes is garbage: to look for it costs more than it frees.
    gc.set_threshold(200_000, 5, 10)
    code = run(_dispatch, list(sys.argv[1:] if args is None else args))
    gc.freeze()  # or Python would go through all of it once more at its end
    sys.exit(code)


def _dispatch(args: list[str]) -> object:
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, PROGRAM, COMPLETE_VARIABLE, instruction)
    with cli.make_context(PROGRAM, args) as context:
        return cli.invoke(context)
