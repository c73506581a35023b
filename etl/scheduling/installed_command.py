"""What a schedule runs, and how often: this installation's command, settings and files. systemd and cron share it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from msgspec import Struct

from etl.atomic_file import write_text
from etl.errors import ConfigError
from etl.logs import say
from etl.settings import Loaded
from etl.times import parse_duration

STATE = Path("/var/lib/kore-etl")
PROGRAM = "kore-etl"
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def shipped_file(name: str) -> str:
    """Return the text of a file of ``config/``: inside the installed package, or at the top of the checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "config"
    return ((installed if installed.is_dir() else package.parent / "config") / name).read_text(encoding="utf-8")


class Installation(Struct, frozen=True):
    """What is run, with which settings, from where; ``beside`` are the files that the settings name beside themselves.

    ``secret`` is the file of the secret where there is a single source.
    """

    command: tuple[str, ...]
    files: tuple[Path, ...]
    beside: tuple[Path, ...]
    secret: Path | None
    folder: Path

    @classmethod
    def of(cls, loaded: Loaded) -> Installation:
        """Return this one.

        Raises:
            ConfigError: the settings are in no file, so that nothing could find them.
        """
        if not loaded.files:
            message = "the settings are in no file, where a schedule could find them; run: kore-etl init"
            raise ConfigError(message)
        files = tuple(path.resolve() for path in loaded.files)
        named, secret = _named_files(files)
        return cls(_command(), files, named, secret, Path.cwd())

    @property
    def config(self) -> Path:
        """What --config takes: the settings file, or the folder of several."""
        return self.files[0] if len(self.files) == 1 else self.files[0].parent


def _command() -> tuple[str, ...]:
    beside = Path(sys.executable).parent / PROGRAM
    return (str(beside),) if beside.exists() else (sys.executable, "-m", "etl")


def _named_files(files: tuple[Path, ...]) -> tuple[tuple[Path, ...], Path | None]:
    """Return the files that the settings name, and the secret's where it is the only one."""
    from etl.settings.toml_files import read_files

    tables = read_files(list(files))
    layers = [tables.top, *tables.sources]
    secrets = [Path(str(layer["client_secret_file"].value)) for layer in layers if "client_secret_file" in layer]
    bundles = [Path(str(layer["ca_bundle"].value)) for layer in layers if "ca_bundle" in layer]
    only = secrets[0] if len(secrets) == 1 and len(tables.sources) < 2 else None
    return tuple(dict.fromkeys(path for path in (*secrets, *bundles) if path != only)), only


def obstacles(here: Installation, loaded: Loaded, *, user: bool) -> Iterator[str]:
    """Give what will hinder a scheduled sync, one line each."""
    from sqlalchemy.engine import make_url

    origins = sorted(loaded.origins.items())
    given = [key.rpartition(".")[2] for key, origin in origins if origin.startswith(("KORE_ETL_", "--"))]
    database = make_url(loaded.settings.database_url)
    asks_for_password = bool(database.host) and database.password is None
    if user and asks_for_password:
        given += [name for name in ("PGPASSFILE", "PGPASSWORD") if os.environ.get(name)]
    if given:
        names = ", ".join(given)
        yield f"set here by the environment or an option, which a schedule does not have: {names}; put it into a file"
    if user:
        return
    for path in dict.fromkeys((Path(here.command[0]), Path(sys.base_prefix))):
        closed = _closed_folder(path)
        if closed:
            yield f"{path} is in {closed}, where only its owner may go; install into /opt/kore-etl, or use --user"
    file = Path(database.database or "")
    if database.drivername.startswith("sqlite") and file.is_absolute() and STATE not in file.parents:
        yield f"the service can write in {STATE} alone, and the database is {file}; set database_url, or use --user"
    if asks_for_password:
        yield "the service has no ~/.pgpass and no PGPASSWORD; if the role needs a password, put it into database_url"


def _closed_folder(path: Path) -> Path | None:
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & stat.S_IXOTH), None)


def minutes_and_hours(every: str) -> tuple[int, int]:
    """Return an interval in minutes and in hours; one of the two is 0.

    Raises:
        ConfigError: it does not divide an hour or a day evenly.
    """
    try:
        length = parse_duration(every)
    except ValueError:
        length = timedelta()
    if length >= _MINUTE and not length % _MINUTE:
        if length < _HOUR and not _HOUR % length:
            return length // _MINUTE, 0
        if not length % _HOUR and not _DAY % length:
            return 0, length // _HOUR
    seconds = " (a number alone means seconds)" if every.strip().isdecimal() else ""
    raise ConfigError(
        f"--every {every}{seconds}: does not divide an hour or a day evenly; "
        "accepted: 1m, 5m, 15m, 30m, 1h, 6h, 24h ..."
    )


def install_file(path: Path, text: str, *, root: Path | None, folder: bool = False) -> None:
    """Write a file that everyone may read, below ``root`` if given; make its folder if needed."""
    target = path if root is None else root / path.relative_to(path.anchor)
    advice = "run it with sudo, or add --user"
    write_text(target, text, mode=0o644, advice=advice, make_folder=folder or root is not None)
    say(f"wrote {target}")


def run(command: list[str], text: str | None = None) -> None:
    """Run a command with this standard input.

    Raises:
        ConfigError: it failed.
    """
    done = subprocess.run(  # noqa: S603
        command, input=text, capture_output=True, encoding="utf-8", errors="surrogateescape", check=False
    )
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise ConfigError(f"{' '.join(command)} failed: {said}")
