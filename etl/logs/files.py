"""A log file that bounds itself: full, it becomes FILE.1, that one FILE.2, and so on; the last is dropped.

Written here and not taken from the standard library, because a sync and a backfill may write the same file at once: a
line is one write, a file that was moved away (by the other, or by logrotate) is opened anew, and one process at a time
moves.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

_MODE = 0o640
_FULL = 10_000_000  # bytes
_KEPT = 5


class LogFile:
    """A file that lines are added to; opened at once, so that one that cannot be is known of at the start.

    Raises:
        OSError: it cannot be opened; of ``write``, it cannot be written.
    """

    def __init__(self, path: Path, *, full: int = _FULL, kept: int = _KEPT) -> None:
        self.path = path
        self._full = full
        self._kept = kept
        self._descriptor = self._open()

    def write(self, line: str) -> None:
        """Add a line."""
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        if self._was_moved():
            self._reopen()
        if self._is_full(len(data)):
            self._move_on(len(data))
        os.write(self._descriptor, data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _MODE)

    def _reopen(self) -> None:
        before, self._descriptor = self._descriptor, self._open()
        os.close(before)

    def _was_moved(self) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return True
        here = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _is_full(self, more: int) -> bool:
        size = os.fstat(self._descriptor).st_size
        return size > 0 and size + more > self._full

    def _move_on(self, more: int) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        if not self._was_moved() and self._is_full(more):  # else another process did it meanwhile
            for number in range(self._kept - 1, 0, -1):
                with suppress(FileNotFoundError):
                    self._numbered(number).replace(self._numbered(number + 1))
            self.path.replace(self._numbered(1))
        self._reopen()  # which lets go of the lock

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
