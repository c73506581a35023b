"""Writes a log file of limited size: a full FILE becomes FILE.1, FILE.1 becomes FILE.2, and the last is deleted.

A sync and a backfill may write the same file at once, and logrotate may move it. So each line goes to the current file
at the path, and a lock lets one process at a time rotate. It is imported only if a log file is set.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from functools import partial
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path

from etl.logs import say

_MODE = 0o640


class LogFile(RotatingFileHandler, WatchedFileHandler):
    """Appends lines to a file, which it opens at once. The first failure prints a warning; the work continues.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, *, size: int = 10_000_000, keep: int = 5) -> None:
        super().__init__(path, maxBytes=size, backupCount=keep, encoding="utf-8", errors="backslashreplace")
        self.dev, self.ino = -1, -1  # what WatchedFileHandler compares: unknown, so it opens the file again
        self._path = path
        self._has_failed = False

    def _open(self) -> TextIOWrapper:
        opener = partial(os.open, mode=_MODE)
        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=opener)

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - logging's name
        """Tell whether the current file at the path has no room for the line."""
        self.reopenIfNeeded()
        return bool(super().shouldRollover(record))

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        """Rotate, unless another process does it first."""
        full = self.stream or self._open()
        locked = os.dup(full.fileno())
        try:
            fcntl.flock(locked, fcntl.LOCK_EX)
            self.reopenIfNeeded()
            if self.stream is full:
                super().doRollover()
        finally:
            os.close(locked)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's signature
        """Warn once that the file cannot be written."""
        if self._has_failed:
            return
        self._has_failed = True
        reason = getattr(sys.exc_info()[1], "strerror", None) or "the line cannot be written"
        say(f"log file {self._path}: {reason}; the work goes on", "warning")
