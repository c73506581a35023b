"""Shows a job's progress: a live line on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from etl.cli.output import counted
from etl.extract.http.rate_limiter import RateLimiter
from etl.jobs.run.options import RunCounters
from etl.logs import get_logger, is_quiet
from etl.times import format_duration

log = get_logger()

_SECONDS_BETWEEN_LINES = 30.0
_NOTICEABLE = 1.0  # seconds


@contextmanager
def progress_display(name: str, budget: RateLimiter, *, alone: bool = True) -> Iterator[_LogLines | _LiveLine]:
    """Give a display of a source; the time that is left counts the waits for its budget.

    A source that is not ``alone`` gets log lines on a terminal, too.
    """
    if alone and sys.stderr.isatty() and not is_quiet():
        with _live_line(name, budget) as display:
            yield display
    else:
        yield _LogLines()


def _waiting(seconds: float) -> str:
    return f"waiting {max(1, round(seconds))} s for the request budget"


class _LogLines:
    def __init__(self) -> None:
        self._last = time.monotonic()
        self._waits_until = 0.0

    def show(self, counters: RunCounters, total: int | None) -> None:
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            log.info("run.progressed", fetched=counters.fetched, requests=counters.requests, expected=total)

    def wait(self, seconds: float) -> None:
        if seconds >= _NOTICEABLE and time.monotonic() >= self._waits_until:  # else another thread has told it
            self._waits_until = time.monotonic() + seconds
            log.info("budget.awaited", told=_waiting(seconds))


class _LiveLine:
    """What the live line shows at any moment."""

    def __init__(self, budget: RateLimiter) -> None:
        self._budget = budget
        self._began = time.monotonic()
        self._counters = RunCounters()
        self._waits_until = 0.0
        self.most = 0
        self.total: int | None = None

    def show(self, counters: RunCounters, total: int | None) -> None:
        """Show a run's counters and, if known, the number of tasks to expect."""
        self._counters = counters
        self.most = max(self.most, total or 0, counters.fetched)
        self.total = self.most if total is not None else None  # of a total that counts only what is left, the first

    def wait(self, seconds: float) -> None:
        """Show that the run waits so long for the request budget."""
        self._waits_until = time.monotonic() + seconds

    def text(self) -> str:
        """Return what is done, and what is waited for."""
        counters, left = self._counters, self._waits_until - time.monotonic()
        if left >= _NOTICEABLE:
            return f"{counted(counters.fetched, 'task')}, {_waiting(left)}"
        return f"{counted(counters.fetched, 'task')}, {counted(counters.requests, 'request')}, {self._left()}"

    def _left(self) -> str:
        counters, took = self._counters, time.monotonic() - self._began
        if not counters.fetched or not counters.requests or self.total is None:
            return _length(took)
        tasks = self.total - counters.fetched
        requests = -(-tasks * counters.requests // counters.fetched)
        seconds = max(self._budget.time_until(requests) if requests else 0.0, took * tasks / counters.fetched)
        return f"{_length(seconds)} left"


def _length(seconds: float) -> str:
    return format_duration(timedelta(seconds=round(seconds)))


@contextmanager
def _live_line(name: str, budget: RateLimiter) -> Iterator[_LiveLine]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.text import Text

    class Words(ProgressColumn):
        def render(self, task: Task) -> Text:  # noqa: ARG002 - rich's signature
            return Text(shown.text())

    class Line(_LiveLine):
        def show(self, counters: RunCounters, total: int | None) -> None:
            super().show(counters, total)
            progress.update(line, completed=counters.fetched, total=self.total)

    shown = Line(budget)
    columns = (TextColumn(escape(name)), BarColumn(bar_width=16), Words())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        line = progress.add_task(name, total=None)
        yield shown
