"""Against a server that shares no code with the sandbox: failures, limits, dying tokens, kills, SIGTERM, two runs."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from tests.faults.conftest import either
from tests.faults.independent_server import IndependentServer
from tests.faults.scene import kill


@pytest.mark.parametrize("dates", ["createdAt", "updatedAt"])
def test_an_independent_server_is_mirrored_whatever_happens(
    scene: Any, request: pytest.FixtureRequest, ledger: Any, dates: str
) -> None:
    places = either({"createdAt": ("sqlite",), "updatedAt": ("postgres",)}[dates], ("sqlite", "postgres"))
    for place in places:
        with IndependentServer(250, filter_on=dates) as server:
            _mirror(scene(server, request.getfixturevalue(f"migrated_{place}_url")), ledger, dates)


def _mirror(ready: Any, ledger: Any, dates: str) -> None:
    server = ready.server
    random = Random(7)
    kills = either(2, 25)
    for _ in range(kills):
        process = ready.start("sync")
        time.sleep(random.uniform(0.2, 5.0))
        server.change(update=15, insert=4)
        kill(process)
        ready.check_soundness()
    process = ready.start("sync")
    time.sleep(random.uniform(0.5, 1.5))
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    assert process.wait().returncode in (143, 0)
    ready.check_soundness()
    server.change(update=15, insert=4, delete=3)
    server.delay = 0.3  # so that the first is at work when the second begins
    both = [ready.start("sync") for _ in range(2)]
    assert sorted(process.wait().returncode for process in both) == [0, 75]
    server.delay = 0.0
    done = ready.run("sync", "--full", page_size="3")  # more requests a second than are answered, on any machine
    assert done.returncode == 0, done.stderr[-2000:]
    done = ready.run("reconcile")
    assert done.returncode == 0, done.stderr[-2000:]
    ready.check_soundness()
    assert server.answers["401"] > 0
    assert server.answers["429"] > 0
    lost = len(ready.lost())
    told = ", ".join(f"{count} × {name}" for name, count in sorted(server.answers.items()))
    fault = f"16 % failures, 8 requests a second, tokens of a second, kills, SIGTERM, two at once (dates on {dates})"
    ledger("independent", fault, ready.place, trials=kills + 2, lost=lost, told=told)
    assert lost == 0
