"""A server, a database that is to mirror it, and the command between them; and what must hold of the three."""

from __future__ import annotations

import itertools
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

import orjson
from sqlalchemy import Engine, Table, Text, and_, cast, func, literal, select, text, union_all

from etl.jobs.diagnostics.check_derived import first_difference
from etl.load.database.engine import open_engine, reading, sqlite_file
from etl.load.schema import deferred_indexes
from etl.load.schema.dimension_tables import DIMENSIONS, cases, priorities, statuses
from etl.load.schema.ledger_tables import rejected_records, watermarks
from etl.load.schema.task_tables import CHILDREN, metadata, tasks
from etl.times import parse_time
from tests.conftest import clean_environment
from tests.processes import Preloaded, Running

#: Which run wrote a row, and when, is no part of what the server holds; nor is the number of the source, which is the
#: next one where PostgreSQL gave one to a transaction that was killed.
OWN = frozenset({"first_seen_at", "first_updated_at", "stored_at", "run_id", "seen_at", "source_id"})


Reader = Callable[[Any], list[Any]]
Content = Mapping[str, set[Any]]


class Server(Protocol):
    """What a scenario needs of a server: where it is and whom it lets in, and what it holds."""

    @property
    def environment(self) -> dict[str, str]: ...

    def tasks(self) -> list[Any]: ...


@dataclass(frozen=True, slots=True)
class FaultScenario:
    """Runs the command against a server into a database, and compares the two row by row."""

    server: Server
    url: str
    folder: Path
    launcher: Preloaded
    settings: Mapping[str, str] = field(default_factory=dict)

    def on(self, url: str, **settings: str) -> FaultScenario:
        """The same with another database, and with more settings."""
        return replace(self, url=url, settings={**self.settings, **settings})

    def environment(self, **settings: str) -> dict[str, str]:
        given = {"requests_per_minute": "1000000", "database_url": self.url, **self.settings, **settings}
        ours = {f"KORE_ETL_{name.upper()}": value for name, value in given.items()}
        return clean_environment(self.folder, {**self.server.environment, **ours})

    def start(self, *command: str, **settings: str) -> Running:
        return self.launcher.start(command, self.folder, self.environment(**settings))

    def run(self, *command: str, timeout: float = 120, **settings: str) -> CompletedProcess[str]:
        return self.start(*command, **settings).wait(timeout)

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    @property
    def place(self) -> str:
        return "SQLite" if self.is_sqlite else "PostgreSQL"

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        engine = open_engine(self.url)
        try:
            yield engine
        finally:
            engine.dispose()

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Give what answers queries, all over one connection."""
        with self.engine() as engine, reading(engine) as connection:
            yield lambda query: list(connection.execute(text(query) if isinstance(query, str) else query))

    def rows(self, query: Any) -> list[Any]:
        with self.reader() as read:
            return read(query)

    def value(self, query: Any) -> Any:
        ((value,),) = self.rows(query)
        return value

    def execute(self, *statements: str, **values: Any) -> None:
        with self.engine() as engine, engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), values)

    def records(self, read: Reader) -> dict[str, Any]:
        """Every task that is held to be there, whole, by its id."""
        query = select(tasks.c["_id"], cast(tasks.c.raw, Text)).where(tasks.c.deleted_at.is_(None))
        return {key: orjson.loads(raw) for key, raw in read(query)}

    def served(self) -> dict[str, Any]:
        return {record["_id"]: record for record in self.server.tasks()}

    def lost(self) -> list[str]:
        """The ids of tasks that are missing, that stand here in another version, or that the server has no more."""
        with self.reader() as read:
            here, there = self.records(read), self.served()
        self.check_derived()
        return sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))

    def uncovered(self, read: Reader) -> list[str]:
        """The ids of tasks that the watermark covers, and that are neither stored as they are served nor kept aside."""
        mark = self.watermark(read)
        if mark is None:
            return []
        here, aside = self.records(read), {key for (key,) in read(select(rejected_records.c.record_id))}
        covered = {key: record for key, record in self.served().items() if _moment(record) <= mark and key not in aside}
        return [key for key, record in covered.items() if here.get(key) != record]

    def watermark(self, read: Reader | None = None) -> Any:
        return next((row[0] for row in (read or self.rows)(select(watermarks.c.value))), None)

    def check_soundness(self) -> None:
        """The database is whole, each key that a row names exists, and the watermark covers what is stored alone."""
        with self.reader() as read:
            if self.is_sqlite:
                assert read("pragma integrity_check") == [("ok",)]
                assert read("pragma foreign_key_check") == []
            assert [row for row in read(ORPHANS) if row[1]] == []
            assert self.uncovered(read) == []
        self.check_derived()

    def check_derived(self) -> None:
        """Every derived table is what is recomputed from tasks and changes."""
        with self.engine() as engine:
            assert first_difference(engine) is None

    def content(self) -> Content:
        """Every row of what mirrors the server, as values that are the same on both databases."""
        mirrors = (tasks, cases, statuses, priorities, *DIMENSIONS, *CHILDREN)
        with self.reader() as read:
            rows = ((table.name, read(_of_the_server(table))) for table in mirrors)
            return {name: {tuple(map(_hashable, row)) for row in found} for name, found in rows}

    def check_equality(self, theirs: Content) -> None:
        """Here is what an undisturbed sync of the same server gives, in every table and column, and every index.

        A status or a person that no task names any longer may be left over.
        """
        with self.engine() as engine, reading(engine) as connection:
            assert deferred_indexes.missing(connection) == []
        mine = self.content()
        exact = {tasks.name, *(table.name for table in CHILDREN)}
        missing = {name: len(rows - mine[name]) for name, rows in theirs.items()}
        left_over = {name: len(mine[name] - rows) for name, rows in theirs.items() if name in exact}
        assert (sum(missing.values()), sum(left_over.values())) == (0, 0), f"{missing} {left_over}"

    def rejected(self) -> int:
        return self.value(select(func.count()).select_from(rejected_records))


def kill(process: Running) -> bool:
    """Kill a process as a power cut would, and tell whether it was still running."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    return process.wait().returncode == -signal.SIGKILL


def copy_after_power_loss(scenario: FaultScenario, target: Path, random: Any) -> str:
    """Copy a SQLite database as it is found after a power cut, and give the copy's address.

    Whatever was written since the file was last synced may be missing: that is a part of the log's end. No more of it
    can be, since what is checkpointed into the database itself is synced before: the file beside the log says how far
    that was tried (nBackfillAttempted in its format). The page at which the writing broke off may be torn.
    """
    with scenario.engine() as engine:
        source = sqlite_file(engine.url)
    assert source is not None
    log, index = (source.with_name(source.name + ending) for ending in ("-wal", "-shm"))
    shutil.copyfile(source, target)
    content = log.read_bytes() if log.exists() else b""
    if len(content) > 32:
        page = int.from_bytes(content[8:12], "big")
        checkpointed = int.from_bytes(index.read_bytes()[128:132], "little") if index.exists() else 0
        kept = random.randint(min(len(content), 32 + checkpointed * (24 + page)), len(content))
        torn = random.randbytes(random.choice((0, 100, page)))
        target.with_name(target.name + "-wal").write_bytes(content[:kept] + torn)
    return f"sqlite:///{target}"


def _of_the_server(table: Table) -> Any:
    """Ask for all of a table's rows but for what only says which run wrote them."""
    own = [column for column in table.columns if column.name not in OWN]
    return select(*(column.is_not(None) if column.name in ("deleted_at", "gone_at") else column for column in own))


def _orphans() -> str:
    """Ask how many rows of each table name a row of another that is not there."""
    counts = []
    for table in metadata.tables.values():
        for key in table.foreign_key_constraints:
            other = key.referred_table.alias()
            same = [other.c[element.column.name] == element.parent for element in key.elements]
            there = select(literal(1)).select_from(other).where(*same).exists()
            query = select(literal(f"{table.name}.{key.elements[0].parent.name}"), func.count())
            named = (element.parent.is_not(None) for element in key.elements)
            counts.append(query.select_from(table).where(and_(*named, ~there)))
    return str(union_all(*counts).compile(compile_kwargs={"literal_binds": True}))


ORPHANS = _orphans()
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Databases:
    """Makes databases as copies of others."""

    folder: Path
    administrator: str
    address: Callable[[str], str]

    def copy(self, url: str) -> str:
        """Give the address of a copy; nobody may be connected to the original."""
        number = next(_numbers)
        if url.startswith("sqlite"):
            file = self.folder / f"copy-{number}.db"
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as source:
                source.execute("pragma wal_checkpoint(truncate)")
            shutil.copyfile(url.removeprefix("sqlite:///"), file)
            return f"sqlite:///{file}"
        name = f"copy_{number}"
        template = url.partition("?")[0].rpartition("/")[2]
        self._as_administrator(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.address(name)

    def remove(self, url: str) -> None:
        """Remove a copy."""
        if url.startswith("sqlite"):
            for file in Path(url.removeprefix("sqlite:///")).parent.glob(Path(url).name + "*"):
                file.unlink()
        else:
            self._as_administrator(f"DROP DATABASE {url.partition('?')[0].rpartition('/')[2]} WITH (FORCE)")

    def _as_administrator(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(self.administrator, autocommit=True) as connection:
            connection.execute(statement)


def _hashable(value: Any) -> Any:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS) if isinstance(value, dict | list) else value


def _moment(record: Any) -> Any:
    return parse_time(record["updatedAt"])
