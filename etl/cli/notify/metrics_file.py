"""Writes the figures of the last run for Prometheus, for the textfile collector of node_exporter.

It reads the file before it writes it. So the samples of other sources and commands stay, and where the database cannot
be opened the failure stands beside the last success.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from etl import __version__
from etl.atomic_file import atomic_file
from etl.errors import EtlError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.cli.notify.run_outcomes import Outcome

_SOURCE = ("source", "stream")
_COMMAND = (*_SOURCE, "command")
# name without its prefix: (labels, help)
METRICS = {
    "info": (("version",), "The version that wrote this file."),
    "last_success_timestamp_seconds": (_COMMAND, "When a run of the command last finished (exit code 0 or 3)."),
    "last_run_timestamp_seconds": (_COMMAND, "When the last run ended, in success or failure."),
    "last_run_exit_code": (_COMMAND, "The exit code of the last run."),
    "last_run_duration_seconds": (_COMMAND, "How long the last run took."),
    "last_run_requests": (_COMMAND, "Requests that the last run sent, retries included."),
    "last_run_retries": (_COMMAND, "Requests of the last run that were retries."),
    "last_run_rate_limited": (_COMMAND, "Requests of the last run that the server refused as too many."),
    "last_run_budget_used_ratio": (_COMMAND, "The share of the minute budget spent when the last run ended."),
    "last_run_unverified_windows": (_COMMAND, "Windows of the last run that could not be verified."),
    "last_run_rows": ((*_COMMAND, "outcome"), "Records of the last run by result."),
    "complete_until_timestamp_seconds": (_SOURCE, "The time up to which all changes are stored."),
    "watermark_timestamp_seconds": (_SOURCE, "The watermark; it stays where syncs find nothing new."),
    "lag_seconds": (_SOURCE, "The age of the watermark when this file was written."),
    "tasks": (_SOURCE, "Stored tasks that are not deleted."),
    "rejected_records": (_SOURCE, "Rejected records that are not acknowledged."),
    "gaps": (_SOURCE, "Ranges of history that no window covers."),
    "verified_since_timestamp_seconds": (_SOURCE, "Since when every task was verified with the server."),
    "mended_differences": (_SOURCE, "Differences that verification mended since then."),
    "unverified_windows": (_SOURCE, "Ranges of history that were read but could not be verified."),
    "account_server_total": (_SOURCE, "The latest account: tasks that the server counts."),
    "account_stored_live": (_SOURCE, "The latest account: stored tasks that the server should count."),
    "account_quarantined": (_SOURCE, "The latest account: rejected records that are not stored as tasks."),
    "account_hidden": (_SOURCE, "The latest account: tasks that the server counts and never shows."),
    "account_missing": (_SOURCE, "The latest account: tasks that the server counts and that were not found."),
}
# The figures of workers, which are in a file only where a worker writes it.
WORKER_METRICS = {
    "worker_last_seen_timestamp_seconds": (("worker",), "When the worker last said that it is alive."),
    "worker_running": (("worker",), "Syncs at work."),
    "worker_syncs": (("worker",), "Syncs that ended since the worker started."),
    "worker_failed_syncs": (("worker",), "Those of them that failed."),
}
PREFIX = "kore_etl_"
_OUTCOMES = ("inserted", "updated", "unchanged", "stale", "rejected")
_COUNTED = ("requests", "retries", "rate_limited")
_ALL = {**METRICS, **WORKER_METRICS}
_LAST_SEEN = "worker_last_seen_timestamp_seconds"
_SILENT = 3600  # seconds: then the figures of another worker go
_MODE = 0o644  # node_exporter is another user


def write_metrics(
    path: Path, command: str, ending: Outcome, engine: Engine | None, streams: Collection[str] = ()
) -> None:
    """Rewrite the file atomically.

    The samples of other commands and configured ``streams`` stay; all do where none is known. This source's samples
    stay too if the database cannot be read.

    Raises:
        OSError: the file cannot be written.
    """
    with _exclusive(path):
        registry, gauges = _gauges(
            each for each in _earlier(path) if not streams or each[0] in WORKER_METRICS or each[1][1] in streams
        )
        _set(gauges, command, ending, engine)
        _write(path, registry)


def write_worker_metrics(path: Path, figures: Mapping[str, float]) -> None:
    """Rewrite the file with the figures of this process as a worker, and with all others.

    Raises:
        OSError: the file cannot be written.
    """
    me, now = f"{socket.gethostname()}:{os.getpid()}", time.time()
    with _exclusive(path):
        earlier = _earlier(path)
        seen = {labels: value for name, labels, value in earlier if name == _LAST_SEEN}
        registry, gauges = _gauges(
            each for each in earlier if each[0] in METRICS or seen.get(each[1], 0) > now - _SILENT
        )
        for name, value in {_LAST_SEEN: now, **{f"worker_{name}": value for name, value in figures.items()}}.items():
            if name not in gauges:
                gauges[name] = _gauge(name, registry)
            gauges[name].labels(me).set(value)
        gauges["info"].labels(__version__).set(1)
        _write(path, registry)


def _gauges(samples: Iterable[tuple[str, tuple[str, ...], float]]) -> tuple[CollectorRegistry, dict[str, Gauge]]:
    """Return the gauges of all figures with these samples; those of workers only where there is one."""
    registry = CollectorRegistry()
    gauges = {name: _gauge(name, registry) for name in METRICS}
    for name, labels, value in samples:
        if name not in gauges:
            gauges[name] = _gauge(name, registry)
        gauges[name].labels(*labels).set(value)
    return registry, gauges


def _gauge(name: str, registry: CollectorRegistry) -> Gauge:
    labels, told = _ALL[name]
    return Gauge(PREFIX + name, told, labels, registry=registry)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Let no other process write a file of this folder meanwhile: workers may share one."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, registry: CollectorRegistry) -> None:
    with atomic_file(path, mode=_MODE) as file:
        file.write(generate_latest(registry))


def _set(gauges: Mapping[str, Gauge], command: str, ending: Outcome, engine: Engine | None) -> None:
    source = (ending.name, ending.stream_id)
    run = (*source, command)
    gauges["info"].labels(__version__).set(1)
    for name, value in _of_run(ending).items():
        gauges[name].labels(*run).set(value)
    for outcome in _OUTCOMES:
        gauges["last_run_rows"].labels(*run, outcome).set(ending.counts.get(outcome, 0))
    with suppress(EtlError):  # the database cannot be read: the run failed for this reason and says so
        if engine is not None:
            for name, value in _of_source(ending, engine).items():
                gauges[name].labels(*source).set(value)
            success = _last_success(command, ending, engine)
            if success is not None:
                gauges["last_success_timestamp_seconds"].labels(*run).set(success.timestamp())


def _earlier(path: Path) -> list[tuple[str, tuple[str, ...], float]]:
    """Return name, labels and value of the file's samples; none for a foreign file."""
    try:
        families = list(text_string_to_metric_families(path.read_text(encoding="utf-8")))
        return [
            (name, tuple(sample.labels[label] for label in _ALL[name][0]), sample.value)
            for family in families
            if (name := family.name.removeprefix(PREFIX)) in _ALL and name != "info"
            for sample in family.samples
        ]
    except (OSError, ValueError, KeyError):
        return []


def _of_run(ending: Outcome) -> dict[str, float]:
    return {
        "last_run_timestamp_seconds": ending.ended.timestamp(),
        "last_run_exit_code": ending.exit_code,
        "last_run_duration_seconds": (ending.ended - ending.began).total_seconds(),
        "last_run_budget_used_ratio": ending.budget_used,
        "last_run_unverified_windows": ending.counts.get("unverified", 0),
        **{f"last_run_{count}": ending.counts.get(count, 0) for count in _COUNTED},
    }


def _of_source(ending: Outcome, engine: Engine) -> dict[str, float]:
    from etl.jobs.diagnostics.status import source_statuses

    values: dict[str, float | None] = {}
    for standing in source_statuses(engine, now=ending.ended, source=ending.name):
        if standing.stream_id != ending.stream_id:
            continue  # another source that had this name
        moments = {"complete_until": standing.complete_until, "watermark": standing.watermark}
        moments["verified_since"] = standing.oldest_reading
        values = {
            "tasks": standing.tasks,
            "rejected_records": standing.rejected,
            "gaps": len(standing.gaps),
            "unverified_windows": len(standing.unverified),
            "mended_differences": standing.mended,
            "lag_seconds": standing.age,
            **{f"account_{name}": value for name, value in (standing.account or {}).items()},
            **{f"{name}_timestamp_seconds": moment.timestamp() for name, moment in moments.items() if moment},
        }
    return {name: value for name, value in values.items() if value is not None}


def _last_success(command: str, ending: Outcome, engine: Engine) -> datetime | None:
    """Return when a run of the command last finished, from the ledger."""
    from etl.load.database.engine import reading
    from etl.load.queries import status

    with reading(engine) as connection:
        ended = [
            run["finished_at"]
            for source in status.source_rows(connection, ending.name)
            if source["stream_id"] == ending.stream_id
            and (run := status.latest_run(connection, source["id"], commands=(command,), state="finished"))
        ]
    return max(ended, default=None)
