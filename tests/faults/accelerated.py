"""A sandbox in which time goes faster and tasks change all the while; serves until its input ends.

python accelerated.py SPEED TASKS CHANGES_A_SECOND
"""

from __future__ import annotations

import json
import sys
import time
from threading import Event, Thread

from etl.sandbox import Options, Sandbox


def main() -> None:
    speed, tasks, changes = (float(argument) for argument in sys.argv[1:])
    began = time.time()
    over = Event()

    def change() -> None:
        while not over.wait(1 / changes):
            server.change(update=2, insert=1)

    options = Options(tasks=int(tasks), requests_per_minute=0, cap=50, log_size=10)
    with Sandbox(options, clock=lambda: began + (time.time() - began) * speed) as server:
        print(json.dumps(server.environment), flush=True)  # noqa: T201 who started this reads it
        Thread(target=change, daemon=True).start()
        for line in sys.stdin:  # "stop" ends the changes; the server goes on
            if line.strip() == "stop":
                over.set()
                print("stopped", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
