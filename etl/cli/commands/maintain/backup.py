"""``kore-etl backup`` and ``kore-etl restore``: one file with everything in the database, and the way back."""

from __future__ import annotations

import re
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli.options import Common, common_options, confirm, output_option
from etl.errors import ConfigError, DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Engine

_FOLDER = "backups"
_TIME = r"-\d{8}T\d{6}Z\.db"


@click.command()
@common_options
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder. Default: backups, beside the SQLite file.",
)
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Delete all but its N latest backups in DIR.")
@output_option
def backup(common: Common, folder: Path | None, keep: int | None, output: str) -> None:
    """Write everything in the database to a new SQLite file, also while a sync runs.

    The file's name is that of the database and the time. It holds all data, so only its owner can read it. A PostgreSQL
    database is copied row by row; pg_dump is faster for a large one.

    \b
    Example:
      kore-etl backup --keep 7
      kore-etl backup --to /mnt/backups
    """
    from etl.cli.open_database import existing_database
    from etl.cli.output import print_json
    from etl.load.database.engine import sqlite_file
    from etl.times import now

    with existing_database(common.start(need_sources=False).settings, schema="any") as engine:
        file = sqlite_file(engine.url)
        if folder is None and file is None:
            raise ConfigError("the database is no file, so its backups have no default folder; add --to DIR")
        folder = folder or (file or Path()).parent / _FOLDER
        name = str(engine.url.database) if file is None else file.stem
        target = folder / f"{name}-{now():%Y%m%dT%H%M%SZ}.db"
        _make_folder(folder)
        _write(engine, file, target)
    common.say(f"wrote {target} ({target.stat().st_size / 1e6:.1f} MB)")
    dropped = _dropped(folder, name, keep)
    for path in dropped:
        common.say(f"deleted {path}")
    if output == "json":
        print_json({"file": str(target), "size": target.stat().st_size, "deleted": [str(path) for path in dropped]})


@click.command()
@common_options
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(common: Common, file: Path | None, yes: bool) -> None:
    """Replace everything in the database by a backup, all or nothing.

    Without FILE it takes the database's latest backup in the folder backups, beside the SQLite file.

    It checks that the file is undamaged and of a version that this program can use. A SQLite file keeps its owner and
    its mode. The next sync reads what changed since the backup. Tasks that were forgotten since then come back: forget
    them again. Exits 75 while a run works.

    \b
    Example:
      kore-etl restore
      kore-etl restore /mnt/backups/kore-etl-20261126T030000Z.db
    """
    from etl.cli.open_database import require_file
    from etl.cli.output import counted
    from etl.jobs.run.source_lease import keep_all_runs_out
    from etl.load.database.engine import disposing, open_engine, sqlite_file
    from etl.load.database.errors import place
    from etl.load.database.sqlite_backup import copy_pages, require_intact

    settings = common.start(need_sources=False).settings
    file = file or _latest(settings.database_url)
    require_file(file, advice="name a file that kore-etl backup wrote")
    require_intact(file)
    tasks = counted(_tasks_in(file), "task")
    with ExitStack() as opened:
        target = opened.enter_context(disposing(open_engine(settings.database_url)))
        path = sqlite_file(target.url)
        if path is not None and path.samefile(file):
            raise ConfigError(f"{file} is the database itself")
        if not yes:
            question = f"This replaces {_content(target)} in {place(target.url)} by {tasks} of {file}."
            confirm("restore replaces the database", question)
        opened.enter_context(keep_all_runs_out(target))
        if path is None:
            _copy_rows(file, target)
        else:
            copy_pages(file, path)
        common.say(f"{place(target.url)}: holds {tasks} of {file}; next: kore-etl sync")


def _latest(database_url: str) -> Path:
    """Return the latest backup in the default folder.

    Raises:
        ConfigError: there is none.
    """
    from etl.load.database.engine import sqlite_file

    database = sqlite_file(database_url)
    if database is None:
        raise ConfigError("the database is no file, so its backups have no default folder; name the FILE")
    try:
        return _backups(database.parent / _FOLDER, database.stem)[-1]
    except (OSError, IndexError) as error:
        reason = getattr(error, "strerror", None) or "holds no backup"
        raise ConfigError(f"{database.parent / _FOLDER}: {reason}; name the FILE, or use sudo") from error


def _backups(folder: Path, name: str) -> list[Path]:
    """Return the backups of a database in a folder, the latest last."""
    return sorted(path for path in folder.iterdir() if re.fullmatch(re.escape(name) + _TIME, path.name))


def _make_folder(folder: Path) -> None:
    from etl.load.database.sqlite_backup import give_to_folders_owner

    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True)
            give_to_folders_owner(folder)
    except OSError as error:
        raise ConfigError(f"--to {folder}: cannot be made: {error.strerror}; choose another folder") from error


def _write(engine: Engine, file: Path | None, target: Path) -> None:
    """Write the backup under another name first, so that there is never half a one."""
    from etl.jobs.maintenance.copy_database import copy_database
    from etl.load.database.engine import disposing, open_engine, sqlite_url
    from etl.load.database.sqlite_backup import copy_pages, end_log, require_intact

    part = target.with_suffix(".part")
    try:
        if file is None:
            with disposing(open_engine(sqlite_url(part))) as copy:
                copy_database(engine, copy, lambda _name, _rows: None)
        else:
            copy_pages(file, part)
        end_log(part)
        require_intact(part)
        part.replace(target)
    finally:
        for path in (part, *(part.with_name(f"{part.name}{end}") for end in ("-wal", "-shm", "-journal"))):
            with suppress(OSError):  # the error of the block tells why
                path.unlink()


def _dropped(folder: Path, name: str, keep: int | None) -> list[Path]:
    """Delete all but the latest backups of a database, and return what was deleted.

    Raises:
        ConfigError: one of them cannot be deleted.
    """
    dropped = _backups(folder, name)[:-keep] if keep else []
    for path in dropped:
        try:
            path.unlink()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be deleted: {error.strerror}; delete it, or move it away") from error
    return dropped


def _tasks_in(file: Path) -> int:
    """Return the number of tasks in a backup.

    Raises:
        DatabaseError: this version cannot use its tables.
    """
    from etl.load.database.sqlite_backup import value_in
    from etl.load.schema import migrate

    at = value_in(file, "select version_num from alembic_version")
    if not migrate.can_be_migrated(at):
        raise DatabaseError(f"{file}: its tables are at {at}, needed is {migrate.newest()}; {migrate.advice(at)}")
    return int(value_in(file, "select count(*) from tasks"))


def _copy_rows(file: Path, target: Engine) -> None:
    """Copy a backup into PostgreSQL; the file itself is not touched."""
    from tempfile import TemporaryDirectory

    from etl.jobs.maintenance.copy_database import copy_database
    from etl.load.database.engine import disposing, open_engine, sqlite_url
    from etl.load.database.sqlite_backup import copy_pages
    from etl.load.schema import migrate

    with TemporaryDirectory(prefix="kore-etl-") as folder:
        copy = Path(folder) / "copy.db"
        copy_pages(file, copy)
        with disposing(open_engine(sqlite_url(copy))) as source:
            migrate.require_newest(source, migrate=True)
            copy_database(source, target, lambda _name, _rows: None, replace=True)


def _content(engine: Engine) -> str:
    from sqlalchemy import text

    from etl.cli.output import counted
    from etl.load.database.engine import reading
    from etl.load.schema import migrate

    if migrate.current(engine) is None:
        return "nothing"
    with reading(engine) as connection:
        return counted(int(connection.execute(text("select count(*) from tasks")).scalar_one()), "task")
