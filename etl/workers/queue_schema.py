"""The queue's tables: Procrastinate's own and one of workers, in a schema of their own beside the program's tables.

The queue holds nothing that the ledger does not know. So its tables are replaced for another version of Procrastinate,
and a copy or a backup of the database leaves them out.
"""

from __future__ import annotations

from hashlib import blake2b

from msgspec import Struct
from sqlalchemy import Connection, Engine, text

from etl.errors import DatabaseError

SCHEMA = "kore_etl_workers"
ACCOUNT_QUEUE = "account-"  # the beginning of the queues' names; a hash of the account follows

_WORKERS = """
create table workers (
    id bigint primary key references procrastinate_workers on delete cascade,
    host text not null,
    pid integer not null,
    threads integer not null,
    accounts integer not null,
    session_name text not null,
    stall_after double precision not null
);
"""
_LOCK = text("select pg_advisory_xact_lock(hashtext(:name))")
_VERSION = text("select obj_description(oid, 'pg_namespace') from pg_namespace where nspname = :name")
_CAN_READ = text("""
    select coalesce(bool_and(has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')), false)
      from pg_namespace as n join pg_class as c on c.relnamespace = n.oid
     where n.nspname = :name and c.relname in ('workers', 'procrastinate_workers', 'procrastinate_jobs')
""")
_STATE = text(f"""
    select w.host, w.pid, w.threads, w.accounts,
           round(extract(epoch from now() - p.last_heartbeat), 1)::float as seconds_silent,
           p.last_heartbeat > now() - make_interval(secs => w.stall_after) as is_alive
      from {SCHEMA}.workers as w join {SCHEMA}.procrastinate_workers as p using (id)
     order by w.host, w.pid
""")  # noqa: S608 the name is a constant
_JOBS = text(f"""
    select count(*) filter (where status = 'todo') as waiting, count(*) filter (where status = 'doing') as running
      from {SCHEMA}.procrastinate_jobs where queue_name like '{ACCOUNT_QUEUE}%'
""")  # noqa: S608 as above


class WorkerState(Struct, frozen=True):
    """A worker as it told of itself, and for how long it has told nothing; too long, and others take over."""

    host: str
    pid: int
    threads: int
    accounts: int
    seconds_silent: float
    is_alive: bool


class QueueState(Struct, frozen=True):
    """The workers, and the jobs of accounts that wait and that run."""

    workers: list[WorkerState]
    waiting: int
    running: int


def make_queue(engine: Engine, *, silent_after: float) -> None:
    """Make the queue's tables, unless this version's are there. A worker is dead after these seconds of silence.

    Raises:
        DatabaseError: the role may not make a schema, or workers of another version are at work.
    """
    from procrastinate.schema import SchemaManager

    statements = f"{SchemaManager.get_schema()}\n{_WORKERS}"
    version = blake2b(statements.encode(), digest_size=8).hexdigest()
    with engine.begin() as connection:
        connection.execute(_LOCK, {"name": SCHEMA})
        if connection.execute(_VERSION, {"name": SCHEMA}).scalar() == version:
            return
        state = read_queue(connection)
        if state and any(each.seconds_silent < silent_after for each in state.workers):
            raise DatabaseError("workers of another version are at work on this database; stop all of them first")
        connection.exec_driver_sql(f"drop schema if exists {SCHEMA} cascade")
        connection.exec_driver_sql(f"create schema {SCHEMA}")
        connection.exec_driver_sql(f"set local search_path to {SCHEMA}")
        connection.connection.cursor().execute(statements)  # the driver runs several statements as they stand
        connection.exec_driver_sql(f"comment on schema {SCHEMA} is '{version}'")


def read_queue(connection: Connection) -> QueueState | None:
    """Return the state of the queue; None where there is none, or where this role may not read it."""
    if connection.dialect.name != "postgresql" or not connection.execute(_CAN_READ, {"name": SCHEMA}).scalar():
        return None
    waiting, running = connection.execute(_JOBS).one()
    workers = [WorkerState(*row) for row in connection.execute(_STATE)]
    return QueueState(workers, waiting, running)
