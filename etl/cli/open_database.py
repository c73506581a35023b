"""Opening a database that is to be there already, for the commands that look into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from etl.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.settings import Settings


@contextmanager
def existing_database(settings: Settings) -> Iterator[Engine]:
    """Give the database of the settings, at this version's schema; a SQLite file that is not there is not made.

    Raises:
        DatabaseError: there is none, or it cannot be used.
    """
    with _existing(settings, migrate=settings.migrate) as engine:
        yield engine


@contextmanager
def database_to_look_at(settings: Settings) -> Iterator[Engine]:
    """Give the database of the settings for a command that changes nothing in it, its schema included.

    Raises:
        DatabaseError: there is none, or it cannot be used, or its schema is not this version's.
    """
    with _existing(settings, migrate=False) as engine:
        yield engine


@contextmanager
def database_to_copy(settings: Settings) -> Iterator[Engine]:
    """Give the database of the settings, whatever its schema is; a SQLite file that is not there is not made.

    Raises:
        DatabaseError: there is none, or it cannot be used.
    """
    with _existing(settings, migrate=None) as engine:
        yield engine


@contextmanager
def _existing(settings: Settings, *, migrate: bool | None) -> Iterator[Engine]:
    from sqlalchemy.engine import make_url

    from etl.load.database.engine import open_engine
    from etl.load.schema.migrate import require_newest

    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise DatabaseError(f"database {url.database}: there is no such file; run: kore-etl sync")
    engine = open_engine(settings.database_url)
    try:
        if migrate is not None:
            require_newest(engine, migrate=migrate)
        yield engine
    finally:
        engine.dispose()
