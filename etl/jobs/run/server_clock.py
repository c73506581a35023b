"""When a run began by the clock that dates the tasks, which no answer tells for certain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from etl.extract.capabilities import END_OF_TIME, SECOND
from etl.extract.http.retrying_client import NOTICEABLE_SKEW, Client
from etl.jobs.run.fenced_transactions import SourceStore
from etl.load.queries import stored_tasks
from etl.times import to_milliseconds

_NEAR = timedelta(days=1)  # how far ahead the clock that dates tasks may be where nothing tells its time


class ServerClock:
    """Bounds of the time at which a run began; a request must have been made.

    A gateway sends ``Date``, another machine dates the tasks. Where ``Date`` and this machine's clock agree they are
    believed. Where they differ, or there is no ``Date``, the newest date that the server has shown is the latest moment
    that is certain to be past.
    """

    def __init__(self, client: Client, clock: Callable[[], datetime], store: SourceStore) -> None:
        self._client = client
        self._clock = clock
        self._store = store
        self._started = clock()
        self._earliest: datetime | None = None
        self._latest = END_OF_TIME

    @property
    def is_known(self) -> bool:
        """Tell whether the server has answered in this run."""
        return bool(self._client.usage.requests)

    def earliest_start(self) -> datetime:
        """Return a moment that is not after the beginning of the run."""
        if not self.is_known:
            raise AssertionError("the server's time is known by its answers only")
        if self._earliest is None:
            self._earliest = self._find()
        return self._earliest

    def latest_start(self) -> datetime:
        """Return a moment that is not before the beginning of the run: later changes belong to the next run.

        ``Date`` is cut to the second, and the answer took some of the time since. Where the clocks disagree nothing is
        certain.
        """
        self.earliest_start()
        return self._latest

    def horizon(self) -> datetime:
        """Return a moment behind all that is dated by now, for a range that has to end somewhere."""
        latest = self.latest_start()
        return latest if latest < END_OF_TIME else max(self._by_date(), self._clock()) + _NEAR

    def newest_past(self, moments: Iterable[datetime | None]) -> datetime:
        """Return the latest of some moments that are no dates of the future, at least the earliest start."""
        start, latest = self.earliest_start(), self.latest_start()
        if latest == END_OF_TIME:
            latest = max(self._by_date(), self._started) + SECOND
        return max((each for each in moments if each is not None and start <= each <= latest), default=start)

    def _by_date(self) -> datetime:
        start = self._started + (self._client.skew or timedelta())
        return to_milliseconds(start)

    def _find(self) -> datetime:
        start, skew = self._by_date(), self._client.skew
        latest = start + SECOND + (self._clock() - self._started)
        newest = self._store.read(stored_tasks.newest_update)
        shown = [moment for moment in (newest, self._client.newest_update) if moment is not None]
        if skew is not None and abs(skew) <= NOTICEABLE_SKEW:
            if all(moment <= latest for moment in shown):
                self._latest = latest
            return start
        nothing = min(start, self._started) - _NEAR
        past = [moment for moment in shown if moment <= latest]
        if newest is not None and newest > latest:  # a date of the future hides those below it
            past.append(self._store.read(stored_tasks.newest_update, not_after=latest) or nothing)
        return min(start, max(past, default=nothing))
