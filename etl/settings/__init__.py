"""Settings: TOML files, then the environment, then options; each knows where it came from.

    load_settings(config, environ, options) -> Loaded(settings, origins, warnings, files)

A wrong or missing setting is a ConfigError of one line that names the setting, where it came from, what was wrong and
what is accepted. A secret's value is in no message. Nothing is read at import.

pydantic checks the values. Its companion pydantic-settings is not used: it keeps no origins, adds up no ``[[source]]``
tables of several files, and takes as long to import as a third of pydantic.
"""

from __future__ import annotations

from etl.settings.loading import Loaded, load_settings
from etl.settings.models import Settings, SourceSettings, describe

__all__ = ["Loaded", "Settings", "SourceSettings", "describe", "load_settings"]
