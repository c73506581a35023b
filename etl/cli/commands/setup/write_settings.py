"""Writes the settings file of ``kore-etl init``, and the file of the secret beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from etl import logs
from etl.atomic_file import write_text
from etl.errors import ConfigError

_ADVICE = "choose another place with --config, or use sudo"


def write(config: Path, secret_file: Path, values: Mapping[str, str], secret: str, *, is_change: bool) -> None:
    """Write the example with these values, or change them in the present file and keep the rest."""
    from etl.load.database.engine import sqlite_file
    from etl.scheduling.installed_command import shipped_file

    if is_change:
        text = re.sub(r"^client_secret(_env)?\s*=.*\n", "", config.read_text(encoding="utf-8-sig"), flags=re.MULTILINE)
    else:
        text = shipped_file("kore-etl.example.toml")
        start = text.index("# Files are searched in this order")
        text = f"# Settings of kore-etl, written by kore-etl init.\n#\n{text[start:]}"
    for key, value in values.items():
        text = _with(text, key, value)
    database = sqlite_file(values["database_url"])
    if database is not None:
        _make_folder(database.parent)
    _make_folder(config.parent)
    _write_private(secret_file, secret)
    _write_private(config, text)


def _with(text: str, key: str, value: str) -> str:
    """Replace the line of the key, else the first that is commented out; put it on top where there is none."""
    line = f"{key} = {_as_toml(value)}"
    for pattern in (rf"^{key}\s*=.*$", rf"^# {key} = .*$"):
        changed, count = re.subn(pattern, lambda _: line, text, count=1, flags=re.MULTILINE)
        if count:
            return changed
    return f"{line}\n{text}"


def _as_toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}; {_ADVICE}") from error


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    write_text(path, text, mode=0o600, advice=_ADVICE)
    logs.say(f"wrote {path}")
