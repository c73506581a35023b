"""The packages of an extra (``postgres``, ``parquet`` ...), and the command that adds them to this installation.

``kore-etl`` is installed from a checkout or from a wheel. So the command names the packages themselves.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

_DISTRIBUTION = "kore-etl"


def install_command(extra: str) -> str:
    """Return the shell command that installs an extra's packages where this program runs."""
    return install_packages_command(*_packages(extra))


def install_packages_command(*packages: str) -> str:
    """Return the shell command that installs packages where this program runs."""
    return shlex.join([*_installer(Path(sys.prefix)), *packages])


def _packages(extra: str) -> list[str]:
    """Return the extra's requirements; of a checkout that is not installed, the checkout with this extra."""
    import importlib.metadata

    try:
        requirements = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return [f"{Path(__file__).resolve().parent.parent}[{extra}]"]
    marker = re.compile(rf"extra == ['\"]{re.escape(extra)}['\"]")
    return [text.partition(";")[0].strip() for text in requirements if marker.search(text)]


def _installer(environment: Path) -> list[str]:
    if (environment / "pipx_metadata.json").is_file():
        return ["pipx", "inject", environment.name]
    as_owner = [] if os.access(environment, os.W_OK) else ["sudo"]
    if find_spec("pip"):
        return [*as_owner, sys.executable, "-m", "pip", "install"]
    return [*as_owner, "uv", "pip", "install", "--python", sys.executable]
