"""The one line that says which setting is wrong, where it came from, what was wrong and what is accepted."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from etl.errors import ConfigError
from etl.logs import without_password
from etl.settings.layers import IDENTITY_KEYS, Found, Layer, variable

_LONGEST = 80


def config_error(error: ValidationError, model: type[BaseSettings], layers: Sequence[Layer], where: str) -> ConfigError:
    """Put the first problem into words; ``where`` is the [[source]] table at hand, or nothing."""
    details = error.errors(include_url=False, include_input=False)[0]
    key = str(details["loc"][0])
    accepted = model.model_fields[key].description
    found = next((layer[key] for layer in layers if key in layer), None)
    if found is None:
        return ConfigError(f"{key} (not set): is required; {_how_to_set(key, where)}; accepted: {accepted}")
    return ConfigError(f"{key} ({found.origin}): {_wrong(key, found, details)}; accepted: {accepted}")


def _how_to_set(key: str, where: str) -> str:
    if where and key in IDENTITY_KEYS:
        return f"put {_file_key(key)} into {where}"
    name = variable("client_secret_file" if key == "client_secret" else key)
    return f"set {name}, or {_file_key(key)} in config/kore-etl.toml"


def _file_key(key: str) -> str:
    return "client_secret_file" if key == "client_secret" else key


def _wrong(key: str, found: Found, details: ErrorDetails) -> str:
    reason = str(details["ctx"]["error"]) if details["type"] == "value_error" else "is not accepted"
    return reason if key in ("client_secret", "on_failure") else f"{_shown(found.value)} {reason}"


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = without_password(str(value)) if isinstance(value, str) else str(value)
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return repr(short) if isinstance(value, str) else short
