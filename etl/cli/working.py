"""Running a job on one source after the other: lock, ledger, progress, what is told at the end, and the exit code."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import click
import orjson
import structlog

from etl import logs
from etl.cli.building import Builder, now, open_database
from etl.cli.progress import progress_display
from etl.cli.signals import graceful
from etl.errors import EtlError, LockedError
from etl.jobs.recording import Assignment, outcome_of, recorded_run
from etl.jobs.run import Run
from etl.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Work:
    """A job by its name in the ledger, and the function that does it; what that returns is added to the JSON output."""

    command: str
    do: Callable[[Run], Mapping[str, Any] | None]


def work_on_sources(settings: Settings, work: Work, *, output: str) -> int:
    """Do the work on each source in turn, whatever became of the one before; return the exit code of the worst."""
    with graceful():
        engine = open_database(settings)
        builder = Builder(settings, engine)
        results = []
        for source in settings.sources:
            assignment = builder.assignment(source)
            with structlog.contextvars.bound_contextvars(source=source.name):
                results.append(_work_on(assignment, work, engine, builder.take_over))
        engine.dispose()
    code = _worst([result["exit_code"] for result in results])
    if output == "json":
        click.echo(orjson.dumps({"sources": results, "exit_code": code}, option=orjson.OPT_INDENT_2))
    return code


def _work_on(
    assignment: Assignment, work: Work, engine: Any, on_return: Callable[[str, float], None]
) -> dict[str, Any]:
    began = time.monotonic()
    result: dict[str, Any] = {"name": assignment.name}
    try:
        with progress_display(assignment.name) as show:
            frame = recorded_run(engine, assignment, work.command, clock=now, on_progress=show, on_return=on_return)
            with frame as run, structlog.contextvars.bound_contextvars(run=run.id):
                result |= dict(work.do(run) or {}) | {"exit_code": outcome_of(run.tally), "run": run.id}
    except EtlError as error:
        message = logs.clean(logs.redact(" ".join(str(error).split())))
        click.echo(f"kore-etl: error: {assignment.name}: {message}", err=True)
        return result | {"exit_code": error.exit_code, "error": message}
    finally:
        assignment.client.close()
    seconds = round(time.monotonic() - began, 2)
    watermark = run.watermark()
    counts = asdict(run.tally)
    log.info("run.finished", run=run.id, **_worth_telling(counts), watermark=watermark, seconds=seconds)
    return result | counts | {"watermark": watermark, "seconds": seconds}


_ALWAYS_TOLD = ("requests", "inserted", "updated")


def _worth_telling(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count or name in _ALWAYS_TOLD}


def _worst(codes: list[int]) -> int:
    """Return the first failure's code, then that of a lock, then 3 of what is done but incomplete."""
    failures = [code for code in codes if code not in (0, 3, LockedError.exit_code)]
    if failures:
        return failures[0]
    return max(codes, default=0)
