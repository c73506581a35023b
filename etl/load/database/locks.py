"""Locks between processes: one run works on a source at a time, and a dead run's lock is free at once.

On SQLite a lock is an ``flock`` on a file beside the database, on PostgreSQL a session's advisory lock. The operating
system or the server releases it when its holder ends, even after a kill.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from etl.errors import DatabaseError, LockedError
from etl.load.database.engine import sqlite_file
from etl.load.database.postgres_locks import AdvisoryLock


def named_lock(engine: Engine, name: str) -> Lock:
    """Return the lock called ``name`` in this database, without acquiring it."""
    number = _number(name)
    if engine.dialect.name == "postgresql":
        return AdvisoryLock(engine, number)
    path = sqlite_file(engine.url)
    return _NoLock() if path is None else _FileLock(path, path.with_name(f"{path.name}.lock-{number & 0xFFFFFFFF:08x}"))


def share_lock(connection: Connection, name: str) -> bool:
    """Hold a lock of PostgreSQL with all that share it until the transaction ends; False if a session holds it."""
    query = text("select pg_try_advisory_xact_lock_shared(:number)")
    return bool(connection.execute(query, {"number": _number(name)}).scalar())


@contextmanager
def held(lock: Lock, who: str) -> Iterator[None]:
    """Hold a lock, or raise :class:`LockedError` that names the busy ``who``."""
    if not lock.acquire(wait=False):
        message = f"another run is working on {who}; this one changed nothing"
        raise LockedError(message)
    try:
        yield
    finally:
        lock.release()


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)


class _NoLock:
    """A database in memory has one process."""

    def acquire(self, *, wait: bool) -> bool:  # noqa: ARG002 the interface's name
        return True

    def release(self) -> None:
        return

    def is_held(self) -> bool:
        return True


class _FileLock:
    def __init__(self, database: Path, path: Path) -> None:
        self._database = database
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, *, wait: bool) -> bool:
        try:
            while self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                self._give_to_the_owner(self._descriptor)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                if not self._is_at_its_path():  # its last holder has removed it meanwhile
                    self._close()
        except BlockingIOError:
            self._close()
            return False
        except OSError as error:
            self._close()
            message = (
                f"lock file {self._path}: {error.strerror}; the database's folder must be writable and support locks"
            )
            raise DatabaseError(message) from error
        except BaseException:
            self._close()
            raise
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):  # it only stays
                if self._is_at_its_path():
                    self._path.unlink()
            self._close()

    def is_held(self) -> bool:
        """Tell whether some process holds the lock; write nothing. It counts as held where that cannot be seen."""
        try:
            with self._path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_at_its_path(self) -> bool:
        mine = os.fstat(self._descriptor or 0)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

    def _give_to_the_owner(self, descriptor: int) -> None:
        """Give a file that root has made to the database's owner, as SQLite does with its own files."""
        if os.geteuid() == 0:
            with suppress(OSError):
                there = self._database.stat()
                os.fchown(descriptor, there.st_uid, there.st_gid)


Lock = AdvisoryLock | _FileLock | _NoLock
"""A lock that one process holds at a time."""
