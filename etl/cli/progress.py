"""Shows a job's progress: a live line on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from etl.jobs.run.options import RunCounters
from etl.logs import get_logger

log = get_logger()

_SECONDS_BETWEEN_LINES = 30.0
_SPEED_OVER = 180.0  # seconds: a budget allows bursts, a minute apart

Show = Callable[[RunCounters, int | None], None]


@contextmanager
def progress_display(name: str) -> Iterator[Show]:
    """Give a function that shows a run's counters and, if known, the number of tasks to expect."""
    if sys.stderr.isatty():
        with _live_line(name) as show:
            yield show
    else:
        yield _log_lines()


@contextmanager
def _live_line(name: str) -> Iterator[Show]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn(escape(name)),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:,.0f} tasks, {task.fields[requests]} requests, {task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    began = time.monotonic()
    most = 0
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, speed_estimate_period=_SPEED_OVER
    ) as progress:
        line = progress.add_task(name, total=None, requests=0, rate=0.0)

        def show(counters: RunCounters, total: int | None) -> None:
            nonlocal most
            most = max(most, total or 0, counters.fetched)
            rate = counters.fetched / max(0.001, time.monotonic() - began)
            expected = most if total is not None else None  # of a total that counts only what is left, the first
            progress.update(line, completed=counters.fetched, total=expected, requests=counters.requests, rate=rate)

        yield show


def _log_lines() -> Show:
    last = time.monotonic()

    def show(counters: RunCounters, total: int | None) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            log.info("run.progressed", fetched=counters.fetched, requests=counters.requests, expected=total)

    return show
