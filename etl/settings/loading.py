"""From files, environment and options to Settings, with the origin of each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from etl.errors import ConfigError
from etl.logs import MASK, without_password
from etl.settings.credentials import from_systemd, secret_file_warnings, with_secret
from etl.settings.files import Tables, find_files, read_files
from etl.settings.layers import (
    IDENTITY_KEYS,
    SECRET_KEYS,
    Found,
    Layer,
    LayerSource,
    from_environment,
    from_options,
    option,
)
from etl.settings.models import Settings, SourceSettings
from etl.settings.problems import config_error

_Model = TypeVar("_Model", bound=BaseSettings)


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force; for each its origin ("overlap", "source.NAME.base_url"); what a person should know."""

    settings: Settings
    origins: dict[str, str]
    warnings: list[str]
    files: list[Path]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One source before its values are checked: its layers, the strongest first, and the table that it stands in."""

    layers: list[Layer]
    where: str

    @property
    def name(self) -> str:
        found = next((layer["name"] for layer in self.layers if "name" in layer), None)
        return str(found.value).strip() if found else "default"


def load_settings(
    config: Path | None,
    environ: Mapping[str, str],
    options: Mapping[str, object],
    *,
    need_sources: bool = True,
    select: Sequence[str] = (),
) -> Loaded:
    """Read the settings from everywhere; a wrong or missing one is a ConfigError of one line.

    ``options`` are keyed as the settings are; None means not given. ``select`` names the sources to take, all where it
    is empty; only those are checked. Without ``need_sources`` none is read, and none need be set.
    """
    files = find_files(config, environ)
    tables = read_files(files)
    above: list[Layer] = [from_options(options), from_environment(environ)]
    candidates = _selected(list(_candidates(above, tables)), select) if need_sources else []
    sources = [_source(candidate, environ) for candidate in candidates]
    general: list[Layer] = [*above, tables.top]
    settings = _built(Settings, [{"sources": Found(tuple(s for s, _ in sources), "")}, *general], "")
    origins = _origins(Settings, general, "")
    for source, layers in sources:
        origins |= _origins(SourceSettings, layers, f"source.{source.name}.")
    warnings = tables.warnings + [line for candidate in candidates for line in secret_file_warnings(candidate.layers)]
    if origins["database_url"] == option("database_url") and MASK in without_password(settings.database_url):
        warnings.append(
            "the password in --database-url is seen by all who list processes: use KORE_ETL_DATABASE_URL or PGPASSWORD"
        )
    return Loaded(settings, origins, list(dict.fromkeys(warnings)), files)


def _candidates(above: list[Layer], tables: Tables) -> Iterator[_Candidate]:
    if len(tables.sources) > 1:
        _refuse_identity(above, tables)
    if not tables.sources:
        yield _Candidate([*above, tables.top], "")
    for layer, label in zip(tables.sources, tables.labels, strict=True):
        yield _Candidate([*above, layer, tables.top], label if len(tables.sources) > 1 else "")


def _refuse_identity(above: list[Layer], tables: Tables) -> None:
    for layer in above:
        for key in sorted(IDENTITY_KEYS & layer.keys()):
            raise ConfigError(
                f"{key} ({layer[key].origin}): describes a single source, and there are {len(tables.sources)}"
                f" [[source]] tables; accepted: {key} in each table ({tables.labels[0]} ...), or a single table"
            )


def _selected(candidates: list[_Candidate], select: Sequence[str]) -> list[_Candidate]:
    names = [candidate.name for candidate in candidates]
    for candidate, name in zip(candidates, names, strict=True):
        if names.count(name) > 1:
            raise ConfigError(f"name ({candidate.where}): {name!r} stands for two sources; accepted: a name for each")
    for name in select:
        if name not in names:
            raise ConfigError(f"--source {name!r}: no such source; accepted: {', '.join(names)}")
    return [candidate for candidate in candidates if not select or candidate.name in select]


def _source(candidate: _Candidate, environ: Mapping[str, str]) -> tuple[SourceSettings, list[Layer]]:
    layers = list(_with_one_secret(candidate.layers, environ))
    layers.append(from_systemd(candidate.name, environ))
    return _built(SourceSettings, layers, candidate.where), layers


def _with_one_secret(layers: Sequence[Layer], environ: Mapping[str, str]) -> Iterator[Layer]:
    """Give the layers with the secret itself in the strongest that has one; one below it is not so much as read."""
    is_found = False
    for layer in layers:
        if is_found:
            yield {key: found for key, found in layer.items() if key not in SECRET_KEYS}
        else:
            yield (resolved := with_secret(layer, environ))
            is_found = "client_secret" in resolved


def _built(model: type[_Model], layers: Sequence[Layer], where: str) -> _Model:
    try:
        return model(layers=tuple(LayerSource(model, layer) for layer in layers))
    except ValidationError as error:
        raise config_error(error, model, layers, where) from None


def _origins(model: type[BaseSettings], layers: Sequence[Layer], prefix: str) -> dict[str, str]:
    keys = [key for key in model.model_fields if key != "sources"]
    return {f"{prefix}{key}": next((layer[key].origin for layer in layers if key in layer), "default") for key in keys}
