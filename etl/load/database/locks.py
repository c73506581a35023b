"""Locks between processes: one run works on a source at a time, and a dead run's lock is free at once.

On SQLite a lock is an ``flock`` on a file beside the database, on PostgreSQL a session's advisory lock. The operating
system or the server releases it when its holder ends, even after a kill.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Connection, Engine, text

from etl.errors import DatabaseError, LockedError
from etl.load.database.engine import sqlite_file
from etl.load.database.postgres_session import refuse_a_shared_session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Lock(Protocol):
    """A lock that one process holds at a time."""

    def acquire(self, *, wait: bool) -> bool:
        """Acquire the lock and return True; without ``wait`` return False at once if another process holds it."""

    def release(self) -> None:
        """Release the lock."""

    def is_held(self) -> bool:
        """Tell whether some process holds the lock; write nothing. It counts as held where that cannot be seen."""


def named_lock(engine: Engine, name: str) -> Lock:
    """Return the lock called ``name`` in this database, without acquiring it."""
    number = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big", signed=True)
    if engine.dialect.name == "postgresql":
        return _AdvisoryLock(engine, number)
    path = sqlite_file(engine)
    return _NoLock() if path is None else _FileLock(path, path.with_name(f"{path.name}.lock-{number & 0xFFFFFFFF:08x}"))


@contextmanager
def held(lock: Lock, who: str) -> Iterator[None]:
    """Hold a lock, or raise :class:`LockedError` that names the busy ``who``."""
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
            # An explicit unlock frees the lock before this returns: the server notices late that a session ended.
            connection.execute(text("select pg_advisory_unlock(:number)"), {"number": self._number})
        connection.invalidate()
        connection.close()

    def is_held(self) -> bool:
        query = """
            select exists (select from pg_locks where locktype = 'advisory' and objsubid = 1
            and database = (select oid from pg_database where datname = current_database())
            and (classid::bigint << 32 | objid::bigint) = :number)
        """
        with closing(self._engine.connect()) as connection:
            return bool(connection.execute(text(query), {"number": self._number}).scalar())
