"""What a run counts, and the settings that it obeys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(slots=True)
class RunCounters:
    """What a run counted; the names are those of ``sync_runs``. Those from ``server_total`` on are its account."""

    requests: int = 0
    retries: int = 0
    rate_limited: int = 0
    windows: int = 0
    unverified: int = 0
    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    rejected: int = 0
    server_total: int | None = None
    stored_live: int | None = None
    quarantined: int | None = None
    hidden: int | None = None
    missing: int | None = None


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """The settings that a run obeys; ``lookback`` is the setting ``overlap``."""

    lookback: timedelta = timedelta(minutes=5)
    settle: timedelta = timedelta(seconds=10)
    start: datetime | None = None
    window_least: timedelta | None = None
    window_most: timedelta | None = None
    drop_fields: tuple[str, ...] = ()
