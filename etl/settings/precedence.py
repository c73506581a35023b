"""Loads Settings from files, environment and options, with the origin of each value; tells all problems at once.

Each place gives a layer: a value and its origin for each key. The layers of a source are merged, the strongest last,
and then each value is read and checked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field

from etl.errors import ConfigError
from etl.logs import has_password, without_password
from etl.settings.definitions import (
    IDENTITY_KEYS,
    KNOWN_KEYS,
    PREFIX,
    SECRET_KEYS,
    Identity,
    Settings,
    SourceSettings,
    declared,
    host_of,
    read_values,
    variable,
)
from etl.settings.secrets import file_warnings, with_secret
from etl.settings.toml_files import Found, Layer, Tables, UnreadableError, find_files, read_files

_OTHERS = ("SANDBOX_", "TEST_")  # variables of the sandbox and the tests
_SLIP = 0.85  # close enough for a typing error, and far enough from other programs' variables
_LONGEST = 80
_SECRET_VALUES = ("client_secret", "on_failure", "on_success")
_IDENTITY = ("base_url", "account_id", "stream_id")
# What a command needs that reads only the database.
_OF_A_READER = frozenset({"database_url", "migrate", "log_file", "log_file_size", "log_file_keep", "task_url"})
_PREFIXES = {"stream_id": "st-", "client_id": "cs-"}  # of the ids that Kore.ai gives

_Model = TypeVar("_Model", Settings, SourceSettings)


class Loaded(Struct, frozen=True):
    """The settings, the origin of each by its dotted key, and warnings.

    ``warnings`` are about exposed secrets, ``id_warnings`` about values that look like another setting's. ``names`` has
    every source of the settings by its identity, whether it was selected or not.
    """

    settings: Settings
    origins: dict[str, str]
    warnings: list[str]
    files: list[Path]
    id_warnings: list[str] = field(default_factory=list)
    names: dict[Identity, str] = field(default_factory=dict)


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
    is empty. Without ``need_sources`` no source is required, and only what a reader of the database needs is checked.
    """
    above = _merged(_from_environment(environ), _from_options(options))
    files, tables = _files(config, environ, may_be_unreadable=not need_sources and "database_url" in above)
    if need_sources and not files and above.keys().isdisjoint(IDENTITY_KEYS):
        raise ConfigError("there are no settings yet; run: kore-etl init")
    sources: list[SourceSettings] = []
    origins: dict[str, str] = {}
    warnings, problems = list(tables.warnings), list(tables.problems)
    for name, layer, where in _selected(tables, above, select) if need_sources else ():
        warnings += file_warnings(layer)
        complete: Layer = {**layer, "client_secret": Found(None, "")}
        with _collected(problems):
            complete = with_secret(layer, name, environ)
        with _collected(problems):
            sources.append(_built(SourceSettings, complete, where))
            origins |= _origins(SourceSettings, complete, f"source.{name}.")
    general = _merged(tables.top, above)
    if not need_sources:
        general = {key: found for key, found in general.items() if key in _OF_A_READER}
    with _collected(problems):
        _refuse_doubles(sources)
        settings = replace(_built(Settings, general, ""), sources=tuple(sources))
    if problems:
        raise ConfigError(*dict.fromkeys(problems))
    origins |= _origins(Settings, general, "")
    if origins["database_url"] == "--database-url" and has_password(settings.database_url):
        warnings.append("other users can see the password in --database-url: use KORE_ETL_DATABASE_URL or PGPASSWORD")
    id_warnings = [
        odd_id for source in sources for key in _PREFIXES if (odd_id := id_warning(key, getattr(source, key)))
    ]
    return Loaded(settings, origins, list(dict.fromkeys(warnings)), files, id_warnings, _names(tables, above))


def id_warning(key: str, value: str) -> str | None:
    """Return what is odd about an id that begins like another setting's, or None."""
    other = next((other for other, prefix in _PREFIXES.items() if value.startswith(prefix) and other != key), None)
    return f"{key} begins with {_PREFIXES[other]}, as a {other} does: is it the right id?" if other else None


def _files(config: Path | None, environ: Mapping[str, str], *, may_be_unreadable: bool) -> tuple[list[Path], Tables]:
    try:
        files = find_files(config, environ)
        return files, read_files(files)
    except UnreadableError:
        if not may_be_unreadable or config or environ.get("KORE_ETL_CONFIG"):
            raise
        return [], Tables()


@contextmanager
def _collected(problems: list[str]) -> Iterator[None]:
    """Add the problems of an error to the list, so that all are told at once."""
    try:
        yield
    except ConfigError as error:
        problems += error.problems


def _names(tables: Tables, above: Layer) -> dict[Identity, str]:
    """Return the name of each source that the settings identify, without a check of its values."""
    found = {}
    for layer in (_merged(tables.top, each, above) for each in tables.sources or [{}]):
        url, *ids = (str(layer[key].value).strip() if key in layer else "" for key in _IDENTITY)
        with suppress(ValueError):  # an address that cannot be read is told where the source is used
            host = host_of(url)
            if host and all(ids):
                found[(host, ids[0], ids[1])] = str(layer["name"].value).strip() if "name" in layer else "default"
    return found


def _refuse_doubles(sources: Sequence[SourceSettings]) -> None:
    """Refuse two names for one source: the database has one row for both."""
    names: dict[Identity, str] = {}
    for source in sources:
        if source.identity in names:
            same = f"sources {names[source.identity]} and {source.name} have the same host, account and stream"
            raise ConfigError(f"stream_id: {same}; accepted: one name for each")
        names[source.identity] = source.name


def _from_environment(environ: Mapping[str, str]) -> Layer:
    """Read the variables that are set and not empty; a misspelled one is a ConfigError."""
    names = {variable(key): key for key in KNOWN_KEYS}
    known = [name.removeprefix(PREFIX) for name in (*names, f"{PREFIX}CONFIG")]
    given = {name.removeprefix(PREFIX) for name in environ if name.startswith(PREFIX) and environ[name]}
    for key in sorted(given.difference(known)):
        near = get_close_matches(key.upper(), known, n=1, cutoff=_SLIP)
        if near and not key.startswith(_OTHERS):
            raise ConfigError(f"{PREFIX}{key} (environment): no such variable; did you mean {PREFIX}{near[0]}?")
    for name in names:
        if any("\ud800" <= letter <= "\udfff" for letter in environ.get(name, "")):  # what Python makes of other bytes
            raise ConfigError(f"{name} (environment): it is not UTF-8 text")
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
    uses = Counter(names)
    for name, label in zip(names, labels, strict=True):
        if uses[name] > 1:
            raise ConfigError(f"name ({label}): {name!r} stands for two sources; accepted: a name for each")
    for name in select:
        if name not in names:
            raise ConfigError(f"source {name!r}: no such source; accepted: {', '.join(names)}")
    found = zip(names, layers, labels, strict=True)
    return [(name, layer, label) for name, layer, label in found if not select or name in select]


def _refuse_identity(above: Layer, tables: Tables) -> None:
    for key in sorted(IDENTITY_KEYS & above.keys()):
        raise ConfigError(
            f"{key} ({above[key].origin}): describes a single source, and there are {len(tables.sources)}"
            f" [[source]] tables; accepted: {key} in each table ({tables.labels[0]} ...), or a single table"
        )


def _origins(model: type[Settings | SourceSettings], layer: Layer, prefix: str) -> dict[str, str]:
    return {f"{prefix}{key}": layer[key].origin if key in layer else "default" for key in declared(model)}


def _built(model: type[_Model], layer: Layer, where: str) -> _Model:
    values, wrong = read_values(model, {key: found.value for key, found in layer.items()})
    if not wrong:
        return model(**values)
    settings = declared(model)
    problems = [
        _problem(key, layer.get(key), reason, where, settings[key].metadata["accepted"])
        for key, reason in wrong.items()
    ]
    raise ConfigError(*dict.fromkeys(filter(None, problems)))


def _problem(key: str, found: Found | None, reason: str, where: str, accepted: str) -> str:
    """Return a line; an empty one for a secret that could not be found, which was told before."""
    if found is None:
        return f"{key} (not set): is required; {_how_to_set(key, where)}; accepted: {accepted}"
    if found.value is None:
        return ""
    shown = "" if key in _SECRET_VALUES else f"{_shown(found.value)} "
    return f"{key} ({found.origin}): {shown}{reason}; accepted: {accepted}"


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
