"""Writes docs/reference/commands.md: every command with its options and examples, from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from etl.cli.main import PROGRAM, cli

path = Path(__file__).resolve().parent.parent / "reference" / "commands.md"

_INTRODUCTION = """# The commands

<!-- Made by `make references` from the program itself; change it there. -->

This is the `--help` of each command. Most commands share these options:

| Option | |
| --- | --- |
"""
_SHARED = ("--config", "--database-url", "--verbose", "--quiet", "--help")


def text() -> str:
    """Return the page."""
    context = click.Context(cli, info_name=PROGRAM)
    commands = list(_walk(cli, context))
    shared = {option.opts[-1]: option for command, _ in commands for option in _options(command)}
    rows = [_row(shared[name]) for name in _SHARED if name in shared]
    rows.append("| `-h`, `--help` | Show the help and exit. |")
    return _INTRODUCTION + "\n".join([*rows, "", *(_section(command, name) for command, name in commands)])


def _walk(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, str]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, parent=context, info_name=name)
        yield command, inner.command_path
        if isinstance(command, click.Group):
            yield from _walk(command, inner)


def _section(command: click.Command, name: str) -> str:
    prose, _, example = inspect.cleandoc(command.help or "").replace("\r", "").partition("\b\nExample:\n")
    arguments = " ".join(each.make_metavar(click.Context(command)) for each in _arguments(command))
    lines = [f"## {name}\n", _escaped(prose.strip()), ""]
    if arguments:
        lines += [f"Usage: `{name} [OPTIONS] {arguments}`", ""]
    if example:
        lines += ["```sh", inspect.cleandoc(example), "```", ""]
    rows = [_row(option) for option in _options(command) if option.opts[-1] not in _SHARED]
    if rows:
        lines += ["| Option | |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def _arguments(command: click.Command) -> list[click.Argument]:
    return [each for each in command.params if isinstance(each, click.Argument)]


def _options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option) and not each.hidden]


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if not option.is_flag:
        names += f" `{option.make_metavar(click.Context(click.Command('')))}`"
    default = (
        f" Default: `{option.default}`." if option.show_default and option.default not in (None, False, "") else ""
    )
    names = names.replace("|", "\\|")
    return f"| {names} | {_escaped(option.help or '')}{default} |"


def _escaped(prose: str) -> str:
    """Give a text as Markdown has it: what it would take for a tag or a cell's end is none."""
    return re.sub(r"([<>|*])", r"\\\1", prose)


if __name__ == "__main__":
    path.parent.mkdir(exist_ok=True)
    path.write_text(text(), encoding="utf-8")
