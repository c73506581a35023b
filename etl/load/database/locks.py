"""Locks between processes: one run works on a source at a time, and a dead one's lock is free at once.

On SQLite a lock is an ``flock`` on a file beside the database, on PostgreSQL a session's advisory lock: the operating
system or the server lets go of it when its holder ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, Engine, text

from etl.errors import DatabaseError, LockedError
from etl.load.database.engine import sqlite_file
from etl.load.database.session import refuse_a_shared_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Lock(Protocol):
    """Something that one process holds at a time."""

    def acquire(self, *, wait: bool) -> bool:
        """Take it and tell so; without ``wait`` give up at once when another holds it."""

    def release(self) -> None:
        """Let go of it."""


def named_lock(engine: Engine, name: str) -> Lock:
    """Return the lock called ``name`` in this database; nothing is taken yet."""
    number = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
    if engine.dialect.name == "postgresql":
        return _AdvisoryLock(engine, number)
    path = sqlite_file(engine)
    return _NoLock() if path is None else _FileLock(path, path.with_name(f"{path.name}.lock-{number & 0xFFFFFFFF:08x}"))


@contextmanager
def held(lock: Lock, who: str) -> Iterator[None]:
    """Hold a lock or raise :class:`LockedError`, which names ``who`` is busy."""
    if not lock.acquire(wait=False):
        message = f"another run is working on {who}; this one ended at once and changed nothing"
        raise LockedError(message)
    try:
        yield
    finally:
        lock.release()


class _NoLock:
    """A database in memory has one process."""

    def acquire(self, *, wait: bool) -> bool:  # noqa: ARG002 the interface's name
        return True

    def release(self) -> None:
        return


class _FileLock:
    def __init__(self, database: Path, path: Path) -> None:
        self._database = database
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, *, wait: bool) -> bool:
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._give_to_the_owner(self._descriptor)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            self.release()
            return False
        except OSError as error:
            self.release()
            message = (
                f"lock file {self._path}: {error.strerror}; the database's folder must be writable, and know locks"
            )
            raise DatabaseError(message) from error
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _give_to_the_owner(self, descriptor: int) -> None:
        """Let the database's owner use what root has made, as SQLite does with its own files."""
        if os.geteuid() == 0:
            with suppress(OSError):
                there = self._database.stat()
                os.fchown(descriptor, there.st_uid, there.st_gid)


class _AdvisoryLock:
    def __init__(self, engine: Engine, number: int) -> None:
        self._engine = engine
        self._number = number
        self._connection: Connection | None = None

    def acquire(self, *, wait: bool) -> bool:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            function = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
            is_free = connection.execute(text(f"select {function}(:number)"), {"number": self._number}).scalar()
        except BaseException:
            connection.close()
            raise
        if is_free is False:
            connection.close()
            return False
        self._connection = connection
        try:
            with self._engine.connect() as another:
                refuse_a_shared_session(connection, another)
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        with suppress(DatabaseError):  # the server is gone, and the lock with it
            # Only asking for it frees the lock before this returns: the server is late to see that a session ended.
            connection.execute(text("select pg_advisory_unlock(:number)"), {"number": self._number})
        connection.invalidate()
        connection.close()
