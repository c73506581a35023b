"""Fetches the pages of one run."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from etl.errors import RefusedError
from etl.extract.http.query import Query
from etl.extract.http.response_errors import TooLargeAnswerError
from etl.extract.http.response_page import Page, is_inactive
from etl.extract.http.retrying_client import Client, Usage
from etl.extract.paging.page_checks import EVERYTHING
from etl.jobs.run.ensure_capabilities import CapabilityTracker
from etl.jobs.run.fenced_transactions import SourceStore
from etl.jobs.run.source_lease import SourceLease

_USUAL_PAGES = (50, 10)  # rows: what the API's sample asks for, and what it got


class Fetcher:
    """A function from query to page. If a page is refused or too large, it asks for fewer rows from then on."""

    def __init__(
        self,
        client: Client,
        store: SourceStore,
        capabilities: CapabilityTracker,
        lease: SourceLease,
        make_client: Callable[[], Client],
    ) -> None:
        self.client = client
        self._store = store
        self._capabilities = capabilities
        self._lease = lease
        self._make_client = make_client
        self._others: list[Fetcher] = []
        self.tells_totals: bool | None = None
        self.undated_total: int | None = None
        self.is_last_empty = False
        self.may_make_way = True

    def __call__(self, query: Query) -> Page:
        """Return the page that answers a query; keep the last total that counts every task of the source.

        Raises:
            EtlError: as the client does.
        """
        page = self._fetch(query)
        self.tells_totals = page.total is not None
        self.is_last_empty = not page.records
        if replace(query, skip=0, limit=None, sort_by=None) == EVERYTHING:
            self.undated_total = page.total
        self._learn_inactive(query, page)
        return page

    def _learn_inactive(self, query: Query, page: Page) -> None:
        """Learn whether totals count inactive tasks, from a page that shows all rows of its query."""
        if page.total is None or query.skip or page.has_more or len(page) >= (query.limit or 0):
            return
        inactive = sum(is_inactive(record) for record in page.distinct())
        answer = len(page) == page.total
        current = self._capabilities.current
        if not inactive or current.counts_inactive is answer or len(page) not in (page.total, page.total + inactive):
            return
        evidence = f"the total was {page.total} where {len(page)} tasks came, {inactive} of them inactive"
        changed = [] if current.counts_inactive is None else ["counts_inactive"]
        self._capabilities.learn(current.with_answer("counts_inactive", answer, evidence), *changed)

    def _fetch(self, query: Query) -> Page:
        self._store.commit()
        if self.may_make_way:  # else a piece would have to be read again from its beginning
            self._lease.make_way()
        query = self._within_limit(query)
        try:
            return self.client.fetch(query)
        except TooLargeAnswerError as error:
            return self._fetch_less(query, error)
        except RefusedError:
            fewer = max((rows for rows in _USUAL_PAGES if query.limit and rows < query.limit), default=None)
            if fewer is None or (query.skip and query.sort_by):
                raise
        page = self.client.fetch(replace(query, limit=fewer))  # refused as well: it is not the limit
        if query.skip:  # skip and limit together were too much
            return replace(page, limit=fewer)
        evidence = f"limit {query.limit} is refused, {fewer} is not"
        self._capabilities.learn_page_rows(fewer, evidence)
        return page

    def _fetch_less(self, query: Query, error: TooLargeAnswerError) -> Page:
        """Halve the rows until the page can be read.

        Raises:
            TooLargeAnswerError: a single record is too large.
        """
        rows = query.limit or 0
        while rows > 1:
            rows //= 2
            try:
                page = self.client.fetch(replace(query, limit=rows))
            except TooLargeAnswerError as again:
                error = again
            else:
                self._capabilities.learn_page_rows(rows, f"a page of more than {rows} rows is too large")
                return page
        raise error

    @property
    def requests(self) -> int:
        """The requests that this client alone has sent."""
        return self.client.usage.requests

    def usage(self) -> Usage:
        """Return what this client and the others of the run have spent."""
        spent = [fetcher.client.usage for fetcher in (self, *self._others)]
        return Usage(
            requests=sum(usage.requests for usage in spent),
            retries=sum(usage.retries for usage in spent),
            rate_limited=sum(usage.rate_limited for usage in spent),
        )

    def another(self) -> Fetcher:
        """Return a fetcher with a client of its own, for another thread of this run."""
        other = Fetcher(self._make_client(), self._store, self._capabilities, self._lease, self._make_client)
        other.client.has_answered = self.client.has_answered
        self._others.append(other)
        return other

    def _within_limit(self, query: Query) -> Query:
        most = self._capabilities.most_rows()
        return replace(query, limit=most) if query.limit and most and query.limit > most else query
