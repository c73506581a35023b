"""Reads several windows at once where latency limits a long reading; many threads read and one stores.

As many workers as the request budget keeps busy each read a window, the earliest ones first. Idle workers take over
half of what is left of another worker's window. Each window has its own row in the ledger. The range is complete up to
the first window that is not finished.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from queue import SimpleQueue
from threading import Thread

from etl.errors import RefusedError
from etl.extract.http.response_errors import SlowAnswerError
from etl.extract.http.response_page import Page
from etl.extract.paging.page_checks import Window, window_query
from etl.extract.paging.read_strategy import READERS
from etl.jobs.pipeline.read_windows import TimeRange
from etl.jobs.pipeline.window_progress import WindowProgress
from etl.jobs.run.page_requests import Fetcher
from etl.jobs.run.run_context import RunContext
from etl.load.upsert.batch_and_counts import Batch, concatenate
from etl.logs import bound, get_logger
from etl.times import interval

log = get_logger()

MOST_WORKERS = 8
_NOTICEABLE = 0.05  # seconds: what an answer takes by itself, where nothing is far
_PAGES = 5  # of a window, about, at least: its last page is not full
_WINDOWS_EACH = 8  # of a worker, at most: some are full, others empty
_LEAST_WINDOWS = 4  # for which it is worth it
_PAGES_EACH = 2  # that a worker may be ahead
_PARTS = 32  # of a window, that may become one of their own


@dataclass(frozen=True, slots=True)
class _Message:
    """A worker's message about a window: a batch, or its end, with the requests so far.

    ``rest`` are windows of what was not read of it, for any worker.
    """

    window: Window
    requests: int
    batch: Batch | None = None
    error: BaseException | None = None
    rest: tuple[Window, ...] = ()


def sensible_workers(run: RunContext) -> int:
    """Return how many workers the budget keeps busy at the latency measured so far."""
    latency = run.fetch.client.latency
    if latency is None or latency < _NOTICEABLE:
        return 1
    return max(1, min(MOST_WORKERS, math.ceil(run.fetch.client.per_minute / 60 * latency)))


def read_in_parallel(run: RunContext, time_range: TimeRange, workers: int | None) -> TimeRange:
    """Read and store a range with several workers; return the rest of it, which is to be read window by window.

    That is all of it where one worker is enough, and what is left where the server refuses a window or answers too
    slowly.

    Raises:
        CapabilityDriftError, EtlError: as a window's reading does, once what came before is stored.
    """
    workers = sensible_workers(run) if workers is None else workers
    if workers < 2:
        return time_range
    try:
        windows = plan_windows(run, time_range, most=_WINDOWS_EACH * workers, least=_LEAST_WINDOWS)
        return _read(run, time_range, windows, workers) if windows else time_range
    except (RefusedError, SlowAnswerError) as error:
        log.warning("workers.not_used", reason=str(error))
        return time_range


def _read(run: RunContext, time_range: TimeRange, windows: list[Window], workers: int) -> TimeRange:
    run.store.commit()  # other threads send the requests
    log.info("workers.started", workers=workers, windows=len(windows))
    crew = _Crew(run, time_range, windows, workers)
    try:
        crew.store_all()
    except (RefusedError, SlowAnswerError) as error:
        log.warning("workers.stopped", reason=str(error))
    finally:
        crew.stop()
    return replace(time_range, start=crew.checkpoint(time_range.start))


def plan_windows(run: RunContext, time_range: TimeRange, *, most: int, least: int) -> list[Window]:
    """Return disjoint windows from the start of the range on, sized by how many rows the server counts in it.

    They end at the whole second of the run's start at the latest. There are ``least`` to ``most`` of them, or none.
    """
    capabilities = run.capabilities.current
    query = replace(
        window_query(Window(time_range.field, time_range.start, _end(run, time_range)), capabilities), limit=1
    )
    longest = capabilities.longest_range
    total = run.fetch(query).total if longest is None else None
    if not run.server_clock.is_known:
        return []
    end = min(_end(run, time_range), run.server_clock.earliest_start()).replace(microsecond=0)
    pages = most * _PAGES if total is None else total / max(1, capabilities.limit() - 1)
    count = min(most, int(pages / _PAGES))
    if end <= time_range.start or count < least:
        return []
    size = max(timedelta(seconds=1), (end - time_range.start) / count)
    if longest is not None:
        size = min(size, longest - 2 * capabilities.smallest())
    if size <= timedelta():
        return []
    return list(_split(time_range, end, timedelta(seconds=math.ceil(size.total_seconds()))))


def _end(run: RunContext, time_range: TimeRange) -> datetime:
    return time_range.end or run.clock()


def _split(time_range: TimeRange, end: datetime, size: timedelta) -> Iterator[Window]:
    start = time_range.start
    while start < end:
        upto = min(end, start + size)
        yield Window(time_range.field, start, upto, None, time_range.filters)
        start = upto


class _Crew:
    """Workers that read the windows, and the windows' records."""

    def __init__(self, run: RunContext, time_range: TimeRange, windows: list[Window], workers: int) -> None:
        self._run = run
        self._time_range = time_range
        self._windows = windows
        self._workers = workers
        self._left: SimpleQueue[Window | None] = SimpleQueue()
        self._idle: deque[None] = deque()
        self._is_over = False
        self._least = (windows[0].end - windows[0].start) / _PARTS
        self._messages: SimpleQueue[_Message] = SimpleQueue()
        self._room: SimpleQueue[int] = SimpleQueue()
        self._records: dict[datetime, WindowProgress] = {}
        self._done: set[datetime] = set()
        for window in windows:
            self._left.put(window)
        for _ in range(_PAGES_EACH * workers):
            self._room.put(1)
        for _ in range(workers):
            context = copy_context()
            Thread(target=context.run, args=(self._work, run.fetch.another()), daemon=True).start()

    def store_all(self) -> None:
        """Store what the workers read until all windows are done, or one of them failed."""
        while len(self._done) < len(self._windows):
            messages = [self._messages.get()]
            while not self._messages.empty():
                messages.append(self._messages.get())
            for window in dict.fromkeys(each.window for each in messages):
                self._store([each for each in messages if each.window is window])
            for error in (each.error for each in messages):
                if error is not None:
                    raise error

    def checkpoint(self, start: datetime) -> datetime:
        """Return up to where all is stored without a gap."""
        for window in self._windows:
            if window.start not in self._done:
                record = self._records.get(window.start)
                return record.checkpoint if record else window.start
            start = window.end
        return start

    def stop(self) -> None:
        """Stop every worker before its next request."""
        self._is_over = True
        for _ in range(self._workers):
            self._left.put(None)
            self._room.put(0)

    def _store(self, messages: list[_Message]) -> None:
        window, last, writer = messages[0].window, messages[-1], self._run.writer
        record = self._records.get(window.start) or WindowProgress.begin(
            self._time_range.job, window.field, self._time_range.paging, window.start
        )
        batches = [each.batch for each in messages if each.batch is not None]
        with bound(window=interval(window.start, window.end)):
            if batches:
                batch = concatenate(batches)
                after = record.extended(batch, end=window.end, requests=last.requests)
                record = writer.store(batch, after, takes_back=self._time_range.takes_back).window or after
                if self._time_range.shown is not None:
                    self._time_range.shown.add(batch)
                for _ in batches:
                    self._room.put(1)
            if isinstance(last.error, Exception):
                record = record.failed(last.error, window.end, requests=last.requests)
                writer.fail_window(record)
            elif last.batch is None and last.error is None:
                if record.is_open:
                    record = record.cut_short() if last.rest else record.finished(window.end, requests=last.requests)
                    writer.close_window(record)
                self._done.add(window.start)
                self._cut(window, last.rest)
        self._records[window.start] = record

    def _cut(self, window: Window, rest: tuple[Window, ...]) -> None:
        """End a window where the windows of its rest begin."""
        if rest:
            place = self._windows.index(window)
            self._windows[place : place + 1] = [replace(window, end=rest[0].start), *rest]

    def _work(self, fetch: Fetcher) -> None:
        """Read one window after the other."""
        while True:
            self._idle.append(None)
            window = self._left.get()
            self._idle.pop()
            if window is None or self._is_over:
                fetch.client.close()
                return
            before = fetch.requests
            error: BaseException | None = None
            rest: tuple[Window, ...] = ()
            try:
                rest = self._read(fetch, window, before)
            except BaseException as failure:  # noqa: BLE001 - raised where it is waited for
                error, self._is_over = failure, True
            self._messages.put(_Message(window, fetch.requests - before, error=error, rest=rest))
            for part in rest:
                self._left.put(part)

    def _read(self, fetch: Fetcher, window: Window, before: int) -> tuple[Window, ...]:
        """Read a window to its end, or until idle workers can share the rest; return the windows of the rest."""
        for page in READERS[self._time_range.paging](fetch, window, self._run.capabilities.current):
            if not self._room.get():
                return ()  # stopped: nobody listens any more
            batch = self._run.transformer.transform(page)
            self._messages.put(_Message(window, fetch.requests - before, batch))
            if self._idle and self._left.empty() and (rest := self._shared(window, page)):
                return rest
        return ()

    def _shared(self, window: Window, page: Page) -> tuple[Window, ...]:
        """Return the two halves of what is left of a window, none if that is too little to be shared."""
        start = page.checkpoint
        is_last = page.total is not None and page.total - len(page.records) < self._run.capabilities.current.limit()
        if start is None or start <= window.start or is_last or window.end - start < self._least:
            return ()
        middle = (start + (window.end - start) / 2).replace(microsecond=0)
        return (replace(window, start=start, end=middle), replace(window, start=middle)) if start < middle else ()
