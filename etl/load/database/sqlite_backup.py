"""Copies a SQLite database page by page with SQLite's own backup, while others read and write it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from etl.errors import DatabaseError


def copy_pages(source: Path, target: Path) -> None:
    """Make the target hold what the source holds, in one transaction; an existing target keeps its owner and mode.

    Raises:
        DatabaseError: a file cannot be read or written.
    """
    try:
        make_private(target)
        with closing(_opened(source, mode="ro")) as reader, closing(_opened(target, mode="rw")) as writer:
            reader.backup(writer)
    except (sqlite3.Error, OSError) as error:
        raise DatabaseError(f"{source} cannot be copied to {target}: {error}; check both files and folders") from error


def end_log(path: Path) -> None:
    """Put everything into the one file, so that it can be read where nothing may be written beside it."""
    with closing(_opened(path, mode="rw")) as connection:
        connection.execute("pragma journal_mode=delete")


def value_in(path: Path, query: str) -> Any:
    """Return the one value that a query gives.

    Raises:
        DatabaseError: the file has no such table.
    """
    try:
        with closing(_opened(path, mode="ro")) as connection:
            return connection.execute(query).fetchone()[0]
    except (sqlite3.Error, TypeError) as error:
        raise DatabaseError(f"{path}: has no tables of kore-etl; choose a backup") from error


def require_intact(path: Path) -> None:
    """Make sure that a file is a SQLite database without damage.

    Raises:
        DatabaseError: it is not.
    """
    try:
        with closing(_opened(path, mode="ro")) as connection:
            (found,) = connection.execute("pragma integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        raise DatabaseError(f"{path}: {error}; it is no usable backup") from error
    if found != "ok":
        raise DatabaseError(f"{path}: is damaged ({found}); choose an older backup")


def make_private(path: Path) -> bool:
    """Make an empty file that only its owner can read, and return True; leave an existing one as it is.

    What root makes belongs to the owner of its folder, so that the service's user can open it.

    Raises:
        OSError: it cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return False
    os.close(descriptor)
    give_to_folders_owner(path)
    return True


def give_to_folders_owner(path: Path) -> None:
    """Give what root has made to the owner of its folder."""
    with suppress(OSError):
        if os.geteuid() == 0:
            folder = path.parent.stat()
            os.chown(path, folder.st_uid, folder.st_gid)


def _opened(path: Path, *, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=30)
