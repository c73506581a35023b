"""One run of a command on one source: what it holds, what it counted, and how a chunk of records is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from etl.errors import ApiError, RefusedError
from etl.extract.abilities import END_OF_TIME, SECOND, Abilities, ContradictedError
from etl.extract.answers import TooLargeAnswerError
from etl.extract.client import Client
from etl.extract.page import Page
from etl.extract.query import Query
from etl.extract.reading import Chunk
from etl.jobs.ahead import OF_CHANGED, OF_NEW
from etl.jobs.intake import Intake, Taken, batch_of, unknown_keys_of
from etl.jobs.rules import Rules, Tally
from etl.jobs.strangers import Strangers
from etl.load import counting, forgotten, rejected, runs, sources, unknown, watermarks
from etl.load.engine import reading, storing
from etl.load.failures import UnstorableError
from etl.load.sources import Source
from etl.load.store import Counts, store_together, store_what_fits
from etl.logs import get_logger
from etl.transform import Stream, TaskRows

log = get_logger()

_USUAL_PAGES = (50, 10)  # rows: what the API's sample asks for, and what it got


class Run:
    """A run under way: asks through one client, stores into one database, and keeps its ledger row up to date."""

    def __init__(  # noqa: PLR0913 what a run is made of
        self,
        engine: Engine,
        client: Client,
        source: Source,
        *,
        run_id: int,
        abilities: Abilities,
        by_hand: dict[str, Any],
        rules: Rules,
        clock: Callable[[], datetime],
        on_progress: Callable[[Tally, int | None], None] = lambda _tally, _total: None,
        before_fetch: Callable[[], None] = lambda: None,
        storing: AbstractContextManager[Any] = nullcontext(),  # noqa: B008 it holds nothing
        more_clients: Callable[[], Client] | None = None,
    ) -> None:
        self.engine = engine
        self.client = client
        self.source = source
        self.id = run_id
        self.abilities = abilities
        self.rules = rules
        self.clock = clock
        self.tally = Tally()
        self.by_hand = by_hand
        self._started = clock()
        self._opened_at: datetime | None = None
        self._latest_opening = END_OF_TIME
        self.stream = Stream(source.id, source.stream_id)
        with reading(engine) as connection:
            known = forgotten.forgotten_ids(connection, source.id)
            is_named = counting.any_of_stream(connection, source.id, source.stream_id)
            self.watermark_before = watermarks.read(connection, source.id)
        self.intake = Intake(self.stream, drop_fields=rules.drop_fields, forgotten=known)
        self.most_ahead = OF_CHANGED if engine.dialect.name == "sqlite" else OF_NEW
        self._strangers = Strangers(source.stream_id, is_named=is_named)
        self._on_progress = on_progress
        self._before_fetch = before_fetch
        self._storing = storing
        self._more_clients = more_clients or (lambda: client)
        self._helpers: list[Client] = []
        self._fitting: int | None = None  # rows that made an answer that can be read
        self._contradicted: set[str] = set()
        self._met_keys: set[str] = set()

    def another_client(self) -> Client:
        """Return one more client, for another thread; what it spends is this run's."""
        client = self._more_clients()
        client.has_answered = self.client.has_answered
        self._helpers.append(client)
        return client

    def fetch(self, query: Query, *, client: Client | None = None) -> Page:
        """Ask for a page; where so many rows are refused or too large to be read, ask for fewer and remember that.

        Raises:
            EtlError: as the client does.
        """
        self._before_fetch()
        query = self._within_limit(query)
        client = client or self.client
        try:
            return client.fetch(query)
        except TooLargeAnswerError as error:
            return self._fetch_less(client, query, error)
        except RefusedError:
            fewer = max((rows for rows in _USUAL_PAGES if query.limit and rows < query.limit), default=None)
            if fewer is None:
                raise
        page = client.fetch(replace(query, limit=fewer))  # refused as well: it is not the limit
        self.learn(
            self.abilities.learnt("page_rows", fewer, f"limit {query.limit} is refused, {fewer} is not"), "page_rows"
        )
        return page

    def _fetch_less(self, client: Client, query: Query, error: TooLargeAnswerError) -> Page:
        """Halve the rows until the answer can be read.

        Raises:
            TooLargeAnswerError: a single record is too large.
        """
        while query.limit and query.limit > 1:
            query = replace(query, limit=query.limit // 2)
            try:
                page = client.fetch(query)
            except TooLargeAnswerError as again:
                error = again
                continue
            self._fitting = query.limit
            evidence = f"more than {query.limit} rows are too large an answer"
            self.learn(self.abilities.learnt("page_rows", query.limit, evidence), "page_rows")
            return page
        raise error

    def _within_limit(self, query: Query) -> Query:
        most = min(filter(None, (self.abilities.page_rows, self._fitting)), default=None)
        return replace(query, limit=most) if query.limit and most and query.limit > most else query

    def opened_at(self) -> datetime:
        """Return the server's time when this run began, never later than it was; a request must have been made.

        A server that sends no ``Date`` leaves only this machine's clock, which may be ahead; what the server itself
        has dated cannot be.
        """
        if not self.client.usage.requests:
            raise AssertionError("the server's time is known by its answers only")
        if self._opened_at is None:
            if self.client.skew is None:
                return self._latest_certain_moment()
            self._opened_at = _whole(self._started + self.client.skew)
            self._latest_opening = self._opened_at + SECOND + (self.clock() - self._started)
        return self._opened_at

    def surely_opened_by(self) -> datetime:
        """Return a server's time that was not before this run began: what is dated later need not be read.

        ``Date`` is cut to the second, and the answer took some of the time since; without it nothing is sure.
        """
        self.opened_at()
        return self._latest_opening

    def _latest_certain_moment(self) -> datetime:
        with reading(self.engine) as connection:
            newest = counting.newest_update(connection, self.source.id, not_after=self._started)
        return min(self._started, newest or self._started - timedelta(days=1))

    def watermark(self) -> datetime | None:
        """Return the source's watermark."""
        with reading(self.engine) as connection:
            return watermarks.read(connection, self.source.id)

    def take(self, chunk: Chunk) -> Taken:
        """Return what a chunk's records are stored as; nothing is written."""
        rows, rejections = self.intake.take(chunk.records)
        rows, strangers = self._strangers.turn_away(chunk.records, rows)
        return Taken(rows, rejections + strangers, chunk.covered_until, chunk.total, chunk.settled, chunk.reason)

    def store(
        self,
        taken: Taken,
        *,
        ledger: Callable[[Connection], int | None] = lambda _connection: None,
        watermark: datetime | None = None,
    ) -> Counts:
        """Store what was taken, and what it covers, in one transaction.

        ``ledger`` writes the window's row in that transaction and returns its id.
        """
        try:
            return self._store(taken, ledger, watermark, store_together)
        except UnstorableError:  # so seldom that only then it is worth what leaving a record out takes
            return self._store(taken, ledger, watermark, store_what_fits)

    def _store(
        self,
        taken: Taken,
        ledger: Callable[[Connection], int | None],
        watermark: datetime | None,
        how: Callable[..., tuple[Counts, list[tuple[TaskRows, str]]]],
    ) -> Counts:
        rejections = list(taken.rejections)
        now = self.clock()
        with self._storing, storing(self.engine) as connection:
            runs.require_owner(connection, self.id)
            counts, left_out = how(
                connection, taken.rows, batch_of, run_id=self.id, now=now, on_laid_out=taken.on_laid_out
            )
            rejections += [(reason, str(each.task["_id"]), str(each.task["raw"])) for each, reason in left_out]
            self._count(len(taken), counts)
            window_id = ledger(connection)
            origin = rejected.Origin(self.source.id, self.id, window_id)
            self.tally.rejected += rejected.keep(connection, rejections, origin, now)
            unnoticed = self._unnoticed(taken.rows)
            new_keys = unknown.keep(connection, self.source.id, unnoticed, run_id=self.id, now=now)
            if watermark is not None:
                watermarks.advance(connection, self.source.id, watermark, run_id=self.id, now=now)
            runs.progress(connection, self.id, asdict(self.tally))
        for key in new_keys:
            log.info("key.unknown", key=key, see="kore-etl schema unknown")
        self._on_progress(self.tally, taken.total)
        return counts

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection in a transaction in which this run still owns its source.

        Raises:
            LockedError: another run has taken over.
        """
        with self.engine.begin() as connection:
            runs.require_owner(connection, self.id)
            yield connection

    def advance(self, watermark: datetime) -> None:
        """Move the watermark, all that it covers being stored."""
        with self.writing() as connection:
            watermarks.advance(connection, self.source.id, watermark, run_id=self.id, now=self.clock())

    def learn(self, abilities: Abilities, *questions: str) -> None:
        """Keep what was found out, and say what changed."""
        before, self.abilities = self.abilities, abilities.set_by_hand(self.by_hand)
        for question in questions:
            log.warning(
                "probe.changed",
                question=question,
                before=getattr(before, question),
                now=getattr(self.abilities, question),
                evidence=self.abilities.evidence.get(question),
            )
        with self.writing() as connection:
            sources.remember(connection, self.source.id, abilities.to_json(), self.clock())

    def accept(self, contradiction: ContradictedError) -> None:
        """Take over what the server just showed; raise where it shows that nothing known of it holds.

        Raises:
            ApiError: the same question was contradicted before in this run, or what was contradicted is set by hand.
        """
        question = contradiction.question
        if question in self.by_hand and self.by_hand[question] is not None:
            message = f"{contradiction}; it is set by hand: correct or remove the setting {question}"
            raise ApiError(message) from contradiction
        if question in self._contradicted or contradiction.answer == "neither":
            message = f"{contradiction}; what this server does cannot be read exactly"
            raise ApiError(message) from contradiction
        self._contradicted.add(question)
        self.learn(self.abilities.learnt(question, contradiction.answer, contradiction.evidence), question)

    def count_requests(self) -> None:
        """Bring the tally up to what the clients spent."""
        spent = [client.usage for client in (self.client, *self._helpers)]
        self.tally.requests = sum(usage.requests for usage in spent)
        self.tally.retries = sum(usage.retries for usage in spent)
        self.tally.rate_limited = sum(usage.rate_limited for usage in spent)

    def _unnoticed(self, rows: Sequence[TaskRows]) -> dict[str, tuple[str, str]]:
        """Return the keys that nothing here knows and that this run has not met before."""
        found = unknown_keys_of(rows)
        new = {key: found[key] for key in found.keys() - self._met_keys}
        self._met_keys |= new.keys()
        return new

    def _count(self, fetched: int, counts: Counts) -> None:
        self.count_requests()
        tally = self.tally
        tally.fetched += fetched
        tally.inserted += counts.inserted
        tally.updated += counts.updated
        tally.unchanged += counts.unchanged + counts.repeated
        tally.stale += counts.stale


def _whole(moment: datetime) -> datetime:
    """Cut a moment to the millisecond."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
