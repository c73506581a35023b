"""Several windows at once, where the latency of requests is what a long reading costs: many read, one stores.

Disjoint windows of time are each read exactly as alone, in order of time, by as many workers as the budget keeps busy.
Where none is left, who still reads leaves half of the rest of its window to who has nothing to do. Each window has its
own row in the ledger; what counts as covered is what is stored from the beginning on without a gap.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from queue import SimpleQueue
from threading import Thread

from etl.errors import RefusedError
from etl.extract.http.client import Client
from etl.extract.http.responses import SlowAnswerError
from etl.extract.paging.base import Chunk, Window, window_query
from etl.extract.paging.strategy import READERS
from etl.jobs.pipeline.batch import Taken, joined
from etl.jobs.pipeline.run import Run
from etl.jobs.pipeline.window_record import WindowEntry
from etl.jobs.pipeline.windows import TimeRange
from etl.logs import bound, get_logger
from etl.times import interval

log = get_logger()

MOST_WORKERS = 8
_NOTICEABLE = 0.05  # seconds: what an answer takes of itself, where nothing is far
_PAGES = 5  # of a window, about, at least: its last page is not full
_WINDOWS_EACH = 8  # of a worker, at most: some are full, others empty
_LEAST_WINDOWS = 4  # for which it is worth it
_CHUNKS_EACH = 2  # that a worker may be ahead
_PARTS = 32  # of a window, that may become one of their own


@dataclass(frozen=True, slots=True)
class _News:
    """What a worker has to tell of a window: rows, or that it ended, with the requests so far.

    ``rest`` are windows of what was not read of it, to be read as others are.
    """

    window: Window
    requests: int
    taken: Taken | None = None
    error: BaseException | None = None
    rest: tuple[Window, ...] = ()


def sensible_workers(run: Run, per_minute: int) -> int:
    """Return how many workers the budget keeps busy at the latency measured so far."""
    latency = run.client.latency
    if latency is None or latency < _NOTICEABLE:
        return 1
    return max(1, min(MOST_WORKERS, math.ceil(per_minute / 60 * latency)))


def read_in_parallel(run: Run, time_range: TimeRange, workers: int | None) -> datetime:
    """Read and store a range up to the server's time now, or its end; return up to where all of it is stored.

    Where the server refuses a window, or answers too slowly, the rest is left to who reads one window after the other.

    Raises:
        CapabilityDriftError, EtlError: as a window's reading does, once what came before is stored.
    """
    workers = sensible_workers(run, run.client.per_minute) if workers is None else workers
    if workers < 2:
        return time_range.start
    try:
        windows = _windows(run, time_range, workers)
        return _read(run, time_range, windows, workers) if windows else time_range.start
    except (RefusedError, SlowAnswerError) as error:
        log.warning("workers.not_used", reason=str(error))
        return time_range.start


def _read(run: Run, time_range: TimeRange, windows: list[Window], workers: int) -> datetime:
    log.info("workers.started", workers=workers, windows=len(windows))
    crew = _Crew(run, time_range, windows, workers)
    try:
        crew.store_all()
    except (RefusedError, SlowAnswerError) as error:
        log.warning("workers.stopped", reason=str(error))
    finally:
        crew.stop()
    return crew.covered_until(time_range.start)


def _windows(run: Run, time_range: TimeRange, workers: int) -> list[Window]:
    """Return disjoint windows from the beginning of the range on, by how many rows the server counts in it."""
    query = replace(
        window_query(Window(time_range.field, time_range.start, _end(run, time_range)), run.capabilities), limit=1
    )
    longest = run.capabilities.longest_range
    total = run.fetch(query).total if longest is None else None
    if not run.client.usage.requests:
        return []  # the server's time is not known yet
    end = min(_end(run, time_range), run.opened_at()).replace(microsecond=0)
    pages = _WINDOWS_EACH * workers * _PAGES if total is None else total / max(1, run.capabilities.limit() - 1)
    count = min(_WINDOWS_EACH * workers, int(pages / _PAGES))
    if end <= time_range.start or count < _LEAST_WINDOWS:
        return []
    size = max(timedelta(seconds=1), (end - time_range.start) / count)
    if longest is not None:
        size = min(size, longest - 2 * run.capabilities.smallest())
    if size <= timedelta():
        return []
    return list(_split(time_range, end, timedelta(seconds=math.ceil(size.total_seconds()))))


def _end(run: Run, time_range: TimeRange) -> datetime:
    return time_range.end or run.clock()


def _split(time_range: TimeRange, end: datetime, size: timedelta) -> Iterator[Window]:
    start = time_range.start
    while start < end:
        upto = min(end, start + size)
        yield Window(time_range.field, start, upto, None, time_range.filters)
        start = upto


class _Crew:
    """Workers that read the windows, and their windows' rows in the ledger."""

    def __init__(self, run: Run, time_range: TimeRange, windows: list[Window], workers: int) -> None:
        self._run = run
        self._time_range = time_range
        self._windows = windows
        self._workers = workers
        self._left: SimpleQueue[Window | None] = SimpleQueue()
        self._idle: deque[None] = deque()
        self._is_over = False
        self._least = (windows[0].end - windows[0].start) / _PARTS
        self._told: SimpleQueue[_News] = SimpleQueue()
        self._room: SimpleQueue[int] = SimpleQueue()
        self._entries: dict[datetime, WindowEntry] = {}
        self._requests: dict[datetime, int] = {}
        self._done: set[datetime] = set()
        for window in windows:
            self._left.put(window)
        for _ in range(_CHUNKS_EACH * workers):
            self._room.put(1)
        for _ in range(workers):
            context = copy_context()
            Thread(target=context.run, args=(self._work, run.another_client()), daemon=True).start()

    def store_all(self) -> None:
        """Store what the workers read until all windows are done, or one of them failed."""
        while len(self._done) < len(self._windows):
            news = [self._told.get()]
            while not self._told.empty():
                news.append(self._told.get())
            for window in dict.fromkeys(each.window for each in news):
                self._store([each for each in news if each.window is window])
            for error in (each.error for each in news):
                if error is not None:
                    raise error

    def covered_until(self, start: datetime) -> datetime:
        """Return up to where all is stored without a gap."""
        for window in self._windows:
            if window.start not in self._done:
                entry = self._entries.get(window.start)
                return entry.covered_until if entry else window.start
            start = window.end
        return start

    def stop(self) -> None:
        """Let no worker ask again."""
        self._is_over = True
        for _ in range(self._workers):
            self._left.put(None)
            self._room.put(0)

    def _store(self, news: list[_News]) -> None:
        window, last = news[0].window, news[-1]
        self._requests[window.start] = last.requests
        entry = self._entries.get(window.start) or self._opened(window)
        rows = [each.taken for each in news if each.taken is not None]
        with bound(window=interval(window.start, window.end)):
            if rows:
                entry.store(joined(rows))
                for _ in rows:
                    self._room.put(1)
            if isinstance(last.error, Exception):
                entry.fail(last.error)
            elif last.rest:
                entry.finish_early()
                self._cut(window, last.rest)
            elif last.taken is None and last.error is None:
                entry.finish()
                self._done.add(window.start)

    def _cut(self, window: Window, rest: tuple[Window, ...]) -> None:
        """Let a window end where others go on."""
        place = self._windows.index(window)
        self._windows[place : place + 1] = [replace(window, end=rest[0].start), *rest]
        self._done.add(window.start)

    def _opened(self, window: Window) -> WindowEntry:
        time_range, start = self._time_range, window.start
        entry = WindowEntry(
            self._run, time_range.job, time_range.field, time_range.reading, start, partial(_end_of, window),
            spent=lambda: self._requests[start],
        )  # fmt: skip
        self._entries[start] = entry
        return entry

    def _work(self, client: Client) -> None:
        """Read one window after the other."""
        while True:
            self._idle.append(None)
            window = self._left.get()
            self._idle.pop()
            if window is None or self._is_over:
                client.close()
                return
            before = client.usage.requests
            error: BaseException | None = None
            rest: tuple[Window, ...] = ()
            try:
                rest = self._read(client, window, before)
            except BaseException as failure:  # noqa: BLE001 raised where it is waited for
                error, self._is_over = failure, True
            self._told.put(_News(window, client.usage.requests - before, error=error, rest=rest))
            for part in rest:
                self._left.put(part)

    def _read(self, client: Client, window: Window, before: int) -> tuple[Window, ...]:
        """Read a window, to its end or up to what another worker shall share; return what is left of it."""
        fetch = partial(self._run.fetch, client=client)
        for chunk in READERS[self._time_range.reading](fetch, window, self._run.capabilities):
            if not self._room.get():
                return ()  # stopped: nobody listens any more
            self._told.put(_News(window, client.usage.requests - before, self._run.take(chunk)))
            if self._idle and self._left.empty() and (rest := self._shared(window, chunk)):
                return rest
        return ()

    def _shared(self, window: Window, chunk: Chunk) -> tuple[Window, ...]:
        """Return the two halves of what is left of a window, none if that is too little to be shared."""
        start = chunk.covered_until
        is_last = chunk.total is not None and chunk.total - len(chunk.records) < self._run.capabilities.limit()
        if start is None or start <= window.start or is_last or window.end - start < self._least:
            return ()
        middle = (start + (window.end - start) / 2).replace(microsecond=0)
        return (replace(window, start=start, end=middle), replace(window, start=middle)) if start < middle else ()


def _end_of(window: Window) -> datetime:
    return window.end
