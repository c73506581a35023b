"""A process that serves many streams of many accounts on one port, and counts the requests of each account.

``python -m benchmarks.account_servers --sources 500 --accounts 50 --tasks 20``. It prints its port, and serves until
its input ends. Each stream is a sandbox. A path below ``/_scale/`` is a question or an order of the benchmark.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from http.server import ThreadingHTTPServer
from threading import Event, Lock, Thread

import orjson

from etl.sandbox.options import Options
from etl.sandbox.server.answer_requests import PREFIX, SUFFIX, Service
from etl.sandbox.server.http_server import Handler
from etl.sandbox.server.requests_and_replies import Reply

MINUTE = 60.0
_ORDERS = "/_scale/"


def options_of(source: int, accounts: int, tasks: int, latency_ms: float = 0.0) -> Options:
    """Return the options of the server of a source, by its number."""
    return Options(
        tasks=tasks,
        seed=source,
        account_id=f"a-{source % accounts}",
        stream_id=f"st-{source}",
        requests_per_minute=0,  # they are counted here, over all streams of the account
        latency_ms=latency_ms,
        log_size=1,
    )


class Accounts:
    """The servers by stream, and when each account sent its requests."""

    def __init__(self, servers: list[Service]) -> None:
        self.servers = {server.options.stream_id: server for server in servers}
        self._lock = Lock()
        self._moments: dict[str, list[float]] = defaultdict(list)

    def count(self, account: str) -> None:
        """Count a request now."""
        with self._lock:
            self._moments[account].append(time.monotonic())

    def obey(self, order: str, body: bytes) -> object:
        """Answer a question of the benchmark."""
        if order == "counts":
            with self._lock:
                return {account: [len(moments), _most(moments)] for account, moments in self._moments.items()}
        if order == "tasks":
            return self.servers[orjson.loads(body)].tasks()
        if order == "change":
            return [self.servers[stream].change(update=1, insert=1) for stream in orjson.loads(body)]
        raise ValueError(order)


def _most(moments: list[float]) -> int:
    """Return how many of the moments, in order, are in the fullest minute."""
    most = first = 0
    for place, moment in enumerate(moments):
        while moments[first] <= moment - MINUTE:
            first += 1
        most = max(most, place - first + 1)
    return most


class _AnyStream(Handler):
    accounts: Accounts

    def _reply(self, body: bytes) -> Reply:
        if self.path.startswith(_ORDERS):
            return Reply(200, orjson.dumps(self.accounts.obey(self.path.removeprefix(_ORDERS), body)))
        server = self.accounts.servers.get(self.path.removeprefix(PREFIX).removesuffix(SUFFIX))
        if server is not None:
            self.service = server
            self.accounts.count(server.options.account_id)
        return super()._reply(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of workers that were killed in the middle of an answer."""


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    for name in ("--sources", "--accounts", "--tasks"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--latency", type=float, default=0.0, help="Milliseconds.")
    given = parser.parse_args()
    numbers = range(given.sources)
    servers = [Service(options_of(number, given.accounts, given.tasks, given.latency)) for number in numbers]
    known = {"accounts": Accounts(servers), "service": servers[0], "stopping": Event()}
    server = _Server(("127.0.0.1", 0), type("StreamHandler", (_AnyStream,), known))
    Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
