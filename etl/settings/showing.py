"""The settings as plain values for people, JSON and the run ledger: secrets are ``***``."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from pydantic import SecretStr

from etl.logs import without_password
from etl.settings.models import Settings
from etl.settings.values import MASK, TICKS, without_path
from etl.times import format_duration, format_time

Plain = str | int | bool | None
_TICK_NAMES = {length: name for name, length in TICKS.items()}


def describe(settings: Settings) -> dict[str, Plain]:
    """Give every setting by its dotted key ("overlap", "source.NAME.base_url"), as it would be written in a file."""
    general = {key: getattr(settings, key) for key in type(settings).model_fields if key != "sources"}
    described = {key: _plain(key, value) for key, value in general.items() if key != "on_failure"}
    described["on_failure"] = _shown_action(settings.on_failure)
    for source in settings.sources:
        for key in type(source).model_fields:
            described[f"source.{source.name}.{key}"] = _plain(key, getattr(source, key))
    return described


def _plain(key: str, value: object) -> Plain:
    match value:
        case SecretStr():
            return "***"
        case timedelta():
            return _TICK_NAMES[value] if key == "tick" else format_duration(value)
        case datetime():
            return format_time(value)
        case Path() | tuple():
            return str(value) if isinstance(value, Path) else ", ".join(value) or None
        case str():
            return without_password(value) if key.endswith("_url") else value
        case None | bool() | int():
            return value
        case _:
            raise TypeError(f"{key} is a {type(value).__name__}")


def _shown_action(action: object) -> str | None:
    """A webhook without its path, a command without its arguments: there a secret would stand."""
    match action:
        case str():
            return without_path(action)
        case (command, *arguments):
            return f"{command} {MASK}" if arguments else str(command)
        case _:
            return None
