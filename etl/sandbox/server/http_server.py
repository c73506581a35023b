"""The sandbox as a running HTTP server."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterable
from http.server import ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from etl.sandbox.options import Options
from etl.sandbox.server.handler import Handler
from etl.sandbox.server.service import Service


class Sandbox:
    """A stand-in for the vendor's getTasks server, on a real socket.

    It listens from ``start`` (or ``with``) on; ``url`` is then what ``KORE_ETL_BASE_URL`` takes. ``clock`` gives
    seconds since 1970. The methods do what the control plane does over HTTP.
    """

    def __init__(self, options: Options | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._service = Service(options or Options(), clock)
        self._stopping = Event()
        self._port = self._service.options.port
        self._server: _Server | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        return self if self._server else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen; raises OSError if the address or the port cannot be had."""
        options = self.options
        handler = type("SandboxHandler", (Handler,), {"service": self._service, "stopping": self._stopping})
        self._stopping.clear()
        self._server = _Server((options.host, self._port), handler)
        self._port = int(self._server.server_address[1])
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True, name="sandbox")
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every open connection; it can start again, on its port and with its tasks."""
        if self._server is None or self._thread is None:
            return
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()
        self._server = self._thread = None

    @property
    def options(self) -> Options:
        """How the sandbox behaves now."""
        return self._service.options

    @property
    def port(self) -> int:
        """The port that it listens on."""
        if self._server is None:
            raise RuntimeError("the sandbox is not running")
        return self._port

    @property
    def url(self) -> str:
        """The base URL of the server."""
        host = self.options.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which ``kore-etl`` talks to this server."""
        options = self.options
        return {
            "KORE_ETL_BASE_URL": self.url,
            "KORE_ETL_ACCOUNT_ID": options.account_id,
            "KORE_ETL_STREAM_ID": options.stream_id,
            "KORE_ETL_CLIENT_ID": options.client_id,
            "KORE_ETL_CLIENT_SECRET": options.client_secret,
        }

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The getTasks requests so far, each with body, status, rows and fault; only the last ones of many."""
        return self._service.requests()

    @property
    def request_count(self) -> int:
        """How many getTasks requests came, refused ones included."""
        return self._service.count

    def reset_requests(self) -> None:
        """Begin counting anew, with an empty log and a whole budget."""
        self._service.reset_requests()

    def tasks(self) -> list[Any]:
        """Every record as it is served now, in order of insertion."""
        return self._service.records()

    def change(
        self, update: int = 0, insert: int = 0, delete: int = 0, *, same_instant: bool = False
    ) -> dict[str, list[str]]:
        """Update and delete random tasks, add new ones; gives the ids ``updated``, ``inserted`` and ``deleted``."""
        return self._service.change(update=update, insert=insert, delete=delete, same_instant=same_instant)

    def put(self, records: Iterable[Any]) -> list[str]:
        """Store records exactly as given, however odd, in place of those with the same ``_id``; gives their names."""
        return self._service.put(records)

    def remove(self, names: Iterable[str]) -> None:
        """Take records away at once."""
        self._service.remove(names)

    def configure(self, **changes: Any) -> Options:
        """Behave differently from the next request on; raises ValueError for what is not accepted."""
        return self._service.configure(changes)


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that stopping it ends them too."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[Handler]) -> None:
        self._connections: set[socket.socket] = set()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End every connection that is still open."""
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away in the middle of an answer; a bug is still told."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)
