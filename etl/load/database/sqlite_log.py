"""SQLite's write-ahead log: how long it gets, and who writes it to the disk.

Many commits change the same pages of the database. A long log avoids copying these pages into the file after every few
commits. A commit copies a log that is full. It waits for the disk twice: for the log, and then for the file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

PAGES = 16_000
"""How long the log gets, in pages of 4 KB."""

_EVERY = 0.05  # seconds
_BUSY = 5  # SQLite's code where another connection holds what this one needs


def turn_to_log(cursor: Any, *, patience: float) -> None:
    """Switch to a write-ahead log; retry, because SQLite does not wait for another program that does the same."""
    last = time.monotonic() + patience
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except Exception as error:
            if getattr(error, "sqlite_errorcode", None) != _BUSY or time.monotonic() > last:
                raise
            time.sleep(0.02)
        else:
            return


@contextmanager
def flushing_log(database: Path) -> Iterator[None]:
    """Let another thread write the log to the disk meanwhile, so that a commit waits less where it copies the log.

    It does not copy the log itself: before version 3.51.3 SQLite may lose what is committed at the same time
    (https://www.sqlite.org/wal.html#walresetbug).
    """
    is_over = Event()
    log = database.with_name(f"{database.name}-wal")
    flusher = Thread(target=_flush, args=(log, is_over), name="kore-etl-log", daemon=True)
    flusher.start()
    try:
        yield
    finally:
        is_over.set()
        flusher.join()


def _flush(log: Path, is_over: Event) -> None:
    flushed_at = 0  # no flush where nothing was written: a slow server's first sync takes hours
    with suppress(OSError), log.open("rb") as file:  # the commit that copies the log meets the same error
        while not is_over.wait(_EVERY):
            written_at = os.fstat(file.fileno()).st_mtime_ns
            if written_at != flushed_at:
                os.fsync(file.fileno())
                flushed_at = written_at
