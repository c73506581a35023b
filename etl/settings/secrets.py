"""Finds the client secret: in a setting, in a file, in a variable, or in systemd's credentials.

No message here repeats a setting's value, because somebody may write the secret in place of its file's name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from etl.errors import ConfigError
from etl.settings.definitions import SECRET_KEYS
from etl.settings.toml_files import Found, Layer, UnreadableError
from etl.settings.value_types import can_be_read_by_all, expanded

_LARGEST = 65_536
_ACCEPTED = {
    "client_secret_file": "the path of a file that holds the secret and nothing else",
    "client_secret_env": "the name of an environment variable that holds the secret",
}


def with_secret(layer: Layer, name: str, environ: Mapping[str, str]) -> Layer:
    """Return the layer with the secret itself in place of its file or variable.

    Without one, the secret comes from systemd's credentials: ``NAME.client_secret``, else ``client_secret``.
    """
    given = [key for key in SECRET_KEYS if key in layer]
    if len(given) > 1:
        origins = " and ".join(_place(key, layer[key]) for key in given)
        raise ConfigError(f"client_secret ({origins}): given more than once; accepted: one of {', '.join(SECRET_KEYS)}")
    others = {key: found for key, found in layer.items() if key not in SECRET_KEYS}
    secret = _resolved(given[0], layer[given[0]], environ) if given else _from_systemd(name, environ)
    return {**others, "client_secret": secret} if secret else others


def file_warnings(layer: Layer) -> list[str]:
    """Return a warning if anyone on this machine can read the secret's file."""
    found = layer.get("client_secret_file")
    if found is None or not can_be_read_by_all(expanded(str(found.value))):
        return []
    return [f"the file that {_place('client_secret_file', found)} names can be read by anyone: chmod 600 it"]


def _from_systemd(name: str, environ: Mapping[str, str]) -> Found | None:
    folder = environ.get("CREDENTIALS_DIRECTORY")
    for file in (f"{name}.client_secret", "client_secret") if folder else ():
        path, origin = Path(str(folder)) / file, f"$CREDENTIALS_DIRECTORY/{file}"
        if os.path.lexists(path):
            return Found(_content(path, f"client_secret ({origin})"), origin)
    return None


def _resolved(key: str, found: Found, environ: Mapping[str, str]) -> Found:
    if key == "client_secret":
        return found
    place, what = _place(key, found), f"{key} ({found.origin})"
    if not isinstance(found.value, str) or not found.value:
        raise ConfigError(f"{what}: is no text; accepted: {_ACCEPTED[key]}")
    if key == "client_secret_file":
        return Found(_content(expanded(found.value), what), place)
    if not environ.get(found.value):
        raise ConfigError(f"{what}: the variable that it names is not set; accepted: {_ACCEPTED[key]}")
    return Found(environ[found.value], place)


def _place(key: str, found: Found) -> str:
    return found.origin if found.origin.upper().endswith(key.upper()) else f"{key} in {found.origin}"


def _content(path: Path, what: str) -> str:
    accepted = _ACCEPTED["client_secret_file"]
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise UnreadableError(what, error) from None
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{what}: the file cannot be read: {reason}; accepted: {accepted}") from None
    if not text.strip() or len(text) > _LARGEST:
        problem = "is too large for a secret" if text.strip() else "is empty"
        raise ConfigError(f"{what}: the file {problem}; accepted: {accepted}")
    if "\0" in text:  # as in UTF-16
        raise ConfigError(f"{what}: the file cannot be read: it is not UTF-8 text; accepted: {accepted}")
    return text.removesuffix("\n").removesuffix("\r")
