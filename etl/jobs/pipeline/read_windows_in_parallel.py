"""Reads several windows at once where latency limits a long reading; many threads read and one stores.

The windows stand in the ledger. As many threads as the request budget keeps busy claim and read them, the earliest ones
first. Where no window is left, a window ends at its checkpoint, and idle threads share its rest. The range is complete
up to the first window that is not finished.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime, timedelta
from queue import SimpleQueue
from threading import Condition, Thread

from msgspec import Struct
from msgspec.structs import replace

from etl.errors import DatabaseError, LockedError, RefusedError
from etl.extract.http.response_errors import SlowAnswerError
from etl.extract.http.response_page import Page
from etl.extract.paging.page_checks import Window, window_query
from etl.extract.paging.read_strategy import READERS
from etl.jobs.pipeline.read_windows import TimeRange
from etl.jobs.pipeline.window_progress import WindowProgress
from etl.jobs.run.fetcher import Fetcher
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import claims, runs, windows
from etl.load.ledger.windows import WindowRow
from etl.load.upsert.batch_and_counts import Batch, concatenate
from etl.logs import bound, get_logger
from etl.times import interval

log = get_logger()

MOST_WORKERS = 8
_NOTICEABLE = 0.05  # seconds: what an answer takes by itself, where nothing is far
PAGES = 5  # of a window, about, at least: its last page is not full
_WINDOWS_EACH = 8  # of a worker, at most: some are full, others empty
_LEAST_WINDOWS = 4  # for which it is worth it
_PAGES_EACH = 2  # that a worker may be ahead
_PARTS = 32  # of a window, that may become one of their own


class _Message(Struct, frozen=True):
    """A thread's message about a window: a batch, or its end, with the requests so far; without one, its own end.

    A window that ``is_shared`` ends at its checkpoint: its rest is in other windows.
    """

    window: WindowRow | None
    requests: int
    batch: Batch | None = None
    error: BaseException | None = None
    is_shared: bool = False


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
        planned = plan_windows(run, time_range, most=_WINDOWS_EACH * workers, least=_LEAST_WINDOWS)
        return _read(run, time_range, planned, workers) if planned else time_range
    except (RefusedError, SlowAnswerError) as error:
        log.warning("workers.not_used", reason=str(error))
        return time_range


def _read(run: RunContext, time_range: TimeRange, planned: list[Window], workers: int) -> TimeRange:
    run.store.commit()  # other threads send the requests
    log.info("workers.started", workers=workers, windows=len(planned))
    crew = _Crew(run, time_range, planned, workers)
    try:
        crew.store_all()
    except (RefusedError, SlowAnswerError) as error:
        log.warning("workers.stopped", reason=str(error))
    except BaseException:
        crew.stop()
        with suppress(DatabaseError, LockedError):  # the first error is told
            _close_windows(run)
        raise
    crew.stop()
    _close_windows(run)
    reached = run.store.read(windows.progress, time_range.job, time_range.field, time_range.start, run_id=run.id)
    return time_range if reached is None else replace(time_range, start=reached.checkpoint)


def _close_windows(run: RunContext) -> None:
    with run.store.writing() as connection:
        runs.close_windows(connection, [run.id])


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
    pages = most * PAGES if total is None else total / max(1, capabilities.limit() - 1)
    count = min(most, int(pages / PAGES))
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
        yield Window(time_range.field, start, upto, None)
        start = upto


class _Crew:
    """Threads that claim windows and read them, and the windows' records."""

    def __init__(self, run: RunContext, time_range: TimeRange, planned: list[Window], workers: int) -> None:
        self._run = run
        self._time_range = time_range
        self._workers = workers
        self._least = (planned[0].end - planned[0].start) / _PARTS
        self._changed = Condition()
        self._reading = 0
        self._waiting = 0
        self._added = 0
        self._is_over = False
        self._messages: SimpleQueue[_Message] = SimpleQueue()
        self._room: SimpleQueue[int] = SimpleQueue()
        self._records: dict[int, WindowProgress] = {}
        self._add([(each.start, each.end) for each in planned])
        for _ in range(_PAGES_EACH * workers):
            self._room.put(1)
        for _ in range(workers):
            context = copy_context()
            Thread(target=context.run, args=(self._work, run.fetch.another()), daemon=True).start()

    def store_all(self) -> None:
        """Store what the threads read until all of them have ended, or one of them failed."""
        ended = 0
        while ended < self._workers:
            messages = [self._messages.get()]
            while not self._messages.empty():
                messages.append(self._messages.get())
            for window in dict.fromkeys(each.window for each in messages if each.window is not None):
                self._store(window, [each for each in messages if each.window == window])
            for error in (each.error for each in messages):
                if error is not None:
                    raise error
            ended += sum(each.window is None for each in messages)

    def stop(self) -> None:
        """Stop every thread before its next request."""
        self._is_over = True
        for _ in range(self._workers):
            self._room.put(0)
        with self._changed:
            self._changed.notify_all()

    def _store(self, window: WindowRow, messages: list[_Message]) -> None:
        last, writer = messages[-1], self._run.writer
        record = self._records.get(window.id) or WindowProgress.begin(
            self._time_range.job, self._time_range.field, self._time_range.paging, window.start, window.id
        )
        batches = [each.batch for each in messages if each.batch is not None]
        with bound(window=interval(window.start, window.end)):
            if batches:
                batch = concatenate(batches)
                record = record.extended(batch, end=window.end, requests=last.requests)
                writer.store(batch, record, takes_back=self._time_range.takes_back)
                if self._time_range.shown is not None:
                    self._time_range.shown.add(batch)
                for _ in batches:
                    self._room.put(1)
            if isinstance(last.error, Exception):
                record = record.failed(last.error, window.end, requests=last.requests)
                writer.fail_window(record)
            elif last.batch is None and last.error is None and record.is_open:
                record = record.cut_short() if last.is_shared else record.finished(window.end, requests=last.requests)
                writer.close_window(record)
        self._records[window.id] = record

    def _work(self, fetch: Fetcher) -> None:
        """Read one window after the other."""
        try:
            while (window := self._claim()) is not None:
                self._read(fetch, window)
            self._messages.put(_Message(None, 0))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._messages.put(_Message(None, 0, error=error))
        finally:
            fetch.client.close()

    def _read(self, fetch: Fetcher, window: WindowRow) -> None:
        """Read a window to its end, or until other threads share the rest."""
        before, is_shared = fetch.requests, False
        error: BaseException | None = None
        try:
            is_shared = self._read_pages(fetch, window, before)
        except BaseException as failure:  # noqa: BLE001 - raised where it is waited for
            error, self._is_over = failure, True
        self._messages.put(_Message(window, fetch.requests - before, error=error, is_shared=is_shared))
        with self._changed:
            self._reading -= 1
            self._changed.notify_all()

    def _claim(self) -> WindowRow | None:
        """Claim the next window; where none is left, wait for the rest of one that is read; None at the end."""
        with self._changed:
            while not self._is_over:
                window = self._run.writer.write_between(claims.claim_own, self._run.id)
                if window is not None:
                    self._reading += 1
                    return window
                before = self._added
                self._waiting += 1
                while self._reading and self._added == before and not self._is_over:
                    self._changed.wait()
                self._waiting -= 1
                if self._added == before:
                    return None
        return None

    def _read_pages(self, fetch: Fetcher, window: WindowRow, before: int) -> bool:
        """Read a window to its end, or until other threads share the rest, and tell whether they do."""
        asked = Window(self._time_range.field, window.start, window.end, None)
        for page in READERS[self._time_range.paging](fetch, asked, self._run.capabilities.current):
            if not self._room.get():
                return False  # stopped: nobody listens any more
            batch = self._run.transformer.transform(page)
            self._messages.put(_Message(window, fetch.requests - before, batch))
            if self._waiting and (rest := self._halves(asked, page)):
                self._add(rest)
                return True
        return False

    def _halves(self, window: Window, page: Page) -> list[tuple[datetime, datetime]]:
        """Return the two halves of what is left of a window, none if that is too little to be shared."""
        start = page.checkpoint
        is_last = page.total is not None and page.total - len(page.records) < self._run.capabilities.current.limit()
        if start is None or start <= window.start or is_last or window.end - start < self._least:
            return []
        middle = (start + (window.end - start) / 2).replace(microsecond=0)
        return [(start, middle), (middle, window.end)] if start < middle else []

    def _add(self, ranges: list[tuple[datetime, datetime]]) -> None:
        """Let the threads claim some ranges."""
        run, time_range = self._run, self._time_range
        row = {"run_id": run.id, "job": time_range.job, "field": time_range.field, "strategy": time_range.paging}
        run.writer.write_between(claims.add, ranges, **row, opened_at=run.server_clock.earliest_start())
        with self._changed:
            self._added += 1
            self._changed.notify_all()
