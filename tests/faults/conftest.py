"""What the faults stand on: a scene, copies of databases, and a ledger of what was tried and what was lost.

``FAULTS=long`` (``make faults``) tries each fault many times; otherwise a few trials each are a part of ``make test``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.scene import Databases, Scene
from tests.processes import Preloaded

LONG = os.environ.get("FAULTS") == "long"


def either(short: Any, long: Any) -> Any:
    """Give what belongs to the form of the suite that runs."""
    return long if LONG else short


@pytest.fixture
def scene(tmp_path: Path, _preloaded: Preloaded) -> Callable[..., Scene]:
    """Set a scene: ``scene(server, url, timeout="0.3s")``."""
    return lambda server, url, **settings: Scene(server, url, tmp_path, _preloaded, settings)


@pytest.fixture
def databases(tmp_path: Path, pg_server: Callable[[str], str]) -> Databases:
    return Databases(tmp_path, pg_server("postgres").replace("+psycopg", ""), pg_server)


@pytest.fixture(scope="session")
def ledger() -> Callable[..., None]:
    """Put down what was tried: ``ledger("kill -9 in a first sync", "SQLite", trials=20, lost=0)``."""
    file = os.environ.get("FAULTS_LEDGER")

    def note(group: str, fault: str, place: str, *, trials: int, lost: int, told: str = "") -> None:
        line: dict[str, Any] = {"group": group, "fault": fault, "place": place}
        line |= {"trials": trials, "lost": lost, "told": told}
        if file:
            with Path(file).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")

    return note
