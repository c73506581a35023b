"""A pooler between clients and PostgreSQL, as PgBouncer is delivered: it refuses the start-up parameter ``options``."""

from __future__ import annotations

import os
import select
import socket
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from threading import Lock, Thread
from types import TracebackType
from typing import Literal, Self

Mode = Literal["session", "transaction", "transaction, oldest first"]
_ENCRYPTION_REQUESTS = (80877103, 80877104)
_REFUSAL = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"


class Pooler:
    """Listens on this machine's network; by transaction a server's session serves whichever client asks next."""

    def __init__(self, database_url: str, mode: Mode, *, tells_the_servers_number: bool = False) -> None:
        self._number = None if tells_the_servers_number else _message(b"K", os.urandom(8))
        address, _, host = database_url.partition("?host=")
        self._path = f"{host.partition('&')[0]}/.s.PGSQL.5432"
        self._name = address.rpartition("/")[2]
        self._mode = mode
        self._idle: deque[_Line] = deque()
        self._lines: list[_Line] = []
        self._mutex = Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        Thread(target=self._listen, daemon=True).start()

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"postgresql+psycopg://postgres@{host}:{port}/{self._name}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.close()
        for line in self._lines:
            line.socket.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client = _Line(self._listener.accept()[0])
                self._lines.append(client)
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: _Line) -> None:
        server: _Line | None = None
        with suppress(OSError, EOFError, ValueError):
            startup = client.startup()
            if b"\0options\0" in startup:
                client.send(_message(b"E", _REFUSAL))
                client.socket.close()
                return
            server = self._pooled(startup)
            client.send(_message(b"R", struct.pack("!I", 0)) + server.greeting)
            client.send((self._number or server.number) + _message(b"Z", b"I"))
            while True:
                if self._mode != "session":
                    self._release(server)
                    server = None
                    select.select([client.socket], [], [])
                    server = self._pooled(startup)
                _pass_on(client, server)
        for line in (client, server):
            if line is not None:
                line.socket.close()

    def _pooled(self, startup: bytes) -> _Line:
        with self._mutex:
            if self._idle:
                return self._idle.popleft() if self._mode.endswith("oldest first") else self._idle.pop()
        line = socket.socket(socket.AF_UNIX)
        line.connect(self._path)
        server = _Line(line)
        self._lines.append(server)
        server.send(struct.pack("!I", len(startup) + 4) + startup)
        for message in server.until_ready():
            if message[:1] == b"S":
                server.greeting += message
            elif message[:1] == b"K":
                server.number = message
        return server

    def _release(self, server: _Line) -> None:
        with self._mutex:
            self._idle.append(server)


class _Line:
    """A socket and the whole messages that come over it."""

    def __init__(self, line: socket.socket) -> None:
        self.socket = line
        self.greeting = b""
        self.number = b""
        self._buffer = b""

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def startup(self) -> bytes:
        while True:
            content = self._exactly(struct.unpack("!I", self._exactly(4))[0] - 4)
            if struct.unpack("!I", content[:4])[0] not in _ENCRYPTION_REQUESTS:
                return content
            self.send(b"N")

    def until_ready(self) -> Iterator[bytes]:
        message = b""
        while message[:1] != b"Z":
            head = self._exactly(5)
            message = head + self._exactly(struct.unpack("!I", head[1:])[0] - 4)
            yield message

    def received(self) -> list[bytes]:
        """Return the whole messages that one reading brings."""
        content = self.socket.recv(65_536)
        if not content:
            raise EOFError
        self._buffer += content
        found = []
        while len(self._buffer) >= 5 and len(self._buffer) > (size := struct.unpack("!I", self._buffer[1:5])[0]):
            found.append(self._buffer[: size + 1])
            self._buffer = self._buffer[size + 1 :]
        return found

    def _exactly(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            more = self.socket.recv(size - len(content))
            if not more:
                raise EOFError
            content += more
        return content


def _pass_on(client: _Line, server: _Line) -> None:
    """Pass messages on in both directions until the server says that no transaction is open."""
    while True:
        for ready in select.select([client.socket, server.socket], [], [])[0]:
            source, target = (client, server) if ready is client.socket else (server, client)
            for message in source.received():
                target.send(message)
                if source is server and message[:1] == b"Z" and message[5:] == b"I":
                    return


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", len(content) + 4) + content
