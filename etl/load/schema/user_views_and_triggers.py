"""Keeps users' own views and triggers over our tables while migrations change these tables.

On SQLite a migration replaces a whole table: its triggers would vanish, and views would block it. So all of them are
dropped first and made again afterwards. On PostgreSQL only the views that depend on a replaced object are dropped and
made again, with their owners, grants and comments. If one cannot be kept, one error names it, and the transaction is
rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Row, text

from etl.errors import DatabaseError
from etl.load.database.errors import place
from etl.load.schema.task_tables import metadata
from etl.load.schema.view_columns import VIEWS

_OUR_VIEWS = frozenset(view.name for view in VIEWS)
_IN_THE_WAY = ("2BP01", "0A000")  # other objects depend on it; a view uses the column

_KINDS = {
    "view": ("select * from {0}",),
    "trigger": ("insert into {0} values ({1})", "update {0} set {2}", "delete from {0}"),
}
_ON_SQLITE = "select type, name, tbl_name, sql from sqlite_master where type in ('view', 'trigger') order by rowid"
_ON_POSTGRESQL = """
with recursive dependent (view, depth) as (
    select oid, 0 from pg_class where relnamespace = current_schema()::regnamespace and relname = any(:ours)
    union
    select pg_rewrite.ev_class, depth + 1
    from dependent
    join pg_depend on refobjid = view and refclassid = 'pg_class'::regclass and classid = 'pg_rewrite'::regclass
    join pg_rewrite on pg_rewrite.oid = objid and pg_rewrite.ev_class <> view
    where depth < 100
)
select
    pg_class.oid, view::regclass::text as name, pg_get_viewdef(view) as query, relowner::regrole::text as owner,
    obj_description(view, 'pg_class') as comment, array_to_string(reloptions, ', ') as options, relacl::text as grants,
    relkind = 'v' and not exists (select from pg_trigger where tgrelid = view)
    and not exists (select from pg_attribute where attrelid = view and attacl is not null) as can_be_kept
from dependent
join pg_class on pg_class.oid = view
where not (relnamespace = current_schema()::regnamespace and relname = any(:ours))
group by pg_class.oid, view
order by max(depth)
"""
_GRANTS = """
select privilege_type as what, case grantee when 0 then 'public' else grantee::regrole::text end as whom, is_grantable
from aclexplode(cast(:grants as aclitem[]))
"""


def keep_user_objects(connection: Connection, migrate: Callable[[], None]) -> None:
    """Run migrations; users' own views and triggers work afterwards as before.

    Raises:
        DatabaseError: one of them cannot be kept. The caller's transaction must be rolled back.
    """
    if connection.dialect.name == "sqlite":
        _keep_on_sqlite(connection, migrate)
    else:
        _keep_on_postgresql(connection, migrate)


def _keep_on_sqlite(connection: Connection, migrate: Callable[[], None]) -> None:
    own = [each for each in connection.exec_driver_sql(_ON_SQLITE).all() if each.name not in _OUR_VIEWS]
    own.sort(key=lambda each: each.type == "trigger")  # one may be on a view
    worked = [(each, kind) for each in own for kind in _KINDS[each.type] if _works(connection, each, kind)]
    for each in reversed(own):
        connection.exec_driver_sql(f"drop {each.type} {_quoted(each.name)}")
    migrate()
    for each in own:
        with _naming(connection, f"{each.type} {each.name}"):
            connection.exec_driver_sql(each.sql)
    for each, kind in worked:
        with _naming(connection, f"{each.type} {each.name}"):
            _use(connection, each, kind)


def _works(connection: Connection, each: Row[Any], kind: str) -> bool:
    with suppress(DatabaseError):
        _use(connection, each, kind)
        return True
    return False


def _use(connection: Connection, each: Row[Any], kind: str) -> None:
    """Make SQLite compile a view or trigger; creating it does not check its text."""
    name = _quoted(each.tbl_name)
    columns = [_quoted(column.name) for column in connection.exec_driver_sql(f"pragma table_info({name})")]
    nulls, emptied = ", ".join("null" for _ in columns), ", ".join(f"{column} = null" for column in columns)
    connection.exec_driver_sql("explain " + kind.format(name, nulls, emptied))


def _keep_on_postgresql(connection: Connection, migrate: Callable[[], None]) -> None:
    attempt = connection.begin_nested()
    try:
        migrate()
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) not in _IN_THE_WAY:
            raise
        attempt.rollback()
    else:
        attempt.commit()
        return
    ours = [*metadata.tables, *_OUR_VIEWS]
    own = connection.execute(text(_ON_POSTGRESQL), {"ours": ours}).all()
    for each in reversed(own):
        if not each.can_be_kept:
            raise _cannot_be_kept(connection, each.name, "it is more than a view with an owner and grants")
        _do(connection, each, [f"drop view {each.name}"])
    migrate()
    for each in own:
        _do(connection, each, _making(connection, each))


def _making(connection: Connection, each: Row[Any]) -> Sequence[str]:
    options = f" with ({each.options})" if each.options else ""
    statements = [f"create view {each.name}{options} as {each.query}", f"alter view {each.name} owner to {each.owner}"]
    if each.comment is not None:
        statements.append(f"comment on view {each.name} is '{each.comment.replace(chr(39), chr(39) * 2)}'")
    if each.grants is not None:
        for grant in connection.execute(text(_GRANTS), {"grants": each.grants}):
            option = " with grant option" if grant.is_grantable else ""
            statements.append(f"grant {grant.what} on {each.name} to {grant.whom}{option}")
    return statements


def _do(connection: Connection, each: Row[Any], statements: Sequence[str]) -> None:
    with _naming(connection, f"view {each.name}"):
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))


@contextmanager
def _naming(connection: Connection, what: str) -> Iterator[None]:
    """Raise an error that names an object that cannot be kept."""
    try:
        yield
    except DatabaseError as error:
        raise _cannot_be_kept(connection, what, error) from error


def _cannot_be_kept(connection: Connection, what: str, why: object) -> DatabaseError:
    reason = str(getattr(why, "__cause__", None) or why).partition("\n")[0]
    where = place(connection.engine.url)
    return DatabaseError(
        f"{where}: {what} is not part of kore-etl and does not fit the new tables: {reason}; "
        "drop or change it and run again; nothing was changed"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
