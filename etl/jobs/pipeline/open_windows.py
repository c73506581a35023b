"""Windows that end in the present: they reach to all that is dated by now, while more tasks come.

A read that goes on no faster than time would follow new tasks for ever. It stops, and the run tells of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.response_page import Page
from etl.extract.paging.page_checks import Fetch, Window
from etl.extract.paging.read_strategy import READERS, Paging
from etl.jobs.run.run_context import RunContext

_LOST = 200  # requests in which a read that comes nearer to the present would show it


def read_recent(run: RunContext, since: datetime) -> Iterator[Page]:
    """Yield the pages of all that is dated from a time on, by several windows where the server limits ranges."""
    capabilities, horizon = run.capabilities.current, run.server_clock.horizon()
    strategy = run.strategy
    while since < horizon:
        end = capabilities.latest_end(since)
        yield from read_open(run, strategy.history, run.fetch, Window(strategy.field, since, end), capabilities)
        since = end


def read_open(
    run: RunContext, paging: Paging, fetch: Fetch, window: Window, capabilities: ServerCapabilities
) -> Iterator[Page]:  # fmt: skip
    """Yield the pages of a window that ends in the present; the last one is unverified if tasks came too fast."""
    pace = _Pace(run.clock(), window.start, run.fetch.requests)
    for page in READERS[paging](fetch, window, capabilities):
        yield page
        pace.rows += len(page)
        reached = page.checkpoint
        if reached is None or reached <= run.server_clock.earliest_start():
            continue
        if pace.is_lost(run, reached):
            reason = f"tasks come as fast as they are read: those since {reached} are left to the next run"
            yield Page([]).covering(reached, unverified=reason)
            return


class _Pace(Struct):
    """How far a read was at some time and after which requests, and how many rows came since."""

    time: datetime
    reached: datetime
    requests: int
    rows: int = 0

    def is_lost(self, run: RunContext, reached: datetime) -> bool:
        """Tell whether the last few hundred requests brought few rows, and came no nearer to the present."""
        requests = run.fetch.requests - self.requests
        if requests < _LOST:
            return False
        time, few = run.clock(), requests * run.capabilities.current.limit() / 2
        is_lost = reached - self.reached <= 2 * (time - self.time) and self.rows < few
        self.time, self.reached, self.requests, self.rows = time, reached, run.fetch.requests, 0
        return is_lost
