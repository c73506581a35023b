"""Reads and stores a time range in windows, as long as the server allows, each with its row in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from msgspec import Struct

from etl.errors import EtlError, RefusedError
from etl.extract.capabilities import END_OF_TIME, MILLISECOND
from etl.extract.http.query import Field, Query
from etl.extract.http.response_errors import SlowAnswerError
from etl.extract.http.response_page import Page
from etl.extract.paging.page_checks import Fetch, Window
from etl.extract.paging.read_strategy import READERS, Paging
from etl.jobs.pipeline.open_windows import read_open
from etl.jobs.pipeline.prefetch import prefetch
from etl.jobs.pipeline.revert_names_after_server_restore import ShownVersions
from etl.jobs.pipeline.window_progress import WindowProgress
from etl.jobs.run.run_context import RunContext
from etl.logs import bound
from etl.times import interval, shifted

_MOST_SLOW = 4  # windows in a row that came too late, before it is the server's fault


class TimeRange(Struct, frozen=True):
    """The range ``[start, end)`` of a field that a job reads; without an end, up to the beginning of the run.

    An open range is read on for what changes meanwhile, without counting on it. ``moves_watermark`` lets the watermark
    follow the checkpoint: only where ``field`` is updatedAt and all before ``start`` is stored. ``check_first`` is
    given the first page before anything of it is stored, and may raise. ``takes_back`` stores older versions too: the
    server went back to them. The versions of names that stored batches show are noted in ``shown``, if it is given.
    """

    job: str
    field: Field
    paging: Paging
    start: datetime
    end: datetime | None = None
    moves_watermark: bool = False
    check_first: Callable[[Page], None] | None = None
    takes_back: bool = False
    shown: ShownVersions | None = None


class WindowSizer(Struct):
    """How long the next window may be."""

    size: timedelta | None
    least: timedelta
    most: timedelta | None
    slow: int = 0
    refused: bool = False
    closed: str = ""  # why no more open ranges are asked for

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


def read_windows(run: RunContext, time_range: TimeRange) -> None:
    """Read and store a range, window by window.

    Raises:
        CapabilityDriftError: the server is not as it was found to be; the ledger tells how far it is stored.
        EtlError: as the client raises it, once the shortest window fails too.
    """
    run.store.commit()  # another thread sends the requests
    sizer = _window_sizer(run)
    start, last = time_range.start, None
    while (last := last or _last(run, time_range, sizer)) is None or start < last:
        end = sizer.next_end(start, last)
        try:
            with bound(window=interval(start, end)):
                is_open = time_range.end is None and end in (None, last)
                reached = _read_window(run, time_range, start, end, sizer, is_open=is_open)
                start = reached if end is None else max(reached, end)
        except _WindowFailed as failure:
            start, last = failure.checkpoint, None
            if failure.was_open and isinstance(failure.error, RefusedError):
                sizer.closed = str(failure.error)
            else:
                sizer.shrink((end or run.server_clock.horizon()) - start, failure.error)
        else:
            _remember(run, sizer)
            sizer.grow()


def _remember(run: RunContext, sizer: WindowSizer) -> None:
    """Keep what range was answered once open or longer ones had been refused."""
    current = run.capabilities.current
    if sizer.closed and current.any_range is not False:
        current = current.with_answer("any_range", answer=False, evidence=sizer.closed)
        run.capabilities.learn(current, "any_range")
    if sizer.refused and sizer.most is not None:
        run.capabilities.learn_longest_range(sizer.most)


def _last(run: RunContext, time_range: TimeRange, sizer: WindowSizer) -> datetime | None:
    """Return the end of the range, None as long as the server's time is not known.

    Where this time is uncertain, its latest changes may be dated behind the longest range that the server takes.
    """
    if time_range.end is not None:
        return time_range.end
    if not run.server_clock.is_known:
        return None
    is_long = run.capabilities.current.any_range is not False and not sizer.closed
    is_certain = is_long or run.server_clock.latest_start() < END_OF_TIME
    return run.server_clock.earliest_start() if is_certain else run.server_clock.horizon()


class _WindowFailed(Exception):  # noqa: N818 - not an error of its own: carries one
    def __init__(self, checkpoint: datetime, error: EtlError, *, was_open: bool) -> None:
        super().__init__(str(error))
        self.checkpoint = checkpoint
        self.error = error
        self.was_open = was_open


def _window_sizer(run: RunContext) -> WindowSizer:
    step, longest = run.capabilities.current.smallest(), run.capabilities.current.longest_range
    # A step may be added at each end of what is asked for, so that no row on an end is left out.
    most = max(step, longest - 2 * step) if longest else run.options.window_most
    least = max(step, run.options.window_least or timedelta())
    return WindowSizer(size=most, least=least, most=most)


def _read_window(
    run: RunContext,
    time_range: TimeRange,
    start: datetime,
    end: datetime | None,
    sizer: WindowSizer,
    *,
    is_open: bool,
) -> datetime:
    """Read one window to its end and return where the next one starts."""
    asked_end = _open_end(run, start, sizer) if end is None or is_open else end
    stop_after = run.server_clock.latest_start if time_range.end is None else None
    window = Window(time_range.field, start, asked_end, stop_after)
    record = WindowProgress.begin(time_range.job, time_range.field, time_range.paging, start)
    before = run.fetch.requests
    read = READERS[time_range.paging] if time_range.end is not None else partial(read_open, run, time_range.paging)
    try:
        pages = _in_pieces(run, read(_checked(run, time_range, start), window, run.capabilities.current))
        for batch in prefetch(pages, run.transformer.transform, most=run.writer.most_prefetched):
            after = record.extended(
                batch, end=_recorded_end(run, time_range, end), requests=run.fetch.requests - before
            )  # fmt: skip
            watermark = _watermark(run, time_range, batch.checkpoint)
            stored = run.writer.store(batch, after, watermark=watermark, takes_back=time_range.takes_back)
            record = stored.window or after
            if time_range.shown is not None:
                time_range.shown.add(batch)
    except EtlError as error:
        requests = run.fetch.requests - before
        run.writer.fail_window(record.failed(error, _recorded_end(run, time_range, end), requests=requests))
        if isinstance(error, RefusedError | SlowAnswerError):
            raise _WindowFailed(record.checkpoint, error, was_open=asked_end == END_OF_TIME) from error
        raise
    if record.is_open:
        record = record.finished(_recorded_end(run, time_range, end), requests=run.fetch.requests - before)
        run.writer.close_window(record)
    return record.checkpoint


def _in_pieces(run: RunContext, pages: Iterator[Page]) -> Iterator[Page]:
    """Yield pages. A backfill makes way only behind one with a checkpoint, where it can go on."""
    for page in pages:
        run.fetch.may_make_way = page.checkpoint is not None
        yield page


def _checked(run: RunContext, time_range: TimeRange, start: datetime) -> Fetch:
    """Return what fetches for a window; the first page of the range is checked."""
    check = time_range.check_first
    if check is None or start != time_range.start:
        return run.fetch
    pending = [check]

    def fetch(query: Query) -> Page:
        page = run.fetch(query)
        if pending:
            pending.pop()(page)
        return page

    return fetch


def _recorded_end(run: RunContext, time_range: TimeRange, end: datetime | None) -> datetime:
    if time_range.end is not None and end is not None:
        return end
    now = run.server_clock.earliest_start()
    return now if end is None else min(end, now)


def _watermark(run: RunContext, time_range: TimeRange, checkpoint: datetime | None) -> datetime | None:
    if not time_range.moves_watermark or checkpoint is None:
        return None
    # The next page may hold more rows of the checkpoint's own moment; all rows of the watermark's moment are stored.
    return min(shifted(checkpoint, -MILLISECOND), run.server_clock.earliest_start() - run.options.settle)


def _open_end(run: RunContext, start: datetime, sizer: WindowSizer) -> datetime:
    capabilities, server_clock = run.capabilities.current, run.server_clock
    if (sizer.closed or capabilities.any_range is False) and server_clock.is_known:
        return (
            max(server_clock.horizon(), start + capabilities.smallest()) if sizer.most is None else start + sizer.most
        )
    return END_OF_TIME if sizer.most is None else start + sizer.most
