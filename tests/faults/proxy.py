"""A connection to PostgreSQL that a test can cut at a chosen moment. It only forwards; it answers nothing itself."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Literal, Self

Moment = Literal["before the server hears of it", "before its answer is heard"]


class Proxy:
    """Listens on this machine's network and passes everything on to PostgreSQL's socket.

    ``cut_at(number, moment)`` cuts every line at the commit of that number, counted from now on, and takes no other
    until ``mend``.
    """

    def __init__(self, database_url: str) -> None:
        address, _, host = database_url.partition("?host=")
        self._path = f"{host.partition('&')[0]}/.s.PGSQL.5432"
        self._name = address.rpartition("/")[2]
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[socket.socket] = []
        self._commits = 0
        self._cut: tuple[int, Moment] | None = None
        self.was_cut = Event()
        self._threads: list[Thread] = []
        self._listening = Thread(target=self._listen, daemon=True)
        self._listening.start()

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"postgresql+psycopg://postgres@{host}:{port}/{self._name}?sslmode=disable&gssencmode=disable"

    def cut_at(self, number: int, moment: Moment) -> None:
        self._commits = 0
        self._cut = (number, moment)

    def mend(self) -> None:
        self._cut = None
        self.was_cut.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # so that nobody waits at it any more
        self._listening.join()
        self._listener.close()
        self._close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.was_cut.is_set():
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                self._lines += [client, server]
                for source, target, is_asking in ((client, server, True), (server, client, False)):
                    self._threads.append(Thread(target=self._pass_on, args=(source, target, is_asking), daemon=True))
                    self._threads[-1].start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_asking: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while content := source.recv(65_536):
                if is_asking and self._is_the_one(content):
                    if self._cut and self._cut[1] == "before its answer is heard":
                        self.was_cut.set()  # no answer is passed on any more
                        target.sendall(content)
                        _await_end_of_transaction(target)
                    self.was_cut.set()
                    self._end()
                    return
                if not self.was_cut.is_set():
                    target.sendall(content)
        for line in (source, target):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _is_the_one(self, content: bytes) -> bool:
        if self._cut is None or b"COMMIT" not in content:
            return False
        self._commits += 1
        return self._commits == self._cut[0]

    def _end(self) -> None:
        for line in self._lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        self._end()
        for thread in self._threads:
            thread.join()
        for line in self._lines:
            line.close()


def _await_end_of_transaction(server: socket.socket) -> None:
    """Wait a moment for what the server says when it is done; the other direction may have taken it already."""
    server.settimeout(0.2)
    with suppress(OSError):
        server.recv(65_536)
