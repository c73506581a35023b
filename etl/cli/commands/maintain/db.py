"""``kore-etl db``: the schema of the database, for those who do not leave it to the first sync."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from etl import logs
from etl.cli.commands.maintain.db_copy import copy
from etl.cli.options import Common, common_options, output_option
from etl.errors import ConfigError, DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Engine

EMPTY = "base"  # alembic's word for a database without tables
_MOST_SHOWN = 3


@click.group()
def db() -> None:
    """Create the tables, or bring them to another version.

    \b
    Example:
      kore-etl db upgrade
    """


db.add_command(copy)


@db.command(short_help="Bring the tables to the newest version.")
@common_options
@click.argument("revision", default="head")
@output_option
def upgrade(common: Common, revision: str, output: str) -> None:
    """Bring the tables to the newest version, or to REVISION; all of it or nothing.

    Indexes that a first sync has put off and not come to make are made as well.

    \b
    Example:
      kore-etl db upgrade
      kore-etl db upgrade 0006 --database-url postgresql://etl@localhost/support
    """
    from etl.load.schema import migrate
    from etl.load.schema.deferred_indexes import make_missing

    with _opened(common, make=True) as engine, _readable(revision):
        before = migrate.current(engine)
        migrate.upgrade(engine, _number(revision))
        made = make_missing(engine) if migrate.current(engine) == migrate.newest() else 0
        _tell_move(common, engine, before, output)
        if made:
            _say(common, f"{_where(engine)}: made {made} index{'es' if made > 1 else ''} that a first sync had put off")


@db.command(short_help="Take the tables back to an earlier version.")
@common_options
@click.argument("revision")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
def downgrade(common: Common, revision: str, yes: bool, output: str) -> None:
    """Take the tables back to REVISION, "base" for none at all; all of it or nothing.

    What an older version has no place for is dropped, so this asks first.

    \b
    Example:
      kore-etl db downgrade base --yes
    """
    from etl.load.schema import migrate

    with _opened(common) as engine, _readable(revision):
        before = migrate.current(engine)
        if before is not None and not yes:
            _confirm(engine, revision)
        migrate.downgrade(engine, _number(revision))
        _tell_move(common, engine, before, output)


@db.command(short_help="Print the version that the tables are at.")
@common_options
@output_option
def current(common: Common, output: str) -> None:
    """Print the number of the migration that the tables are at, "base" where there are none.

    \b
    Example:
      kore-etl db current
    """
    from etl.load.schema import migrate

    with _opened(common) as engine:
        at = migrate.current(engine)
    if output == "json":
        _print_json({"current": at, "newest": migrate.newest()})
    else:
        click.echo(at or EMPTY)


@db.command(short_help="See whether the tables are as this version needs them.")
@common_options
@output_option
def check(common: Common, output: str) -> None:
    """Exit 0 where the tables are just what this version works with, else 6 with what is wrong.

    Tables of others in the same database do not matter.

    \b
    Example:
      kore-etl db check && kore-etl sync
    """
    from etl.load.schema import migrate

    with _opened(common) as engine:
        at, newest = migrate.current(engine), migrate.newest()
        found = _differences(engine) if at == newest else []
        where = _where(engine)
    if output == "json":
        _print_json({"current": at, "newest": newest, "differences": found, "ok": at == newest and not found})
    if at != newest:
        raise DatabaseError(f"{where}: the tables are at {at or EMPTY}, needed is {newest}; {migrate.advice(at)}")
    if found:
        raise DatabaseError(f"{where}: the tables are not as migration {newest} makes them: {_first(found)}")
    _say(common, f"{where}: the tables are at {newest}, as needed")


@contextmanager
def _opened(common: Common, *, make: bool = False) -> Iterator[Engine]:
    """Give the database of the settings; a SQLite file that is not there is made only if ``make`` says so."""
    from etl.cli.open_database import existing_database
    from etl.load.database.engine import open_engine

    settings = common.start(need_sources=False).settings
    if not make:
        with existing_database(settings, schema="any") as engine:
            yield engine
        return
    engine = open_engine(settings.database_url)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _readable(revision: str) -> Iterator[None]:
    """Say in our words what alembic makes of a revision that is none."""
    from alembic.util.exc import CommandError

    from etl.load.schema import migrate

    try:
        yield
    except CommandError as error:
        raise ConfigError(
            f"revision {revision}: {error}; accepted: a number up to {migrate.newest()}, head or {EMPTY}"
        ) from error


def _number(revision: str) -> str:
    """Give ``6`` as ``0006``."""
    return revision.zfill(4) if revision.isdecimal() else revision


def _confirm(engine: Engine, revision: str) -> None:
    if not sys.stdin.isatty():
        raise ConfigError("db downgrade drops data and asks first, which needs a terminal; without one add --yes")
    what = "all tables with all that they hold" if revision == EMPTY else f"what version {revision} has no place for"
    click.confirm(f"This drops {what}, in {_where(engine)}. Go on?", abort=True, err=True)


def _tell_move(common: Common, engine: Engine, before: str | None, output: str) -> None:
    from etl.load.schema import migrate

    after = migrate.current(engine)
    if output == "json":
        _print_json({"from": before, "to": after, "changed": before != after})
    moved = f"went from {before or EMPTY} to {after or EMPTY}"
    stayed = f"were at {after or EMPTY} already; nothing was to be done"
    _say(common, f"{_where(engine)}: the tables {moved if before != after else stayed}")


def _differences(engine: Engine) -> list[str]:
    """Tell what differs in our own tables."""
    from etl.load.schema import migrate
    from etl.load.schema.tables import metadata

    found = migrate.differences(engine)
    flat = [each for entry in found for each in (entry if isinstance(entry, list) else [entry])]
    return [_described(each) for each in flat if _table_of(each) in metadata.tables]


def _table_of(difference: Sequence[Any]) -> str:
    """Name the table of one of alembic's tuples: they hold a table, a part of one, or a name and a column."""
    if len(difference) > 3:
        return str(difference[2])
    subject = difference[1]
    return str(getattr(subject, "table", subject).name)


def _described(difference: Sequence[Any]) -> str:
    """Say what a migration would have to do: ``add_column tasks.queue``."""
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


def _say(common: Common, line: str) -> None:
    if common.verbosity >= 0:
        click.echo(f"kore-etl: {logs.clean(logs.redact(line))}", err=True)


def _print_json(value: dict[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))
