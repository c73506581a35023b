"""When a run began by the server's clock, which dates the tasks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from etl.extract.capabilities import END_OF_TIME, SECOND
from etl.extract.http.client import Client
from etl.jobs.pipeline.source_store import SourceStore
from etl.load.queries import statistics


class ServerClock:
    """Bounds of the server's time at which a run began; a request must have been made.

    A server that sends no ``Date`` leaves only this machine's clock, which may be ahead. Then the newest date that the
    server itself gave is the latest moment that is certain.
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
            if self._client.skew is None:
                return self._latest_certain_moment()
            start = self._started + self._client.skew
            self._earliest = start.replace(microsecond=start.microsecond // 1000 * 1000)
            self._latest = self._earliest + SECOND + (self._clock() - self._started)
        return self._earliest

    def latest_start(self) -> datetime:
        """Return a moment that is not before the beginning of the run: later changes belong to the next run.

        ``Date`` is cut to the second, and the answer took some of the time since. Without it nothing is certain.
        """
        self.earliest_start()
        return self._latest

    def _latest_certain_moment(self) -> datetime:
        newest = self._store.read(statistics.newest_update, not_after=self._started)
        return min(self._started, newest or self._started - timedelta(days=1))
