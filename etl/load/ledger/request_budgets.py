"""Stores what the accounts' request budgets are used for, exactly for all threads, processes and hosts.

Each change is one statement: it stores a new text if nobody has stored another one since the read. So a budget holds no
lock and no transaction, and a process that stands still stops nobody.

On PostgreSQL the rows are in the schema, and its clock counts. On SQLite they are in a small file beside the database,
because a storing transaction keeps other writers out of the database. The clock is the machine's, which all processes
share; it counts on when somebody sets the time.
"""

from __future__ import annotations

import time

from sqlalchemy import ColumnElement, Double, Engine, bindparam, cast, extract, func, select, update
from sqlalchemy.schema import CreateTable

from etl.load.database.dialect import insert_into
from etl.load.database.engine import open_engine, reading, sqlite_file, sqlite_url
from etl.load.ledger import schedules
from etl.load.schema.ledger_tables import request_budgets

SUFFIX = ".budget"

own = request_budgets.c
_account: ColumnElement[str] = bindparam("account")
_on_sqlite = select(own.version, own.usage).where(own.account_id == _account)
# There is a row with the clock also for an account that has none.
_clock = select(cast(extract("epoch", func.clock_timestamp()), Double).label("now")).subquery()
_on_postgresql = select(own.version, own.usage, _clock.c.now).select_from(
    _clock.outerjoin(request_budgets, own.account_id == _account)
)


class StoredBudgets:
    """The budgets of the accounts of a database; opens the file beside a SQLite database when it is first needed."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self._file: Engine | None = None

    def of(self, account_id: str) -> StoredBudget:
        """Return the budget of an account."""
        return StoredBudget(self, account_id)

    def engine(self) -> Engine:
        """Return the engine that reads and stores budgets.

        Raises:
            DatabaseError: the file cannot be used.
        """
        path = sqlite_file(self._database.url)
        if path is None:
            return self._database.execution_options(isolation_level="AUTOCOMMIT")
        if self._file is None:
            url = sqlite_url(path.with_name(f"{path.name}{SUFFIX}"))
            file = open_engine(url).execution_options(sqlite_begin=None)
            with file.connect() as connection:
                connection.execute(CreateTable(request_budgets, if_not_exists=True))
            self._file = file
        return self._file

    def are_syncs_due(self, account_id: str) -> bool:
        """Tell whether a scheduled sync of an account is due or at work."""
        now = schedules.now(self._database)
        with reading(self._database) as connection:
            return schedules.is_sync_due(connection, account_id, now, or_at_work=True)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.dispose()


class StoredBudget:
    """The budget of one account, for a rate limiter."""

    def __init__(self, budgets: StoredBudgets, account_id: str) -> None:
        self._budgets = budgets
        self._account_id = account_id

    def read(self) -> tuple[float, int, str]:
        """Return the clock in seconds, the version, and the text.

        Raises:
            DatabaseError: the database cannot be used.
        """
        engine = self._budgets.engine()
        is_server = engine.dialect.name == "postgresql"
        query = _on_postgresql if is_server else _on_sqlite
        with engine.connect() as connection:
            row = connection.execute(query, {"account": self._account_id}).first()
        # SQLite's clock is read after the row, so that no stored time is later.
        now = row.now if is_server and row is not None else time.monotonic()
        return (now, 0, "") if row is None or row.version is None else (now, row.version, row.usage)

    def replace(self, version: int, text: str) -> bool:
        """Store a text, and return True; store nothing and return False if ``version`` is not the latest.

        Raises:
            DatabaseError: the database cannot be used.
        """
        values = {"version": version + 1, "usage": text}
        with self._budgets.engine().connect() as connection:
            if version:
                latest = (own.account_id == self._account_id) & (own.version == version)
                changed = connection.execute(update(request_budgets).where(latest).values(**values))
            else:
                first = insert_into(connection, request_budgets).values(account_id=self._account_id, **values)
                first = first.on_conflict_do_nothing().execution_options(preserve_rowcount=True)
                changed = connection.execute(first)
        return int(changed.rowcount) == 1

    def are_syncs_due(self) -> bool:
        """Tell whether a scheduled sync of the account is due or at work.

        Raises:
            DatabaseError: the database cannot be used.
        """
        return self._budgets.are_syncs_due(self._account_id)
