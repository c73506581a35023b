"""Fetches the pages of one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from etl.errors import RefusedError
from etl.extract.http.client import Client, Usage
from etl.extract.http.page import Page
from etl.extract.http.query import Query
from etl.jobs.pipeline.discovery import CapabilityTracker
from etl.jobs.pipeline.lease import SourceLease

_USUAL_PAGES = (50, 10)  # rows: what the API's sample asks for, and what it got


class Fetcher:
    """A function from query to page; where the server refuses so many rows, it asks for fewer and remembers that."""

    def __init__(
        self,
        client: Client,
        capabilities: CapabilityTracker,
        lease: SourceLease,
        make_client: Callable[[], Client],
    ) -> None:
        self.client = client
        self._capabilities = capabilities
        self._lease = lease
        self._make_client = make_client
        self._others: list[Fetcher] = []

    def __call__(self, query: Query) -> Page:
        """Return the page that answers a query.

        Raises:
            EtlError: as the client does.
        """
        self._lease.make_way()
        query = self._within_limit(query)
        try:
            return self.client.fetch(query)
        except RefusedError:
            fewer = max((rows for rows in _USUAL_PAGES if query.limit and rows < query.limit), default=None)
            if fewer is None:
                raise
        page = self.client.fetch(replace(query, limit=fewer))  # refused as well: it is not the limit
        evidence = f"limit {query.limit} is refused, {fewer} is not"
        self._capabilities.learn(self._capabilities.current.with_answer("page_rows", fewer, evidence), "page_rows")
        return page

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
        other = Fetcher(self._make_client(), self._capabilities, self._lease, self._make_client)
        self._others.append(other)
        return other

    def _within_limit(self, query: Query) -> Query:
        most = self._capabilities.current.page_rows
        return replace(query, limit=most) if query.limit and most and query.limit > most else query
