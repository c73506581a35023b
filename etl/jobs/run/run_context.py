"""What the jobs of one run share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from msgspec import Struct, field

from etl import exact_json
from etl.extract.http.query import Field
from etl.extract.http.response_page import moment_of
from etl.extract.paging.read_strategy import ReadStrategy, choose_strategy
from etl.jobs.pipeline.batch_transaction import BatchWriter
from etl.jobs.pipeline.transform_pages import BatchTransformer
from etl.jobs.run.ensure_capabilities import CapabilityTracker
from etl.jobs.run.fenced_transactions import SourceStore
from etl.jobs.run.fetcher import Fetcher
from etl.jobs.run.options import RunCounters, SyncOptions
from etl.jobs.run.server_clock import ServerClock
from etl.load.ledger import rejected_records
from etl.load.ledger.sources import Source
from etl.load.queries import stored_tasks
from etl.logs import get_logger

log = get_logger()


class RunContext(Struct, frozen=True):
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
    counted: dict[tuple[str, int, int, int], int | None] = field(default_factory=dict)
    confirms_collapse: bool = False

    @property
    def start(self) -> datetime | None:
        """The setting ``start``, as the server's dates can tell it: the tasks from there on count, and undated ones."""
        start = self.options.start
        return None if start is None else self.capabilities.current.instant(start)

    @property
    def strategy(self) -> ReadStrategy:
        """How the source is read, as far as its server is known now."""
        return choose_strategy(self.capabilities.current)

    def note_unverified(self, problem: str) -> None:
        """Let the run end with exit code 3 because rows may be missing, unless ``problem`` is empty."""
        if problem:
            self.counters.unverified += 1
            log.warning("account.unverified", reason=problem, see="kore-etl sync --full")

    def count_stored(self) -> int:
        """Count the tasks that the server should count, and again only after a task was stored or changed.

        Where the setting ``start`` is set, these are the tasks from there on, and those without a date.
        """
        field, start = self.strategy.field, self.start
        with_inactive = self.capabilities.current.counts_inactive is not False
        count = partial(self.store.read, stored_tasks.count, field, start, with_inactive=with_inactive)
        return self._count("stored", count)

    def count_quarantined(self) -> int:
        """Count the rejected records that are no task here, and again only after a record was stored or rejected."""
        if self.start is not None:
            return self._count("quarantined", lambda: len(self.quarantined_moments()))
        return self._count("quarantined", lambda: self.store.read(rejected_records.count_not_stored))

    def quarantined_moments(self) -> list[datetime | None]:
        """Return the dates of the rejected records that are no task here, as far as they count."""
        field, start = self.strategy.field, self.start
        moments = [_moment_of_text(raw, field) for raw in self.store.read(rejected_records.not_stored)]
        return [moment for moment in moments if moment is None or start is None or moment >= start]

    def _count(self, what: str, count: Callable[[], int]) -> int:
        key = (what, self.counters.inserted, self.counters.updated, self.counters.rejected)
        if (known := self.counted.get(key)) is None:
            known = self.counted[key] = count()
        return known


def _moment_of_text(raw: str, field: Field) -> datetime | None:
    try:
        return moment_of(exact_json.read(raw), field)
    except (ValueError, RecursionError):
        return None
