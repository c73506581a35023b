"""Finds and reads the TOML files of the settings.

Files of one folder are merged in the order of their names: the later one wins, and [[source]] tables add up.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from msgspec import Struct, field

from etl.errors import ConfigError
from etl.logs import has_password
from etl.settings.definitions import GENERAL_KEYS, KNOWN_KEYS, SOURCE_KEYS
from etl.settings.value_types import can_be_read_by_all, expanded

_FOLDER = Path("config")
_SYSTEM_FOLDER = "/etc/kore-etl"
# Paths relative to their own file, so that a folder of settings can be moved.
_PATH_KEYS = frozenset({"client_secret_file", "ca_bundle"})
_ACCEPTED = "a TOML file, or a folder of them"
_LIST = "delete it, or see docs/reference/settings.md"


class UnreadableError(ConfigError):
    """A file or a folder of settings cannot be read."""

    def __init__(self, what: str, error: OSError, otherwise: str = "") -> None:
        to_do = "use sudo, or be a user who may read it" if isinstance(error, PermissionError) else otherwise
        super().__init__(f"{what}: cannot be read: {error.strerror}{f'; {to_do}' if to_do else ''}")


class Found(Struct, frozen=True):
    """A raw value and its origin: "--overlap", "KORE_ETL_OVERLAP", "config/kore-etl.toml"."""

    value: object
    origin: str


Layer = Mapping[str, Found]


class Tables(Struct):
    """The content of the files: the top-level keys, and one layer for each [[source]] table.

    ``problems`` are unknown keys and keys in the wrong place.
    """

    top: dict[str, Found] = field(default_factory=dict)
    sources: list[dict[str, Found]] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def find_files(config: Path | None, environ: Mapping[str, str]) -> list[Path]:
    """Return the files to read: the given one, none for /dev/null, else those of the first folder that has any."""
    if config is not None:
        return _named(config, "--config")
    if environ.get("KORE_ETL_CONFIG"):
        return _named(Path(environ["KORE_ETL_CONFIG"]), "KORE_ETL_CONFIG")
    return next((files for folder in _folders(environ) if (files := _toml_files(folder))), [])


def _named(path: Path, origin: str) -> list[Path]:
    path = expanded(str(path))
    if path == Path(os.devnull):
        return []
    try:
        is_folder = S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise UnreadableError(f"{path} ({origin})", error, f"accepted: {_ACCEPTED}") from error
    files = _toml_files(path) if is_folder else [path]
    if not files:
        raise ConfigError(f"{path} ({origin}): there is no *.toml in this folder; accepted: {_ACCEPTED}")
    return files


def config_home(environ: Mapping[str, str]) -> Path | None:
    """Return the folder of a user's own settings, None if they have no home."""
    home = environ.get("HOME")
    found = environ.get("XDG_CONFIG_HOME") or (home and f"{home}/.config")
    return Path(found) if found else None


def _folders(environ: Mapping[str, str]) -> Iterator[Path]:
    yield _FOLDER
    personal = config_home(environ)
    if personal:
        yield personal / "kore-etl"
    # systemd names the folder of a unit's ConfigurationDirectory=.
    yield Path(environ.get("CONFIGURATION_DIRECTORY") or _SYSTEM_FOLDER)


def _toml_files(folder: Path) -> list[Path]:
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UnreadableError(str(folder), error) from error
    return [path for path in paths if path.suffix == ".toml" and not path.name.endswith(".example.toml")]


def read_files(paths: list[Path]) -> Tables:
    """Read and merge the files.

    Raises:
        ConfigError: a file cannot be read, or is no TOML.
    """
    tables = Tables()
    for path in paths:
        content = _parsed(path)
        sources = _source_tables(content.pop("source", []), path)
        tables.problems += _misplaced(content, str(path), KNOWN_KEYS)
        tables.top.update(_layer(content, path, str(path)))
        for number, table in enumerate(sources, start=1):
            label = f"{path} [[source]] #{number}"
            tables.problems += _misplaced(table, label, SOURCE_KEYS)
            tables.sources.append(_layer(table, path, label))
            tables.labels.append(label)
        if _holds_secret([content, *sources]) and can_be_read_by_all(path):
            tables.warnings.append(f"{path} holds a secret and anyone can read it: chmod 600 {path}")
    return tables


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UnreadableError(str(path), error) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error


def _source_tables(found: object, path: Path) -> list[dict[str, Any]]:
    if not isinstance(found, list) or not all(isinstance(table, dict) for table in found):
        raise ConfigError(f"source ({path}): is no list of tables; accepted: one [[source]] table for each source")
    return found


def _layer(content: Mapping[str, Any], path: Path, label: str) -> dict[str, Found]:
    return {key: Found(_beside(path, value) if key in _PATH_KEYS else value, label) for key, value in content.items()}


def _misplaced(content: Mapping[str, Any], label: str, known: frozenset[str]) -> Iterator[str]:
    """Give a line for each key that is unknown or in the wrong place."""
    for key in content:
        if key in known:
            continue
        if key in GENERAL_KEYS:
            place = "accepted: at the top of the file, before the first [[source]]"
            yield f"{key} ({label}): holds for all sources; {place}"
        else:
            near = get_close_matches(key.lower(), sorted(known | {"source"}), n=1)
            yield f"{key!r} ({label}): no such setting; {f'did you mean {near[0]}?' if near else _LIST}"


def _beside(path: Path, value: object) -> object:
    return str(path.parent / expanded(value)) if isinstance(value, str) and value else value


def _holds_secret(tables: list[dict[str, Any]]) -> bool:
    return any("client_secret" in table or has_password(str(table.get("database_url", ""))) for table in tables)
