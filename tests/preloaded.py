"""Runs ``kore-etl`` in processes that begin with its modules already loaded: their import is most of a short run.

Started as a process with the number of a socket, over which each message brings what one run needs. Each run has a
process of its own that ends as any other does. What a command imports by itself is counted by test_startup.py.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHIFTED = Path(__file__).parent / "faults/shifted"  # changes the clock

LIBRARIES = (
    *("alembic.command", "alembic.autogenerate", "click", "jwt", "orjson", "psycopg", "requests"),
    *("rich.console", "rich.progress", "rich.table", "sqlalchemy", "sqlalchemy.dialects.postgresql"),
    *("sqlalchemy.dialects.sqlite", "structlog", "tenacity"),
)
NOT_AT_ONCE = ("etl.__main__", "etl.explore", "etl.report")  # what begins to run, and what few commands need


def main() -> None:
    """Fork for each message; the child that is to run returns from here and runs."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in (*LIBRARIES, *program()):
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


def program() -> Iterator[str]:
    import etl

    names = (module.name for module in pkgutil.walk_packages(etl.__path__, "etl."))
    return (name for name in names if not name.startswith(NOT_AT_ONCE))


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
    if "COVERAGE_PROCESS_START" in os.environ:
        importlib.import_module("coverage").process_startup()
    if "SHIFTED_BY" in os.environ:
        runpy.run_path(str(SHIFTED / "sitecustomize.py"))


if __name__ == "__main__":
    main()
    runpy.run_module("etl", run_name="__main__", alter_sys=True)
