"""What the faults stand on: a scenario, copies of databases, and a ledger of what was tried and what was lost.

``FAULTS=long`` (``make faults``) tries each fault many times; otherwise a few trials each are a part of ``make test``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.fault_scenario import Databases, FaultScenario
from tests.processes import Preloaded

LONG = os.environ.get("FAULTS") == "long"


def either(short: Any, long: Any) -> Any:
    """Give what belongs to the form of the suite that runs."""
    return long if LONG else short


@pytest.fixture
def scenario(tmp_path: Path, preloaded: Preloaded) -> Callable[..., FaultScenario]:
    """Set up a scenario: ``scenario(server, url, timeout="0.3s")``."""
    return lambda server, url, **settings: FaultScenario(server, url, tmp_path, preloaded, settings)


@pytest.fixture
def databases(tmp_path: Path, pg_server: Callable[[str], str]) -> Databases:
    return Databases(tmp_path, pg_server("postgres").replace("+psycopg", ""), pg_server)


@pytest.fixture(scope="session")
def ledger() -> Callable[..., None]:
    """Put down what was tried: ``ledger("api", "an outage", "SQLite", of="60 s", trials=1, lost=0, ends={0})``.

    ``of`` is which one it was of those that make one line of the page; ``ends`` is how the runs that met it exited.
    """
    file = os.environ.get("FAULTS_LEDGER")

    def note(
        group: str,
        fault: str,
        place: str | None,
        *,
        trials: int,
        lost: int,
        of: str = "",
        ends: Any = (),
        told: str = "",
    ) -> None:
        line: dict[str, Any] = {"group": group, "fault": fault, "of": of, "place": place}
        line |= {"trials": trials, "lost": lost, "ends": sorted(ends), "told": told}
        if file:
            with Path(file).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(line) + "\n")

    return note
