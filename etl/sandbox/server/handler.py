"""One HTTP connection: hands its requests to the service and sends each answer in one write."""

from __future__ import annotations

import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from threading import Event

from etl.sandbox.server import control, faults
from etl.sandbox.server.replies import Refusal, Reply, refuse
from etl.sandbox.server.service import PREFIX, SUFFIX, Service


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
        if path.startswith(control.PREFIX):
            return control.handle(self.service, self.command, path, body, self.client_address[0])
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
        line = faults.DisturbedConnection(self.connection, self.stopping, self.service.options)
        line.send(reply.fault or "", lambda length: self._head(reply, length), reply.body)

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
