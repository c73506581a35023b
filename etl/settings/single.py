"""Reading one setting by itself, as somebody is asked for it, and writing it as a settings file has it."""

from __future__ import annotations

import json

from pydantic import TypeAdapter, ValidationError

from etl.errors import ConfigError
from etl.settings.models import Settings, SourceSettings


def accepted(key: str, text: str) -> str:
    """Return a setting's text as it is kept.

    Raises:
        ConfigError: what is wrong with it, and what is accepted.
    """
    field = SourceSettings.model_fields.get(key) or Settings.model_fields[key]
    try:
        value = TypeAdapter(field.rebuild_annotation()).validate_python(text)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[0]
        reason = str(details["ctx"]["error"]) if details["type"] == "value_error" else "is not accepted"
        raise ConfigError(f"{key}: {text!r} {reason}; accepted: {field.description}") from None
    return str(value)


def as_toml(text: str) -> str:
    """Write a text as a TOML string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
