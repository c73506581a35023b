"""Runs a job on one source after the other: lock, ledger, progress, summary and exit code."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import Engine

from etl import logs
from etl.cli.client_factory import Builder
from etl.cli.notify.run_outcomes import Notifier, Outcome
from etl.cli.open_database import open_database
from etl.cli.output import counted, print_json
from etl.cli.progress import progress_display
from etl.errors import DatabaseError, EtlError, ExitCode, LockedError
from etl.jobs.run.lifecycle import exit_code_of, outcome_of, start_run
from etl.jobs.run.options import RunCounters, account_text
from etl.jobs.run.run_context import RunContext
from etl.load.ledger.runs import BACKGROUND
from etl.settings import Identity, Settings, SourceSettings
from etl.stop_request import graceful
from etl.times import format_time, now

log = logs.get_logger()

Job = Callable[[RunContext], Mapping[str, Any] | None]


class Work(Struct, frozen=True):
    """A job's name in the ledger and its function; the JSON output includes what the function returns."""

    command: str
    do: Job


def work_on_sources(
    settings: Settings,
    work: Work,
    *,
    output: str,
    configured: Collection[Identity] = (),
    wait: timedelta | None = None,
    opened: Engine | None = None,
    clock: Callable[[], datetime] = now,
    choose: Callable[[Engine], Iterable[SourceSettings]] | None = None,
) -> int:
    """Do the work on each source, also after one failed; return the worst exit code.

    ``choose`` gives the sources to work on, one after the other, where not all of the settings are meant.

    The metrics file keeps the samples of ``configured`` sources only, of all where none is given.
    ``wait`` is how long to wait for another run of a source to end. ``opened`` is the database where the caller has
    opened it already; it stays open.
    """
    results, bugs = [], []
    with graceful() as stop:
        notifier = Notifier(settings, work.command, {stream for _, _, stream in configured})
        engine = opened or _opened(settings, notifier)
        builder = Builder(settings, engine, stop, clock=clock, in_background=work.command in BACKGROUND)
        for source in settings.sources if choose is None else choose(engine):
            with logs.bound(source=source.name):
                try:
                    results.append(work_on_source(engine, builder, source, work, notifier, wait=wait))
                except Exception as bug:  # noqa: BLE001 - it stops its own source alone, and is raised at the end
                    bugs.append(bug)
        builder.close()
        if opened is None:
            engine.dispose()
    code = _worst([result["exit_code"] for result in results])
    if output == "json":
        print_json({"sources": results, "exit_code": ExitCode.BUG if bugs else code})
    if bugs:
        raise bugs[0]
    return code


def _opened(settings: Settings, notifier: Notifier) -> Engine:
    began = now()
    try:
        return open_database(settings)
    except EtlError as error:
        for source in settings.sources:
            ending = Outcome(source.name, source.stream_id, error.exit_code, began, now(), error=told(error))
            notifier.tell(ending, None)
        raise


def work_on_source(
    engine: Engine,
    builder: Builder,
    source: SourceSettings,
    work: Work,
    notifier: Notifier,
    *,
    wait: timedelta | None = None,
    alone: bool = True,
) -> dict[str, Any]:
    """Do the work on one source and report its outcome, also after an error.

    Work that is not done ``alone`` shares the terminal with other threads.
    """
    source_spec = builder.source_spec(source)
    report = _Report(source.name)
    began = now()
    try:
        with progress_display(source.name, builder.budget(source), alone=alone) as progress, ExitStack() as stack:
            builder.on_wait = progress.wait
            start = partial(
                start_run, engine, source_spec, work.command, clock=builder.clock, on_progress=progress.show
            )
            run = _entered(stack, start, (wait or timedelta()).total_seconds(), builder)
            with logs.bound(run=run.id):
                report.run = run
                report.more = work.do(run) or {}
        report.exit_code = outcome_of(run.counters)
    except EtlError as error:
        report.fail(error)
    except BaseException as error:
        report.break_off(error)
        raise
    finally:
        source_spec.client.close()
        used = builder.give_back(source)
        if report.run is None or not report.run.store.is_handed_over:  # else its last worker tells the end
            report.log()
            notifier.tell(report.ending(source, began, used), engine)
    return report.as_json()


def _entered(
    stack: ExitStack,
    start: Callable[[], AbstractContextManager[RunContext]],
    most: float,
    builder: Builder,
) -> RunContext:
    """Begin a run; while another one works, try again each second for ``most`` seconds."""
    began = time.monotonic()
    waited = 0.0
    while True:
        try:
            run = stack.enter_context(start())
        except LockedError:
            if waited >= most:
                raise
            if not waited:
                log.info("lock.awaited", most=most)
            builder.stop.sleep(1.0)
            waited = time.monotonic() - began
        else:
            return run


def told(error: BaseException) -> str:
    """Return an error's message as one redacted line."""
    return logs.clean(logs.redact(" ".join(str(error).split())))


_ALWAYS_TOLD = ("requests", "inserted", "updated")
_STATES = {
    ExitCode.DONE: "Done",
    ExitCode.INCOMPLETE: "Incomplete",
    ExitCode.INTERRUPTED: "Stopped",
    ExitCode.TERMINATED: "Stopped",
}


class _Report:
    """The report on one source: an event in the log, an object in the JSON, a line for an error."""

    def __init__(self, name: str) -> None:
        self.run: RunContext | None = None
        self.more: Mapping[str, Any] = {}
        self.exit_code = ExitCode.DONE
        self._name = name
        self._error: str | None = None
        self._began = time.monotonic()
        self._watermark: str | None = None

    def fail(self, error: EtlError) -> None:
        """Print why the work failed."""
        self.exit_code = error.exit_code
        self._error = told(error)
        logs.say(f"{self._name}: {self._error}", "error")

    def break_off(self, error: BaseException) -> None:
        """Record a bug or a signal; others print it."""
        self.exit_code = exit_code_of(error)
        self._error = told(error) or type(error).__name__

    def ending(self, source: SourceSettings, began: datetime, budget_used: float) -> Outcome:
        """Return the outcome for the notifier."""
        return Outcome(
            name=self._name,
            stream_id=source.stream_id,
            exit_code=self.exit_code,
            began=began,
            ended=now(),
            error=self._error,
            run=self.run.id if self.run else None,
            counts=self._counts(),
            watermark=self._watermark,
            budget_used=budget_used,
        )

    def log(self) -> None:
        """Log the end of a run, if it began."""
        if self.run is None:
            return
        with suppress(DatabaseError):  # the work may have failed for this reason
            watermark = self.run.store.watermark()
            self._watermark = format_time(watermark) if watermark else None
        counts: dict[str, Any] = {
            name: count for name, count in self._counts().items() if count or name in _ALWAYS_TOLD
        }
        if counts.get("rejected"):
            counts["see"] = "kore-etl rejected list"
        if self._error:
            counts["error"] = self._error
        tell = log.warning if self.exit_code == ExitCode.INCOMPLETE else log.info
        tell(
            "run.finished",
            run=self.run.id,
            exit_code=self.exit_code,
            **counts,
            watermark=self._watermark,
            seconds=self._seconds(),
            summary=self._summary(),
        )

    def as_json(self) -> dict[str, Any]:
        """Return every count, also for work that failed or never began."""
        return {
            "name": self._name,
            "run": self.run.id if self.run else None,
            "exit_code": self.exit_code,
            "error": self._error,
            **self._counts(),
            "watermark": self._watermark,
            "seconds": self._seconds(),
            **self.more,
        }

    def _summary(self) -> str:
        """Return one sentence for a person: "Done: 120 new, 3 changed, 4 requests, 0.7 s"."""
        counts = self._counts()
        state = _STATES.get(self.exit_code, "Failed")
        told = [
            f"{counts[name]:,} {word}"
            for name, word in (("inserted", "new"), ("updated", "changed"), ("rejected", "rejected"))
            if counts[name]
        ] or (["nothing new"] if counts["fetched"] else [])
        if counts["unverified"]:
            told.append(counted(counts["unverified"], "unverified window"))
        account = account_text(counts) if counts["stored_live"] is not None else None
        said = f"{state}: {', '.join([*told, counted(counts['requests'], 'request')])}, {self._seconds():.1f} s"
        return said if account is None else f"{said}; {account}"

    def _counts(self) -> dict[str, Any]:
        return asdict(self.run.counters if self.run else RunCounters())

    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 2)


def _worst(codes: list[int]) -> int:
    """Return the code of the first failure, else of a lock, else 3 for incomplete, else 0."""
    failures = [code for code in codes if code not in (ExitCode.DONE, ExitCode.INCOMPLETE, ExitCode.LOCKED)]
    if failures:
        return failures[0]
    return max(codes, default=ExitCode.DONE)
