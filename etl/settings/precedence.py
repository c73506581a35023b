"""Loads Settings from files, environment and options, with the origin of each value.

Each place gives a layer: a value and its origin for each key. The layers of a source are merged, the strongest last,
and pydantic checks the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from etl.errors import ConfigError
from etl.logs import MASK, without_password
from etl.settings.definitions import IDENTITY_KEYS, KNOWN_KEYS, PREFIX, SECRET_KEYS, Settings, SourceSettings, variable
from etl.settings.secrets import file_warnings, with_secret
from etl.settings.toml_files import Found, Layer, Tables, find_files, read_files

_OTHERS = ("SANDBOX_", "TEST_")  # variables of the sandbox and the tests
_SLIP = 0.85  # close enough for a typing error, and far enough from other programs' variables
_LONGEST = 80

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, the origin of each by its dotted key, and warnings."""

    settings: Settings
    origins: dict[str, str]
    warnings: list[str]
    files: list[Path]


def load_settings(
    config: Path | None,
    environ: Mapping[str, str],
    options: Mapping[str, object],
    *,
    need_sources: bool = True,
    select: Sequence[str] = (),
) -> Loaded:
    """Read the settings from all places; a wrong or missing one is a ConfigError of one line.

    ``options`` have the settings' keys; None means not given. ``select`` names the sources to load and check, all if it
    is empty. Without ``need_sources`` no source is read or required.
    """
    files = find_files(config, environ)
    tables = read_files(files)
    above = _merged(_from_environment(environ), _from_options(options))
    sources: list[SourceSettings] = []
    origins: dict[str, str] = {}
    warnings = list(tables.warnings)
    for name, layer, where in _selected(tables, above, select) if need_sources else ():
        warnings += file_warnings(layer)
        complete = with_secret(layer, name, environ)
        sources.append(_built(SourceSettings, complete, where))
        origins |= _origins(SourceSettings, complete, f"source.{name}.")
    _refuse_doubles(sources)
    general = _merged(tables.top, above)
    settings = _built(Settings, {**general, "sources": Found(tuple(sources), "")}, "")
    origins |= _origins(Settings, general, "")
    if origins["database_url"] == "--database-url" and MASK in without_password(settings.database_url):
        warnings.append("other users can see the password in --database-url: use KORE_ETL_DATABASE_URL or PGPASSWORD")
    return Loaded(settings, origins, list(dict.fromkeys(warnings)), files)


def _refuse_doubles(sources: Sequence[SourceSettings]) -> None:
    """Refuse two names for one source: the database has one row for both."""
    names: dict[tuple[str | None, str, str], str] = {}
    for source in sources:
        identity = (urlsplit(source.base_url).hostname, source.account_id, source.stream_id)
        if identity in names:
            same = f"sources {names[identity]} and {source.name} have the same host, account and stream"
            raise ConfigError(f"stream_id: {same}; accepted: one name for each")
        names[identity] = source.name


def _from_environment(environ: Mapping[str, str]) -> Layer:
    """Read the variables that are set and not empty; a misspelled one is a ConfigError."""
    names = {variable(key): key for key in KNOWN_KEYS}
    known = [name.removeprefix(PREFIX) for name in (*names, f"{PREFIX}CONFIG")]
    given = {name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX) and environ[name]}
    for key in sorted(given.difference(known)):
        near = get_close_matches(key.upper(), known, n=1, cutoff=_SLIP)
        if near and not key.startswith(_OTHERS):
            raise ConfigError(f"{PREFIX}{key} (environment): no such variable; did you mean {PREFIX}{near[0]}?")
    return {key: Found(environ[name], name) for name, key in names.items() if environ.get(name)}


def _from_options(options: Mapping[str, object]) -> Layer:
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in KNOWN_KEYS or key in SECRET_KEYS:
            raise TypeError(f"an option cannot set {key}")
    return {key: Found(value, f"--{key.replace('_', '-')}") for key, value in given.items()}


def _merged(*layers: Layer) -> Layer:
    """Merge the layers, the strongest last. A secret in any form hides those of the layers below."""
    merged: dict[str, Found] = {}
    for layer in layers:
        if not layer.keys().isdisjoint(SECRET_KEYS):
            merged = {key: found for key, found in merged.items() if key not in SECRET_KEYS}
        merged |= layer
    return merged


def _selected(tables: Tables, above: Layer, select: Sequence[str]) -> list[tuple[str, Layer, str]]:
    """Return name, layer and table of each source, before its values are checked."""
    several = len(tables.sources) > 1
    if several:
        _refuse_identity(above, tables)
    layers = [_merged(tables.top, layer, above) for layer in tables.sources or [{}]]
    names = [str(layer["name"].value).strip() if "name" in layer else "default" for layer in layers]
    labels = tables.labels if several else [""]
    for name, label in zip(names, labels, strict=True):
        if names.count(name) > 1:
            raise ConfigError(f"name ({label}): {name!r} stands for two sources; accepted: a name for each")
    for name in select:
        if name not in names:
            raise ConfigError(f"--source {name!r}: no such source; accepted: {', '.join(names)}")
    found = zip(names, layers, labels, strict=True)
    return [(name, layer, label) for name, layer, label in found if not select or name in select]


def _refuse_identity(above: Layer, tables: Tables) -> None:
    for key in sorted(IDENTITY_KEYS & above.keys()):
        raise ConfigError(
            f"{key} ({above[key].origin}): describes a single source, and there are {len(tables.sources)}"
            f" [[source]] tables; accepted: {key} in each table ({tables.labels[0]} ...), or a single table"
        )


def _origins(model: type[BaseModel], layer: Layer, prefix: str) -> dict[str, str]:
    keys = [key for key in model.model_fields if key != "sources"]
    return {f"{prefix}{key}": layer[key].origin if key in layer else "default" for key in keys}


def _built(model: type[_Model], layer: Layer, where: str) -> _Model:
    values: dict[str, Any] = {key: found.value for key, found in layer.items() if key in model.model_fields}
    try:
        return model(**values)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)[0]
    key = str(details["loc"][0])
    accepted = model.model_fields[key].description
    if key not in layer:
        raise ConfigError(f"{key} (not set): is required; {_how_to_set(key, where)}; accepted: {accepted}")
    reason = str(details["ctx"]["error"]) if details["type"] == "value_error" else "is not accepted"
    if key not in ("client_secret", "on_failure"):
        reason = f"{_shown(layer[key].value)} {reason}"
    raise ConfigError(f"{key} ({layer[key].origin}): {reason}; accepted: {accepted}")


def _how_to_set(key: str, where: str) -> str:
    key = "client_secret_file" if key == "client_secret" else key
    if where and key in IDENTITY_KEYS:
        return f"put {key} into {where}"
    return f"set {variable(key)}, or {key} in config/kore-etl.toml"


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    text = without_password(str(value)) if isinstance(value, str) else str(value)
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return repr(short) if isinstance(value, str) else short
