"""Reading ahead: one thread asks, parses and transforms while another stores, with one bounded queue between them.

Whoever stores takes all that is ready at once. So where the server is slow each page is stored as it comes, and where
the database is, it writes more rows with each transaction.

Two threads that both run Python wait for each other. So the one that reads goes on once the other has laid out what it
stores, and the database works by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import replace
from math import inf
from queue import SimpleQueue
from threading import Thread

from etl.extract.paging.base import Chunk
from etl.jobs.pipeline.batch import Taken, joined

# Bytes of what is read and not being stored yet. New rows are the cheaper the more are stored at once. Of changed ones
# SQLite holds in memory whatever pages they are on, with their indexes: for each some twenty, where there are many.
OF_NEW, OF_CHANGED = 2**22, 2**20


def read_ahead(chunks: Iterator[Chunk], take: Callable[[Chunk], Taken], *, most: int) -> Iterator[Taken]:
    """Yield what ``take`` makes of the chunks, several in a row as one; what they raise comes behind what they gave.

    What is read and not being stored yet takes about ``most`` bytes at the most, or is one chunk. The next request may
    be under way when a chunk is yielded. None is made once this iterator is closed.
    """
    ahead = _Ahead(chunks, take, most)
    context = copy_context()
    Thread(target=context.run, args=(ahead.read,), name="kore-etl-reader", daemon=True).start()
    try:
        yield from ahead.ready()
    finally:
        ahead.stop()


class _Ahead:
    """What the two threads share: what was taken, and how much of it was fetched from here.

    Both are queues that wait without a line of Python, which a signal could break off halfway.
    """

    def __init__(self, chunks: Iterator[Chunk], take: Callable[[Chunk], Taken], most: int) -> None:
        self._chunks = chunks
        self._take = take
        self._most = most
        self._taken: SimpleQueue[Taken | BaseException | None] = SimpleQueue()
        self._fetched: SimpleQueue[float] = SimpleQueue()

    def read(self) -> None:
        """Put down what there is to read, and at last why it ended: an error, or None."""
        weight = 0.0
        end: BaseException | None = None
        try:
            for chunk in self._chunks:
                taken = self._take(chunk)
                weight += taken.weight()
                self._taken.put(taken)
                while weight > self._most or not self._fetched.empty():
                    weight -= self._fetched.get()
                if weight == -inf:
                    return
        except BaseException as error:  # noqa: BLE001 raised where it is waited for
            end = error
        self._taken.put(end)

    def ready(self) -> Iterator[Taken]:
        """Yield what is there, as one, as soon as there is anything."""
        while True:
            found, last = [], self._taken.get()
            while isinstance(last, Taken):
                found.append(last)
                if self._taken.empty():
                    break
                last = self._taken.get()
            if found:
                yield from self._handed_over(found)
            if isinstance(last, BaseException):
                raise last
            if last is None:
                return

    def _handed_over(self, found: list[Taken]) -> Iterator[Taken]:
        fetched = [sum(taken.weight() for taken in found)]

        def go_on() -> None:
            if fetched:
                self._fetched.put(fetched.pop())

        yield replace(joined(found), on_laid_out=go_on)
        go_on()

    def stop(self) -> None:
        """Let the reading end before its next request."""
        self._fetched.put(inf)
