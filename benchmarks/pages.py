"""A getTasks server that costs next to nothing: records rendered once, pages cut out of them by bisection.

Run as a process of its own, ``python -m benchmarks.pages --tasks 10000``: it prints its port, and serves until its
standard input ends. What is measured against it is the client. It checks no token and keeps no budget: for that there
is the sandbox, whose tasks these are.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from bisect import bisect_left, bisect_right
from email.utils import formatdate
from random import Random
from threading import Lock, Thread
from typing import Any

import orjson

from etl.sandbox.data.generator import TaskGenerator
from etl.sandbox.data.timestamps import format_timestamp
from etl.sandbox.options import Options

MOST_ROWS = 50
FIELDS = ("createdAt", "updatedAt")

Row = tuple[str, str, str, bytes]


class Order:
    """Rows in ascending order of one field."""

    def __init__(self, field: str, rows: list[Row]) -> None:
        place = FIELDS.index(field)
        self.rows = sorted(rows, key=lambda row: (row[place], row[2]))
        self.values = [row[place] for row in self.rows]

    def between(self, start: str | None, end: str | None) -> tuple[int, int]:
        """Return the places of the rows from ``start`` to ``end``, both included."""
        low = 0 if start is None else bisect_left(self.values, start)
        high = len(self.values) if end is None else bisect_right(self.values, end)
        return low, max(low, high)


class Tasks:
    """All tasks as they are served, in each order that may be asked for."""

    def __init__(self, options: Options) -> None:
        self._generator = TaskGenerator(options, Random(options.seed))
        self._random = Random(options.seed)
        self._field = options.window_field
        now = int(time.time() * 1000)
        self._rows = {row[2]: row for row in map(_row, self._generator.history(now))}
        self._sort()

    def change(self, update: int) -> None:
        """Give so many tasks another status, priority and name, each in one of the latest milliseconds."""
        now = int(time.time() * 1000)
        for place, name in enumerate(self._random.sample(sorted(self._rows), update)):
            moment = now - update + place
            record = self._generator.revise(orjson.loads(self._rows[name][3]), moment)
            self._rows[name] = _row(record | {"updatedAt": format_timestamp(moment)})
        self._sort()

    def page(self, asked: dict[str, Any]) -> bytes:
        """Return the answer's body."""
        rows, total = self._chosen(asked)
        skip, limit = asked.get("skip", 0), min(MOST_ROWS, asked.get("limit", 10))
        metadata = {
            "page": skip // limit + 1, "limit": limit, "hasMore": skip + limit < total,
            "totalPages": -(-total // limit), "totalResults": total,
        }  # fmt: skip
        texts = b",".join([row[3] for row in rows[skip : skip + limit]])
        return b'{"results":[' + texts + b"]," + orjson.dumps(metadata)[1:]

    def _sort(self) -> None:
        self._orders = {field: Order(field, list(self._rows.values())) for field in FIELDS}

    def _chosen(self, asked: dict[str, Any]) -> tuple[Any, int]:
        field, direction = next(iter((asked.get("sortBy") or {"createdAt": "asc"}).items()))
        start, end = asked.get("startDate"), asked.get("endDate")
        order = self._orders[field]
        if field == self._field or (start is None and end is None):
            low, high = order.between(start, end)
            return _Stretch(order.rows, low, high, descending=direction == "desc"), high - low
        low, high = self._orders[self._field].between(start, end)
        inside = Order(field, self._orders[self._field].rows[low:high])
        return _Stretch(inside.rows, 0, high - low, descending=direction == "desc"), high - low


class _Stretch:
    def __init__(self, rows: list[Row], low: int, high: int, *, descending: bool) -> None:
        self._rows, self._low, self._high, self._descending = rows, low, high, descending

    def __getitem__(self, part: slice) -> list[Row]:
        if self._descending:
            high = max(self._low, self._high - part.start)
            return self._rows[max(self._low, self._high - part.stop) : high][::-1]
        return self._rows[self._low + part.start : min(self._high, self._low + part.stop)]


def _row(record: dict[str, Any]) -> Row:
    # The text is copied: orjson's own holds on to all of the room that it was written in.
    return record["createdAt"], record["updatedAt"], record["_id"], bytes(memoryview(orjson.dumps(record)))


class Server:
    """Serves tasks on a socket; counts requests and bytes."""

    def __init__(self, tasks: Tasks, latency: float) -> None:
        self._tasks = tasks
        self._latency = latency
        self._lock = Lock()
        self.requests = self.sent = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve(self) -> None:
        """Accept connections for ever."""
        while True:
            connection, _ = self.listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as incoming:
            while first := incoming.readline():
                length = 0
                while (line := incoming.readline()) not in (b"\r\n", b""):
                    if line[:15].lower() == b"content-length:":
                        length = int(line[15:])
                asked = orjson.loads(incoming.read(length) or b"{}")
                body = self._answer(first.split()[1].decode(), asked)
                date = formatdate(time.time(), usegmt=True)
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: {date}\r\n"
                connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def _answer(self, path: str, asked: dict[str, Any]) -> bytes:
        if path.endswith("/getTasks"):
            time.sleep(self._latency) if self._latency else None
            body = self._tasks.page(asked)
            with self._lock:
                self.requests += 1
                self.sent += len(body)
            return body
        with self._lock:  # the benchmark's own questions
            if path == "/change":
                self._tasks.change(asked["update"])
            if "latency" in asked:
                self._latency = asked["latency"]
            spent = {"requests": self.requests, "bytes": self.sent}
            self.requests = self.sent = 0
            return orjson.dumps(spent)


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, required=True)
    parser.add_argument("--shape", choices=("full", "eight"), default="full")
    parser.add_argument("--field", choices=FIELDS, default="updatedAt")
    parser.add_argument("--latency", type=float, default=0.0)
    given = parser.parse_args()
    options = Options(tasks=given.tasks, shape=given.shape, window_field=given.field)
    server = Server(Tasks(options), given.latency)
    Thread(target=server.serve, daemon=True).start()
    print(server.listener.getsockname()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
