"""``kore-etl why``: explain a task: its history, or why it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etl.cli.options import Common, common_options, output_option

if TYPE_CHECKING:
    from etl.jobs.diagnostics.explain_task import Answer, Hint, Story

_MOST_WINDOWS = 5
_OF_A_CASE = ("_id", "ref_id", "name", "status", "updated_at", "deleted_at")
_WINDOW = ("id", "run_id", "job", "field", "start_at", "checkpoint_at", "strategy", "state")
_REJECTED = ("id", "reason", "times_seen", "first_seen_at", "last_seen_at", "last_run_id")


@click.command()
@common_options
@click.argument("asked", metavar="ID")
@output_option
def why(common: Common, asked: str, output: str) -> None:
    """Explain a task: its row, its history, the runs and windows that saw it.

    ID is the _id or the reference of a task (TS000105) or of a case; for a case it lists the tasks. For a missing task
    it prints the possible reasons, each with a command that finds out more. It reads only the database. It exits 0 for
    a missing task too; "found" in the JSON tells the difference.

    \b
    Example:
      kore-etl why TS000105
      kore-etl why ti-5dbd6ec1 --output json | jq .found
    """
    from etl.cli.open_database import existing_database
    from etl.cli.output import print_json
    from etl.jobs.diagnostics.explain_task import explain

    with existing_database(common.start(need_sources=False).settings, schema="newest") as engine:
        answer = explain(engine, asked)
    if output == "json":
        print_json(answer)
    else:
        _print(answer)


def _print(answer: Answer) -> None:
    from etl.cli.output import print_table

    click.echo(_headline(answer))
    for story in answer.tasks:
        _print_story(story)
    if answer.case_tasks:
        click.echo()
        print_table(_OF_A_CASE, answer.case_tasks)
    if answer.rejected:
        click.echo("\nKept aside")
        print_table(_REJECTED, answer.rejected, indent="  ")
    is_known = answer.found or answer.erased_at is not None
    click.echo("\nTo find out more" if is_known else "\nIt may be missing because")
    for hint in answer.hints:
        _print_hint(hint)


def _headline(answer: Answer) -> str:
    from etl.cli.output import shown

    asked = shown(answer.id)
    if answer.erased_at is not None and not answer.found:
        return f"{asked} was erased on request at {shown(answer.erased_at)}."
    if not answer.found:
        return f"{asked} is not here."
    if answer.case:
        count = len(answer.case_tasks)
        return f"{asked} is a case with {count} task{'s' if count > 1 else ''}."
    if len(answer.tasks) > 1:
        return f"{asked} stands for {len(answer.tasks)} tasks."
    gone = answer.tasks[0].task["deleted_at"] is not None
    return f"{asked} is here, and {'is gone from the server' if gone else 'was on the server when last read'}."


def _print_story(story: Story) -> None:
    from etl.cli.output import print_record, print_table, shown

    click.echo("\nTask")
    print_record(story.task, indent="  ")
    click.echo("\nHistory")
    for event in story.history:
        seen = f" (run {event.run_id})" if event.run_id is not None else ""
        click.echo(f"  {shown(event.at)}  {shown(event.what)}{seen}")
    run = story.run
    click.echo("\nSeen by")
    if run is None:
        click.echo("  a run that was deleted by prune wrote this version")
    else:
        click.echo(f"  run {run['id']} ({run['command']}, {shown(run['started_at'])}) wrote this version")
    windows = story.windows[-_MOST_WINDOWS:]
    if len(story.windows) > len(windows):
        click.echo(f"  windows: the last {len(windows)} of {len(story.windows)} that cover its time")
    if windows:
        print_table(_WINDOW, windows, indent="  ", optional=("strategy", "checkpoint_at", "job", "id"))
    else:
        click.echo("  no window in the ledger covers its time")


def _print_hint(hint: Hint) -> None:
    from etl.cli.output import print_text, shown

    print_text(hint.reason, indent="  ")
    click.echo(f"    {shown(hint.command)}")
