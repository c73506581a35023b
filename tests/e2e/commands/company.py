"""Servers with a source each, one PostgreSQL database, and the workers that share them."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from etl.load.database.engine import open_engine
from etl.sandbox import Sandbox
from tests.conftest import clean_environment
from tests.processes import Preloaded, Running

SECONDS = 60.0


class Company:
    """Servers with a source each, in settings and with an interval, and the workers that sync them."""

    def __init__(self, url: str, folder: Path, preloaded: Preloaded) -> None:
        self.url = url
        self.folder = folder
        self.engine = open_engine(url)
        self.servers: dict[str, Sandbox] = {}
        self.workers: list[Running] = []
        self._preloaded = preloaded
        self.env = {"KORE_ETL_DATABASE_URL": url, "KORE_ETL_CONFIG": str(folder / "kore-etl.toml")}

    def add(self, server: Sandbox, *, secret: str | None = None, requests_per_minute: int = 6000) -> str:
        """Let a server be a source, and return its name."""
        name = f"source-{len(self.servers)}"
        self.servers[name] = server
        options = server.options
        lines = ["[[source]]", f'name = "{name}"', f'base_url = "{server.url}"']
        lines += [f"requests_per_minute = {requests_per_minute}"]
        lines += [f'{key} = "{getattr(options, key)}"' for key in ("account_id", "stream_id", "client_id")]
        lines += [f'client_secret = "{secret or options.client_secret}"']
        with (self.folder / "kore-etl.toml").open("a") as file:
            file.write("\n".join(lines) + "\n")
        (self.folder / "kore-etl.toml").chmod(0o600)
        return name

    def command(self, *arguments: str, **env: str) -> Running:
        return self._preloaded.start(arguments, self.folder, clean_environment(self.folder, {**self.env, **env}))

    def schedule(self) -> None:
        """Let every source be due now, and next in an hour."""
        done = self.command("schedule", "set", *self.servers, "--every", "1h").wait()
        assert done.returncode == 0, done.stderr
        self.make_due()

    def make_due(self) -> None:
        with self.engine.begin() as connection:
            connection.execute(text("update sources set next_due_at = now() - interval '1 minute' where every > 0"))

    def start(self, *arguments: str, **env: str) -> Running:
        worker = self.command("worker", "--tick", "1s", "--stall-after", "5s", *arguments, **env)
        self.workers.append(worker)
        return worker

    def stop(self, worker: Running) -> list[dict[str, Any]]:
        """Let a worker end, and return its log."""
        worker.send_signal(signal.SIGTERM)
        done = worker.wait(SECONDS)
        self.workers.remove(worker)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]

    def kill(self, worker: Running) -> None:
        worker.send_signal(signal.SIGKILL)
        self.workers.remove(worker)
        sys.stderr.write(worker.wait().stderr)  # pytest shows it where a test fails

    def close(self) -> None:
        for worker in [*self.workers]:
            self.kill(worker)
        self.engine.dispose()

    def rows(self, query: str) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(query)))

    def until(self, query: str, expected: list[Any], *, seconds: float = SECONDS) -> None:
        """Wait until a query has this result."""
        end = time.monotonic() + seconds
        while (found := self.rows(query)) != expected:
            assert time.monotonic() < end, found
            time.sleep(0.05)

    def assert_equal_to_servers(self) -> None:
        found = self.rows("select s.name, t._id, cast(t.raw as text) from tasks t join sources s on s.id = t.source_id")
        stored = {(name, key): json.loads(raw) for name, key, raw in found}
        assert stored == {(name, task["_id"]): task for name, server in self.servers.items() for task in server.tasks()}
