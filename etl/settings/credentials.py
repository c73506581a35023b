"""The client secret: written down, in a file, in a variable, or handed over by systemd; one way at each layer.

No message here repeats what a setting holds: whoever mistakes ``_FILE`` for the secret itself has put the secret there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from etl.errors import ConfigError
from etl.settings.layers import SECRET_KEYS, Found, Layer
from etl.settings.values import expanded

_LARGEST = 65_536


def with_secret(layer: Layer, environ: Mapping[str, str]) -> Layer:
    """Give the layer with the secret itself in place of the file or the variable that holds it."""
    given = [key for key in SECRET_KEYS if key in layer]
    if not given:
        return layer
    if len(given) > 1:
        places = " and ".join(_place(key, layer[key]) for key in given)
        raise ConfigError(f"client_secret ({places}): given more than once; accepted: one of {', '.join(SECRET_KEYS)}")
    others = {key: found for key, found in layer.items() if key not in SECRET_KEYS}
    return {**others, "client_secret": _resolved(given[0], layer[given[0]], environ)}


def from_systemd(name: str, environ: Mapping[str, str]) -> Layer:
    """Give the layer of systemd's credentials: ``NAME.client_secret``, else ``client_secret``."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return {}
    for file in (f"{name}.client_secret", "client_secret"):
        path, origin = Path(folder) / file, f"$CREDENTIALS_DIRECTORY/{file}"
        if os.path.lexists(path):
            return {"client_secret": Found(_content(path, f"client_secret ({origin})"), origin)}
    return {}


def secret_file_warnings(layers: list[Layer]) -> list[str]:
    """Give a warning for the secret's file if anyone on this machine can read it."""
    found = next((layer["client_secret_file"] for layer in layers if "client_secret_file" in layer), None)
    if found is None or os.name != "posix":
        return []
    try:
        mode = expanded(str(found.value)).stat().st_mode
    except OSError:
        return []
    place = _place("client_secret_file", found)
    return [f"the file that {place} names can be read by anyone: chmod 600 it"] if mode & stat.S_IROTH else []


def _place(key: str, found: Found) -> str:
    return found.origin if found.origin.upper().endswith(key.upper()) else f"{key} in {found.origin}"


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


_ACCEPTED = {
    "client_secret_file": "the path of a file that holds the secret and nothing else",
    "client_secret_env": "the name of an environment variable that holds the secret",
}


def _content(path: Path, what: str) -> str:
    accepted = _ACCEPTED["client_secret_file"]
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{what}: the file cannot be read: {reason}; accepted: {accepted}") from None
    if not text.strip() or len(text) > _LARGEST:
        problem = "is empty" if not text.strip() else "is too large for a secret"
        raise ConfigError(f"{what}: the file {problem}; accepted: {accepted}")
    if "\0" in text:  # as in UTF-16
        raise ConfigError(f"{what}: the file cannot be read: it is not UTF-8 text; accepted: {accepted}")
    return text.removesuffix("\n").removesuffix("\r")
