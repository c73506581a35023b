"""The frame of every run: the lock, the run's row, and that both are closed however the run ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from etl.errors import DatabaseError, EtlError, ExitCode
from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.client import Client
from etl.jobs.maintenance.rebuild import refresh
from etl.jobs.pipeline.first_load import begin_load, end_load
from etl.jobs.pipeline.lease import hold_source
from etl.jobs.pipeline.options import RunCounters, SyncOptions
from etl.jobs.pipeline.run import Run
from etl.load.database.engine import reading
from etl.load.ledger import runs, sources, watermarks
from etl.load.ledger.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSpec:
    """A source to work on: how it is called and where it is, what the settings say, and who asks."""

    name: str
    base_url: str
    account_id: str
    stream_id: str
    client: Client
    more_clients: Callable[[], Client]
    options: SyncOptions
    overrides: Mapping[str, Any]
    settings: Mapping[str, Any]


@contextmanager
def start_run(
    engine: Engine,
    source_spec: SourceSpec,
    command: str,
    *,
    clock: Callable[[], datetime],
    on_progress: Callable[[RunCounters, int | None], None] = lambda _tally, _total: None,
    on_return: Callable[[str, float], None] = lambda _account, _seconds: None,
) -> Iterator[Run]:
    """Give a run whose row in ``sync_runs`` is closed at the end, with its counts, its exit code and its error.

    ``on_return`` is told the account and the seconds for which another run of the source went first.

    Raises:
        LockedError: another run works on this source.
    """
    with hold_source(engine, command, stream_id=source_spec.stream_id, name=source_spec.name) as turn:
        turn.on_return = lambda seconds: on_return(source_spec.account_id, seconds)
        source = _register(engine, source_spec, clock())
        with engine.begin() as connection:
            run_id = runs.begin(connection, source.id, command, settings=source_spec.settings, now=clock())
        kept = ServerCapabilities.from_json(source.capabilities)
        run = Run(
            engine, source_spec.client, source, run_id=run_id, capabilities=kept.with_overrides(source_spec.overrides),
            overrides=dict(source_spec.overrides), options=source_spec.options, clock=clock, on_progress=on_progress,
            before_fetch=turn.offer, storing=turn.storing, more_clients=source_spec.more_clients,
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
        _close(run, state="finished", exit_code=outcome_of(run.counters), error=None)


def outcome_of(counters: RunCounters) -> ExitCode:
    """Return the exit code of a run that came to its end."""
    return ExitCode.INCOMPLETE if counters.rejected or counters.unverified else ExitCode.DONE


def exit_code_of(error: BaseException) -> ExitCode:
    """Return the exit code that an error leads to."""
    if isinstance(error, EtlError):
        return error.exit_code
    if isinstance(error, Exception):
        return ExitCode.BUG
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.TERMINATED


def _state(error: BaseException) -> str:
    return "failed" if isinstance(error, Exception) else "interrupted"


def _register(engine: Engine, source_spec: SourceSpec, now: datetime) -> Source:
    with engine.begin() as connection:
        return sources.register(
            connection,
            name=source_spec.name,
            base_url=source_spec.base_url,
            account_id=source_spec.account_id,
            stream_id=source_spec.stream_id,
            now=now,
        )


def _close(run: Run, *, state: str, exit_code: int, error: str | None) -> None:
    run.count_requests()
    with reading(run.engine) as connection:
        after = watermarks.read(connection, run.source.id)
    counts = {**asdict(run.counters), "watermark_before": run.watermark_before, "watermark_after": after}
    with run.engine.begin() as connection:
        runs.finish(
            connection, run.id, state=state, exit_code=exit_code, counts=counts, now=run.clock(), error=error
        )  # fmt: skip
