"""Writes docs/reference/settings.md: every setting, from the model of settings and what the example says of each."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field
from datetime import timedelta
from pathlib import Path
from typing import Any

from etl.settings.definitions import Settings, SourceSettings, declared, variable
from etl.times import format_duration

_DOCS = Path(__file__).resolve().parent.parent
path = _DOCS / "reference" / "settings.md"
_EXAMPLE = _DOCS.parent / "config" / "kore-etl.example.toml"

_INTRODUCTION = """# The settings

<!-- Made by `make references` from the program itself; change it there. -->

A setting comes from a file or from an environment variable. The variable replaces the file. Some settings are also
options of a command. The option replaces both. A duration is a number of seconds, or a text such as `90s`, `5m`, `2h`,
`7d`, `1h30m`.
"""
_SECRETS = {
    "client_secret_file": "the path of a file that holds the secret and nothing else, relative to the settings",
    "client_secret_env": "the name of a variable that holds the secret",
}


def pages() -> dict[Path, str]:
    """Return the text of the one page."""
    return {path: text()}


def text() -> str:
    """Return the page."""
    return "\n".join(
        [
            _INTRODUCTION,
            "## For all sources\n",
            *(_section(key, field) for key, field in declared(Settings).items()),
            "## For each source\n",
            "Put them at the top of the file for all sources, or into one `[[source]]` table for each.\n",
            *(_section(key, field) for key, field in declared(SourceSettings).items()),
            *(_written(key, "", accepted, None) for key, accepted in _SECRETS.items()),
        ]
    )


def _section(key: str, field: Field[Any]) -> str:
    is_required = field.default is MISSING
    default = None if is_required else field.default
    return _written(key, "required" if is_required else "", field.metadata["accepted"], default)


def _written(key: str, note: str, accepted: str, default: object) -> str:
    lines = [f"### {key}\n"]
    explained = _explanations().get(key)
    if explained:
        lines.append(f"{explained}\n")
    lines += ["| | |", "| --- | --- |", f"| Accepted | {accepted.replace('|', chr(92) + '|')} |"]
    value = _value(default)
    lines.append(f"| Default | {note or (f'`{value}`' if value else 'not set')} |")
    lines.append(f"| Variable | `{variable(key)}` |")
    return "\n".join([*lines, ""])


def _value(default: object) -> str:
    match default:
        case bool():
            return str(default).lower()
        case timedelta():
            return format_duration(default)
        case int() | str():
            return str(default)
        case _:
            return ""


def _explanations() -> dict[str, str]:
    """Return what the example says above a setting that stands alone below its comment."""
    found = {}
    for block in _EXAMPLE.read_text("utf-8").split("\n\n"):
        comment = [line[2:] for line in block.splitlines() if line.startswith("# ")]
        keys = [match[1] for line in block.splitlines() if (match := re.match(r"(?:# )?([a-z_]+) = ", line))]
        prose = [line for line in comment if not re.match(r"[a-z_]+ = |\[\[", line)]
        if prose and keys and not prose[0].startswith("---"):
            found |= dict.fromkeys(keys, " ".join(prose))
    return found


if __name__ == "__main__":
    path.parent.mkdir(exist_ok=True)
    path.write_text(text(), encoding="utf-8")
