"""The command as a process, started from one that has its libraries loaded (see preloaded.py)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PRELOADED = Path(__file__).with_name("preloaded.py")


class Preloaded:
    """Starts processes of ``kore-etl`` until it is left."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, str(PRELOADED), str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._control.close()
        self._server.wait()

    def run(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], given: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        request = {"arguments": arguments, "folder": str(folder), "environment": environment}
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with ours, tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            stdin.write(given.encode())
            stdin.seek(0)
            with theirs:
                files = [stdin.fileno(), out.fileno(), err.fileno(), theirs.fileno()]
                socket.send_fds(self._control, [json.dumps(request).encode()], files)
            status = _status(ours, arguments, timeout)
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(arguments, status, out.read().decode(), err.read().decode())


def _status(answer: socket.socket, arguments: Sequence[str], timeout: float) -> int:
    answer.settimeout(timeout)
    number = int(answer.recv(64))
    try:
        return int(answer.recv(64))
    except TimeoutError:
        os.kill(number, signal.SIGKILL)
        raise subprocess.TimeoutExpired(list(arguments), timeout) from None
