"""A sandbox and a database that is to mirror it: the commands' own code, in this process, and what differs then."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from etl.cli.open_database import open_database
from etl.cli.run_job_on_sources import Work, work_on_sources
from etl.jobs.backfill import Period, backfill
from etl.jobs.diagnostics.check_derived import first_difference
from etl.jobs.sync import sync
from etl.load.database.engine import reading
from etl.load.ledger.request_budgets import StoredBudgets
from etl.sandbox import Sandbox
from etl.settings import load_settings
from etl.times import now


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended, the requests that reached the server, and what was logged."""

    exit_code: int
    requests: int
    log: list[Mapping[str, Any]]

    def changed(self) -> list[str]:
        """The questions whose answer the log says to have changed."""
        return [str(event["question"]) for event in self.log if event["event"] == "probe.changed"]


@dataclass(frozen=True, slots=True)
class Differences:
    """Ids of tasks that only the server has, that it has in another version, and that it no longer has."""

    missing: set[str] = field(default_factory=set)
    stale: set[str] = field(default_factory=set)
    extra: set[str] = field(default_factory=set)


NONE = Differences()


class Mirror:
    """Runs commands against a sandbox into a database, and compares the two.

    All of them use one engine: SQLAlchemy compiles each statement anew for another one, which takes most of a short
    run's time.
    """

    def __init__(
        self, server: Sandbox, database_url: str, *, clock: Callable[[], datetime] = now, **settings: str
    ) -> None:
        self.server = server
        self.clock = clock
        self.database_url = database_url
        self.settings = {
            **server.environment,
            "KORE_ETL_DATABASE_URL": database_url,
            "KORE_ETL_REQUESTS_PER_MINUTE": "1000000",
            **{f"KORE_ETL_{name.upper()}": value for name, value in settings.items()},
        }

    @cached_property
    def engine(self) -> Engine:
        engine = open_database(load_settings(None, self.settings, {}).settings)
        weakref.finalize(self, engine.dispose)
        return engine

    def sync(self, *, full: bool = False) -> Outcome:
        return self.work("sync", lambda run: sync(run, full=full))

    def backfill(self, period: Period, *, restart: bool = False) -> Outcome:
        return self.work("backfill", lambda run: backfill(run, period, restart=restart))

    def work(self, command: str, do: Callable[[Any], Any]) -> Outcome:
        before = self.server.request_count
        settings = load_settings(None, self.settings, {}).settings
        with capture_logs() as log:
            code = work_on_sources(settings, Work(command, do), output="text", clock=self.clock, opened=self.engine)
        return Outcome(code, self.server.request_count - before, log)

    def rows(self, query: str) -> list[Any]:
        with reading(self.engine) as connection:
            return list(connection.execute(text(query)))

    def change(self, statement: str) -> None:
        """Change the database behind the program's back."""
        with self.engine.begin() as connection:
            connection.execute(text(statement))

    def forget_requests(self) -> None:
        """Let the account's budget be full again."""
        budgets = StoredBudgets(self.engine)
        with budgets.engine().connect() as connection:
            connection.execute(text("delete from request_budgets"))
        budgets.close()

    def value(self, query: str) -> Any:
        ((value,),) = self.rows(query)
        return value

    def stored(self) -> dict[str, Any]:
        """Every task as it is stored: its whole record by its id."""
        return {row[0]: orjson.loads(row[1]) for row in self.rows("select _id, cast(raw as text) from tasks")}

    def differences(self) -> Differences:
        """Compare every row, whole; that they are counted rightly by day must hold with any of them."""
        assert self.difference() is None
        here, there = self.stored(), {task["_id"]: task for task in self.server.tasks()}
        return Differences(
            missing=there.keys() - here.keys(),
            stale={key for key in there.keys() & here.keys() if here[key] != there[key]},
            extra=here.keys() - there.keys(),
        )

    def difference(self) -> str | None:
        """The first difference between what is stored in derived tables and what is recomputed."""
        return first_difference(self.engine)

    def gaps(self) -> list[Any]:
        return self.rows("select * from coverage_gaps")
