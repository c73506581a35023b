"""Settings from TOML files, the environment and options, each with its origin.

    load_settings(config, environ, options) -> Loaded(settings, origins, warnings, files)

A wrong or missing setting is a ConfigError of one line: the setting, its origin, the problem, and what is accepted. No
message shows a secret. Nothing is read at import.

pydantic checks the values. pydantic-settings is not used: it keeps no origins, does not combine ``[[source]]`` tables
of several files, and is slow to import.
"""

from __future__ import annotations

from etl.settings.definitions import Settings, SourceSettings, describe
from etl.settings.precedence import Loaded, load_settings

__all__ = ["Loaded", "Settings", "SourceSettings", "describe", "load_settings"]
