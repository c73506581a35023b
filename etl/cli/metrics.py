"""Figures of the last run for Prometheus, as a file that node_exporter's textfile collector reads.

What an earlier run wrote of other sources and commands stays, and so does what the database cannot tell just now.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from etl import __version__
from etl.errors import EtlError
from etl.logs import get_logger

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.cli.telling import Ending

log = get_logger()

_SOURCE = ("source", "stream")
_COMMAND = (*_SOURCE, "command")
# name without its prefix: (labels, help)
METRICS = {
    "info": (("version",), "The version that wrote this file."),
    "last_success_timestamp_seconds": (_COMMAND, "When a run of the command last came to its end (exit code 0 or 3)."),
    "last_run_timestamp_seconds": (_COMMAND, "When the last run ended, however it did."),
    "last_run_exit_code": (_COMMAND, "The exit code of the last run."),
    "last_run_duration_seconds": (_COMMAND, "How long the last run took."),
    "last_run_requests": (_COMMAND, "Requests that the last run sent, retries included."),
    "last_run_retries": (_COMMAND, "Requests of the last run that were tries after a failure."),
    "last_run_rate_limited": (_COMMAND, "Requests of the last run that were refused because there were too many."),
    "last_run_budget_used_ratio": (_COMMAND, "The share of the minute's requests that was spent at its end."),
    "last_run_unverified_windows": (_COMMAND, "Windows of the last run that could not be verified."),
    "last_run_rows": ((*_COMMAND, "outcome"), "Records of the last run by what became of them."),
    "complete_until_timestamp_seconds": (_SOURCE, "Up to when all changes are known to be stored."),
    "watermark_timestamp_seconds": (_SOURCE, "The watermark, which stays where syncs find nothing new."),
    "lag_seconds": (_SOURCE, "How long ago that moment was when this was written."),
    "tasks": (_SOURCE, "Tasks that are stored and not gone from the server."),
    "rejected_records": (_SOURCE, "Records that could not be stored and are not acknowledged."),
    "gaps": (_SOURCE, "Stretches of history that no window covers."),
    "unverified_windows": (_SOURCE, "Stretches of history that were read and could not be verified."),
}
PREFIX = "kore_etl_"
_OUTCOMES = ("inserted", "updated", "unchanged", "stale", "rejected")
_COUNTED = ("requests", "retries", "rate_limited")
_MODE = 0o644  # node_exporter is another user

Sample = tuple[str, tuple[str, ...]]


def write_metrics(path: Path, command: str, ending: Ending, engine: Engine | None) -> None:
    """Write the file anew, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    values = _earlier(path)
    values[("info", (__version__,))] = 1
    values.update(_of_run(command, ending))
    values.update(_of_source(ending, engine))
    success = _last_success(command, ending, engine)
    if success is not None:
        values[("last_success_timestamp_seconds", (ending.name, ending.stream_id, command))] = success.timestamp()
    _replace(path, _as_text(values))


def _of_run(command: str, ending: Ending) -> dict[Sample, float]:
    labels = (ending.name, ending.stream_id, command)
    values: dict[str, float] = {
        "last_run_timestamp_seconds": ending.ended.timestamp(),
        "last_run_exit_code": ending.exit_code,
        "last_run_duration_seconds": (ending.ended - ending.began).total_seconds(),
        "last_run_budget_used_ratio": ending.budget_used,
        "last_run_unverified_windows": ending.counts.get("unverified", 0),
    }
    values |= {f"last_run_{count}": ending.counts.get(count, 0) for count in _COUNTED}
    told: dict[Sample, float] = {(name, labels): value for name, value in values.items()}
    rows: dict[Sample, float] = {("last_run_rows", (*labels, each)): ending.counts.get(each, 0) for each in _OUTCOMES}
    return told | rows


def _of_source(ending: Ending, engine: Engine | None) -> dict[Sample, float]:
    """Return how the source stands, nothing where the database cannot tell: that is why the run failed, and is told."""
    from etl.jobs.status import standings

    try:
        found = standings(engine, now=ending.ended, source=ending.name) if engine is not None else []
    except EtlError:
        found = []
    told: dict[Sample, float] = {}
    for standing in found:
        moments = {"complete_until": standing.complete_until, "watermark": standing.watermark}
        values: dict[str, float | None] = {
            "tasks": standing.tasks,
            "rejected_records": standing.rejected,
            "gaps": len(standing.gaps),
            "unverified_windows": len(standing.unverified),
            "lag_seconds": standing.age,
            **{f"{name}_timestamp_seconds": moment.timestamp() for name, moment in moments.items() if moment},
        }
        labels = (ending.name, ending.stream_id)
        told |= {(name, labels): value for name, value in values.items() if value is not None}
    return told


def _last_success(command: str, ending: Ending, engine: Engine | None) -> datetime | None:
    """Return when a run of the command last came to its end, None where the database cannot tell."""
    from etl.load import status
    from etl.load.engine import reading

    run = None
    with suppress(EtlError):  # as above
        if engine is not None:
            with reading(engine) as connection:
                for source in status.source_rows(connection, ending.name):
                    run = status.latest_run(connection, source["id"], commands=(command,), state="finished")
    moment: datetime | None = run["finished_at"] if run else None
    return moment


def _earlier(path: Path) -> dict[Sample, float]:
    """Return what the file says already; one that is none of ours says nothing."""
    values: dict[Sample, float] = {}
    try:
        for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
            name = family.name.removeprefix(PREFIX)
            if name == "info" or name not in METRICS:
                continue
            for sample in family.samples:
                labels = tuple(sample.labels[label] for label in METRICS[name][0])
                values[(name, labels)] = sample.value
    except (OSError, ValueError, KeyError):
        return {}
    return values


def _as_text(values: dict[Sample, float]) -> bytes:
    registry = CollectorRegistry()
    for name, (labels, told) in METRICS.items():
        gauge = Gauge(PREFIX + name, told, labels, registry=registry)
        for (mine, texts), value in values.items():
            if mine == name:
                gauge.labels(*texts).set(value)
    return generate_latest(registry)


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")  # not *.prom: the collector reads no half a file
    try:
        with beside.open("wb") as file:
            os.fchmod(file.fileno(), _MODE)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
