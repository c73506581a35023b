"""Read a time range in windows as long as the server takes, each with its row in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from etl.errors import EtlError, RefusedError
from etl.extract.capabilities import END_OF_TIME, MILLISECOND
from etl.extract.http.page import Page
from etl.extract.http.query import Field, Query
from etl.extract.http.responses import SlowAnswerError
from etl.extract.paging.base import EVERYTHING, Fetch, Window
from etl.extract.paging.strategy import READERS, Name
from etl.jobs.pipeline.prefetch import read_ahead
from etl.jobs.pipeline.run import Run
from etl.jobs.pipeline.window_record import WindowEntry
from etl.logs import bound
from etl.times import interval

_NEAR = timedelta(days=1)  # how far ahead a server's clock may be that does not tell its time
_MOST_SLOW = 4  # windows in a row that came too late, before it is the server's fault


@dataclass(frozen=True, slots=True)
class TimeRange:
    """``[start, end)`` of a field, to be read for a job; without an end, up to the server's time when the run began.

    Such an open range is read on for what changes meanwhile, without counting on it. ``moves_watermark`` lets the
    watermark follow what is covered: only where ``field`` is updatedAt and all before ``start`` is stored.
    ``check_first`` is shown the first page before anything of it is stored, and may raise.
    """

    job: str
    field: Field
    reading: Name
    start: datetime
    end: datetime | None = None
    moves_watermark: bool = False
    filters: Query = EVERYTHING
    check_first: Callable[[Page], None] | None = None


@dataclass(slots=True)
class WindowSizer:
    """How long the next window may be."""

    size: timedelta | None
    least: timedelta
    most: timedelta | None
    slow: int = 0
    refused: bool = False

    def next_end(self, start: datetime, end: datetime | None) -> datetime | None:
        """Return where the window from ``start`` ends, at most at ``end``; None is open."""
        if self.size is None or (end is not None and self.size >= end - start):
            return end
        return start + self.size

    def grow(self) -> None:
        """Let the next window be twice as long, once one was read."""
        self.slow = 0
        if self.size is not None:
            self.size = self.size * 2 if self.most is None else min(self.size * 2, self.most)

    def shrink(self, refused: timedelta, error: EtlError) -> None:
        """Halve what was refused; raise ``error`` where there is nothing left to halve."""
        if isinstance(error, SlowAnswerError):
            self.slow += 1
        if refused <= self.least or self.slow > _MOST_SLOW:
            raise error
        self.size = max(self.least, refused / 2)
        if isinstance(error, RefusedError):
            self.most, self.refused = self.size, True  # what was refused once would be again


def read_windows(run: Run, time_range: TimeRange) -> None:
    """Read and store a time_range, window by window.

    Raises:
        CapabilityDriftError: the server is not as it was found to be; what was stored stays, the ledger tells how far.
        EtlError: as the client raises it, once the shortest window fails too.
    """
    sizer = _window_sizer(run)
    start = time_range.start
    while (last := _last(run, time_range)) is None or start < last:
        end = sizer.next_end(start, last)
        try:
            with bound(window=interval(start, end)):
                start = _read_window(run, time_range, start, end, sizer)
        except _WindowFailed as failure:
            start = failure.covered_until
            if failure.was_open and isinstance(failure.error, RefusedError):
                _stop_asking_openly(run, failure.error)
            else:
                sizer.shrink((end or run.surely_opened_by()) - start, failure.error)
        else:
            _remember(run, sizer)
            sizer.grow()


def _stop_asking_openly(run: Run, error: RefusedError) -> None:
    run.learn(run.capabilities.with_answer("any_range", answer=False, evidence=str(error)), "any_range")


def _remember(run: Run, sizer: WindowSizer) -> None:
    """Keep what range was taken once longer ones had been refused."""
    if sizer.refused and sizer.most is not None and sizer.most != run.capabilities.longest_range:
        evidence = f"{sizer.most} was answered, a longer range refused"
        run.learn(run.capabilities.with_answer("longest_range", sizer.most, evidence), "longest_range")


def _last(run: Run, time_range: TimeRange) -> datetime | None:
    """Return the range's end, None as long as the server's time is not known."""
    if time_range.end is not None:
        return time_range.end
    return run.opened_at() if run.client.usage.requests else None


class _WindowFailed(Exception):  # noqa: N818 not an error of its own: carries one
    def __init__(self, covered_until: datetime, error: EtlError, *, was_open: bool) -> None:
        super().__init__(str(error))
        self.covered_until = covered_until
        self.error = error
        self.was_open = was_open


def _window_sizer(run: Run) -> WindowSizer:
    tick, longest = run.capabilities.smallest(), run.capabilities.longest_range
    # A tick may be added at each end of what is asked for, so that no row on an end is left out.
    most = max(tick, longest - 2 * tick) if longest else run.options.window_most
    least = max(tick, run.options.window_least or timedelta())
    return WindowSizer(size=most, least=least, most=most)


def _read_window(
    run: Run, time_range: TimeRange, start: datetime, end: datetime | None, sizer: WindowSizer
) -> datetime:
    """Read one window to its end and return where the next one starts."""
    is_open = time_range.end is None and (end is None or end == _last(run, time_range))
    asked_end = _open_end(run, start, sizer) if end is None or is_open else end
    enough = run.surely_opened_by if time_range.end is None else None
    window = Window(time_range.field, start, asked_end, enough, time_range.filters)
    told_end = partial(_ledger_end, run, time_range, end)
    entry = WindowEntry(run, time_range.job, time_range.field, time_range.reading, start, told_end)
    try:
        chunks = READERS[time_range.reading](_checked(run, time_range, start), window, run.capabilities)
        for taken in read_ahead(chunks, run.take, most=run.most_ahead):
            entry.store(taken, watermark=_watermark(run, time_range, taken.covered_until))
    except (RefusedError, SlowAnswerError) as error:
        entry.fail(error)
        raise _WindowFailed(entry.covered_until, error, was_open=asked_end == END_OF_TIME) from error
    except EtlError as error:
        entry.fail(error)
        raise
    entry.finish()
    return entry.covered_until


def _checked(run: Run, time_range: TimeRange, start: datetime) -> Fetch:
    """Return what fetches for a window; the first page of the range is checked."""
    pending = [time_range.check_first] if time_range.check_first is not None and start == time_range.start else []

    def fetch(query: Query) -> Page:
        page = run.fetch(query)
        if pending:
            pending.pop()(page)
        return page

    return fetch


def _ledger_end(run: Run, time_range: TimeRange, end: datetime | None) -> datetime:
    if time_range.end is not None and end is not None:
        return end
    return min(end, run.opened_at()) if end is not None else run.opened_at()


def _watermark(run: Run, time_range: TimeRange, covered_until: datetime | None) -> datetime | None:
    if not time_range.moves_watermark or covered_until is None:
        return None
    # What is covered ends before that moment, of which more may be on the next page; a watermark is covered itself.
    return min(covered_until - MILLISECOND, run.opened_at() - run.options.settle)


def _open_end(run: Run, start: datetime, sizer: WindowSizer) -> datetime:
    if run.capabilities.any_range is False and run.client.usage.requests:
        near = run.surely_opened_by() if run.client.skew is not None else run.clock() + _NEAR
        return max(near, start + run.capabilities.smallest()) if sizer.most is None else start + sizer.most
    return END_OF_TIME if sizer.most is None else start + sizer.most
