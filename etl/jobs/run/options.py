"""What a run counts, and the settings that it obeys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import asdict


class RunCounters(Struct):
    """What a run counted; the names are those of ``sync_runs``. ``server_total`` to ``missing`` are its account."""

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
    mended: int = 0


ADDED_UP = tuple(name for name, begins_at in asdict(RunCounters()).items() if begins_at == 0)
"""The counters that workers add up; the others, which begin unknown, are the account of a run."""


class SyncOptions(Struct, frozen=True):
    """The settings that a run obeys; ``lookback`` is the setting ``overlap``."""

    lookback: timedelta = timedelta(minutes=5)
    settle: timedelta = timedelta(seconds=10)
    start: datetime | None = None
    window_least: timedelta | None = None
    window_most: timedelta | None = None
    drop_fields: tuple[str, ...] = ()
    verify_within: timedelta = timedelta(days=7)
    timezone: str = "UTC"


def not_marked(account: Mapping[str, int | None]) -> int:
    """Return how many tasks an account tells to be deleted on the server and not marked here yet."""
    here = sum(account[name] or 0 for name in ("stored_live", "quarantined", "hidden", "missing"))
    return here - (account["server_total"] or 0)


def account_text(account: Mapping[str, int | None]) -> str | None:
    """Return an account for a person: "server counts 10,020: 10,017 stored, 3 quarantined"; None without a total."""
    total = account["server_total"]
    if total is None:
        return None
    stored = account["stored_live"] or 0
    parts = [f"{stored:,} stored"]
    parts += [f"{account[name]:,} {name}" for name in ("quarantined", "hidden", "missing") if account[name]]
    if (more := not_marked(account)) > 0:
        parts.append(f"{more:,} more here than there")
    return f"server counts {total:,}: {', '.join(parts)}"
