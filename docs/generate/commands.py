"""Writes docs/reference/commands.md and commands/: every command with its options, from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from etl.cli.main import COMMANDS, PROGRAM, cli

_FOLDER = Path(__file__).resolve().parent.parent / "reference"
#: By the folder of the commands: the title of their page.
_TITLES = {
    "transfer": "Commands that read from the server",
    "inspect": "Commands that show what is stored",
    "publish": "Commands for analysts",
    "maintain": "Commands that maintain the database",
    "setup": "Commands to set up and to try out",
}
_MADE = "<!-- Made by `make references` from the program itself; change it there. -->\n"

_INTRODUCTION = """# The commands

<!-- Made by `make references` from the program itself; change it there. -->

This is the `--help` of each command. Most commands share these options:

| Option | |
| --- | --- |
"""
_SHARED = ("--config", "--database-url", "--verbose", "--quiet", "--help")


def pages() -> dict[Path, str]:
    """Return the text of each page."""
    context = click.Context(cli, info_name=PROGRAM)
    commands = list(_walk(cli, context))
    shared = {option.opts[-1]: option for command, _ in commands for option in _options(command)}
    rows = [_row(shared[name]) for name in _SHARED if name in shared]
    rows.append("| `-h`, `--help` | Show the help and exit. |")
    found, links = dict[Path, str](), list[str]()
    for folder, title in _TITLES.items():
        own = [(command, name) for command, name in commands if _folder(name) == folder]
        sections = [_section(command, name) for command, name in own]
        found[_FOLDER / "commands" / f"{folder}.md"] = "\n".join([f"# {title}\n", _MADE, *sections])
        links += [f"\n## {title}\n", f"On [their page](commands/{folder}.md):\n"]
        mine = {name: text for name, (_, text) in COMMANDS.items() if _folder(f"{PROGRAM} {name}") == folder}
        links += [f"- `{name}`: {text}" for name, text in mine.items()]
    return {_FOLDER / "commands.md": _INTRODUCTION + "\n".join([*rows, *links, ""]), **found}


def _folder(name: str) -> str:
    return COMMANDS[name.split()[1]][0].split(".")[3]


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
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
