"""Prefetch: one thread fetches and transforms the next pages while another stores, with a bounded queue between them.

All batches that are ready are stored together. So where the server is slow each page is stored as it comes, and where
the database is slow it stores more rows in each transaction.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from math import inf
from queue import Empty, SimpleQueue
from threading import Thread

from etl.extract.http.response_page import Page
from etl.load.upsert.batch_and_counts import Batch, concatenate

# Bytes of batches that wait or are being stored. More new rows at once are cheaper. Changed rows are scattered over
# the file, and SQLite holds all pages of a transaction in memory: some twenty for each row.
OF_NEW, OF_CHANGED = 2**24, 2**20
_PATIENCE = 0.00005  # seconds; a statement of SQLite is often shorter than the 5 ms that are usual
_USUAL_PATIENCE = sys.getswitchinterval()


@contextmanager
def switching_threads_often() -> Iterator[None]:
    """Let a thread wait only shortly for the other's Python code, which costs some switches.

    After each statement of SQLite the storing thread needs Python's lock again. The reading thread may hold it.
    """
    sys.setswitchinterval(_PATIENCE)
    try:
        yield
    finally:
        sys.setswitchinterval(_USUAL_PATIENCE)


def prefetch(
    pages: Iterator[Page], transform: Callable[[Page], Batch], *, most: int, wait: float = 0
) -> Iterator[Batch]:
    """Yield the batches of pages, merged where several are ready; an error of the pages comes after their batches.

    Batches that wait or are being stored take about ``most`` bytes, or are one page. Up to half of that, a batch waits
    ``wait`` seconds for the next page. The next request may be under way
    when a batch is yielded. No request is made once this iterator is closed.
    """
    reader = _Reader(pages, transform, most)
    context = copy_context()
    Thread(target=context.run, args=(reader.read,), name="kore-etl-reader", daemon=True).start()
    try:
        yield from reader.batches(wait)
    finally:
        reader.stop()


class _Reader:
    """The two queues between the threads: batches that are ready, and the bytes that were stored.

    Both wait in C: a signal handler never runs while Python code holds half of their state.
    """

    def __init__(self, pages: Iterator[Page], transform: Callable[[Page], Batch], most: int) -> None:
        self._pages = pages
        self._transform = transform
        self._most = most
        self._ready: SimpleQueue[Batch | BaseException | None] = SimpleQueue()
        self._stored: SimpleQueue[float] = SimpleQueue()

    def read(self) -> None:
        """Queue the batch of each page, and at last why reading ended: an error, or None."""
        weight = 0.0
        end: BaseException | None = None
        try:
            for page in self._pages:
                batch = self._transform(page)
                weight += batch.weight
                self._ready.put(batch)
                while weight > self._most or not self._stored.empty():
                    weight -= self._stored.get()
                if weight == -inf:
                    return
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            end = error
        self._ready.put(end)

    def batches(self, wait: float) -> Iterator[Batch]:
        """Yield what is ready, merged, once nothing came for ``wait`` seconds."""
        while True:
            found, last, weight = [], self._ready.get(), 0
            while isinstance(last, Batch):
                found.append(last)
                weight += last.weight
                try:
                    last = self._ready.get(timeout=0 if weight > self._most / 2 else wait)
                except Empty:
                    break
            if found:
                batch = concatenate(found)
                yield batch
                del batch, found
                self._stored.put(weight)
            if isinstance(last, BaseException):
                raise last
            if last is None:
                return

    def stop(self) -> None:
        """End the reading before its next request."""
        self._stored.put(inf)
