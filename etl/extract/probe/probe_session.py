"""Sends a probe's requests within a limit, remembers the answers, and treats a refusal as an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from etl.errors import RefusedError
from etl.extract.capabilities import DEFAULT_PAGE_ROWS, EARLY, Question, ServerCapabilities
from etl.extract.http.query import Field, Query
from etl.extract.http.response_errors import SlowAnswerError, TooLargeAnswerError
from etl.extract.http.response_page import Page, record_id
from etl.extract.paging.page_checks import Fetch

MOST_REQUESTS = 12
WITHOUT_ROWS = Query(limit=1, start=EARLY, end=EARLY)  # rows come only where dates filter nothing
_MOST_REPEATS = 2  # of a request that an empty page answers, although the page tells of rows
_QUOTED = re.compile('"(.*)"', re.DOTALL)

Choice = TypeVar("Choice")


class OutOfRequests(Exception):  # noqa: N818 no error: the probe is at its end
    """The probe has used all its requests."""


class ProbeSession(Struct):
    """Counts the requests, remembers the records, and collects the capabilities.

    ``limit`` is the number of rows for trials that need only some; ``holds_all`` tells that the records are all that
    the server has. ``tells_always`` says that empty pages tell of rows where there are none.
    """

    send: Fetch
    known: ServerCapabilities
    limit: int = DEFAULT_PAGE_ROWS
    holds_all: bool = False
    range_refused: bool = False
    requests: int = 0
    tells_always: bool | None = None
    refusal: str = ""
    total: int | None = None
    records: dict[str, Any] = field(default_factory=dict)
    earliest: dict[Field, datetime] = field(default_factory=dict)

    def ask(self, query: Query, *, may_be_much: bool = False) -> Page | None:
        """Return the page, None if the server refuses the query or the answer is too large.

        A query that ``may_be_much`` also counts as refused if its answer does not come in time. An empty page that
        tells of rows is asked for again. If none come it is unverified, unless the server always tells so.

        Raises:
            OutOfRequests: no request is left.
            EtlError: as the client does.
        """
        page, repeats = self._send(query, may_be_much=may_be_much), 0
        while page is not None and _withholds(page) and not self._tells_always_of_rows():
            if repeats == _MOST_REPEATS:
                return replace(page, verified=False, reason="its rows are withheld")
            page, repeats = self._send(query, may_be_much=may_be_much), repeats + 1
        if page is not None:
            self.records.update((key, record) for record in page.records if (key := record_id(record)))
        return page

    def _tells_always_of_rows(self) -> bool:
        """Tell whether the server tells of rows even at a time without any."""
        if self.tells_always is None:
            page = self._send(WITHOUT_ROWS, may_be_much=False)
            self.tells_always = page is not None and _withholds(page)
        return self.tells_always

    def _send(self, query: Query, *, may_be_much: bool) -> Page | None:
        if self.requests >= MOST_REQUESTS:
            raise OutOfRequests
        self.requests += 1
        try:
            return self.send(query)
        except (RefusedError, TooLargeAnswerError) as error:
            self.refusal = str(error)
        except SlowAnswerError as error:
            if not may_be_much:
                raise
            self.refusal = str(error)
        return None

    def numbers_refused(self, pattern: str) -> list[int]:
        """Return the numbers that a pattern finds in the text of the last refusal."""
        quoted = _QUOTED.search(self.refusal)
        found = re.findall(pattern, quoted[1] if quoted else "", re.IGNORECASE)
        return [int(digits) for digits in found]

    def wants(self, question: Question) -> bool:
        """Tell whether a question has no answer yet."""
        return getattr(self.known, question) is None

    def learn(self, question: Question, answer: Any, evidence: str) -> None:
        """Record an answer and its evidence, unless there is one already."""
        if self.wants(question):
            self.known = self.known.with_answer(question, answer, evidence)


def _withholds(page: Page) -> bool:
    return not page.records and page.total != 0 and not page.is_last(0)


def largest_accepted(ladder: Sequence[Choice], is_accepted: Callable[[Choice], bool]) -> Choice | None:
    """Return the largest of rising choices that is taken, found by halving; None where none is."""
    low, high = 0, len(ladder)
    while low < high:
        middle = (low + high) // 2
        if is_accepted(ladder[middle]):
            low = middle + 1
        else:
            high = middle
    return ladder[low - 1] if low else None
