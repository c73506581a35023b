"""SQLite's write-ahead log is written to the disk by a thread of its own during a first load."""

from __future__ import annotations

import threading
from pathlib import Path

from etl.load.database.engine import sqlite_file
from etl.load.database.sqlite_log import flushing_log
from tests.integration.conftest import Database

LONG = 10.0  # seconds


def flushers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kore-etl-log"]


def test_a_thread_flushes_the_log_while_rows_are_stored(sqlite_database: Database) -> None:
    file = sqlite_file(sqlite_database.engine.url)
    assert file is not None
    sqlite_database.another_run()  # the log is there
    with flushing_log(file):
        (flusher,) = flushers()
        flusher.join(0.3)
        assert flusher.is_alive()
        sqlite_database.another_run()
    assert not flusher.is_alive()


def test_a_log_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    with flushing_log(tmp_path / "kore-etl.db"):
        for flusher in flushers():
            flusher.join(LONG)
            assert not flusher.is_alive()
