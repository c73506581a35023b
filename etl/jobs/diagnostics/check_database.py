"""Checks of the database: can it be read and written, is it at the newest migration, is there room on the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine, text

from etl.errors import DatabaseError, EtlError
from etl.jobs.diagnostics.check_result import CheckResult, failed, ok, warning
from etl.load.database.engine import reading
from etl.load.schema import migrate as schema

_LITTLE, _LEAST = 1024**3, 100 * 1024**2  # bytes


def check_file(path: Path) -> Iterator[CheckResult]:
    """Yield the results for a SQLite file, which may be missing. The file is not opened."""
    folder = path.parent
    if path.is_dir() or not folder.is_dir():
        problem = "is a folder" if path.is_dir() else "is in a folder that does not exist"
        yield failed("database", DatabaseError(f"{path} {problem}; make its folder, or choose another database_url"))
    elif not path.exists():
        yield _writable(folder) or warning("database", f"{path} does not exist yet", "the first sync creates it")
    else:
        yield _writable(path) or _writable(folder) or ok("database", f"{path} can be read and written")
        if (found := _foreign_file(path)) is not None:
            yield found
    yield _check_room(path)


def check_server(engine: Engine) -> CheckResult:
    """Check whether a PostgreSQL database can be read and written."""
    query = "select pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on'"
    try:
        with reading(engine) as connection:
            is_read_only = connection.execute(text(query)).scalar()
    except EtlError as error:
        return failed("database", error)
    if is_read_only:
        return failed("database", DatabaseError("is read-only; name the server that takes writes in database_url"))
    return ok("database", "can be read and written")


def check_schema(engine: Engine, *, migrate: bool) -> CheckResult:
    """Check whether the tables are those of this version."""
    try:
        at, newest = schema.current(engine), schema.newest()
        if at is None:
            with reading(engine) as connection:
                schema.refuse_foreign_tables(connection)
    except EtlError as error:
        return failed("tables", error)
    if at == newest:
        return ok("tables", f"at {at}, the newest migration")
    if not migrate or not schema.can_be_migrated(at):
        found = f"at {at}" if at else "none yet"
        return failed("tables", DatabaseError(f"{found}, needed is {newest}; {schema.advice(at)}"))
    if at is None:
        return warning("tables", "none yet", "the next sync makes them")
    return warning("tables", f"at {at}, needed is {newest}", "the next sync migrates them")


def _writable(path: Path) -> CheckResult | None:
    if os.access(path, os.W_OK):
        return None
    return failed("database", DatabaseError(f"{path} cannot be written; check its owner and mode"))


def _foreign_file(path: Path) -> CheckResult | None:
    """Return a warning where root may write the file and the service's user, who owns the folder, may not."""
    owner, folder = path.stat().st_uid, path.parent.stat()
    if os.geteuid() != 0 or owner == folder.st_uid:
        return None
    detail = f"{path} belongs to user {owner}, its folder to user {folder.st_uid}, who cannot write the file"
    return warning("owner", detail, f"chown --reference={path.parent} {path}*")


def _check_room(path: Path) -> CheckResult:
    folder = next((each for each in path.parents if each.is_dir()), Path("/"))
    free = shutil.disk_usage(folder).free
    size = path.stat().st_size if path.is_file() else 0
    detail = f"{free / 1024**3:.1f} GiB free in {folder}"
    if free < _LEAST:
        return failed("disk", DatabaseError(f"{detail}; free some space"))
    if free < max(_LITTLE, size):
        return warning("disk", detail, "free some space: a migration needs as much as the database is large")
    return ok("disk", detail)
