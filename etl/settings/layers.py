"""A layer: what one place says of the settings, and which place that is; here the environment and the options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from etl.errors import ConfigError
from etl.settings.models import Settings, SourceSettings

PREFIX = "KORE_ETL_"
SECRET_KEYS = ("client_secret", "client_secret_file", "client_secret_env")
GENERAL_KEYS = frozenset(Settings.model_fields) - {"sources"}
SOURCE_KEYS = frozenset(SourceSettings.model_fields) | set(SECRET_KEYS)
KNOWN_KEYS = GENERAL_KEYS | SOURCE_KEYS
# These say which source it is; the others may hold for all of them.
IDENTITY_KEYS = frozenset({"name", "base_url", "account_id", "stream_id", "client_id", *SECRET_KEYS})
# What the environment names and is no setting of a file; what belongs to the sandbox and the tests.
_OTHER_VARIABLES = frozenset({f"{PREFIX}CONFIG"})
_OTHERS = (f"{PREFIX}SANDBOX_", f"{PREFIX}TEST_")
# Near enough to be a slip of the hand, and far enough from what another program may set.
_SLIP = 0.85


@dataclass(frozen=True, slots=True)
class Found:
    """A value as it was written, and where: "--overlap", "KORE_ETL_OVERLAP", "config/kore-etl.toml"."""

    value: object
    origin: str


Layer = Mapping[str, Found]


class LayerSource(PydanticBaseSettingsSource):
    """A layer as pydantic-settings takes it: it merges them in order, the first that has a key wins."""

    def __init__(self, model: type[BaseSettings], layer: Layer) -> None:
        super().__init__(model)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - its signature
        """Give the layer's value of one field, None where it has none."""
        found = self._layer.get(field_name)
        return found and found.value, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Give what the layer has for the model at hand."""
        return {key: found.value for key, found in self._layer.items() if key in self.settings_cls.model_fields}


def variable(key: str) -> str:
    """Give the name of the environment variable for a setting."""
    return f"{PREFIX}{'source_name' if key == 'name' else key}".upper()


def option(key: str) -> str:
    """Give the name of the command-line option for a setting."""
    return f"--{key.replace('_', '-')}"


def from_environment(environ: Mapping[str, str]) -> Layer:
    """Read the variables that are set and not empty; a misspelt one is a ConfigError."""
    _refuse_misspelt(environ)
    names = {key: variable(key) for key in KNOWN_KEYS}
    return {key: Found(environ[name], name) for key, name in names.items() if environ.get(name)}


def from_options(options: Mapping[str, object]) -> Layer:
    """Read the options that were given; those that are None were not."""
    given = {key: value for key, value in options.items() if value is not None}
    for key in given:
        if key not in KNOWN_KEYS or key in SECRET_KEYS:
            raise TypeError(f"an option cannot set {key}")
    return {key: Found(value, option(key)) for key, value in given.items()}


def _refuse_misspelt(environ: Mapping[str, str]) -> None:
    known = {variable(key) for key in KNOWN_KEYS} | _OTHER_VARIABLES
    keys = [name.removeprefix(PREFIX) for name in known]
    for name in sorted(environ):
        if name.startswith(PREFIX) and not name.startswith(_OTHERS) and name not in known and environ[name]:
            near = get_close_matches(name.removeprefix(PREFIX).upper(), keys, n=1, cutoff=_SLIP)
            if near:
                raise ConfigError(f"{name} (environment): no such variable; did you mean {PREFIX}{near[0]}?")


def nearest(key: str, known: frozenset[str]) -> str:
    """Give the known key that is most like the given one."""
    return get_close_matches(key.lower(), sorted(known), n=1, cutoff=0.0)[0]
