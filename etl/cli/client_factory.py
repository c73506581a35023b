"""Building what a job works with, from the settings: a client a source, a budget an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from sqlalchemy import Engine

from etl.errors import DatabaseError
from etl.extract.http.auth import Token
from etl.extract.http.connection import Endpoint
from etl.extract.http.rate_limiter import BudgetStore, RateLimiter
from etl.extract.http.retrying_client import Client
from etl.jobs.run.lifecycle import SourceSpec
from etl.jobs.run.options import SyncOptions
from etl.load.ledger.request_budgets import StoredBudgets
from etl.logs import get_logger
from etl.settings import Settings, SourceSettings, describe
from etl.stop_request import Stop
from etl.times import now

log = get_logger()


class Builder(Struct):
    """Makes the clients of a run; sources of one account share one budget.

    Clients ``in_background`` have the setting ``backfill_percent`` of it while syncs are due. Where they may not wait
    for the budget, they raise an error instead.
    """

    settings: Settings
    engine: Engine | None = None
    stop: Stop = field(default_factory=Stop)
    budgets: dict[str, RateLimiter] = field(default_factory=dict)
    stored: StoredBudgets | None = None
    clock: Callable[[], datetime] = now
    on_wait: Callable[[float], None] = lambda _seconds: None
    in_background: bool = False
    may_wait: bool = True

    def client(self, source: SourceSettings) -> Client:
        """Return a client for a source."""
        settings = self.settings
        endpoint = Endpoint(
            base_url=source.base_url,
            account_id=source.account_id,
            stream_id=source.stream_id,
            timezone_offset=source.timezone_offset,
            connect_timeout=settings.connect_timeout.total_seconds(),
            read_timeout=settings.timeout.total_seconds(),
            deadline=settings.deadline.total_seconds(),
            ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        )
        return Client(
            endpoint,
            Token(source, self.clock),
            self.budget(source),
            clock=self.clock,
            on_retry=_log_retry,
            sleep=self.stop.sleep,
            stop=self.stop,
            percent=settings.backfill_percent if self.in_background else 100,
            may_wait=self.may_wait,
        )

    def budget(self, source: SourceSettings) -> RateLimiter:
        """Return the budget of a source's account, which all that use this database share."""
        budget = self.budgets.get(source.account_id)
        if budget is None:
            sharing = [other for other in self.settings.sources if other.account_id == source.account_id] or [source]
            budget = RateLimiter(
                min(other.requests_per_minute for other in sharing),
                min((other.requests_per_hour for other in sharing if other.requests_per_hour), default=None),
                store=self._store(source.account_id),
                sleep=self.stop.sleep,
                on_wait=self._tell_wait,
            )
            self.budgets[source.account_id] = budget
        return budget

    def give_back(self, source: SourceSettings) -> float:
        """Give back what this process holds of a source's budget; return the share that its account has spent."""
        budget = self.budget(source)
        with suppress(DatabaseError):  # slots come back by themselves, only later
            budget.give_back()
            return budget.share()
        return 0.0

    def close(self) -> None:
        """Give back what this process holds of all budgets, and close their file."""
        with suppress(DatabaseError):
            for budget in self.budgets.values():
                budget.give_back()
        if self.stored is not None:
            self.stored.close()

    def _store(self, account_id: str) -> BudgetStore | None:
        if self.engine is None:
            return None
        self.stored = self.stored or StoredBudgets(self.engine)
        return self.stored.of(account_id)

    def _tell_wait(self, seconds: float) -> None:
        self.on_wait(seconds)  # as it is now: each source has a display of its own

    def source_spec(self, source: SourceSettings) -> SourceSpec:
        """Return all that a job needs to know about a source."""
        settings = self.settings
        return SourceSpec(
            source=source,
            client=self.client(source),
            make_client=lambda: self.client(source),
            options=SyncOptions(
                lookback=settings.overlap,
                verify_within=settings.verify_within,
                settle=settings.settle,
                start=source.start,
                window_least=settings.window_least,
                window_most=settings.window_most,
                drop_fields=settings.drop_fields,
                timezone=source.timezone,
            ),
            overrides=overrides(source),
            settings=shown(settings, source.name),
        )


def overrides(source: SourceSettings) -> dict[str, Any]:
    """Return the capabilities that the settings fix by hand."""
    return {
        "window_field": source.window_field,
        "ends_inclusive": source.ends_inclusive,
        "granularity": source.granularity,
        "sort_updated": source.sort_updated,
        "sort_created": source.sort_created,
        "page_rows": source.page_size,
        "longest_range": source.longest_range,
    }


def shown(settings: Settings, source: str) -> Mapping[str, Any]:
    """Return the settings of a source, with secrets masked."""
    mine = f"source.{source}."
    values = {key.removeprefix(mine): value for key, value in describe(settings).items()}
    return {key: value for key, value in values.items() if "." not in key}


def _log_retry(reason: str, seconds: float) -> None:
    # At once: only with another token. If that is refused too, the error says the same.
    tell = log.info if seconds else log.debug
    tell("request.retried", reason=reason, wait=round(seconds, 1))
