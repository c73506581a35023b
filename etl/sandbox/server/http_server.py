"""The sandbox as a running HTTP server."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from etl.sandbox.options import Options
from etl.sandbox.server import control_api, faults
from etl.sandbox.server.answer_requests import PREFIX, SUFFIX, Service
from etl.sandbox.server.requests_and_replies import Refusal, Reply, refuse


class Handler(BaseHTTPRequestHandler):
    """Serves getTasks and, to the same machine only, the control plane under ``/_sandbox/``."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service: Service
    stopping: Event

    def do_GET(self) -> None:
        """Answer a request, whatever its method."""
        reply = self._reply(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        if reply.fault in faults.DISTURBED:
            self._disturb(reply)
        else:
            self.wfile.write(self._head(reply, f"Content-Length: {len(reply.body)}\r\n") + reply.body)

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the method overridden
        """Keep the terminal quiet; the sandbox has a log of its own."""

    def _reply(self, body: bytes) -> Reply:
        path = self.path.partition("?")[0]
        if path.startswith(control_api.PREFIX):
            return control_api.handle(self.service, self.command, path, body, self.client_address[0])
        if not path.startswith(PREFIX) or not path.endswith(SUFFIX):
            return self._refuse(Refusal(404, "Not Found"))
        if self.command != "POST":
            return self._refuse(Refusal(405, "Method Not Allowed"))
        time.sleep(self.service.options.latency_ms / 1000)
        return self.service.get_tasks(path[len(PREFIX) : -len(SUFFIX)], self.headers, body)

    def _refuse(self, refusal: Refusal) -> Reply:
        return refuse(refusal, self.service.options.error_key)

    def _disturb(self, reply: Reply) -> None:
        self.close_connection = True
        if reply.fault == "reset":
            faults.reset(self.connection)
            return
        head = partial(self._head, reply)
        faults.send_disturbed(self.connection, reply, head, self.service.options, self.stopping)

    def _head(self, reply: Reply, length: str) -> bytes:
        lines = [f"HTTP/1.1 {reply.status} {_phrase(reply.status)}", f"Content-Type: {reply.content_type}"]
        if date := self.service.date_header():
            lines.append(f"Date: {date}")
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n" + length + "\r\n").encode("latin-1")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


class Sandbox(Service):
    """The service on a real socket.

    It listens from ``start`` (or ``with``) on; ``url`` is then what ``KORE_ETL_BASE_URL`` takes.
    """

    def __init__(self, options: Options | None = None, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(options or Options(), clock)
        self._stopping = Event()
        self._port = self.options.port
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
        handler = type("SandboxHandler", (Handler,), {"service": self, "stopping": self._stopping})
        self._stopping.clear()
        self._server = _Server((self.options.host, self._port), handler)
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
        budget = {} if options.requests_per_minute else {"KORE_ETL_REQUESTS_PER_MINUTE": "6000"}  # nothing to wait for
        return budget | {
            "KORE_ETL_BASE_URL": self.url,
            "KORE_ETL_ACCOUNT_ID": options.account_id,
            "KORE_ETL_STREAM_ID": options.stream_id,
            "KORE_ETL_CLIENT_ID": options.client_id,
            "KORE_ETL_CLIENT_SECRET": options.client_secret,
        }


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
