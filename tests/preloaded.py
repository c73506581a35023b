"""Runs ``kore-etl`` in processes that begin with its libraries already loaded: their import is most of a short run.

Started as a process with the number of a socket, over which each message brings what one run needs. The package itself
is not loaded beforehand, but for the modules of it that follow the number: each run imports it anew, in a process of
its own that ends as any other does.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from typing import Any

LIBRARIES = (
    *("alembic.command", "alembic.autogenerate", "click", "jwt", "orjson", "psycopg", "pydantic", "requests"),
    *("rich.console", "rich.progress", "rich.table", "sqlalchemy", "sqlalchemy.dialects.postgresql"),
    *("sqlalchemy.dialects.sqlite", "structlog", "tenacity"),
)


def main() -> None:
    """Fork for each message; the child that is to run returns from here and runs."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in (*LIBRARIES, *sys.argv[2:]):
        importlib.import_module(module)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that only watch
    while (asked := receive(control)) is not None:
        request, files = asked
        if os.fork() == 0:
            control.close()
            watch(request, files)
            return
        for file in files:
            os.close(file)
    sys.exit()


def receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    message, files, _flags, _address = socket.recv_fds(control, 2**20, 4)
    return (json.loads(message), list(files)) if message else None


def watch(request: dict[str, Any], files: list[int]) -> None:
    """Tell the number of the process that runs, and how it ended; in that process, return."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, answer = files
    running = os.fork()
    if running == 0:
        os.close(answer)
        become(request, streams)
        return
    with socket.socket(fileno=answer) as told:
        told.send(str(running).encode())
        status = os.waitstatus_to_exitcode(os.waitpid(running, 0)[1])
        told.send(str(status).encode())
    os._exit(0)


def become(request: dict[str, Any], streams: list[int]) -> None:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = ["kore-etl", *request["arguments"]]
    sys.path[0] = request["folder"]


if __name__ == "__main__":
    main()
    runpy.run_module("etl", run_name="__main__", alter_sys=True)
