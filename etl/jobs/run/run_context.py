"""What the jobs of one run share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from etl.jobs.pipeline.batch_transaction import BatchWriter
from etl.jobs.pipeline.transform_pages import BatchTransformer
from etl.jobs.run.ensure_capabilities import CapabilityTracker
from etl.jobs.run.fenced_transactions import SourceStore
from etl.jobs.run.options import RunCounters, SyncOptions
from etl.jobs.run.page_requests import Fetcher
from etl.jobs.run.server_clock import ServerClock
from etl.load.ledger.sources import Source
from etl.load.queries import present_tasks


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run of a command on one source: fetches through ``fetch``, stores through ``writer``, asks ``store``."""

    id: int
    source: Source
    options: SyncOptions
    clock: Callable[[], datetime]
    counters: RunCounters
    store: SourceStore
    capabilities: CapabilityTracker
    fetch: Fetcher
    server_clock: ServerClock
    transformer: BatchTransformer
    writer: BatchWriter
    watermark_before: datetime | None
    counted: dict[tuple[int, int], int] = field(default_factory=dict)
    confirms_collapse: bool = False

    def count_stored(self) -> int:
        """Count the tasks that the server should count, and again only after a task was stored or changed."""
        key = (self.counters.inserted, self.counters.updated)
        if key not in self.counted:
            with_inactive = self.capabilities.current.counts_inactive is not False
            self.counted[key] = self.store.read(present_tasks.count, with_inactive=with_inactive)
        return self.counted[key]

    def lookback(self) -> timedelta:
        """Return how far behind the watermark a sync starts: the setting, and what the server rounds dates to."""
        return self.options.lookback + self.store.read(present_tasks.rounding)
