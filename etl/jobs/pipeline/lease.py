"""Who works on a source, and when: one sync and one backfill may be under way, and they take turns, the sync first.

Each holds the lock of its own kind for its whole life, so that a second of the kind ends at once. Both fetch and store
only while they hold the turn. A sync keeps it; a backfill offers it now and then, between two pages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock as Mutex

from sqlalchemy import Engine

from etl.load.database.locks import Lock, held, named_lock
from etl.load.ledger.runs import BACKGROUND

_TURN = 1.0  # seconds that a backfill keeps the turn
_COURTESY = 0.02  # seconds in which a waiting sync can take it
_WAITED = 0.1  # seconds from which on another run had the turn


class Turn:
    """The right to fetch and store, held from its making on.

    Who fetches offers it. Who stores meanwhile does so under ``storing``: it is taken while another run has the turn.
    """

    def __init__(self, lock: Lock, *, makes_way: bool) -> None:
        self._lock = lock
        self._makes_way = makes_way
        self._since = 0.0
        self.storing = Mutex()
        self.on_return: Callable[[float], None] = lambda _seconds: None
        self._take()

    def offer(self) -> None:
        """Let a waiting sync go first, if this run makes way and had its time; return when the turn is back."""
        if not self._makes_way or time.monotonic() - self._since < _TURN:
            return
        with self.storing:
            if time.monotonic() - self._since < _TURN:
                return  # another thread has just offered it
            self._lock.release()
            time.sleep(_COURTESY)
            waited = self._take()
        if waited > _WAITED:
            self.on_return(waited)

    def end(self) -> None:
        """Give the turn up."""
        self._lock.release()

    def _take(self) -> float:
        before = time.monotonic()
        self._lock.acquire(wait=True)
        self._since = time.monotonic()
        return self._since - before


@contextmanager
def turn_of(engine: Engine, command: str, *, source: str, name: str) -> Iterator[Turn]:
    """Give a command its turn on a source, given by its identity; ``name`` is for a person.

    Raises:
        LockedError: another run of the same kind is under way.
    """
    kind = "backfill" if command in BACKGROUND else "sync"
    with held(named_lock(engine, f"{kind} {source}"), f"source {name}"):
        turn = Turn(named_lock(engine, f"turn {source}"), makes_way=command in BACKGROUND)
        try:
            yield turn
        finally:
            turn.end()
