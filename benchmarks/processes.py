"""Starting processes and measuring what they cost, as the system accounts for them."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

CHECKOUT = Path(__file__).resolve().parent.parent
_MOST_SAID = 1500


@dataclass(frozen=True, slots=True)
class Cost:
    """What a sync took: seconds of wall and CPU, peak memory in MB, requests and bytes of the server's answers.

    ``server`` are the CPU seconds of PostgreSQL, ``stored`` the bytes that the database takes afterwards.
    """

    wall: float
    cpu: float
    memory: float
    requests: int = 0
    bytes: int = 0
    server: float = 0.0
    stored: int = 0


def measure(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a command to its end; its children count for it. A failure is raised with what it said.

    Python keeps its bytecode, as pip makes it for an installed program.
    """
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment}
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=CHECKOUT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        said = process.stderr.read() if process.stderr else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode:
        message = f"{' '.join(command)} ended with {process.returncode}: {said.decode()[-_MOST_SAID:]}"
        raise RuntimeError(message)
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class Server:
    """The page server while it runs."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, **body: object) -> dict[str, int]:
        """Tell the server something; what it was asked and sent since the last time is the answer."""
        line = http.client.HTTPConnection("127.0.0.1", self.port)
        line.request("POST", path, orjson.dumps(body))
        answer: dict[str, int] = orjson.loads(line.getresponse().read())
        line.close()
        return answer


@contextmanager
def page_server(tasks: int, shape: str, *, latency: float = 0.0) -> Iterator[Server]:
    """Serve so many tasks from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.pages", "--tasks", str(tasks), "--shape", shape]
    with subprocess.Popen(
        [*command, "--latency", str(latency)], cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        if process.stdout is None or process.stdin is None:
            raise AssertionError
        try:
            yield Server(int(process.stdout.readline()))
        finally:
            process.stdin.close()
