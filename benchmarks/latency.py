"""``python -m benchmarks.latency``: a first sync by one worker and by eight, of a server whose answers take 200 ms."""

from __future__ import annotations

import argparse
import sys
import tempfile

from benchmarks.contenders import settings_for
from benchmarks.processes import measure, page_server

LATENCY = 0.2
WORKERS = (1, 8)


def main() -> None:
    """Measure one after the other, each with an empty database, and tell how they compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency")
    parser.add_argument(
        "--tasks", type=int, default=100_000, help="Of eight fields each; 100,000 take some ten minutes."
    )
    tasks = parser.parse_args().tasks
    alone = 0.0
    with page_server(tasks, "eight", latency=LATENCY) as server:
        for workers in WORKERS:
            server.ask("/spent")
            with tempfile.TemporaryDirectory() as folder:
                command = [sys.executable, "-m", "etl", "sync", "--workers", str(workers)]
                cost = measure(command, settings_for(server, f"sqlite:///{folder}/tasks.db"))
            alone = alone or cost.wall
            requests = server.ask("/spent")["requests"]
            print(
                f"{workers} workers: {cost.wall:.1f} s, {requests:,} requests, {alone / cost.wall:.2f} times one worker"
            )


if __name__ == "__main__":
    main()
