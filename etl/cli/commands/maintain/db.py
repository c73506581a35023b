"""``kore-etl db``: create, migrate and check the schema of the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from etl.cli.commands.maintain.db_copy import copy
from etl.cli.commands.maintain.db_reader import reader
from etl.cli.options import Common, common_options, confirm, output_option
from etl.errors import ConfigError, DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Engine

EMPTY = "base"  # alembic's word for a database without tables
_MOST_SHOWN = 3


@click.group()
def db() -> None:
    """Create, migrate, check or copy the tables, or let others read them. A sync creates them too.

    \b
    Example:
      kore-etl db upgrade
    """


db.add_command(copy)
db.add_command(reader)


@db.command(short_help="Upgrade the tables to the newest version.")
@common_options
@click.argument("revision", default="head")
@output_option
def upgrade(common: Common, revision: str, output: str) -> None:
    """Upgrade the tables to the newest version, or to REVISION. It does all or nothing.

    It also creates indexes that an unfinished first sync has left out.

    \b
    Example:
      kore-etl db upgrade
      kore-etl db upgrade 0006 --database-url postgresql://etl@localhost/support
    """
    from etl.load.schema import migrate
    from etl.load.schema.deferred_indexes import make_missing

    if not revision:
        raise _no_such_version(revision)
    with _opened(common, make=True) as engine, _readable(revision):
        before = migrate.current(engine)
        migrate.upgrade(engine, _number(revision))
        made = make_missing(engine) if migrate.current(engine) == migrate.newest() else 0
        _tell_move(common, engine, before, output)
        if made:
            common.say(f"{_where(engine)}: made {made} index{'es' if made > 1 else ''} that a first sync left out")


@db.command(short_help="Downgrade the tables to an earlier version.")
@common_options
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
def downgrade(common: Common, revision: str, yes: bool, output: str) -> None:
    """Downgrade the tables to REVISION; "base" drops them. It does all or nothing.

    It drops the data that the older version cannot hold, so it asks first. Exits 75 while a run works.

    \b
    Example:
      kore-etl db downgrade base --yes
    """
    from etl.jobs.run.source_lease import keep_all_runs_out
    from etl.load.schema import migrate

    with _opened(common) as engine, _readable(revision):
        before = migrate.current(engine)
        if _number(revision) not in {*migrate.known(), "head", EMPTY}:
            raise _no_such_version(revision)
        if before is not None:
            if not yes:
                _confirm(engine, revision)
            with keep_all_runs_out(engine):
                migrate.downgrade(engine, _number(revision))
        _tell_move(common, engine, before, output)


@db.command(short_help="Print the version of the tables.")
@common_options
@output_option
def current(common: Common, output: str) -> None:
    """Print the tables' migration number, or "base" if there are no tables.

    \b
    Example:
      kore-etl db current
    """
    from etl.cli.output import print_json
    from etl.load.schema import migrate

    with _opened(common) as engine:
        at = migrate.current(engine)
    if output == "json":
        print_json({"current": at, "newest": migrate.newest()})
    else:
        click.echo(at or EMPTY)


@db.command(short_help="Check that the tables fit this version.")
@common_options
@click.option("--deep", is_flag=True, help="Recompute the derived tables from tasks and changes, and compare.")
@output_option
def check(common: Common, deep: bool, output: str) -> None:
    """Check the tables: exit 0 if they fit this version exactly, else 6 with the difference.

    Other tables in the same database do not matter.

    --deep recomputes daily counts, status intervals, columns and children of tasks, and the names of statuses,
    priorities, cases, agents, queues and users. It exits 6 and shows the first difference to what is stored.

    \b
    Example:
      kore-etl db check && kore-etl sync
      kore-etl db check --deep
    """
    from etl.cli.output import print_json
    from etl.jobs.diagnostics.check_derived import first_difference
    from etl.load.schema import migrate

    with _opened(common) as engine:
        at, newest = migrate.current(engine), migrate.newest()
        found = _differences(engine) if at == newest else []
        wrong = first_difference(engine) if deep and at == newest and not found else None
        where = _where(engine)
    if output == "json":
        print_json(
            {
                "current": at,
                "newest": newest,
                "differences": found + ([wrong] if wrong else []),
                "ok": at == newest and not found and not wrong,
            }
        )
    if at != newest:
        raise DatabaseError(f"{where}: the tables are at {at or EMPTY}, but {newest} is needed; {migrate.advice(at)}")
    if found:
        raise DatabaseError(f"{where}: the tables differ from migration {newest}: {_first(found)}")
    if wrong:
        raise DatabaseError(f"{where}: a derived table differs from what is recomputed: {wrong}")
    recomputed = "; the derived tables are as recomputed" if deep else ""
    common.say(f"{where}: the tables are at {newest}, as needed{recomputed}")


@contextmanager
def _opened(common: Common, *, make: bool = False) -> Iterator[Engine]:
    """Open the database of the settings; create a missing SQLite file only with ``make``."""
    from etl.cli.open_database import existing_database
    from etl.load.database.engine import disposing, open_engine

    settings = common.start(need_sources=False).settings
    opened = disposing(open_engine(settings.database_url)) if make else existing_database(settings, schema="any")
    with opened as engine:
        yield engine


@contextmanager
def _readable(revision: str) -> Iterator[None]:
    """Turn alembic's error about an unknown revision into ours."""
    from alembic.util.exc import CommandError

    try:
        yield
    except CommandError as error:
        raise _no_such_version(revision) from error


def _no_such_version(revision: str) -> ConfigError:
    from etl.load.schema import migrate

    accepted = ", ".join(sorted(migrate.known()))
    named = revision or "''"
    return ConfigError(f"revision {named}: there are no tables of this version; accepted: {accepted}, head, {EMPTY}")


def _number(revision: str) -> str:
    """Give ``6`` as ``0006``."""
    return revision.zfill(4) if revision.isdecimal() else revision


def _confirm(engine: Engine, revision: str) -> None:
    what = "all tables with all their data" if revision == EMPTY else f"the data that version {revision} cannot hold"
    confirm("db downgrade drops data", f"This drops {what}, in {_where(engine)}.")


def _tell_move(common: Common, engine: Engine, before: str | None, output: str) -> None:
    from etl.cli.output import print_json
    from etl.load.schema import migrate

    after = migrate.current(engine)
    if output == "json":
        print_json({"from": before, "to": after, "changed": before != after})
    moved = f"went from {before or EMPTY} to {after or EMPTY}"
    stayed = f"were at {after or EMPTY} already; there was nothing to do"
    common.say(f"{_where(engine)}: the tables {moved if before != after else stayed}")


def _differences(engine: Engine) -> list[str]:
    """Return the differences in our own tables."""
    from etl.load.schema import migrate
    from etl.load.schema.task_tables import metadata

    found = migrate.differences(engine)
    flat = [each for entry in found for each in (entry if isinstance(entry, list) else [entry])]
    return [_described(each) for each in flat if _table_of(each) in metadata.tables]


def _table_of(difference: Sequence[Any]) -> str:
    """Return the table's name from an alembic tuple; it holds a table, a part of one, or a name and a column."""
    if len(difference) > 3:
        return str(difference[2])
    subject = difference[1]
    return str(getattr(subject, "table", subject).name)


def _described(difference: Sequence[Any]) -> str:
    """Describe what a migration would do: ``add_column tasks.queue``."""
    kind, table = difference[0], _table_of(difference)
    if kind.startswith("modify_"):
        return f"{kind} {table}.{difference[3]}"
    part = difference[3] if len(difference) > 3 else difference[1]
    return f"{kind} {table}" if part.name == table else f"{kind} {table}.{part.name}"


def _first(found: Sequence[str]) -> str:
    more = len(found) - _MOST_SHOWN
    return ", ".join(found[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _where(engine: Engine) -> str:
    from etl.load.database.errors import place

    return place(engine.url)
