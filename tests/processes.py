"""The command as a process, started from one that has its modules loaded (see preloaded.py)."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

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
        return self.start(arguments, folder, environment, given).wait(timeout)

    def start(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], given: str = "") -> Running:
        request = {"arguments": arguments, "folder": str(folder), "environment": environment}
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 its reader closes them
        with tempfile.TemporaryFile() as stdin, theirs:
            stdin.write(given.encode())
            stdin.seek(0)
            files = [stdin.fileno(), out.fileno(), err.fileno(), theirs.fileno()]
            socket.send_fds(self._control, [json.dumps(request).encode()], files)
        return Running(arguments, ours, out, err)


class Running:
    """A process under way; it is to be waited for."""

    def __init__(self, arguments: Sequence[str], answer: socket.socket, out: IO[bytes], err: IO[bytes]) -> None:
        self._arguments = list(arguments)
        self._answer = answer
        self._files = (out, err)
        answer.settimeout(60)
        self.pid = int(answer.recv(64))

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def ends_within(self, seconds: float) -> bool:
        return bool(select.select([self._answer], [], [], seconds)[0])

    def wait(self, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Wait for its end; a process that takes longer is killed."""
        out, err = self._files
        self._answer.settimeout(timeout)
        with self._answer, out, err:
            try:
                status = int(self._answer.recv(64))
            except TimeoutError:
                self.send_signal(signal.SIGKILL)
                raise subprocess.TimeoutExpired(self._arguments, timeout) from None
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(self._arguments, status, out.read().decode(), err.read().decode())
