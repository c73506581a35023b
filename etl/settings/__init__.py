"""Settings from TOML files, the environment and options, each with its origin.

    load_settings(config, environ, options) -> Loaded(settings, origins, warnings, files)

A wrong or missing setting is a ConfigError of one line: the setting, its origin, the problem, and what is accepted. No
message shows a secret. Nothing is read at import.

The settings are plain dataclasses, not Structs as other values: each field names its reader, and a secret stays out of
the repr. pydantic and pydantic-settings are not used: they are slow to import, keep no origins, and do not combine
``[[source]]`` tables of several files.
"""

from __future__ import annotations

from etl.settings.definitions import Identity, Settings, SourceSettings, describe, host_of
from etl.settings.precedence import Loaded, load_settings

__all__ = ["Identity", "Loaded", "Settings", "SourceSettings", "describe", "host_of", "load_settings"]
