"""Sets up a PostgreSQL session the same way for every server, database, role and pooler.

Statements do it after the connection is made, because poolers such as PgBouncer refuse the start-up parameter
``options``. Locks, temporary tables and settings belong to a session, so transaction pooling is refused.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from etl.errors import DatabaseError

# Results depend on these settings.
_ALWAYS = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "default_transaction_isolation": "read committed",
    "row_security": "off",  # an error instead of silently missing rows
}
# These are set unless database_url, or the environment of libpq, sets them.
_UNLESS_SET_BY_THE_CLIENT = {
    "default_toast_compression": "lz4",  # the records take as much room, and a fifth less of the server's time
    "plan_cache_mode": "auto",  # force_custom_plan would plan the check of a foreign key for each row
    # The server notices within two minutes that a client died; until then its session holds the source's lock.
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
    # Such limits are for people's queries: an index on a million tasks takes longer, and a session waits for the API.
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
# A server knows only the settings of its own version, and the values that it was built with.
_SET = """
select set_config(s.name, wanted.value, false)
  from unnest(%s::text[], %s::text[], %s::bool[]) as wanted (name, value, is_forced)
  join pg_settings as s on lower(s.name) = wanted.name
 where s.setting is distinct from wanted.value and (wanted.is_forced or s.source <> 'client')
   and (s.enumvals is null or wanted.value = any(s.enumvals))
"""
_OWN_PROCESS = "select pg_backend_pid()"
POOLED_BY_TRANSACTION = (
    "a pooler gives each transaction another session, which locks and temporary tables do not survive; "
    "let it pool by session (PgBouncer: pool_mode = session), or name PostgreSQL itself in database_url"
)


def prepare_session(connection: Any, _record: object) -> None:
    """Set up a new connection of the driver.

    Each statement is planned for its own values: a plan for an empty table would read the whole table later.

    Raises:
        DatabaseError: a pooler pools by transaction.
    """
    connection.prepare_threshold = None
    connection.autocommit = True
    _refuse_pooling_by_transaction(connection)
    every = _ALWAYS | _UNLESS_SET_BY_THE_CLIENT
    connection.execute(_SET, [[*every], [*every.values()], [name in _ALWAYS for name in every]])
    connection.autocommit = False


def plan_key_checks_again(connection: Connection) -> None:
    """Have PostgreSQL plan its checks of foreign keys for the present size of the tables; it keeps these plans."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("discard plans")


def refuse_a_shared_session(connection: Connection, another: Connection) -> None:
    """Make sure that each of two connections has its own session and keeps it.

    Raises:
        DatabaseError: a pooler makes them share a session, or has given the first one another session.
    """
    pids = [each.execute(text(_OWN_PROCESS)).scalar_one() for each in (connection, connection, another, connection)]
    if not _has_its_own(*pids):
        raise DatabaseError(f"database_url: {POOLED_BY_TRANSACTION}")


def _refuse_pooling_by_transaction(connection: Any) -> None:
    """Check more closely if another process answers than the one that took the connection: there is a pooler."""
    if _process_of(connection) == connection.info.backend_pid:
        return
    with type(connection).connect(connection.info.dsn, password=connection.info.password, autocommit=True) as another:
        pids = [_process_of(each) for each in (connection, connection, another, connection)]
    if not _has_its_own(*pids):
        raise DatabaseError(f"database_url: {POOLED_BY_TRANSACTION}")


def _process_of(connection: Any) -> int:
    (number,) = connection.execute(_OWN_PROCESS).fetchone()
    return int(number)


def _has_its_own(first: int, again: int, other: int, last: int) -> bool:
    """Tell whether one process answered a connection each time, and another one its neighbour.

    The second question in a row shows a pooler that hands out the oldest of its sessions, the neighbour any other one.
    """
    return first == again == last != other
