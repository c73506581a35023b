"""A process that sends requests of an account as fast as its budget allows, until its input ends.

It prints a line when it is ready, begins at the first line of its input, and prints how many were answered.
"""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import orjson
from sqlalchemy import event

from etl.extract.http.auth import Token
from etl.extract.http.connection import Endpoint
from etl.extract.http.query import Query
from etl.extract.http.rate_limiter import RateLimiter
from etl.extract.http.retrying_client import Client
from etl.load.database.engine import open_engine
from etl.load.ledger.request_budgets import StoredBudgets
from etl.settings import SourceSettings


def now() -> datetime:
    return datetime.now(UTC)


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main() -> None:
    given = SimpleNamespace(**orjson.loads(sys.argv[1]))
    engine = open_engine(given.database_url)
    if given.timezone:

        @event.listens_for(engine, "connect")
        def in_its_zone(connection, _record) -> None:
            connection.execute(f"set timezone to '{given.timezone}'")
            connection.commit()

    budget = RateLimiter(given.limit, store=StoredBudgets(engine).of(given.account_id), minute=given.span)
    ids = {"base_url": given.url, "account_id": given.account_id, "stream_id": given.stream_id}
    endpoint = Endpoint(**ids, read_timeout=5.0, deadline=5.0)
    source = SourceSettings(**ids, client_id=given.client_id, client_secret=given.client_secret)
    over = threading.Event()
    answered = []

    def send() -> None:
        client = Client(endpoint, Token(source, now), budget, clock=now)
        while not over.is_set():
            client.fetch(Query(limit=1))
            answered.append(1)
        client.close()

    budget.wait()
    say("ready")
    sys.stdin.readline()
    threads = [threading.Thread(target=send) for _ in range(given.threads)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    budget.give_back()
    say(len(answered))


if __name__ == "__main__":
    main()
