"""The frame of every run: the lock, the run's row, and that both are closed however the run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from etl.errors import DatabaseError, EtlError
from etl.extract.capabilities import Abilities
from etl.extract.http.client import Client
from etl.jobs.maintenance.rebuild import refresh
from etl.jobs.pipeline.first_load import begin_load, end_load
from etl.jobs.pipeline.lease import turn_of
from etl.jobs.pipeline.options import Rules, Tally
from etl.jobs.pipeline.run import Run
from etl.load.database.engine import reading
from etl.load.ledger import runs, sources, watermarks
from etl.load.ledger.sources import Source

INTERRUPTED, TERMINATED, INCOMPLETE = 130, 143, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A source to work on: how it is called and where it is, what the settings say, and who asks."""

    name: str
    base_url: str
    account_id: str
    stream_id: str
    client: Client
    more_clients: Callable[[], Client]
    rules: Rules
    by_hand: Mapping[str, Any]
    settings: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """What makes it the source that it is: host, account and stream in one text."""
        return sources.identity(sources.host_of(self.base_url), self.account_id, self.stream_id)


@contextmanager
def recorded_run(
    engine: Engine,
    assignment: Assignment,
    command: str,
    *,
    clock: Callable[[], datetime],
    on_progress: Callable[[Tally, int | None], None] = lambda _tally, _total: None,
    on_return: Callable[[str, float], None] = lambda _account, _seconds: None,
) -> Iterator[Run]:
    """Give a run whose row in ``sync_runs`` is closed at the end, with its counts, its exit code and its error.

    ``on_return`` is told the account and the seconds for which another run of the source went first.

    Raises:
        LockedError: another run works on this source.
    """
    with turn_of(engine, command, source=assignment.identity, name=assignment.name) as turn:
        turn.on_return = lambda seconds: on_return(assignment.account_id, seconds)
        source = _register(engine, assignment, clock())
        with engine.begin() as connection:
            run_id = runs.begin(connection, source.id, command, settings=assignment.settings, now=clock())
        kept = Abilities.from_json(source.capabilities)
        run = Run(
            engine, assignment.client, source, run_id=run_id, abilities=kept.set_by_hand(assignment.by_hand),
            by_hand=dict(assignment.by_hand), rules=assignment.rules, clock=clock, on_progress=on_progress,
            before_fetch=turn.offer, storing=turn.storing, more_clients=assignment.more_clients,
        )  # fmt: skip
        try:
            refresh(run)
            begin_load(run)
            yield run
            end_load(run)
        except BaseException as error:
            with suppress(DatabaseError):  # what went wrong first is what is told; the next run closes the row
                _close(run, state=_state(error), exit_code=exit_code_of(error), error=f"{error}" or repr(error))
            raise
        _close(run, state="finished", exit_code=outcome_of(run.tally), error=None)


def outcome_of(tally: Tally) -> int:
    """Return the exit code of a run that came to its end."""
    return INCOMPLETE if tally.rejected or tally.unverified else 0


def exit_code_of(error: BaseException) -> int:
    """Return the exit code that an error leads to."""
    if isinstance(error, EtlError):
        return error.exit_code
    if isinstance(error, Exception):
        return EtlError.exit_code
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else TERMINATED


def _state(error: BaseException) -> str:
    return "failed" if isinstance(error, Exception) else "interrupted"


def _register(engine: Engine, assignment: Assignment, now: datetime) -> Source:
    with engine.begin() as connection:
        return sources.register(
            connection,
            name=assignment.name,
            base_url=assignment.base_url,
            account_id=assignment.account_id,
            stream_id=assignment.stream_id,
            now=now,
        )


def _close(run: Run, *, state: str, exit_code: int, error: str | None) -> None:
    run.count_requests()
    with reading(run.engine) as connection:
        after = watermarks.read(connection, run.source.id)
    counts = {**asdict(run.tally), "watermark_before": run.watermark_before, "watermark_after": after}
    with run.engine.begin() as connection:
        runs.finish(
            connection, run.id, state=state, exit_code=exit_code, counts=counts, now=run.clock(), error=error
        )  # fmt: skip
