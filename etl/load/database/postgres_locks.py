"""Advisory locks of PostgreSQL: one session holds all locks of a process, so each run needs no connection for them."""

from __future__ import annotations

import time
from contextlib import closing, suppress
from threading import Lock as Mutex

from sqlalchemy import Connection, Engine, text

from etl.errors import DatabaseError
from etl.load.database.postgres_session import refuse_a_shared_session

_PAUSE = 0.01  # seconds between two tries, less than a backfill leaves the lease to a waiting sync


class LockSession:
    """The session that holds the locks of an engine; open as long as it holds one.

    A session may take its own lock twice. So the locks of other threads are looked up here.
    """

    def __init__(self) -> None:
        self._mutex = Mutex()
        self._connection: Connection | None = None
        self._held: set[int] = set()

    def take(self, engine: Engine, number: int) -> bool:
        """Take a lock and return True; return False if another thread, process or host holds it."""
        with self._mutex:
            if number in self._held:
                return False
            self._connection = self._connection or _connected(engine)
            is_free = bool(self._ask("pg_try_advisory_lock", number))
            if is_free:
                self._held.add(number)
            self._close_if_unused()
            return is_free

    def give_back(self, number: int) -> None:
        """Free a lock that this session holds."""
        with self._mutex:
            self._held.discard(number)
            with suppress(DatabaseError):  # the server is gone, and the lock with it
                self._ask("pg_advisory_unlock", number)
            self._close_if_unused()

    def _ask(self, function: str, number: int) -> object:
        if self._connection is None:
            return None
        try:
            return self._connection.execute(text(f"select {function}(:number)"), {"number": number}).scalar()
        except BaseException:
            self._close()  # the server has freed what it held; fencing stops the runs that go on
            raise

    def _close_if_unused(self) -> None:
        if not self._held:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class AdvisoryLock:
    """A lock by its number, in the session of its engine."""

    def __init__(self, engine: Engine, number: int) -> None:
        self._engine = engine
        self._number = number
        self._session: LockSession = engine.get_execution_options()["lock_session"]
        self._is_mine = False

    def acquire(self, *, wait: bool) -> bool:
        """Acquire the lock and return True; without ``wait`` return False at once if another one holds it."""
        while not (is_free := self._session.take(self._engine, self._number)) and wait:
            time.sleep(_PAUSE)
        self._is_mine = is_free
        return is_free

    def release(self) -> None:
        """Release the lock."""
        if self._is_mine:
            self._is_mine = False
            self._session.give_back(self._number)

    def is_held(self) -> bool:
        """Tell whether some session holds the lock."""
        query = """
            select exists (select from pg_locks where locktype = 'advisory' and objsubid = 1
            and database = (select oid from pg_database where datname = current_database())
            and (classid::bigint << 32 | objid::bigint) = :number)
        """
        with closing(self._engine.connect()) as connection:
            return bool(connection.execute(text(query), {"number": self._number}).scalar())


def _connected(engine: Engine) -> Connection:
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    connection.detach()  # the pool never gets it back: a lost unlock must not keep a lock
    try:
        with engine.connect() as another:
            refuse_a_shared_session(connection, another)
    except BaseException:
        connection.close()
        raise
    return connection
